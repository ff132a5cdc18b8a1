"""Training runs, which write a folder with the configuration, the history, the model and its pictures.

The folder is always either resumable or finished: `metrics.json` is written last and marks the end.
"""

import contextlib
import functools
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np

from tf_jmvae import callbacks, data
from tf_jmvae._utils import names
from tf_jmvae._utils.extras import extra
from tf_jmvae._utils.files import RunError, replace_atomically, write_json
from tf_jmvae._utils.gaps import Counts, missing_rows, rows_with_any, rows_without
from tf_jmvae._utils.keras_api import global_state_kept
from tf_jmvae._utils.provenance import environment
from tf_jmvae.callbacks.training import non_finite
from tf_jmvae.distribute.devices import Devices, connect
from tf_jmvae.evaluation import attribute_accuracy, conditional_coherence
from tf_jmvae.models import MultimodalVAE
from tf_jmvae.models.second_stage import copy_joint, freeze_joint
from tf_jmvae.registry import MODELS
from tf_jmvae.training.build import build_model, compile_model
from tf_jmvae.training.config import Config
from tf_jmvae.training.filling import filled
from tf_jmvae.training.run_folder import (
    TENSORBOARD,
    comparable,
    default_run_dir,
    finished_metrics,
    load_model,
    occupied,
    prepare,
)

_OF_PRIOR = 10_000  # number of rows


def train(
    config: Config, *, extra_callbacks: Sequence[keras.callbacks.Callback] = (), verbose: str | int = "auto"
) -> dict[str, float]:
    """Trains as configured, or continues an interrupted run of the same folder.

    For callbacks this differs from a plain `fit`: a call of the compiled function takes several steps by default
    (`training.steps_per_execution`), so that `on_train_batch_begin` and `on_train_batch_end` are called once per call,
    with the number of its first and its last step; and only every `training.validate_every`-th epoch has `val_*` logs.

    Args:
      config: `Config` of the run, such as that of a preset.
      extra_callbacks: sequence of Keras callbacks of the only process or the chief; `()` by default. They come after
        the run's own, so that at the end of an epoch its checkpoint is already written.
      verbose: as for Keras: 0 prints nothing, 1 and `"auto"`, the default, show a progress bar, 2 prints a line per
        epoch.

    Returns:
      Dict of the final metrics on the test set, as in `metrics.json`; empty on workers other than the chief, which
      neither write nor print.

    Raises:
      ImportError: if matplotlib is missing, which comes with the extra `report`.
      RunError: if the folder holds another run or other files, another process trains in it, or another worker is lost.
      ValueError: if data, model and devices do not fit together.
    """
    with extra("report", "A run with its pictures"):
        import matplotlib  # noqa: F401 - before the training, not after it
    run_dir, metrics = default_run_dir(config), None
    checkpoint = callbacks.Checkpoint(run_dir / "checkpoint")
    with connect(config.strategy) as devices, global_state_kept(), contextlib.ExitStack() as stack:
        is_chief, verbose = devices.is_chief, verbose if devices.is_chief else 0
        with devices.agreement() as agreed:
            if is_chief:
                stack.enter_context(occupied(run_dir))
            metrics = finished_metrics(run_dir, config, verbose) if is_chief else None
            if metrics is None:
                source = _load(config, devices.num_replicas, verbose)
                shapes = [{name: array.shape for name, array in split.items()} for split in (source.train, source.test)]
                agreed.settings = [comparable(config), shapes, environment()["versions"]]
            agreed.number = int(metrics is not None)
        if agreed.number:
            return metrics or {}
        keras.utils.set_random_seed(config.seed)
        keras.config.set_dtype_policy(config.training.precision)
        with devices.strategy.scope():
            model = build_model(config.model, config.num_steps, source.preprocessing, source.columns)
            model.adapt(source.train)
            if config.training.joint_from:
                freeze_joint(model)
            compile_model(model, config, source.num_batches(config.data.batch_size))
            model.optimizer.build(
                model.trainable_variables
            )  # on all workers, because only the chief restores its state
        with devices.agreement(state_of=model) as agreed:
            if is_chief:
                if config.training.joint_from and (config.overwrite or not checkpoint.epochs_done()):
                    _copy_joint(model, config.training.joint_from, run_dir)
                prepare(run_dir, config)
                agreed.number = checkpoint.restore(model)
                if not agreed.number:  # a run killed in its first epoch starts its logs anew
                    shutil.rmtree(run_dir / TENSORBOARD, ignore_errors=True)
                elif verbose:
                    print(f"Continuing {run_dir} after epoch {agreed.number} of {config.training.epochs}.")
        best = _best_weights(config, checkpoint)
        if agreed.number < config.training.epochs and not (best and best.is_over):
            ours = [best] if best and is_chief else []
            _fit(devices, model, source, config, checkpoint, agreed.number, [*ours, *extra_callbacks], verbose)
        with devices.agreement():
            if is_chief:
                if best:
                    best.restore(model)
                metrics = _finish(model, source, checkpoint, config)
        return metrics or {}


