"""Generation: the exported MNIST model and `model.generate` beside PyTorch under torch.inference_mode and ONNX Runtime.

All answer the same requests in turns, with one row, 64 and 256; the answers of the deterministic ones must agree. What
TensorFlow's own call costs is that of a SavedModel's function with the same inputs that gives one of them back. The
SavedModel is called in this process, without a server's transport. Export and loading are timed as well.

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
EMPTY = "an empty function"


def measure(options: harness.Options) -> dict:
    model = keras_side.make("mnist-jmvae-kl")
    found = {}
    with tempfile.TemporaryDirectory() as folder, harness.Peer(options, "serving") as peer:
        path = pathlib.Path(folder)
        versions = []
        times = {"export_seconds": harness.seconds_of(lambda: versions.append(model.export(path / "model")))}
        times["load_seconds"] = harness.seconds_of(lambda: tj.hub.load(versions[0]))
        loaded = tf.saved_model.load(str(versions[0]))
        empty = _empty({name: loaded.signatures[name] for name in SIGNATURES}, path / "empty")
        np.savez(path / "peer.npz", **keras_side.arrays(model))
        peer.ask("load", path=str(path / "peer.npz"))
        for name in SIGNATURES:
            for rows in BATCHES:
                key = f"{name}/{rows}"
                found[key] = _compare(model, loaded.signatures[name], empty[name], rows, peer, options)
                harness.show(key, found[key], "ms")
        peers = peer.versions
    return {**times, "milliseconds": found, "peers": peers}


def _empty(signatures, path: pathlib.Path) -> dict:
    """SavedModel functions of the same names and inputs, whose output is the first of these."""
    made = {}
    for name, signature in signatures.items():
        specs = signature.structured_input_signature[1]
        first = tf.function(lambda **inputs: {"output": inputs[min(inputs)]}, autograph=False)
        made[name] = first.get_concrete_function(**specs)
    tf.saved_model.save(tf.Module(), str(path), signatures=made)
    return {name: (name, function) for name, function in tf.saved_model.load(str(path)).signatures.items()}


def _compare(model, signature, empty, rows: int, peer: harness.Peer, options: harness.Options) -> dict:
    name, nothing = empty
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
    measures = {
        "tf_jmvae, exported": lambda: 1e3 * harness.repeat(lambda: signature(**tensors), seconds),
        EMPTY: lambda: 1e3 * harness.repeat(lambda: nothing(**tensors), seconds),
    }
    generate = _generate(model, name, values)
    if generate is not None:
        generate()
        measures["tf_jmvae, generate"] = lambda: 1e3 * harness.repeat(generate, seconds)
    measures["pytorch"] = lambda: 1e3 * peer.ask("time", seconds=seconds, **request)
    if name in ("encode", "generate_w_from_x", "generate_x_from_w"):
        measures["onnxruntime"] = lambda: 1e3 * peer.ask("time_onnx", seconds=seconds, **request)
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
