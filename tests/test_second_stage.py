"""Subset encoders trained for a joint model that was trained before."""

import json
import pathlib
import shutil

import keras
import numpy as np
import pydantic
import pytest
import tensorflow as tf
from small_models import set_seeds, small_batch, small_modalities

import tf_jmvae as tj
from tf_jmvae import cli
from tf_jmvae._utils.files import RunError
from tf_jmvae.studies.study import Study
from tf_jmvae.training import presets, run, run_folder
from tf_jmvae.training.config import Config

SEED = tf.constant([3, 4])


def _with_statistics():
    """Modalities of which x has batch statistics and dropout in its encoder, and v has a mean and a stddev."""
    modalities, layers = small_modalities("xwv"), keras.layers
    encoder = keras.Sequential([layers.Flatten(), layers.Dense(8), layers.BatchNormalization(), layers.Dropout(0.5)])
    modalities["x"] = tj.Modality((4, 4, 1), "bernoulli", encoder=encoder, decoder=tj.networks.mlp([8]))
    modalities["v"] = tj.Modality((2,), "gaussian", standardized=True)
    return modalities


def _trained(cls, modalities, data, **options):
    set_seeds(7)
    model = cls(modalities, 3, **options)
    model.compile("adam")
    model.fit(data, batch_size=4, epochs=1, verbose=0)
    return model


def _joint(model):
    layers = [model.encoder, *model.decoders.values(), *model.standardizations.values()]
    return [weight for layer in layers for weight in layer.get_weights()]


def _subset_encoders(model):
    layers = [model.shared_encoders] if model.shared_encoders else model.subset_encoders.values()
    return [weight for layer in layers for weight in layer.get_weights()]


@pytest.mark.parametrize(
    "options", [{}, {"subsets": "shared", "flow": 2}, {"subset_learning": "follow", "flow": 2}], ids=str
)
def test_the_joint_model_stays_as_it_was_trained_and_the_subset_encoders_learn(options):
    data = small_batch("xwv")
    trained = _trained(tj.JMVAE, _with_statistics(), data)
    before = _joint(trained)
    set_seeds(8)
    model = tj.JMVAEKL(_with_statistics(), 3, **options)
    model.take_joint(trained)
    untrained = _subset_encoders(model)
    model.compile("adam")
    model.fit(data, batch_size=4, epochs=1, verbose=0)
    for ours, theirs, first in zip(_joint(model), _joint(trained), before, strict=True):
        np.testing.assert_array_equal(ours, first)
        np.testing.assert_array_equal(theirs, first)
    assert any(np.any(one != other) for one, other in zip(_subset_encoders(model), untrained, strict=True))
    batch = model.read(data)
    np.testing.assert_array_equal(model.elbo(batch, seed=1), trained.elbo(trained.read(data), seed=1))


@pytest.mark.parametrize("learning", ["pull", "follow"])
def test_the_subset_encoders_have_the_gradient_that_they_have_when_they_follow(learning):
    """However they are to learn: a joint encoder that is fixed cannot be pulled."""
    set_seeds(4)
    following = tj.JMVAEKL(small_modalities(), 3, alpha=0.7, subset_learning="follow")
    set_seeds(4)
    model = tj.JMVAEKL(small_modalities(), 3, alpha=0.7, subset_learning=learning)
    model.take_joint(following)
    batch = {name: tf.constant(value) for name, value in small_batch().items()}

    def gradients(model, variables):
        with tf.GradientTape() as tape:
            loss = model._loss(model.objective(batch, SEED, training=True), None)
        return tape.gradient(loss, variables)

    expected = gradients(following, [v for e in following.subset_encoders.values() for v in e.trainable_variables])
    for one, other in zip(gradients(model, model.trainable_variables), expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_saved_model_goes_on_with_the_subset_encoders_alone(tmp_path):
    data = small_batch()
    trained = _trained(tj.JMVAEKL, small_modalities(), data)
    model = tj.JMVAEKL(small_modalities(), 3, flow=2)
    model.take_joint(trained)
    model.compile("adam")
    model.fit(data, batch_size=4, epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for one in (model, again):
        set_seeds(9)
        one.fit(data, batch_size=4, epochs=1, verbose=0, shuffle=False)
    for ours, theirs in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(_joint(again), _joint(trained), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def _other(**options):
    """Modalities that differ in the networks and the head of x."""
    x = {"encoder": tj.networks.mlp([8]), "decoder": tj.networks.mlp([8]), "head": "bernoulli", **options}
    return {**small_modalities(), "x": tj.Modality((4, 4, 1), x.pop("head"), **x)}


def _tanh():
    return keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(8, "tanh")])


@pytest.mark.parametrize(
    ("trained", "message"),
    [
        (lambda: tj.JMVAE(small_modalities("xv"), 3), r"modalities: \['order', 'x', 'w'\] here, \['order', 'x', 'v'\]"),
        (lambda: tj.JMVAE(small_modalities("wx"), 3), r"modalities: \['order', 'x', 'w'\] here, \['order', 'w', 'x'\]"),
        (lambda: tj.JMVAE(small_modalities(), 4), "latent_dim: 3 here, 4 there"),
        (lambda: tj.JMVAE(small_modalities(), 3, trunk=tj.networks.mlp([8])), "networks: .* 'encoder/trunk'"),
        (lambda: tj.JMVAE(_other(encoder=_tanh()), 3), "networks/encoder/x/"),
        (
            lambda: tj.JMVAE(_other(head=tj.heads.Gaussian(variance=0.1)), 3),
            "modalities/x/likelihood: 'bernoulli' here",
        ),
        (lambda: tj.JMVAE(_other(entry_names=("a",)), 3), r"modalities/x/entry_names"),
    ],
    ids=["modality", "order", "latents", "trunk", "activation", "head", "entries"],
)
def test_another_model_is_refused_and_nothing_is_taken(trained, message):
    model = tj.JMVAEKL(small_modalities(), 3)
    before = model.get_weights()
    with pytest.raises(ValueError, match=f"take_joint: .*they differ in {message}"):
        model.take_joint(trained())
    for ours, first in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, first)
    assert len(model.trainable_variables) == len(tj.JMVAEKL(small_modalities(), 3).trainable_variables)


