"""One training run: a folder with the configuration, the history, the model and its pictures.

The folder is, at every moment, either resumable or finished: `metrics.json` is written last
and marks the end.
"""

import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from tf_jmvae import callbacks, data
from tf_jmvae.data.statistics import Statistics
from tf_jmvae.evaluation import attribute_accuracy, conditional_coherence
from tf_jmvae.files import replace_atomically, write_json
from tf_jmvae.models import MultimodalVAE
from tf_jmvae.optimizers import FusedAdam
from tf_jmvae.provenance import environment
from tf_jmvae.training.build import build_model
from tf_jmvae.training.config import PLAYERS_RATES, Config, TrainingConfig
from tf_jmvae.training.errors import RunError

__all__ = ["TENSORBOARD", "RunError", "default_run_dir", "describe", "load_model", "read_json", "train"]

# The folder of TensorBoard's files in a run's.
TENSORBOARD = "tensorboard"

# What may differ between the command that started a run and the one that continues it.
_NOT_COMPARED = {"run_dir", "overwrite", "source", "data.data_dir", "training.tensorboard"}

# What says where on a machine a run was, and nothing of the model.
_NOT_DESCRIBED = {"run_dir", "overwrite"}


def default_run_dir(config: Config) -> Path:
    """`runs/<preset>`, or the folder that the configuration names."""
    return config.run_dir or Path("runs") / config.preset


def train(
    config: Config, *, extra_callbacks: Sequence[keras.callbacks.Callback] = (), verbose: str | int = "auto"
) -> dict[str, float]:
    """Trains as configured, or continues where an interrupted run of the same folder stood.

    Args:
      config: the resolved configuration.
      extra_callbacks: run at the end of each epoch, after its checkpoint is written.
      verbose: Keras's, of the training; 0 prints nothing.

    Returns:
      The final metrics on the test set, also in `metrics.json`.

    Raises:
      RunError: the folder holds another run, or files that are no run's.
      ValueError: data and model do not fit together.
    """
    run_dir = default_run_dir(config)
    if _is_finished(run_dir, config, verbose):
        return read_json(run_dir / "metrics.json", f"Delete the folder {run_dir} to train this run anew.")
    source = config.data.load().only(config.model.modalities)
    steps_per_epoch = source.num_batches(config.data.batch_size)
    if steps_per_epoch % config.training.steps_per_execution:
        raise ValueError(
            f"steps_per_execution must divide the {steps_per_epoch} steps of an epoch; "
            f"got {config.training.steps_per_execution}."
        )
    _prepare_folder(run_dir, config)

    keras.utils.set_random_seed(config.seed)
    keras.config.set_dtype_policy(config.training.precision)
    model = build_model(config.model)
    for name in model.standardizations:
        model.set_statistics(name, *_statistics(source, name))
    _compile(model, config, steps_per_epoch)
    history = _fit(model, source, config, run_dir, steps_per_epoch, extra_callbacks, verbose)

    metrics = evaluate(model, source, config.num_steps)
    replace_atomically(run_dir / "model.keras", model.save)
    write_json(run_dir / "history.json", history)
    _draw(model, source, history, run_dir, config)
    write_json(run_dir / "metrics.json", metrics)
    shutil.rmtree(run_dir / "checkpoint", ignore_errors=True)
    return metrics


def evaluate(model: MultimodalVAE, source: data.Source, num_steps: int = 1) -> dict[str, float]:
    """Bound terms on the test set, and how often labels and attributes are named from the other modalities.

    A label counts as named when it is the argmax of p(w | z) at the mean of q(z | the others), for
    models without an encoder for them after `num_steps` of iterated sampling from zeros; an attribute when
    its sign is right.
    """
    metrics = model.evaluate(source.test_batches(), verbose=0, return_dict=True)
    metrics = {name: float(value) for name, value in metrics.items()}
    for name in model.targets:
        others = [other for other in model.modalities if other != name]
        options = {"target": name, "given": others, "num_steps": num_steps, "verbose": 0}
        if not others:
            continue
        if model.modalities[name].likelihood == "categorical":
            labels = source.test[name].argmax(-1)
            named = conditional_coherence(model, source.test, labels=labels, latent="mean", **options)
        elif model.modalities[name].entry_names:
            named = attribute_accuracy(model, source.test, **options)
        else:
            continue
        metrics[f"accuracy_{name}_from_{'_and_'.join(others)}"] = named.mean
    return metrics


