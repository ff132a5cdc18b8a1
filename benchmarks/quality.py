"""Time to quality, and what precision and the fused updates change: `make bench-quality`.

    python benchmarks/quality.py --data-dir MNIST --peer-python PYTHON_WITH_PYTORCH

MNIST's JMVAE-kl with alpha 0.1 is trained by every side from the same weights with the same schedule: Adam at 1e-3 with
cosine decay, batches of 128. Every fourth epoch our estimator scores the whole test set, with 100 importance samples,
whoever trained; that time does not count. A training ends when the last of the goals is passed. What is finished is
kept, and a training that was stopped goes on from its last evaluation.
"""

import pathlib
import sys
import tempfile
import time

import harness
import keras
import keras_side
import numpy as np

import tf_jmvae as tj
from tf_jmvae import callbacks, data
from tf_jmvae._utils.files import replace_atomically
from tf_jmvae.evaluation.estimate import Estimate
from tf_jmvae.optimizers import FusedAdam
from tf_jmvae.training import presets
from tf_jmvae.training.build import steps_in_one_call

PRESET = "mnist-jmvae-kl"
ALPHA = 0.1
RATE = 1e-3
BATCH = 128
EPOCHS = 120
WARM_UP = 5
FIRST, EVERY = 20, 4  # epochs: the first evaluation, and from one to the next
GOALS = (-90.0, -88.0)  # nats
SAMPLES = 100
OURS = ("tf_jmvae, float32", "tf_jmvae, mixed_bfloat16")
PEERS = ("pytorch", "pytorch, bfloat16, compiled")
STATE = harness.HERE.parent / "runs" / "benchmark-quality"

# Trainings of the same seed for the same epochs: what changes, beside the first.
VARIANT_EPOCHS = 15
VARIANTS = {
    "float32": {},
    "mixed_bfloat16": {"precision": "mixed_bfloat16"},
    "1 step in one call": {"steps_per_execution": 1},
    "Keras's own Adam": {"optimizer": keras.optimizers.Adam},
    "another seed": {"seed": 1},
}


def main() -> int:
    options = harness.parse(__doc__)
    result = {} if options.again else harness.read("quality", options.results) or {}
    result.setdefault("settings", _settings(options))
    if result["settings"] != _settings(options):
        raise SystemExit("quality.json was begun with other settings; --again begins anew.")
    folder = STATE.with_name(f"{STATE.name}-quick") if options.quick else STATE
    source = _source(options)
    test = {name: values[: 50 if options.quick else None] for name, values in source.test.items()}

    def keep() -> None:
        harness.record("quality", result, options)

    runs, variants = result.setdefault("runs", {}), result.setdefault("variants", {})
    for name, settings in VARIANTS.items():
        if name not in variants:
            variants[name] = _train_variant(source, test, options, **settings)
            print(f"{name:24} {variants[name]['mean']:.3f} ± {variants[name]['standard_error']:.3f} nats", flush=True)
            keep()
    if "differences" not in result:
        result["differences"] = differences(variants)
        for variant in variants.values():
            del variant["values"]
        keep()
    for name in (*OURS, *PEERS):
        run = runs.setdefault(name, {"epoch_seconds": [], "points": [], "finished": False})
        if run["finished"]:
            continue
        state = folder / name.replace(", ", "-")
        if not run["points"]:
            for path in state.glob("*"):
                path.unlink()
        state.mkdir(parents=True, exist_ok=True)
        train = _train_ours if name in OURS else _train_peer
        result.setdefault("peers", {}).update(train(name, run, source, test, state, options, keep) or {})
        run["passed"] = passed(run)
        run["finished"] = True
        keep()
    return 0


def passed(run: dict) -> dict[str, float | None]:
    """Minutes of training until each goal was passed for the first time, by goal; None where it was not."""
    seconds = np.cumsum(run["epoch_seconds"])
    found = {}
    for goal in GOALS:
        epochs = [point["epoch"] for point in run["points"] if point["mean"] >= goal]
        found[f"{goal:g}"] = float(seconds[epochs[0] - 1]) / 60 if epochs else None
    return found


def differences(variants: dict) -> dict[str, dict[str, float]]:
    """Of each variant from the first: the mean over the test set's examples, and its standard error."""
    first, *others = variants
    found = {}
    for name in others:
        apart = np.subtract(variants[name]["values"], variants[first]["values"])
        found[name] = {
            "mean": float(apart.mean()),
            "standard_error": float(apart.std(ddof=1) / np.sqrt(len(apart))),
        }
    return found


def _settings(options: harness.Options) -> dict:
    names = ("alpha", "rate", "batch", "epochs", "warm_up", "goals", "samples", "variant_epochs")
    values = (ALPHA, RATE, BATCH, EPOCHS, WARM_UP, list(GOALS), SAMPLES, VARIANT_EPOCHS)
    examples = 2 * BATCH if options.quick else 60_000
    return {**dict(zip(names, values, strict=True)), "examples": examples, "quick": options.quick}


def _source(options: harness.Options) -> data.Source:
    config = presets.load(PRESET).data
    update = {"data_dir": options.data_dir, "train_size": _settings(options)["examples"]}
    return config.model_copy(update=update).load()


def _epochs(options: harness.Options) -> int:
    return FIRST + EVERY if options.quick else EPOCHS


