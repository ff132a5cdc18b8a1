"""One training run: a folder with the configuration, the history, the model and its pictures.

The folder is, at every moment, either resumable or finished: `metrics.json` is written last
and marks the end.
"""

import contextlib
import random
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.common import global_state
from keras.src.random import seed_generator
from keras.src.utils import rng_utils
from tensorflow.python.eager import context

from tf_jmvae import callbacks, data
from tf_jmvae._utils.errors import RunError
from tf_jmvae._utils.extras import extra
from tf_jmvae._utils.files import replace_atomically, write_json
from tf_jmvae._utils.provenance import environment
from tf_jmvae.callbacks.divergence import non_finite
from tf_jmvae.distribute.devices import Devices, connect
from tf_jmvae.evaluation import attribute_accuracy, conditional_coherence
from tf_jmvae.models import MultimodalVAE
from tf_jmvae.optimizers import FusedAdam
from tf_jmvae.training.build import build_model
from tf_jmvae.training.config import ADVERSARIAL_RATES, Config
from tf_jmvae.training.run_folder import (
    TENSORBOARD,
    comparable,
    default_run_dir,
    describe,
    is_finished,
    load_model,
    prepare,
    read_json,
)

__all__ = ["TENSORBOARD", "RunError", "default_run_dir", "describe", "load_model", "read_json", "train"]


def train(
    config: Config, *, extra_callbacks: Sequence[keras.callbacks.Callback] = (), verbose: str | int = "auto"
) -> dict[str, float]:
    """Trains as configured, or continues where an interrupted run of the same folder stood.

    Args:
      config: the resolved configuration.
      extra_callbacks: run at the end of each epoch, after its checkpoint is written.
      verbose: Keras's, of the training; 0 prints nothing.

    Returns:
      The final metrics on the test set, also in `metrics.json`; nothing on workers other than the chief, which
      neither write nor print.

    Raises:
      ImportError: what draws the run's pictures is missing; it comes with the extra `report`.
      RunError: the folder holds another run, or files that are no run's; or another worker is lost.
      ValueError: data and model, or they and the devices, do not fit together.
    """
    with extra("report", "A run with its pictures"):
        import matplotlib  # noqa: F401 - before the training, not after it
    devices = connect(config.strategy)
    with devices.together(), _global_state_kept():
        return _train(devices, config, extra_callbacks, verbose if devices.is_chief else 0)


def _train(
    devices: Devices, config: Config, extra_callbacks: Sequence[keras.callbacks.Callback], verbose: str | int
) -> dict[str, float]:
    run_dir = default_run_dir(config)
    if devices.from_chief(devices.on_chief(lambda: int(is_finished(run_dir, config, verbose)))):
        advice = f"Delete the folder {run_dir} to train this run anew."
        return devices.on_chief(lambda: read_json(run_dir / "metrics.json", advice)) or {}
    source = config.data.load().only(config.model.modalities)
    steps_per_epoch = source.num_batches(config.data.batch_size)
    _check_steps(config, steps_per_epoch, devices.num_replicas)
    shapes = {name: np.shape(array) for split in (source.train, source.test) for name, array in split.items()}
    devices.check_same([comparable(config), shapes, environment()["versions"]])
    devices.on_chief(lambda: prepare(run_dir, config))

    keras.utils.set_random_seed(config.seed)
    keras.config.set_dtype_policy(config.training.precision)
    with devices.scope():
        model = build_model(config.model, config.num_steps, source.preprocessing)
        model.adapt(source.train)
        _compile(model, config, steps_per_epoch)
        model.optimizer.build(model.trainable_variables)  # by all workers: the chief alone restores its state
    checkpoint = _fit(devices, model, source, config, run_dir, steps_per_epoch, extra_callbacks, verbose)
    return devices.on_chief(lambda: _finish(devices, model, source, checkpoint, run_dir, config)) or {}


@contextlib.contextmanager
def _global_state_kept() -> Iterator[None]:
    """Gives the process back its dtype policy, and the random state of Python, NumPy, TensorFlow and Keras."""
    policy, python = keras.config.dtype_policy(), random.getstate()
    numpy = np.random.get_state()  # noqa: NPY002 - Keras seeds the legacy generator
    names = (rng_utils.GLOBAL_RANDOM_SEED, seed_generator.GLOBAL_SEED_GENERATOR)
    of_keras = {name: global_state.get_global_attribute(name) for name in names}
    seed, operation_seeds = context.global_seed(), getattr(context.context(), "_rng", None)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        for name, value in of_keras.items():
            global_state.set_global_attribute(name, value)
        tf.random.set_seed(seed)
        context.context()._rng = operation_seeds


def _check_steps(config: Config, steps_per_epoch: int, num_replicas: int) -> None:
    if steps_per_epoch % (config.training.steps_per_execution or 1):
        raise ValueError(
            f"steps_per_execution must divide the {steps_per_epoch} steps of an epoch; "
            f"got {config.training.steps_per_execution}."
        )
    if config.data.batch_size < num_replicas:
        raise ValueError(
            f"batch_size is of all devices together: {config.data.batch_size} examples cannot be shared by the "
            f"{num_replicas} devices in use."
        )


def _finish(
    devices: Devices,
    model: MultimodalVAE,
    source: data.Source,
    checkpoint: callbacks.Checkpoint,
    run_dir: Path,
    config: Config,
) -> dict[str, float]:
    replace_atomically(run_dir / "model.keras", model.save)
    if devices.num_replicas > 1:
        model = load_model(run_dir / "model.keras")  # on one device: what follows is the chief's alone
    metrics = evaluate(model, source)
    if wrong := non_finite(metrics):  # the last update made weights that are finite, and of no use
        (run_dir / "model.keras").unlink()
        checkpoint.reject()
        raise RunError(_diverged(f"On the test set, {wrong}.", checkpoint))
    write_json(run_dir / "history.json", checkpoint.history)
    _draw(model, source, checkpoint.history, run_dir, config)
    write_json(run_dir / "metrics.json", metrics)
    shutil.rmtree(run_dir / "checkpoint", ignore_errors=True)
    return metrics


