"""Generation: the exported MNIST model and `model.generate` beside a PyTorch module under torch.inference_mode.

All answer the same requests in turns, with one row, 64 and 256; the answers of the deterministic ones must agree.
The SavedModel is called in this process, without a server's transport. Export and loading are timed as well.

    python benchmarks/serving.py --peer-python PYTHON_WITH_PYTORCH
"""

import pathlib
import sys
import tempfile

import harness
import keras_side
import numpy as np
import tensorflow as tf

import tf_jmvae as tj

BATCHES = (1, 64, 256)
SIGNATURES = ("encode", "generate_w_from_x", "generate_x_from_w", "sample_x_from_w", "log_likelihood")
SECONDS = 0.2
ROUNDS = 5


def measure(options: harness.Options) -> dict:
    model = keras_side.make("mnist-jmvae-kl")
    found = {}
    with tempfile.TemporaryDirectory() as folder, harness.Peer(options, "serving") as peer:
        path = pathlib.Path(folder)
        versions = []
        times = {"export_seconds": harness.seconds_of(lambda: versions.append(model.export(path / "model")))}
        times["load_seconds"] = harness.seconds_of(lambda: tj.hub.load(versions[0]))
        loaded = tf.saved_model.load(str(versions[0]))
        np.savez(path / "peer.npz", **keras_side.arrays(model))
        peer.ask("load", path=str(path / "peer.npz"))
        for name in SIGNATURES:
            for rows in BATCHES:
                key = f"{name}/{rows}"
                found[key] = _compare(model, loaded.signatures[name], name, rows, peer, options)
                harness.show(key, found[key], "ms")
        peers = peer.versions
    return {**times, "milliseconds": found, "peers": peers}


def _compare(model, signature, name: str, rows: int, peer: harness.Peer, options: harness.Options) -> dict:
    random = np.random.default_rng(harness.SEED)
    values = {
        "x": random.integers(0, 2, (rows, 28, 28, 1)).astype(np.float32),
        "w": np.eye(10, dtype=np.float32)[random.integers(0, 10, rows)],
        "seed": random.integers(0, 2**31, (rows, 2), dtype=np.int32),
    }
    tensors = {key: tf.constant(values[key]) for key in signature.structured_input_signature[1]}
    seconds = options.seconds(SECONDS)
    request = {"name": name, "rows": rows, "seed": harness.SEED}
    outputs = signature(**tensors)
    if not name.startswith(("sample", "log")):
        ours = float(np.sum(outputs[min(outputs)].numpy()[:1]))  # the mean, of encode
        theirs = peer.ask("answer", **request)
        if abs(ours - theirs) > 1e-3 * max(1, abs(ours)):
            raise SystemExit(f"{name}: the answers differ, so the networks are not the same: {ours} and {theirs}.")
    measures = {"tf_jmvae, exported": lambda: 1e3 * harness.repeat(lambda: signature(**tensors), seconds)}
    generate = _generate(model, name, values)
    if generate is not None:
        generate()
        measures["tf_jmvae, generate"] = lambda: 1e3 * harness.repeat(generate, seconds)
    measures["pytorch"] = lambda: 1e3 * peer.ask("time", seconds=seconds, **request)
    return harness.alternate(measures, options.rounds(ROUNDS))


def _generate(model, name: str, values):
    """The same by `model.generate`, where it is a generation."""
    verb, _, direction = name.partition("_")
    if verb not in ("generate", "sample"):
        return None
    given = direction[-1]
    observed = {given: tf.constant(values[given])}
    latent = "mean" if verb == "generate" else "sample"
    return lambda: model.generate(observed, latent=latent, seed=harness.SEED)


if __name__ == "__main__":
    sys.exit(harness.run("serving", __doc__, measure))