def test_options_of_a_head_must_be_equal():
    models = [
        cls({**small_modalities(), "v": tj.Modality((2,), tj.heads.Gaussian(variance=variance))}, 3)
        for cls, variance in ((tj.JMVAEKL, 0.5), (tj.JMVAE, 0.1))
    ]
    with pytest.raises(ValueError, match=r"heads/v/config/variance: 0\.5 here, 0\.1 there"):
        models[0].take_joint(models[1])


def test_only_a_joint_model_is_taken_and_not_by_a_gan_or_a_compiled_model():
    model = tj.JMVAEKL(small_modalities(), 3)
    with pytest.raises(TypeError, match="take_joint: a trained JMVAE or JMVAEKL is needed; got a CMMA"):
        model.take_joint(tj.CMMA(small_modalities(), 3, target="x"))
    gan = tj.JMVAEKLGAN(small_modalities(), 3, discriminator=tj.networks.mlp([8]))
    with pytest.raises(NotImplementedError, match="use a JMVAEKL"):
        gan.take_joint(tj.JMVAE(small_modalities(), 3))
    model.compile("adam")
    with pytest.raises(ValueError, match="before compile"):
        model.take_joint(tj.JMVAE(small_modalities(), 3))


def test_layers_with_statistics_of_their_own_and_the_fitted_prior_are_copied():
    """A Normalization computes more from its weights when they are loaded."""
    data = small_batch("xv", size=40)

    def modalities(normalization):
        encoder = keras.Sequential([normalization, keras.layers.Dense(8)])
        return {**small_modalities("xv"), "v": tj.Modality((2,), tj.heads.Gaussian(variance=0.5), encoder=encoder)}

    adapted, other = keras.layers.Normalization(), keras.layers.Normalization()
    adapted.adapt(5 * data["v"] + 3)
    other.adapt(data["v"])
    trained = tj.JMVAE(modalities(adapted), 3)
    trained.fit_prior(data, components=2)
    model = tj.JMVAEKL(modalities(other), 3)
    model.take_joint(trained)
    np.testing.assert_array_equal(model.elbo(data, seed=1), trained.elbo(data, seed=1))
    assert model.fitted_prior is trained.fitted_prior


def test_the_subset_encoders_learn_of_the_joint_encoder_without_dropout():
    """As it is saved and evaluated: in training, too, its posterior is the same at every call."""
    model = tj.JMVAEKL(_with_statistics(), 3)
    model.take_joint(tj.JMVAE(_with_statistics(), 3))
    batch = {name: tf.constant(value) for name, value in small_batch("xwv").items()}
    first, second, evaluated = (
        model.objective(batch, SEED, training=training)["kl_prior"].value for training in (True, True, False)
    )
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, evaluated)


# Runs.


def _config(kind, run_dir, **training):
    changes = {
        "run_dir": run_dir,
        "data": {"train_size": 128},
        "model": {"modalities": {name: {"encoder": (8,), "decoder": (8,)} for name in "xw"}, "latent_dim": 2},
        "training": {"epochs": 1, "kl_warm_up": 0, "tensorboard": False, **training},
    }
    return Config.model_validate(presets.merge(presets.load(f"digits-{kind}").model_dump(), changes))