def evaluate(model: MultimodalVAE, source: data.Source) -> dict[str, float]:
    """Bound terms on the test set, and how often labels and attributes are named from the other modalities.

    A label counts as named when it is the argmax of p(w | z) at the mean of q(z | the others), for
    models without an encoder for them after iterated sampling; an attribute when its sign is right.
    """
    metrics = model.evaluate(source.test_batches(), verbose=0, return_dict=True)
    metrics = {name: float(value) for name, value in metrics.items()}
    for name in model.targets:
        others = [other for other in model.modalities if other != name]
        kind, options = model.modalities[name].spec.kind, {"target": name, "given": others, "verbose": 0}
        if not others:
            continue
        if kind == "label":
            labels = source.test[name].argmax(-1)
            named = conditional_coherence(model, source.test, labels=labels, latent="mean", **options)
        elif kind == "attributes":
            named = attribute_accuracy(model, source.test, **options)
        else:
            continue
        metrics[f"accuracy_{name}_from_{'_and_'.join(others)}"] = named.mean
    return metrics


def _compile(model: MultimodalVAE, config: Config, steps_per_epoch: int) -> None:
    training = config.training

    def optimizer(rate: float) -> FusedAdam:
        cosine = keras.optimizers.schedules.CosineDecay(rate, training.epochs * steps_per_epoch)
        rates = cosine if training.decay == "cosine" else rate
        return FusedAdam(rates, beta_1=training.beta_1, global_clipnorm=training.clip_norm)

    adversarial = {
        own: optimizer(rate) for name, own in ADVERSARIAL_RATES.items() if (rate := getattr(training, name)) is not None
    }
    # Replicas meet after every step anyway.
    one_call = steps_in_one_call(steps_per_epoch) if model.distribute_strategy.num_replicas_in_sync == 1 else 1
    model.compile(
        optimizer(training.learning_rate),
        jit_compile=training.jit_compile,
        steps_per_execution=training.steps_per_execution or one_call,
        **adversarial,
    )


def steps_in_one_call(steps_per_epoch: int) -> int:
    """How many steps a call of the compiled function takes by default: a divisor of an epoch's.

    Between two calls Python works and the cores wait: a fifth of the time with MNIST's networks on two cores.
    """
    return max(steps for steps in range(1, 17) if steps_per_epoch % steps == 0)


def _fit(
    devices: Devices,
    model: MultimodalVAE,
    source: data.Source,
    config: Config,
    run_dir: Path,
    steps_per_epoch: int,
    extra_callbacks: Sequence[keras.callbacks.Callback],
    verbose: str | int,
) -> callbacks.Checkpoint:
    """Trains on all workers; the chief's checkpoint has the history of the whole run."""
    training = config.training
    checkpoint = callbacks.Checkpoint(run_dir / "checkpoint")
    divergence = callbacks.StopAtDivergence(restore=False, warn=False)  # the folder has the last good weights
    done = devices.from_chief(devices.on_chief(lambda: checkpoint.restore(model)))
    if done:
        devices.share_state(model)
        if verbose:
            print(f"Continuing {run_dir} after epoch {done} of {training.epochs}.")
    of_chief = [callbacks.DiscriminatorCollapse(), checkpoint, *extra_callbacks]
    if training.tensorboard:  # before the checkpoint: an epoch that counts as done has then been logged
        options = {"class_names": source.class_names, "seed": config.seed}
        of_chief.insert(1, callbacks.TensorBoard(run_dir / TENSORBOARD, source.test, **options))
    if not done and devices.is_chief:  # what a run that was killed in its first epoch logged, it logs again
        shutil.rmtree(run_dir / TENSORBOARD, ignore_errors=True)
    if done < training.epochs:
        epochs = range(done, training.epochs)
        batch_size, seed = config.data.batch_size, config.seed
        model.fit(
            devices.batches(lambda shards: source.train_batches(batch_size, seed, epochs=epochs, shards=shards)),
            validation_data=devices.batches(lambda shards: source.test_batches(shards=shards)),
            validation_freq=training.validate_every,
            initial_epoch=done,
            epochs=training.epochs,
            steps_per_epoch=steps_per_epoch,
            callbacks=[
                callbacks.KLWarmUp(training.kl_warm_up),
                divergence,
                _Stopwatch(),
                *(of_chief if devices.is_chief else ()),
            ],
            verbose=verbose,
        )
    if divergence.problem:
        raise RunError(_diverged(divergence.problem, checkpoint))
    return checkpoint


def _diverged(problem: str, checkpoint: callbacks.Checkpoint) -> str:
    reached = checkpoint.epochs_done()
    kept = f" The weights of epoch {reached} are kept in {checkpoint.directory}." if reached else ""
    return f"{problem}{kept} Train anew with --overwrite and a lower --learning-rate, or with --clip-norm 100."


class _Stopwatch(keras.callbacks.Callback):
    """Logs the `seconds` of each epoch with its evaluation, so that they add up across interruptions."""

    def on_epoch_begin(self, epoch, logs=None):
        self._start = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        logs["seconds"] = time.monotonic() - self._start


def _draw(
    model: MultimodalVAE, source: data.Source, history: dict[str, list[float]], run_dir: Path, config: Config
) -> None:
    from tf_jmvae.report import plots

    replace_atomically(run_dir / "history.png", lambda path: plots.history(history, path))
    plots.both_directions(model, source, run_dir / "generated.png", seed=config.seed)
