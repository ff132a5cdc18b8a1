"""KL warm-up, a watch on discriminators, checkpoints that survive a kill, and files that are whole or not there."""

import contextlib
import json
import os
import pathlib

import keras
import numpy as np
import pytest
from small_models import set_seeds, small_batch, small_modalities

import tf_jmvae as tj
from tf_jmvae._utils.files import replace_atomically, write_json
from tf_jmvae.callbacks import Checkpoint, DiscriminatorCollapse, KLWarmUp

EPOCHS = 4


def _data(passes):
    batch = small_batch(size=20)
    batch["x"] = np.random.default_rng(0).uniform(size=batch["x"].shape)
    return tj.data.from_arrays(batch, batch_size=8, shuffle=True, binarize=["x"], seed=3, epochs=passes)


def _model(seed=1, run_eagerly=True, **options):
    """Without a graph, which takes longer to make than so few steps: what callbacks do is outside of the step."""
    set_seeds(seed)
    model = tj.JMVAE(small_modalities(), 2)
    model.compile(tj.optimizers.FusedAdam(0.01), run_eagerly=run_eagerly, **options)
    return model


def _fit(model, callbacks, first=0, last=EPOCHS, **options):
    return model.fit(
        _data(range(first, last)),
        initial_epoch=first,
        epochs=last,
        steps_per_epoch=3,
        shuffle=False,  # the data are; Keras warns otherwise
        callbacks=callbacks,
        verbose=0,
        **options,
    ).history


def _assert_same_state(model, other):
    ours, theirs = _values(model), _values(other)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


def _values(model):
    return [np.array(variable) for variable in [*model.variables, *model.optimizer.variables]]


