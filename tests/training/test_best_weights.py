"""Early stopping: when it ends a training, which weights are kept, and that a kill changes nothing."""

import json

import keras
import numpy as np
import pytest

from tf_jmvae import callbacks
from tf_jmvae.training import presets, run

NAN = float("nan")


@pytest.mark.parametrize(
    ("elbos", "patience", "warm_up", "best", "over"),
    [
        ([], 2, 0, None, False),
        ([-5.0, -4.0, -3.0], 2, 0, 3, False),
        ([-5.0, -3.0, -4.0], 2, 0, 2, False),
        ([-5.0, -3.0, -4.0, -3.0], 2, 0, 2, True),  # an equal one is no better
        ([-3.0, -5.0, -4.0], 2, 1, 3, False),  # in the warm-up nothing counts
        ([-3.0], 2, 3, 1, False),  # but the newest one
        ([None, -4.0, None, -5.0], 3, 0, 2, False),  # epochs that were not validated
    ],
)
def test_when_a_training_is_over(tmp_path, elbos, patience, warm_up, best, over):
    checkpoint = callbacks.Checkpoint(tmp_path)
    checkpoint.history = {"val_elbo": elbos}
    found = callbacks.BestWeights(checkpoint, patience, warm_up)
    assert (found.best_epoch, found.is_over) == (best, over)


class KilledError(Exception):
    pass


class Kill(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 == self.epoch:
            raise KilledError


def configuration(folder):
    config = presets.load("digits-jmvae-kl")
    data = config.data.model_copy(update={"train_size": 40, "batch_size": 8})
    # So few rows and so fast: the held-out ELBO falls soon.
    training = config.training.model_copy(
        update={
            "epochs": 12,
            "early_stopping": 2,
            "kl_warm_up": 0,
            "learning_rate": 2e-2,
            "validate_every": 1,
            "tensorboard": False,
        }
    )
    return config.model_copy(update={"data": data, "training": training, "run_dir": folder})


def read(folder, name):
    return json.loads((folder / name).read_text())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    run.train(configuration(folder), verbose=0)
    return folder


def test_a_run_ends_with_its_best_weights(whole):
    elbos = read(whole, "history.json")["val_elbo"]
    best = int(np.argmax(elbos)) + 1
    assert len(elbos) == best + 2 < 12
    assert read(whole, "metrics.json")["elbo"] == pytest.approx(max(elbos), rel=1e-5)
    assert {path.name for path in whole.iterdir()} >= {"model.keras", "metrics.json"}
    assert not (whole / "checkpoint").exists()


def test_a_run_that_was_killed_after_its_best_epoch_ends_as_if_it_had_not_been(whole, tmp_path):
    last = len(read(whole, "history.json")["val_elbo"]) - 1
    with pytest.raises(KilledError):
        run.train(configuration(tmp_path / "run"), extra_callbacks=[Kill(last)], verbose=0)
    run.train(configuration(tmp_path / "run"), verbose=0)
    histories = [read(folder, "history.json")["val_elbo"] for folder in (whole, tmp_path / "run")]
    np.testing.assert_allclose(*histories, rtol=1e-6)
    metrics = [read(folder, "metrics.json")["elbo"] for folder in (whole, tmp_path / "run")]
    assert metrics[0] == pytest.approx(metrics[1], rel=1e-6)


def test_best_weights_that_a_kill_kept_from_being_written_are_written_when_it_goes_on(whole, tmp_path):
    best = int(np.argmax(read(whole, "history.json")["val_elbo"])) + 1
    with pytest.raises(KilledError):
        run.train(configuration(tmp_path / "run"), extra_callbacks=[Kill(best)], verbose=0)
    (tmp_path / "run" / "checkpoint" / "best.weights.h5").unlink()
    run.train(configuration(tmp_path / "run"), verbose=0)
    assert read(tmp_path / "run", "metrics.json")["elbo"] == pytest.approx(
        read(whole, "metrics.json")["elbo"], rel=1e-6
    )


def test_workers_would_not_agree(monkeypatch, tmp_path):
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["localhost:1"]}, "task": {"type": "worker", "index": 0}}')
    config = configuration(tmp_path / "run")
    with pytest.raises(ValueError, match="early_stopping works on one machine only"):
        run._load(config, 1, 0)


def test_a_metric_that_never_comes_is_warned_of_once(tmp_path):
    checkpoint = callbacks.Checkpoint(tmp_path)
    found = callbacks.BestWeights(checkpoint, 2, monitor="val_elboo")
    model = keras.Sequential()
    model.stop_training = False
    found.set_model(model)
    found.on_epoch_end(0, {"elbo": 1.0})
    with pytest.warns(UserWarning, match="no metric 'val_elboo'.*'elbo', 'val_elbo'"):
        found.on_epoch_end(1, {"elbo": 1.0, "val_elbo": 2.0})
    found.on_epoch_end(2, {"elbo": 1.0, "val_elbo": 2.0})


@pytest.mark.parametrize("warm_up", [-1, 1.5, True])
def test_a_warm_up_that_is_not_a_number_of_epochs_is_refused(tmp_path, warm_up):
    with pytest.raises(ValueError, match="warm_up must be a number of epochs"):
        callbacks.BestWeights(callbacks.Checkpoint(tmp_path), 2, warm_up)