def _best_weights(config: Config, checkpoint: callbacks.Checkpoint) -> callbacks.BestWeights | None:
    """Returns the callback of early stopping, or None without early stopping."""
    training = config.training
    if not training.early_stopping:
        return None
    # With a fixed joint model, the ELBO of complete rows is constant.
    monitor = "val_objective" if training.joint_from else "val_elbo"
    return callbacks.BestWeights(checkpoint, training.early_stopping, training.kl_warm_up, monitor)


def _copy_joint(model: MultimodalVAE, joint_from: Path, run_dir: Path) -> None:
    """Copies the joint model of another run; raises `RunError`, which names its folder, if that is impossible."""
    if joint_from.resolve() == run_dir.resolve():
        raise RunError(f"joint_from is the folder of this run, {run_dir}: choose another with --run-dir.")
    trained = load_model(joint_from if joint_from.suffix == ".keras" else joint_from / "model.keras")
    try:
        copy_joint(model, trained)
    except (TypeError, ValueError) as error:
        raise RunError(f"joint_from, {joint_from}: {error}") from error


def _load(config: Config, num_replicas: int, verbose: str | int) -> data.Source:
    """Loads the data and prints what is missing; raises `ValueError` unless they fit the configuration."""
    source, batch_size = config.data.load(config.model.modalities), config.data.batch_size
    if config.data.filled_by:
        source = filled(source, config.data.filled_by, config.data.confidence)
    train = _rows_to_use(source.train, config, "training" if verbose else "")
    test = _rows_to_use(source.test, config, "test" if verbose else "")
    source = source.only_rows(train, test)
    steps, in_one_call = source.num_batches(batch_size), config.training.steps_per_execution
    if steps % (in_one_call or 1):
        raise ValueError(f"steps_per_execution must divide the {steps} steps of an epoch; got {in_one_call}.")
    if config.training.early_stopping and "TF_CONFIG" in os.environ and config.strategy in ("auto", "multi-worker"):
        raise ValueError(
            "early_stopping works on one machine only: the workers of TF_CONFIG would not all know when to stop."
        )
    if batch_size < num_replicas:
        raise ValueError(
            f"batch_size counts the examples of all devices together: {batch_size} cannot be shared by the "
            f"{num_replicas} devices in use."
        )
    return source


def _rows_to_use(arrays: Mapping[str, np.ndarray], config: Config, said_of: str) -> np.ndarray | None:
    """Finds the rows that `fit` uses, Boolean `[N]`, so that batches are made of these alone; None for all rows.

    Prints what is missing unless `said_of`, the name of the data, is empty; raises `ValueError` if it must not be
    missing.
    """
    model, target, kind = config.model, config.model.target, MODELS.get(config.model.kind)
    needed = [target] if target and model.modalities[target].optional is True else []
    for name, array in arrays.items():
        optional = model.modalities[name].optional
        if optional != "entries" and not (optional and (kind.incomplete_rows or name in needed)):
            _refuse_missing(name, array, model.kind if optional else "")
    counts = Counts(kind.__name__, needed).add(model.modalities, arrays)
    if said_of and str(counts):
        print(f"Missing in the {said_of} data: {counts}.")
    counts.check_used()
    return None if counts.num_used == counts.num_rows else ~rows_without(needed, arrays)


def _refuse_missing(name: str, array: np.ndarray, reader: str) -> None:
    """Raises `ValueError` if rows are missing that the kind of model `reader` needs, or that are not optional."""
    if lacking := int(missing_rows(array).sum()):
        why = (
            f"a {reader} needs it in every row: take kind = 'jmvae-kl' under [model]"
            if reader
            else f"the modality is not optional: add optional = true under [model.modalities.{name}]"
        )
        raise ValueError(
            f"{name}: {lacking:,} of {len(array):,} rows are missing, but {why}, or train on the complete rows alone "
            "with incomplete = 'drop' under [data]."
        )