class TestKLWarmUp:
    @pytest.mark.parametrize("jit_compile", [False, True])
    def test_the_loss_weighs_the_kl_by_the_epochs_share(self, jit_compile):
        history = _fit(_model(run_eagerly=False, jit_compile=jit_compile), [KLWarmUp(3)], last=5)
        log_p = np.add(history["log_p_x"], history["log_p_w"])
        kl = np.array(history["kl_prior"])
        assert kl.min() > 1e-3
        np.testing.assert_allclose(history["loss"], np.array([0, 1 / 3, 2 / 3, 1, 1]) * kl - log_p, rtol=1e-5)
        np.testing.assert_allclose(history["elbo"], log_p - kl, rtol=1e-5)

    def test_every_layers_kl_is_weighed(self):
        model = tj.HierarchicalJMVAE(small_modalities(), 2)
        model.compile(tj.optimizers.FusedAdam(0.01), run_eagerly=True)
        history = _fit(model, [KLWarmUp(2)], last=3)
        log_p = np.add(history["log_p_x"], history["log_p_w"])
        kl = np.add(history["kl_prior_1"], history["kl_prior_2"])
        np.testing.assert_allclose(history["loss"], np.array([0, 0.5, 1]) * kl - log_p, rtol=1e-5)

    def test_the_kl_towards_subset_encoders_is_not_warmed_up(self):
        model = tj.JMVAEKL(small_modalities(), 2, alpha=0.7)
        model.compile(tj.optimizers.FusedAdam(0.01), run_eagerly=True)
        history = {name: values[0] for name, values in _fit(model, [KLWarmUp(3)], last=1).items()}
        expected = 0.7 * (history["kl_x"] + history["kl_w"]) - history["log_p_x"] - history["log_p_w"]
        assert history["loss"] == pytest.approx(expected, rel=1e-5)
        assert history["loss"] == pytest.approx(-(history["objective"] + history["kl_prior"]), rel=1e-5)

    def test_without_weight_nothing_pulls_the_posterior_to_the_prior(self):
        data = small_batch(size=60)
        kl = []
        for callbacks in ([KLWarmUp(10_000)], []):
            model = _model(run_eagerly=False)
            model.fit(data, epochs=25, batch_size=60, callbacks=callbacks, verbose=0)
            kl.append(model.evaluate(data, return_dict=True, verbose=0)["kl_prior"])
        assert kl[0] > 2 * kl[1]

    def test_zero_epochs_are_no_warm_up(self):
        model = _model()
        model.kl_weight.assign(0.25)
        history = _fit(model, [KLWarmUp(0)], last=1)
        assert float(model.kl_weight) == 1.0
        assert history["loss"][0] == pytest.approx(-history["elbo"][0], rel=1e-5)

    def test_a_resumed_run_goes_on_in_its_epoch(self):
        model = _model()
        seen = []
        watch = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(float(model.kl_weight)))
        _fit(model, [KLWarmUp(4), watch], first=3, last=4)
        assert seen == [0.75]

    def test_the_weight_is_saved_with_a_model_in_the_middle_of_it(self, tmp_path):
        model = _model()
        save = keras.callbacks.ModelCheckpoint(tmp_path / "epoch-{epoch}.keras")
        _fit(model, [KLWarmUp(4), save], last=3)
        weights = [float(keras.saving.load_model(tmp_path / f"epoch-{n}.keras").kl_weight) for n in (1, 2, 3)]
        assert weights == [0.0, 0.25, 0.5]

    def test_training_that_ends_early_leaves_the_whole_bound(self):
        model = _model()
        _fit(model, [KLWarmUp(4)], last=2)
        assert float(model.kl_weight) == 1.0

    def test_validation_scores_the_whole_bound(self):
        history = _fit(_model(), [KLWarmUp(3)], last=3, validation_data=small_batch())
        np.testing.assert_allclose(history["val_loss"], -np.array(history["val_elbo"]), rtol=1e-5)
        assert history["loss"][0] < -history["elbo"][0]

    def test_weights_that_come_back_from_the_warm_up_have_the_whole_bound(self):
        model = _model()
        stop = keras.callbacks.EarlyStopping("elbo", mode="min", patience=1, restore_best_weights=True)
        assert len(_fit(model, [KLWarmUp(50), stop], last=20)["loss"]) < 20
        assert float(model.kl_weight) == 1.0

    def test_early_stopping_may_begin_after_it(self):
        stop = keras.callbacks.EarlyStopping("val_elbo", mode="min", patience=0, start_from_epoch=4)
        history = _fit(_model(), [KLWarmUp(4), stop], last=8, validation_data=small_batch())
        assert len(history["loss"]) > 4

    @pytest.mark.parametrize("how", ["interrupted", "loaded"])
    def test_a_fit_without_it_has_the_whole_bound_whatever_was_before(self, tmp_path, how):
        model = _model()

        def end(epoch, logs):
            model.save(tmp_path / "model.keras")
            if epoch == 1 and how == "interrupted":
                raise KeyboardInterrupt

        with contextlib.suppress(KeyboardInterrupt):
            _fit(model, [KLWarmUp(10), keras.callbacks.LambdaCallback(on_epoch_end=end)], last=2)
        if how == "loaded":
            model = keras.saving.load_model(tmp_path / "model.keras")
        history = _fit(model, [], last=1)
        assert history["loss"][0] == pytest.approx(-history["elbo"][0], rel=1e-5)

    def test_negative_epochs_are_refused(self):
        with pytest.raises(ValueError, match="epochs must be a finite number of 0 or more; got -1"):
            KLWarmUp(-1)