def _due(epoch: int, options: harness.Options) -> bool:
    return (epoch >= FIRST and (epoch - FIRST) % EVERY == 0) or epoch == _epochs(options)


def _score(model, test) -> Estimate:
    return tj.evaluation.joint_log_likelihood(model, test, num_samples=SAMPLES, seed=harness.SEED, verbose=0)


def _note(name: str, run: dict, epoch: int, estimate: Estimate) -> bool:
    """Records an evaluation; whether all goals are passed."""
    point = {"epoch": epoch, "mean": estimate.mean, "standard_error": estimate.standard_error}
    run["points"].append(point)
    minutes = sum(run["epoch_seconds"][:epoch]) / 60
    print(f"{name:30} epoch {epoch:3}  {minutes:6.2f} min  {estimate.mean:.2f} nats", flush=True)
    return estimate.mean >= max(GOALS)


def _since(run: dict, epoch: int) -> None:
    """Forgets what was measured after the state from which a training goes on."""
    run["epoch_seconds"] = run["epoch_seconds"][:epoch]
    run["points"] = [point for point in run["points"] if point["epoch"] <= epoch]


def _compile(model, source, epochs, optimizer=FusedAdam, steps_per_execution=None) -> int:
    steps = source.num_batches(BATCH)
    model.compile(
        optimizer(keras.optimizers.schedules.CosineDecay(RATE, epochs * steps)),
        steps_per_execution=steps_per_execution or steps_in_one_call(steps),
    )
    return steps


class _Watch(keras.callbacks.Callback):
    """Times each epoch without its evaluation, and ends the training when the goals are passed."""

    def __init__(self, name, run, test, options, keep):
        super().__init__()
        self._of = name, run, test, options, keep

    def on_epoch_begin(self, epoch, logs=None):
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        name, run, test, options, keep = self._of
        run["epoch_seconds"].append(time.perf_counter() - self._start)
        if _due(epoch + 1, options):
            self.model.stop_training = _note(name, run, epoch + 1, _score(self.model, test))
            keep()


def _train_ours(name, run, source, test, state, options, keep) -> None:
    epochs = _epochs(options)
    model = keras_side.make(PRESET, name.partition(", ")[2], alpha=ALPHA)
    steps = _compile(model, source, epochs)
    checkpoint = callbacks.Checkpoint(state)
    done = checkpoint.restore(model)
    _since(run, done)
    if done == epochs or (run["points"] and run["points"][-1]["mean"] >= max(GOALS)):
        return
    model.fit(
        source.train_batches(BATCH, harness.SEED, epochs=range(done, epochs)),
        initial_epoch=done,
        epochs=epochs,
        steps_per_epoch=steps,
        callbacks=[callbacks.KLWarmUp(WARM_UP), _Watch(name, run, test, options, keep), checkpoint],
        verbose=0,
    )


def _train_peer(name, run, source, test, state, options, keep) -> dict[str, str]:
    epochs = _epochs(options)
    model = keras_side.make(PRESET, alpha=ALPHA)
    saved = state / "state.pt"
    with tempfile.TemporaryDirectory() as folder, harness.Peer(options, "quality") as peer:
        start, weights = pathlib.Path(folder) / "start.npz", str(pathlib.Path(folder) / "weights.npz")
        images = {"train/x": np.round(source.train["x"] * 255).astype(np.uint8), "train/w": source.train["w"]}
        np.savez(start, **keras_side.arrays(model), **images)
        peer.ask(
            "start",
            path=str(start),
            options=name.split(", ")[1:],
            batch=BATCH,
            epochs=epochs,
            rate=RATE,
            alpha=ALPHA,
            warm_up=WARM_UP,
            seed=harness.SEED,
        )
        done = 0
        if run["points"] and saved.is_file():
            done = peer.ask("restore", path=str(saved))
        _since(run, done)
        for epoch in range(done + 1, epochs + 1):
            if run["points"] and run["points"][-1]["mean"] >= max(GOALS):
                break
            run["epoch_seconds"].append(peer.ask("epoch", number=epoch - 1))
            if _due(epoch, options):
                peer.ask("dump", path=weights)
                with np.load(weights) as found:
                    keras_side.set_arrays(model, dict(found))
                _note(name, run, epoch, _score(model, test))
                keep()
                replace_atomically(saved, lambda path, epoch=epoch: peer.ask("save", path=path, epoch=epoch))
        return peer.versions


def _train_variant(source, test, options, *, precision="float32", seed=harness.SEED, **compiled) -> dict:
    epochs = 1 if options.quick else VARIANT_EPOCHS
    model = keras_side.make(PRESET, precision, seed=seed, alpha=ALPHA)
    steps = _compile(model, source, epochs, **compiled)
    start = time.perf_counter()
    model.fit(
        source.train_batches(BATCH, seed, epochs=range(epochs)),
        epochs=epochs,
        steps_per_epoch=steps,
        callbacks=[callbacks.KLWarmUp(WARM_UP)],
        verbose=0,
    )
    minutes = (time.perf_counter() - start) / 60
    estimate = _score(model, test)
    found = {"mean": estimate.mean, "standard_error": estimate.standard_error, "minutes": minutes}
    return {**found, "values": [round(float(value), 4) for value in estimate.values]}


if __name__ == "__main__":
    sys.exit(main())