def _statistics(source: data.Source, name: str) -> Statistics:
    if name not in source.statistics:
        raise ValueError(f"Modality {name!r} is standardized, but the data are not; set standardized to false.")
    return source.statistics[name]


def _compile(model: MultimodalVAE, config: Config, steps_per_epoch: int) -> None:
    training = config.training

    def optimizer(rate: float) -> FusedAdam:
        schedule = _schedule(rate, training, steps_per_epoch)
        return FusedAdam(schedule, beta_1=training.beta_1, global_clipnorm=training.clip_norm)

    players = {
        player: optimizer(rate)
        for name, player in PLAYERS_RATES.items()
        if (rate := getattr(training, name)) is not None
    }
    model.compile(
        optimizer(training.learning_rate),
        jit_compile=training.jit_compile,
        steps_per_execution=training.steps_per_execution,
        **players,
    )


def _schedule(rate: float, training: TrainingConfig, steps_per_epoch: int) -> Any:
    if training.decay == "cosine":
        return keras.optimizers.schedules.CosineDecay(rate, training.epochs * steps_per_epoch)
    return rate


def _fit(
    model: MultimodalVAE,
    source: data.Source,
    config: Config,
    run_dir: Path,
    steps_per_epoch: int,
    extra_callbacks: Sequence[keras.callbacks.Callback],
    verbose: str | int,
) -> dict[str, list[float]]:
    training = config.training
    checkpoint = callbacks.Checkpoint(run_dir / "checkpoint")
    done = checkpoint.restore(model)
    if done and verbose:
        print(f"Continuing {run_dir} after epoch {done} of {training.epochs}.")
    if done < training.epochs:
        model.fit(
            source.train_batches(config.data.batch_size, config.seed, passes=range(done, training.epochs)),
            validation_data=source.test_batches(),
            validation_freq=training.validate_every,
            initial_epoch=done,
            epochs=training.epochs,
            steps_per_epoch=steps_per_epoch,
            callbacks=[
                callbacks.KLWarmUp(training.kl_warm_up),
                keras.callbacks.TerminateOnNaN(),
                _Stopwatch(),
                callbacks.DiscriminatorCollapse(),
                *_tensorboard(source, config, run_dir),
                checkpoint,
                *extra_callbacks,
            ],
            verbose=verbose,
        )
    reached = len(checkpoint.history.get("loss", ()))
    if reached < training.epochs:
        kept = f" The weights of epoch {reached} are kept in {checkpoint.directory}." if reached else ""
        raise RunError(
            f"The loss or the weights became NaN or infinite in epoch {reached + 1}.{kept} "
            "Train anew with --overwrite and a lower --learning-rate, or with --clip-norm 100."
        )
    return checkpoint.history


def _tensorboard(source: data.Source, config: Config, run_dir: Path) -> list[keras.callbacks.Callback]:
    if not config.training.tensorboard:
        return []
    options = {"class_names": source.class_names, "num_steps": config.num_steps, "seed": config.seed}
    return [callbacks.TensorBoard(run_dir / TENSORBOARD, source.test, **options)]


class _Stopwatch(keras.callbacks.Callback):
    """Logs the `seconds` of each epoch with its evaluation, so that they add up across interruptions."""

    def on_epoch_begin(self, epoch, logs=None):
        self._start = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        logs["seconds"] = time.monotonic() - self._start


def _draw(
    model: MultimodalVAE, source: data.Source, history: dict[str, list[float]], run_dir: Path, config: Config
) -> None:
    from tf_jmvae.report import faces, plots

    replace_atomically(run_dir / "history.png", lambda path: plots.history(history, path))
    if {"x", "w"} <= set(model.modalities):
        both_directions = faces.both_directions if "x" in model.standardizations else plots.both_directions
        options = {"num_steps": config.num_steps, "seed": config.seed}
        replace_atomically(
            run_dir / "generated.png",
            lambda path: both_directions(model, source.test, source.class_names, path, **options),
        )


def _is_finished(run_dir: Path, config: Config, verbose: str | int) -> bool:
    if config.overwrite or not (run_dir / "metrics.json").exists() or _recorded(run_dir) is None:
        return False
    _require_same(run_dir, config)
    if verbose:
        print(f"{run_dir} holds this run, finished. Train anew with --overwrite, or elsewhere with --run-dir.")
    return True