class TestDiscriminatorCollapse:
    @staticmethod
    def _run(callback, accuracies):
        """Epochs of these accuracies on real, reconstructed and sampled images; gives the states after each."""
        states = []
        for epoch, (real, reconstructed, sampled) in enumerate(accuracies):
            logs = {"accuracy_real": real, "accuracy_reconstructed": reconstructed, "accuracy_sampled": sampled}
            callback.on_epoch_end(epoch, logs)
            states.append(callback.collapsed)
        return states

    @pytest.mark.parametrize(
        ("accuracies", "state", "advice"),
        [
            ((1.0, 1.0, 1.0), "right", "Lower its learning rate, or raise adversarial_weight"),
            ((0.99, 1.0, 1.0), "right", "has been 0.995"),
            ((0.5, 0.5, 0.5), "chance", "Raise its learning rate, or lower adversarial_weight"),
            ((1.0, 0.0, 0.02), "chance", "has been 0.505"),  # it calls everything real
        ],
    )
    def test_it_warns_once_after_so_many_epochs_in_a_row(self, accuracies, state, advice):
        callback = DiscriminatorCollapse(patience=3)
        with pytest.warns(UserWarning, match=advice) as caught:
            states = self._run(callback, [accuracies] * 5)
        assert states == [None, None, state, state, state]
        assert len(caught) == 1

    def test_one_good_epoch_starts_the_count_anew(self):
        right, fair = (1.0, 1.0, 1.0), (0.8, 0.7, 0.9)
        callback = DiscriminatorCollapse(patience=2)
        assert self._run(callback, [right, fair, right, fair]) == [None] * 4
        with pytest.warns(UserWarning, match="right"):
            assert self._run(callback, [right, right, fair]) == [None, "right", None]

    def test_from_chance_to_always_right_is_another_collapse(self):
        with pytest.warns(UserWarning, match="chance|right") as caught:
            states = self._run(DiscriminatorCollapse(patience=1), [(0.5, 0.5, 0.5), (1.0, 1.0, 1.0)])
        assert states == ["chance", "right"]
        assert len(caught) == 2

    @pytest.mark.parametrize(("limits", "warns"), [({"right": 0.9}, True), ({}, False)])
    def test_the_limits_can_be_set(self, limits, warns):
        callback = DiscriminatorCollapse(patience=1, **limits)
        with pytest.warns(UserWarning, match="right") if warns else contextlib.nullcontext():
            self._run(callback, [(0.95, 0.9, 0.9)])

    def test_models_without_a_discriminator_have_nothing_to_watch(self):
        callback = DiscriminatorCollapse(patience=1)
        callback.on_epoch_end(0, {"loss": 1.0})
        callback.on_epoch_end(1, None)
        assert callback.collapsed is None

    def test_no_patience_is_refused(self):
        with pytest.raises(ValueError, match="patience must be a whole number of 1 or more; got 0"):
            DiscriminatorCollapse(patience=0)