@pytest.fixture(scope="module")
def joint(tmp_path_factory):
    """The folder of a run of a joint model."""
    folder = tmp_path_factory.mktemp("runs") / "joint"
    run.train(_config("jmvae", folder), verbose=0)
    return folder


def _same_joint(*folders):
    ours, theirs = (run_folder.load_model(folder / "model.keras") for folder in folders)
    return all(np.array_equal(*weights) for weights in zip(_joint(ours), _joint(theirs), strict=True))


def test_a_run_takes_the_joint_model_of_another_and_its_record_has_no_path(joint, tmp_path):
    second = tmp_path / "second"
    run.train(_config("jmvae-kl", second, joint_from=joint), verbose=0)
    assert _same_joint(second, joint)
    assert str(joint) not in str(run_folder.describe(second)["training"]["config"])  # goes into a card
    study = Study(tmp_path / "study", {"study": "a test"})
    second.rename(study.folder / "second")
    assert str(joint) not in str(study.provenance("second"))


class _Stop(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise KeyboardInterrupt


def test_an_interrupted_run_goes_on_without_the_joint_run_but_not_without_the_option(joint, tmp_path):
    moved, second = tmp_path / "moved", tmp_path / "second"
    shutil.copytree(joint, moved)
    config = _config("jmvae-kl", second, joint_from=moved, epochs=2)
    with pytest.raises(KeyboardInterrupt):
        run.train(config, extra_callbacks=[_Stop()], verbose=0)
    shutil.rmtree(moved)
    with pytest.raises(RunError, match=r"training\.joint_from \(True there, False here\)"):
        run.train(_config("jmvae-kl", second, epochs=2), verbose=0)
    run.train(config, verbose=0)
    assert _same_joint(second, joint)


def test_early_stopping_looks_at_what_is_trained(joint, tmp_path):
    """The ELBO of a fixed joint model is constant, and would end the run."""
    second = tmp_path / "second"
    run.train(_config("jmvae-kl", second, joint_from=joint, epochs=4, early_stopping=1, validate_every=1), verbose=0)
    history = json.loads((second / "history.json").read_text())
    assert len({round(value, 3) for value in history["val_elbo"]}) == 1
    assert len(history["val_objective"]) == 4


def test_a_run_that_cannot_take_it_says_so_and_leaves_everything_as_it_was(joint, tmp_path):
    second = tmp_path / "second"
    with pytest.raises(RunError, match=r"There is no model .*nowhere.model\.keras"):
        run.train(_config("jmvae-kl", second, joint_from=tmp_path / "nowhere"), verbose=0)
    changed = _config("jmvae-kl", second, joint_from=joint)
    changed = changed.model_copy(update={"model": changed.model.model_copy(update={"latent_dim": 3})})
    with pytest.raises(RunError, match=r"joint_from, .*joint: .*latent_dim: 3 here, 2 there"):
        run.train(changed, verbose=0)
    assert not second.exists()
    own = tmp_path / "own"
    shutil.copytree(joint, own)
    before = (own / "model.keras").read_bytes()
    with pytest.raises(RunError, match="joint_from is the folder of this run"):
        run.train(_config("jmvae-kl", own, joint_from=own).model_copy(update={"overwrite": True}), verbose=0)
    assert (own / "model.keras").read_bytes() == before


def test_other_kinds_have_no_second_stage():
    with pytest.raises(pydantic.ValidationError, match="joint_from: an option of jmvae-kl, but the model is jmvae"):
        _config("jmvae", pathlib.Path("x"), joint_from="y")


def test_nothing_is_copied_if_one_model_reads_which_entries_are_missing():
    def modalities(optional):
        dense = {"encoder": keras.layers.Dense(4), "decoder": tj.networks.mlp([4])}
        v = tj.Modality((2,), "gaussian", optional=optional, **dense)
        return {"x": tj.Modality((3,), "bernoulli", **dense), "v": v}

    trained, model = tj.JMVAE(modalities(False), 2), tj.JMVAEKL(modalities("entries"), 2)
    before = _joint(model)
    with pytest.raises(ValueError, match=r"modalities/v/optional='entries': True here, False there"):
        model.take_joint(trained)
    for ours, then in zip(_joint(model), before, strict=True):
        np.testing.assert_array_equal(ours, then)


def test_the_command_says_which_models_take_a_joint_model(capsys):
    assert cli.main(["train", "--preset", "digits-jmvae", "--joint-from", "runs/joint"]) == 1
    said = capsys.readouterr().err
    assert said.strip() == "tf-jmvae train: joint_from: an option of jmvae-kl, but the model is jmvae"
