"""Training throughput of JMVAE-kl beside MultiVae, Pixyz and PyTorch by hand, in one run.

All train the same networks on random data in memory, in turns: MNIST's (section 4.2.1) with batches of 128 and 1024,
CelebA's (section 4.2.2) with batches of 64. Before that, every side must have as many parameters and, with the same
weights, the same bound.

    python benchmarks/training.py --peer-python PYTHON_WITH_THE_PEERS
"""

import pathlib
import sys
import tempfile

import harness
import keras_side
import numpy as np
from flops import training_flops

import tf_jmvae as tj

BATCHES = {"mnist": (128, 1024), "celeba": (64,)}
EXAMPLES = {"mnist": 10_240, "celeba": 128}
SECONDS = {"mnist": 1.0, "celeba": 2.0}
ROUNDS = {"mnist": 5, "celeba": 3}
OURS = ("float32", "mixed_bfloat16")
PEERS = {
    "mnist": ("pytorch", "pytorch, compiled", "pytorch, bfloat16", "pytorch, bfloat16, compiled"),
    "celeba": (
        "pytorch",
        "pytorch, channels_last",
        "pytorch, channels_last, compiled",
        "pytorch, bfloat16, channels_last",
        "pytorch, bfloat16, channels_last, compiled",
    ),
}
LIBRARIES = ("multivae", "pixyz")
_TOLERANCE = 1e-4  # relative, of the bound


def measure(options: harness.Options) -> dict:
    found, checks = {}, {}
    with harness.Peer(options, "training") as peer:
        for architecture, batches in BATCHES.items():
            checks[architecture] = check(peer, architecture, keras_side.make(keras_side.PRESETS[architecture]))
            for batch in batches:
                found[f"{architecture}/{batch}"] = _compare(peer, architecture, batch, options)
                peer.ask("forget")
        versions = peer.versions
    return {"examples_per_second": found, "checks": checks, "peers": versions}


def _compare(peer: harness.Peer, architecture: str, batch: int, options: harness.Options) -> dict:
    examples = 2 * batch if options.quick else EXAMPLES[architecture]
    seconds, preset = options.seconds(SECONDS[architecture]), keras_side.PRESETS[architecture]
    measures = {}
    for precision in OURS:
        training = keras_side.Training(keras_side.make(preset, precision), batch, examples, preset)
        measures[f"tf_jmvae, {precision}"] = lambda training=training: training.examples_per_second(seconds)
    request = {"architecture": architecture, "batch": batch, "examples": examples}
    for name in (*LIBRARIES, *PEERS[architecture]):
        peer.ask("train", name=name, seconds=0, **request)  # compiles and warms up
        measures[name] = lambda name=name: peer.ask("train", name=name, seconds=seconds, **request)
    found = harness.alternate(measures, options.rounds(ROUNDS[architecture]))
    harness.show(f"{architecture}, batch {batch}", found, "examples/s")
    return found


def check(peer: harness.Peer, architecture: str, model: tj.JMVAEKL) -> dict:
    """Parameters and bounds of all sides, for the same weights and examples; they must be equal."""
    batch = keras_side.random_batch(model, 8)
    model.adapt(batch)
    batch = {name: np.asarray(values) for name, values in model.preprocess(batch).items()}  # as peers take them
    ours = {"parameters": keras_side.parameters(model), "bound": keras_side.bound_at_mean(model, batch)}
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "check.npz"
        np.savez(path, **keras_side.arrays(model), **keras_side.for_peer(batch))
        found = {"tf_jmvae": ours, **peer.ask("check", architecture=architecture, path=str(path))}
    for name, facts in found.items():
        same_bound = abs(facts["bound"] - ours["bound"]) <= _TOLERANCE * abs(ours["bound"])
        if facts["parameters"] != ours["parameters"] or not same_bound:
            raise SystemExit(f"{architecture}: {name} does not compute the same model: {facts}, and ours {ours}.")
    return {**found, "flops_per_example": training_flops(model)}


if __name__ == "__main__":
    sys.exit(harness.run("training", __doc__, measure))
