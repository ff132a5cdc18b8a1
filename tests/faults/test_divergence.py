"""A loss of NaN: training stops, says which term it was and where, and the last good weights come back."""

import re

import forked
import jobs
import keras
import numpy as np
import pytest
from record import record
from small_models import small_batch, small_modalities

import tf_jmvae as tj
from tf_jmvae.callbacks.training import non_finite

STEPS = 3


class _Poisoned(tj.JMVAE):
    """Whose named term is poisoned in one step of training."""

    term, step, value = "log_p_w", 4, np.nan

    def objective(self, batch, seed, training=False):
        terms = super().objective(batch, seed, training)
        if training:
            hit = keras.ops.cast(self.noise_state[1] == self.step + 1, "float32")
            poison = keras.ops.where(hit > 0, self.value, 0.0)
            terms[self.term] = terms[self.term]._replace(value=terms[self.term].value + poison)
        return terms


def _fit(model, callbacks, **options):
    data = small_batch(size=4 * STEPS)
    return model.fit(data, batch_size=4, epochs=3, shuffle=False, callbacks=callbacks, verbose=0, **options).history


def _model(term="log_p_w", value=np.nan, step=4):
    model = _Poisoned(small_modalities(), 2)
    model.term, model.value, model.step = term, value, step
    model.compile(keras.optimizers.Adam(0.01), run_eagerly=True)
    return model


@pytest.mark.parametrize(
    ("term", "value", "step", "message"),
    [
        ("log_p_w", np.nan, 4, r"In epoch 2, step 2, log_p_w became NaN\."),
        ("kl_prior", np.inf, 3, r"In epoch 2, step 1, kl_prior became infinite\."),
        ("log_p_x", -np.inf, 8, r"In epoch 3, step 3, log_p_x became infinite\."),
        ("log_p_x", -1e37, 4, r"In epoch 2, step 2, log_p_x became -5e\+36\."),
    ],
)
def test_the_term_epoch_and_step_are_named_and_the_last_good_weights_come_back(term, value, step, message):
    model = _model(term, value, step)
    kept = []
    watch = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: kept.append(model.get_weights()))
    callback = tj.callbacks.StopAtDivergence()
    with pytest.warns(RuntimeWarning, match=message) as caught:
        history = _fit(model, [callback, watch])
    assert len(history["loss"]) == step // STEPS + 1  # it stopped in that epoch
    assert "learning rate" in callback.problem
    assert callback.problem in [str(warning.message) for warning in caught]
    # The first step after an epoch shows whether its weights are good; a NaN there takes one epoch more.
    good = (step // STEPS) - (step % STEPS == 0)
    origin = f"after epoch {good}" if good else "before training"
    assert f"weights are again those that it had {origin}." in callback.problem
    for weight, value_before in zip(model.get_weights(), kept[good - 1] if good else [], strict=bool(good)):
        np.testing.assert_array_equal(weight, value_before)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    record(f"{term} becomes {value}", 1, "training stops and names term, epoch, step; the last good weights come back")


def test_a_loss_in_the_first_step_gives_back_the_initial_weights():
    model = _model(step=0)
    before = model.get_weights()
    with pytest.warns(RuntimeWarning, match=r"In epoch 1, step 1, .*before training\."):
        _fit(model, [tj.callbacks.StopAtDivergence()])
    for weight, value in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)


def _spoil(model, value, epoch):
    """The last update of an epoch sets the weights."""

    def spoil(batch, logs):
        if batch == STEPS - 1 and int(model.noise_state[1]) == STEPS * epoch:
            for weight in model.trainable_variables:
                weight.assign(np.full(weight.shape, value))

    return keras.callbacks.LambdaCallback(on_train_batch_end=spoil)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, r"In the last step of epoch 2, weights became NaN or infinite"),
        (1e38, r"In epoch 3, step 1, .* became (NaN|infinite)"),  # finite, and of no use
    ],
    ids=["nan", "huge"],
)
@pytest.mark.parametrize("validation", [False, True], ids=["", "validated"])
def test_the_last_update_of_an_epoch_may_ruin_the_weights(value, message, validation):
    model = _model(step=-1)
    kept = []
    watch = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: kept.append(model.get_weights()))
    callback = tj.callbacks.StopAtDivergence(warn=False)
    options = {"validation_data": small_batch(size=4)} if validation else {}
    _fit(model, [_spoil(model, value, epoch=2), callback, watch], **options)
    assert re.match(message, callback.problem)
    for weight, before in zip(model.get_weights(), kept[0], strict=True):
        np.testing.assert_array_equal(weight, before)


def test_a_training_without_a_fault_is_left_alone():
    plain, watched = _model(step=-1), _model(step=-1)
    watched.set_weights(plain.get_weights())
    callback = tj.callbacks.StopAtDivergence()
    expected, history = _fit(plain, []), _fit(watched, [callback])
    assert callback.problem is None
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-6)
    for a, b in zip(plain.get_weights(), watched.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("logs", "expected"),
    [
        ({"loss": 1.0, "log_p_x": np.nan}, None),
        (None, None),
        (
            {"loss": np.nan, "elbo": np.nan, "objective": np.nan, "log_p_x": -1.0, "kl_w": np.inf},
            "kl_w became infinite",
        ),
        (
            {"loss": np.inf, "log_p_x": -np.inf, "kl_prior": np.nan, "val_kl_w": np.nan},
            "log_p_x became infinite and kl_prior became NaN",
        ),
        (
            {"loss": np.inf, "elbo": -1.0, "kl_prior": 1.0},
            "the loss became infinite, though none of its terms did",
        ),
    ],
)
def test_which_terms_are_named(logs, expected):
    assert non_finite(logs) == expected


def test_the_command_names_the_term_and_keeps_the_last_good_epoch(tmp_path):
    preset = jobs.write_preset(tmp_path / "tiny.toml")
    code, output = forked.run(jobs.train_until_nan, preset, tmp_path / "run", log=tmp_path / "log")
    assert code == 1
    assert "Traceback" not in output
    checkpoint = tmp_path / "run/checkpoint"
    assert re.search(
        rf"In epoch 5, step 2, log_p_x became NaN.* The weights of epoch 4 are kept in {checkpoint}\. Train anew with "
        "--overwrite and a lower --learning-rate, or with --clip-norm 100",
        output,
    )
    assert sorted(path.name for path in checkpoint.iterdir()) == ["epoch-4.history.json", "epoch-4.weights.h5"]
    record(
        "a loss of NaN in tf-jmvae train", 1, "exit code 1; message with term, epoch, step, advice; epoch 4 of 8 kept"
    )


def test_bad_values_in_a_request_are_not_called_training_data():
    model = tj.JMVAE(small_modalities("xv"), 2)
    with pytest.raises(ValueError, match=r"'v' holds nan.* remove or replace such values\."):
        model.generate({"v": np.full((1, 2), np.nan)})