def _fit(
    devices: Devices,
    model: MultimodalVAE,
    source: data.Source,
    config: Config,
    checkpoint: callbacks.Checkpoint,
    done: int,
    extra_callbacks: Sequence[keras.callbacks.Callback],
    verbose: str | int,
) -> None:
    """Trains on all workers; the chief's checkpoint records the history of the whole run."""
    training, batch_size = config.training, config.data.batch_size
    divergence = callbacks.StopAtDivergence(restore=False, warn=False)  # the checkpoint has the last good weights
    used = [callbacks.KLWarmUp(training.kl_warm_up), divergence, _Stopwatch()]
    if devices.is_chief:
        used.append(callbacks.DiscriminatorCollapse())
        if training.tensorboard:  # before the checkpoint, so that finished epochs are always logged
            options = {"class_names": source.class_names, "seed": config.seed}
            used.append(callbacks.TensorBoard(checkpoint.directory.with_name(TENSORBOARD), source.test, **options))
        used += [checkpoint, *extra_callbacks]
    epochs = range(done, training.epochs)
    of_epochs = functools.partial(source.train_batches, batch_size, config.seed, epochs=epochs)
    train_batches, test_batches = devices.batches(of_epochs, source.test_batches)
    model.fit(
        train_batches,
        validation_data=test_batches,
        validation_freq=training.validate_every,
        initial_epoch=done,
        epochs=training.epochs,
        steps_per_epoch=source.num_batches(batch_size),
        callbacks=used,
        verbose=verbose,
    )
    if divergence.problem:
        raise RunError(_diverged(divergence.problem, checkpoint))


def _finish(
    model: MultimodalVAE, source: data.Source, checkpoint: callbacks.Checkpoint, config: Config
) -> dict[str, float]:
    """Saves, evaluates and plots the trained model; the metrics are written last."""
    run_dir = checkpoint.directory.parent
    replace_atomically(run_dir / "model.keras", model.save)
    if model.distribute_strategy.num_replicas_in_sync > 1:
        model = load_model(run_dir / "model.keras")  # on one device, because only the chief continues
    if components := config.training.fitted_prior:
        model.fit_prior(_some_rows(source, config.seed), components, seed=config.seed)
        replace_atomically(run_dir / "model.keras", model.save)
    metrics = _metrics(model, source)
    if wrong := non_finite(metrics):  # the last update left finite but useless weights
        (run_dir / "model.keras").unlink()
        checkpoint.reject()
        raise RunError(_diverged(f"On the test set, {wrong}.", checkpoint))
    write_json(run_dir / "history.json", checkpoint.history)
    _draw(model, source, checkpoint.history, run_dir, config)
    write_json(run_dir / "metrics.json", metrics)
    shutil.rmtree(run_dir / "checkpoint", ignore_errors=True)
    return metrics


def _some_rows(source: data.Source, seed: int) -> dict[str, np.ndarray]:
    """Returns random training rows for the fitted prior, binarised and mirrored as in training."""
    batches = source.train_batches(_OF_PRIOR // 10, seed, epochs=range(1)).take(10).as_numpy_iterator()
    found = list(batches)
    return {name: np.concatenate([batch[name] for batch in found]) for name in source.train}


def _metrics(model: MultimodalVAE, source: data.Source) -> dict[str, float]:
    """Computes the terms of the bound on the test set, and accuracies of predicted labels and attributes.

    A label is predicted by the argmax of p(w | z) at the mean of q(z | others), after iterated sampling for models
    without that encoder; see `attribute_accuracy` for attributes. Rows with missing values are left out.
    """
    metrics = model.evaluate(source.test_batches(), verbose=0, return_dict=True)
    metrics = {name: float(value) for name, value in metrics.items()}
    for name in model.targets:
        others = [other for other in model.modalities if other != name]
        known = ~missing_rows(source.test[name]) & rows_with_any([source.test[other] for other in others or [name]])
        if not known.any():
            continue
        test = source.test if known.all() else {one: values[known] for one, values in source.test.items()}
        kind, options = model.modalities[name].spec.kind, {"target": name, "given": others, "verbose": 0}
        accuracy = names.of_given(f"accuracy_{name}", others)
        if others and kind == "label":
            options |= {"labels": test[name].argmax(-1), "latent": "mean"}
            metrics[accuracy] = conditional_coherence(model, test, **options).mean
        elif others and kind == "attributes":
            metrics[accuracy] = attribute_accuracy(model, test, **options).mean
    return metrics


def _diverged(problem: str, checkpoint: callbacks.Checkpoint) -> str:
    reached = checkpoint.epochs_done()
    kept = f" The weights of epoch {reached} are kept in {checkpoint.directory}." if reached else ""
    return f"{problem}{kept} Train anew with --overwrite and a lower --learning-rate, or with --clip-norm 100."


class _Stopwatch(keras.callbacks.Callback):
    """Callback that logs the `seconds` of each epoch with its evaluation, which add up across interruptions."""

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
