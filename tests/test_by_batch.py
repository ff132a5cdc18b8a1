"""Data of any size, in datasets and by batch, give what they give at once, whatever the size of the batches."""

import numpy as np
import pytest
import tensorflow as tf
from conformance.test_models import MODELS
from small_models import set_seeds, small_batch, small_modalities

import tf_jmvae as tj
from tf_jmvae.random import seeds

SIZE = 11


def _make(kind="jmvae_kl"):
    cls, names, options = MODELS[kind]
    set_seeds(3)
    return cls(small_modalities(names), 3, **options), small_batch(names, size=SIZE)


def _dataset(arrays, batch_size=4):
    return tf.data.Dataset.from_tensor_slices(arrays).batch(batch_size)


def _assert_close(found, expected, words=""):
    assert list(found) == list(expected), words
    for name, value in expected.items():
        assert isinstance(found[name], np.ndarray)
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5, err_msg=f"{words}: {name}")


@pytest.mark.parametrize("kind", MODELS)
def test_what_is_asked_by_batch_is_what_is_asked_of_all_rows_with_their_seeds(kind):
    model, batch = _make(kind)
    observed = {name: batch[name] for name in model.conditions or list(model.modalities)[:1]}
    targets, by_row = list(model.targets), seeds.for_rows(7)(SIZE)
    several = {"targets": targets, "num_samples": 2, "output": "sample", "iterated_sampling": 3}
    whole = [
        model.generate(observed, targets=targets, seed=by_row),
        model.generate(observed, seed=by_row, **several),
        {"elbo": model.elbo(batch, by_row)},
    ]
    q = model.posterior(observed, iterated_sampling=3, seed=by_row)
    moments = {"mean": q.mean(), "standard_deviation": q.stddev()}
    for rows in (4, SIZE):
        options = {"seed": 7, "batch_size": rows, "verbose": 0}
        for data, all_data in ((observed, batch), (_dataset(observed, 3), _dataset(batch, 3))):
            found = [
                model.generate(data, targets=targets, **options),
                model.generate(data, **several, **options),
                {"elbo": model.elbo(all_data, **options)},
            ]
            for one, expected in zip(found, whole, strict=True):
                _assert_close(one, expected)
            _assert_close(model.posterior(data, iterated_sampling=3, **options), moments)


def test_an_open_model_gives_the_same_for_the_same_seed():
    model, batch = _make()
    opened = tj.open_model(model)
    w = {"w": batch["w"]}
    _assert_close(model.generate(w, batch_size=3, seed=5, verbose=0), opened.generate(w, targets=["x"], seed=5))
    _assert_close(model.posterior(_dataset(w), verbose=0), opened.encode(w))


def test_a_seed_for_each_row_is_that_of_its_row():
    model, batch = _make()
    by_row = tf.constant(np.random.default_rng(1).integers(0, 2**31, (SIZE, 2), np.int32))
    found = model.generate({"w": batch["w"]}, seed=by_row, batch_size=4, verbose=0)
    _assert_close(found, model.generate({"w": batch["w"]}, seed=by_row))
    with pytest.raises(ValueError, match="seed has 5 rows"):
        model.generate({"w": batch["w"]}, seed=by_row[:5], batch_size=4, verbose=0)
    first, second = (model.elbo(batch, batch_size=4, verbose=0) for _ in range(2))
    assert (first != second).all()


def test_the_seeds_of_rows_are_the_same_in_any_batches():
    for seed in (0, 3**35, tf.constant([-5, 7]), tf.constant([[1, 2], [3, 4], [5, 6], [7, 8]])):
        whole, next_seeds = seeds.for_rows(seed)(4), seeds.for_rows(seed)
        np.testing.assert_array_equal(np.concatenate([next_seeds(rows) for rows in (1, 2, 1)]), whole)
    np.testing.assert_array_equal(seeds.for_rows(5)(3), seeds.for_rows(seeds.to_tensor(5))(3))


def test_a_dataset_keeps_its_batches_and_what_comes_beside_them_is_left():
    model, batch = _make()
    sizes = []
    weighted = tf.data.Dataset.from_tensor_slices((batch, (), np.ones(SIZE))).batch(4)
    weighted = weighted.map(lambda x, y, weight: (sizes.append(None), (x, y, weight))[1])
    expected = model.elbo(batch, seeds.for_rows(1)(SIZE)).numpy()
    np.testing.assert_allclose(model.elbo(weighted, 1, verbose=0), expected, rtol=1e-4)