class TestCheckpoint:
    def test_an_empty_or_absent_folder_restores_nothing(self, tmp_path):
        model = _model()
        before = model.get_weights()
        assert Checkpoint(tmp_path).restore(model) == 0
        assert Checkpoint(tmp_path / "absent").restore(model) == 0
        for a, b in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(a, b)

    def test_it_restores_weights_optimizer_noise_and_history(self, tmp_path):
        model, checkpoint = _model(), Checkpoint(tmp_path)
        history = _fit(model, [checkpoint], last=2)
        restored, again = _model(seed=9), Checkpoint(tmp_path)
        assert restored.noise_state.numpy()[0] != model.noise_state.numpy()[0]
        assert again.restore(restored) == 2
        _assert_same_state(restored, model)
        assert int(restored.optimizer.iterations) == 6
        assert again.history == checkpoint.history == history

    @pytest.mark.parametrize("done", [1, 3])
    def test_a_resumed_training_equals_one_that_was_never_interrupted(self, tmp_path, done):
        validation = {"validation_data": small_batch(), "validation_freq": 2}
        whole, checkpoint = _model(), Checkpoint(tmp_path / "whole")
        _fit(whole, [KLWarmUp(3), checkpoint], **validation)

        _fit(_model(), [KLWarmUp(3), Checkpoint(tmp_path / "killed")], last=done, **validation)
        resumed, again = _model(seed=9), Checkpoint(tmp_path / "killed")
        first = again.restore(resumed)
        _fit(resumed, [KLWarmUp(3), again], first=first, **validation)

        _assert_same_state(resumed, whole)
        assert again.history.keys() == checkpoint.history.keys()
        for name, values in checkpoint.history.items():
            # TensorFlow adds up the terms of a metric in any order; None, of no validation, becomes NaN.
            np.testing.assert_allclose(np.array(again.history[name], float), np.array(values, float), rtol=1e-6)
        assert [value is None for value in again.history["val_loss"]] == [True, False, True, False]

    def test_only_the_last_checkpoint_remains(self, tmp_path):
        _fit(_model(), [Checkpoint(tmp_path)], validation_data=small_batch())
        assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch-4.history.json", "epoch-4.weights.h5"]

    def test_the_one_before_remains_until_the_next_step_shows_that_the_last_is_good(self, tmp_path):
        left = []
        watch = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: left.append(sorted(checkpoint._epochs()))
        )
        checkpoint = Checkpoint(tmp_path)
        _fit(_model(), [watch, checkpoint], last=3)  # of three steps each
        assert left == [[], [], [], [1], [1], [1], [1, 2], [2], [2]]
        assert sorted(checkpoint._epochs()) == [2, 3]

    def test_weights_that_are_finite_and_of_no_use_are_not_the_last_good_ones(self, tmp_path):
        model, checkpoint = _model(), Checkpoint(tmp_path)
        good = {}

        def spoil(batch, logs):
            if batch == 2 and len(checkpoint.history.get("loss", ())) == 2:  # the last update of the third epoch
                weight = model.trainable_variables[0]
                weight.assign(np.full(weight.shape, 1e38))

        def keep(epoch, logs):
            if epoch == 1:
                good["state"] = _values(model)

        watch = keras.callbacks.LambdaCallback(on_train_batch_end=spoil, on_epoch_end=keep)
        history = _fit(model, [watch, checkpoint])
        assert np.isfinite(history["loss"]).tolist() == [True, True, True, False]
        assert checkpoint.history["loss"] == history["loss"][:2]
        restored = _model(seed=9)
        assert Checkpoint(tmp_path).restore(restored) == 2
        for a, b in zip(_values(restored), good["state"], strict=True):
            np.testing.assert_array_equal(a, b)

    def test_files_of_others_stay(self, tmp_path):
        ours = ["epoch-2~.weights.h5", "epoch-2~17-0123abcd~.weights.h5", "epoch-2~.history.json"]
        theirs = ["notes~.txt", "epoch-2~.txt", "epoch-best~.weights.h5", "model~.keras", "epoch-2~mine~.weights.h5"]
        for name in ours + theirs:
            (tmp_path / name).write_text("precious")
        Checkpoint(tmp_path).restore(_model())
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(theirs)

    def test_of_two_checkpoints_the_one_of_more_epochs_counts(self, tmp_path):
        _fit(_model(), [Checkpoint(tmp_path)], first=8, last=9)
        kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        model, checkpoint = _model(seed=2), Checkpoint(tmp_path)
        assert checkpoint.restore(model) == 9
        _fit(model, [checkpoint], first=9, last=10)
        for name, content in kept.items():  # as after a kill before the old one is removed
            (tmp_path / name).write_bytes(content)
        restored = _model(seed=9)
        assert Checkpoint(tmp_path).restore(restored) == 10
        _assert_same_state(restored, model)

    def test_what_a_kill_in_the_middle_of_a_write_leaves_does_not_count(self, tmp_path):
        model, checkpoint = _model(), Checkpoint(tmp_path)
        _fit(model, [checkpoint], last=2)
        (tmp_path / "epoch-3~.weights.h5").write_bytes(b"half a file")
        (tmp_path / "epoch-3.history.json").write_text(json.dumps({"loss": [1.0, 1.0, 1.0]}))
        restored, again = _model(seed=9), Checkpoint(tmp_path)
        assert again.restore(restored) == 2
        _assert_same_state(restored, model)
        assert again.history == checkpoint.history
        assert not list(tmp_path.glob("*~*"))

    def test_an_epoch_with_a_loss_of_nan_is_not_saved(self, tmp_path):
        model, checkpoint = _model(), Checkpoint(tmp_path)
        good = {}

        def keep(epoch, logs):
            if epoch == 2:
                good["state"] = _values(model)

        def poison(batch, logs):  # once the first step of the epoch has shown that the weights before it are good
            if good and batch == 1:
                model.trainable_variables[0].assign(np.full(model.trainable_variables[0].shape, np.nan))

        watch = keras.callbacks.LambdaCallback(on_epoch_begin=keep, on_train_batch_begin=poison)
        history = _fit(model, [watch, checkpoint])
        assert np.isfinite(history["loss"]).tolist() == [True, True, False, False]
        assert checkpoint.history["loss"] == history["loss"][:2]
        restored = _model(seed=9)
        assert Checkpoint(tmp_path).restore(restored) == 2
        for a, b in zip(_values(restored), good["state"], strict=True):
            np.testing.assert_array_equal(a, b)

    def test_a_failed_write_leaves_the_checkpoint_before_it(self, tmp_path, monkeypatch):
        model, checkpoint = _model(), Checkpoint(tmp_path)
        _fit(model, [checkpoint], last=2)
        state = _values(model)
        history = json.loads(json.dumps(checkpoint.history))

        def full_disk(path):
            pathlib.Path(path).write_bytes(b"half a file")
            raise OSError("No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(model, "save_weights", full_disk)
            with pytest.raises(OSError, match="No space left"):
                _fit(model, [checkpoint], first=2, last=3)
        assert not list(tmp_path.glob("*~*"))
        restored, again = _model(seed=9), Checkpoint(tmp_path)
        assert again.restore(restored) == 2
        for a, b in zip(_values(restored), state, strict=True):
            np.testing.assert_array_equal(a, b)
        assert again.history == history


class TestFiles:
    def test_a_file_is_replaced_as_a_whole(self, tmp_path):
        target = tmp_path / "weights.tar.gz"
        target.write_text("old")
        seen = {}

        def write(temporary):
            replacement = tmp_path / "weights~.tar.gz"
            seen["path"] = temporary
            replacement.write_text("new")
            seen["target meanwhile"] = target.read_text()

        replace_atomically(target, write)
        assert seen == {"path": str(tmp_path / "weights~.tar.gz"), "target meanwhile": "old"}
        assert target.read_text() == "new"
        assert list(tmp_path.iterdir()) == [target]

    def test_a_file_is_on_the_disk_before_it_has_its_name(self, tmp_path, monkeypatch):
        events = []
        monkeypatch.setattr(os, "fsync", lambda descriptor: events.append(os.fstat(descriptor).st_ino))
        rename = pathlib.Path.replace
        monkeypatch.setattr(pathlib.Path, "replace", lambda *paths: events.append("renamed") or rename(*paths))
        write_json(tmp_path / "history.json", [1])
        # The file before it has its name, and the folder after it: else a power cut could take either.
        assert events == [(tmp_path / "history.json").stat().st_ino, "renamed", tmp_path.stat().st_ino]

    @pytest.mark.parametrize("old", ["old", None])
    def test_a_write_that_raises_leaves_everything_as_it_was(self, tmp_path, old):
        target = tmp_path / "model.keras"
        if old:
            target.write_text(old)

        def write(temporary):
            (tmp_path / "model~.keras").write_text("half")
            raise RuntimeError("out of memory")

        with pytest.raises(RuntimeError, match="out of memory"):
            replace_atomically(str(target), write)
        assert {path.name: path.read_text() for path in tmp_path.iterdir()} == ({"model.keras": old} if old else {})

    def test_json_reads_back(self, tmp_path):
        value = {"loss": [1.5, None], "name": "x"}
        write_json(tmp_path / "history.json", value)
        assert json.loads((tmp_path / "history.json").read_text()) == value

    def test_what_is_no_json_leaves_the_old_file(self, tmp_path):
        write_json(tmp_path / "history.json", [1])
        with pytest.raises(TypeError):
            write_json(tmp_path / "history.json", {"loss": object()})
        assert json.loads((tmp_path / "history.json").read_text()) == [1]
        assert len(list(tmp_path.iterdir())) == 1


def test_a_checkpoint_that_was_not_restored_is_not_replaced(tmp_path):
    first, second = (tj.JMVAE(small_modalities(), 2) for _ in range(2))
    for model in (first, second):
        model.compile("sgd", run_eagerly=True)
    first.fit(small_batch(), epochs=2, verbose=0, callbacks=[tj.callbacks.Checkpoint(tmp_path)])
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(ValueError, match=r"holds a checkpoint.*Call restore\(model\) before fit"):
        second.fit(small_batch(), epochs=1, verbose=0, callbacks=[tj.callbacks.Checkpoint(tmp_path)])
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_model_that_is_not_compiled_cannot_be_restored(tmp_path):
    with pytest.raises(ValueError, match=r"Compile the model before restore"):
        tj.callbacks.Checkpoint(tmp_path).restore(tj.JMVAE(small_modalities(), 2))
