"""Peak memory of training and of evaluation, each in a process of its own that does nothing else.

    python benchmarks/memory.py --peer-python PYTHON_WITH_THE_PEERS

What counts is the most memory that the system has given the process (its maximum resident set), with the interpreter
and the libraries in it. Random data are in memory: 31 MiB for MNIST, 6 MiB for CelebA.
"""

import json
import pathlib
import resource
import sys
import tempfile

import harness
import numpy as np

TRAININGS = {"mnist": (128, 10_240), "celeba": (64, 128)}  # batch and examples
PEERS = ("pytorch", "multivae", "pixyz")
SCORED = {"examples": 100, "samples": 1000}
_SECONDS = 0.5  # of training, long enough for every step to have been taken


def measure(options: harness.Options) -> dict:
    found = {}
    for architecture, (batch, examples) in TRAININGS.items():
        if options.quick:
            batch, examples = 8, 16
        request = {"architecture": architecture, "batch": batch, "examples": examples}
        mebibytes = {
            f"tf_jmvae, {precision}": _ours("training", precision=precision, **request)
            for precision in ("float32", "mixed_bfloat16")
        }
        for name in PEERS:
            with harness.Peer(options, "training") as peer:
                peer.ask("train", name=name, seconds=options.seconds(_SECONDS), **request)
                mebibytes[name] = peer.ask("memory")
        found[f"training/{architecture}/{batch}"] = mebibytes
        _show(f"training, {architecture}", mebibytes)
    scored = {"examples": 4, "samples": 20} if options.quick else SCORED
    with tempfile.TemporaryDirectory() as folder, harness.Peer(options, "importance_sampling") as peer:
        path = str(pathlib.Path(folder) / "peer.npz")
        mebibytes = {"tf_jmvae": _ours("scoring", path=path, **scored)}
        peer.ask("load", path=path)
        peer.ask("score", samples=scored["samples"])
        mebibytes["multivae"] = peer.ask("memory")
        versions = peer.versions
    found["importance_sampling"] = mebibytes
    _show("importance sampling", mebibytes)
    return {"mebibytes": found, "scored": scored, "peers": versions}


def _show(work: str, mebibytes: dict[str, float]) -> None:
    for name, value in mebibytes.items():
        print(f"{work:28} {name:42} {value:8.0f} MiB", flush=True)


def _ours(work: str, **arguments) -> float:
    """Peak memory of one of `WORK` in a fresh process."""
    return harness.child("memory", work, json.dumps(arguments))


def training(architecture: str, batch: int, examples: int, precision: str) -> None:
    import keras_side

    preset = keras_side.PRESETS[architecture]
    keras_side.Training(keras_side.make(preset, precision), batch, examples, preset).examples_per_second(_SECONDS)


def scoring(examples: int, samples: int, path: str) -> None:
    import keras_side

    import tf_jmvae as tj

    model = keras_side.make("mnist-jmvae-kl")
    batch = keras_side.random_batch(model, examples)
    np.savez(path, **keras_side.arrays(model), **keras_side.for_peer(batch))
    tj.evaluation.joint_log_likelihood(model, batch, num_samples=samples, verbose=0)


WORK = {"training": training, "scoring": scoring}


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] in WORK:
        WORK[sys.argv[1]](**json.loads(sys.argv[2]))
        print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
        sys.exit(0)
    sys.exit(harness.run("memory", __doc__, measure))