def test_few_batches_are_in_memory():
    model, _ = _make()
    alive, most = 0, 0

    def rows():
        nonlocal alive, most
        for number in range(200):
            alive += 1
            most = max(most, alive - len(asked))
            yield {"w": np.eye(3, dtype=np.float32)[[number % 3]]}

    asked = []
    data = tf.data.Dataset.from_generator(rows, output_signature={"w": tf.TensorSpec((None, 3))})
    posterior = model._posteriors

    def counted(*args, **options):
        asked.append(True)
        return posterior(*args, **options)

    model.run_eagerly = True
    model._posteriors = counted
    assert model.posterior(data, verbose=0)["mean"].shape == (200, 3)
    assert len(asked) == 200
    assert most <= 20  # some are read ahead


def test_gaps_are_filled_in_arrays_and_in_datasets():
    networks = {"encoder": tj.networks.mlp([8]), "decoder": tj.networks.mlp([8])}
    modalities = {
        "x": tj.Modality((4,), "gaussian", optional=True, **networks),
        "y": tj.Modality((2,), "gaussian", optional="entries", **networks),
        "w": tj.Modality((3,), "categorical", **networks),
    }
    random = np.random.default_rng(0)
    data = {"x": random.normal(size=(SIZE, 4)), "y": random.normal(size=(SIZE, 2)), "w": small_batch("w", SIZE)["w"]}
    data["x"][8] = np.nan
    model = tj.JMVAEKL(modalities, 3)
    by_row, options = seeds.for_rows(2)(SIZE), {"seed": 2, "batch_size": 4, "verbose": 0}
    filled = model.generate(data, **options)
    _assert_close(filled, model.generate(data, seed=by_row))
    assert list(filled) == ["x"]
    _assert_close(
        model.generate(_dataset(data), **options), model.generate(data, targets=["x", "y"], seed=by_row)
    )  # which may be missing
    np.testing.assert_allclose(model.elbo(data, **options), model.elbo(data, by_row), rtol=1e-4)
    data["w"][9] = np.nan
    with pytest.raises(ValueError, match=r"'w' holds nan at index \(9, 0\)"):
        model.posterior(data, batch_size=4)
    with pytest.raises(ValueError, match=r"'w' holds nan at index \(9, 0\).* batch of rows 8 to 10"):
        model.posterior(_dataset(data))


def test_progress_is_shown_unless_it_is_not_wanted(capsys):
    model, batch = _make()
    model.posterior(batch, batch_size=4)
    assert "3/3" in capsys.readouterr().out
    model.posterior(batch, batch_size=4, verbose=0)
    model.posterior(batch)
    assert not capsys.readouterr().out


def test_reconstruct_reads_datasets():
    model, batch = _make()
    found = model.reconstruct(_dataset({"w": batch["w"]}), seed=3, verbose=0)
    _assert_close(found, model.reconstruct({"w": batch["w"]}, seed=seeds.for_rows(3)(SIZE)))


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (lambda batch: batch, {"batch_size": 0}, "batch_size must be a whole number of 1 or more; got 0"),
        (lambda batch: {name: value[:0] for name, value in batch.items()}, {"batch_size": 2}, "contain no examples"),
        (lambda batch: _dataset(batch).repeat(), {}, "The dataset never ends"),
        (lambda batch: tf.data.Dataset.from_tensor_slices(batch), {}, r"must yield batches.*single examples"),
        (lambda batch: _dataset({"v": batch["x"]}), {}, "Unknown modality 'v'"),
    ],
)
def test_data_that_cannot_be_read_are_refused(data, options, message):
    model, batch = _make()
    with pytest.raises(ValueError, match=message):
        model.posterior(data(batch), **options)


def test_in_a_graph_there_are_no_batches():
    model, batch = _make()
    with pytest.raises(ValueError, match=r"Inside a tf\.function there is only one batch"):
        tf.function(lambda: model.elbo(batch, 1, batch_size=2), autograph=False)()


@pytest.mark.parametrize("batch_size", [None, 2])
def test_with_nothing_left_to_generate_the_error_says_so(batch_size):
    model = tj.JMVAEKL(small_modalities(), 2)
    with pytest.raises(ValueError, match=r"Every modality is observed.*reconstruct"):
        model.generate(small_batch(size=4), batch_size=batch_size, verbose=0)