def _prepare_folder(run_dir: Path, config: Config) -> None:
    discarded = run_dir.with_name(f"{run_dir.name}~")
    shutil.rmtree(discarded, ignore_errors=True)  # of an --overwrite that was cut off
    if _recorded(run_dir) is not None:
        if not config.overwrite:
            _require_same(run_dir, config)
            return
        run_dir.rename(discarded)
        shutil.rmtree(discarded)
    elif run_dir.exists() and not _is_empty(run_dir):
        raise RunError(f"{run_dir} holds files that are no run's; choose another folder with --run-dir.")
    run_dir.mkdir(parents=True, exist_ok=True)
    write_json(run_dir / "config.json", {"config": config.model_dump(mode="json"), **environment()})


def _is_empty(run_dir: Path) -> bool:
    """Whether nothing is there but a first file whose writing was cut off."""
    return run_dir.is_dir() and all(path.name == "config~.json" for path in run_dir.iterdir())


def _recorded(run_dir: Path) -> dict[str, Any] | None:
    """What the folder's config.json says, if it is a run's."""
    try:
        recorded = json.loads((run_dir / "config.json").read_text())
    except (OSError, ValueError):
        return None
    return recorded if isinstance(recorded, dict) and {"config", "versions"} <= recorded.keys() else None


def _require_same(run_dir: Path, config: Config) -> None:
    advice = "Choose another folder with --run-dir, or delete that one (tf-jmvae train does with --overwrite)."
    try:
        recorded = Config.model_validate(_recorded(run_dir)["config"])  # what was no option then has its default
    except ValueError as error:
        raise RunError(
            f"{run_dir / 'config.json'} is no configuration of this version of tf_jmvae: {error}. {advice}"
        ) from error
    before, now = _flat(recorded.model_dump(mode="json")), _flat(config.model_dump(mode="json"))
    changed = [
        f"{key} ({before.get(key)} there, {now.get(key)} here)"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key) and key not in _NOT_COMPARED
    ]
    if changed:
        raise RunError(f"{run_dir} holds a run with other settings: {', '.join(changed)}. {advice}")


def load_model(path: Path, *, maker: str = "tf-jmvae train", advice: str = "") -> MultimodalVAE:
    """A saved model of this package.

    Args:
      path: of a `.keras` file.
      maker: the command that leaves such a model, for the message if there is none.
      advice: what to do if it is damaged.

    Raises:
      RunError: there is no such file, or it is damaged or of another kind.
    """
    if not path.is_file():
        raise RunError(f"There is no model {path}. A run leaves one in its folder: {maker}.")
    try:
        model = keras.saving.load_model(path)
    except Exception as error:  # Keras has no error of its own for a file that is damaged
        raise RunError(f"The trained model {path} cannot be loaded ({error}). {advice}".rstrip()) from error
    if not isinstance(model, MultimodalVAE):
        raise RunError(f"{path} holds a {type(model).__name__}; expected a model of tf_jmvae.")
    return model


def describe(run_dir: Path) -> dict[str, Any]:
    """What a model card says of a run: `training`, its configuration and where it was made, and `metrics`.

    A folder that is no run's, such as that of a model saved by hand, gives empty ones; `num_steps` is then 1.
    """
    if not (run_dir / "metrics.json").is_file():
        return {"training": {}, "metrics": {}, "num_steps": 1}
    advice = "Without them, export a copy of model.keras in a folder of its own."
    recorded = read_json(run_dir / "config.json", advice)
    recorded["config"] = {key: value for key, value in recorded["config"].items() if key not in _NOT_DESCRIBED}
    recorded["config"]["data"] = {key: value for key, value in recorded["config"]["data"].items() if key != "data_dir"}
    metrics = read_json(run_dir / "metrics.json", advice)
    return {"training": recorded, "metrics": metrics, "num_steps": recorded["config"].get("num_steps", 1)}


def read_json(path: Path, advice: str) -> Any:
    """What a JSON file holds; a `RunError` with its path and the advice if it cannot be read."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is missing or damaged ({error}). {advice}") from error


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    return {
        key: leaf
        for name, child in value.items()
        for key, leaf in _flat(child, f"{prefix}.{name}" if prefix else name).items()
    }
