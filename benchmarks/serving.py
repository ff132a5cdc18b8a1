"""The exported MNIST model beside a PyTorch module of the same networks and weights, under torch.inference_mode.

Both answer the same requests in turns, with one row, 64 and 256; the answers of the deterministic ones must agree.
The SavedModel is called in this process, without a server's transport. Export and loading are timed as well.
PyTorch may live in an environment of its own:

    python -m venv peer && peer/bin/pip install torch
    python benchmarks/serving.py --peer-python peer/bin/python
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import keras
import numpy as np
import tensorflow as tf

import tf_jmvae as tj
from tf_jmvae.files import write_json
from tf_jmvae.provenance import environment

SEED = 0
BATCHES = (1, 64, 256)
SIGNATURES = ("encode", "generate_w_from_x", "generate_x_from_w", "sample_x_from_w", "log_likelihood")
SECONDS = 0.5  # of each measurement
HERE = pathlib.Path(__file__).parent
RESULTS = HERE / "results" / "serving.json"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", default=sys.executable, help="a Python that has PyTorch")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()

    keras.utils.set_random_seed(SEED)
    model = tj.from_preset("mnist-jmvae-kl")
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        version = model.export(pathlib.Path(folder) / "model")
        exported = time.perf_counter()
        loaded = tj.hub.load(version)
        times = {"export_seconds": exported - start, "load_seconds": time.perf_counter() - exported}
        np.savez(f"{folder}/peer.npz", **_weights(model))
        command = [arguments.peer_python, HERE / "peers" / "serving.py", f"{folder}/peer.npz"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as peer:
            peers = json.loads(peer.stdout.readline())
            measured = {
                f"{name}/{rows}": _compare(loaded, name, rows, peer, arguments.rounds)
                for name in SIGNATURES
                for rows in BATCHES
            }
            peer.stdin.close()
    result = {**times, "milliseconds": measured, "peers": peers}
    for name, found in measured.items():
        print(f"{name:26} {found['tf_jmvae']:9.3f} ms  {found['pytorch']:9.3f} ms  ratio {found['ratio']:.2f}")
    print(json.dumps(times))
    write_json(RESULTS, {**result, "rounds": arguments.rounds, "seed": SEED, **environment()})
    return 0


def _compare(loaded: tj.hub.HubModel, name: str, rows: int, peer: subprocess.Popen, rounds: int) -> dict[str, float]:
    """Median milliseconds of a call, and their ratio, over rounds in which both take turns."""
    random = np.random.default_rng(SEED)
    values = {
        "x": random.integers(0, 2, (rows, 28, 28, 1)).astype(np.float32),
        "w": np.eye(10, dtype=np.float32)[random.integers(0, 10, rows)],
        "seed": random.integers(0, 2**31, (rows, 2), dtype=np.int32),
    }
    wanted = loaded.signatures[name].inputs
    function = tf.saved_model.load(loaded.path).signatures[name]
    tensors = {key: tf.constant(values[key]) for key in wanted}
    function(**tensors)
    milliseconds = {"tf_jmvae": [], "pytorch": []}
    for _ in range(rounds):
        calls, start = 0, time.perf_counter()
        while time.perf_counter() - start < SECONDS:
            outputs = function(**tensors)
            calls += 1
        milliseconds["tf_jmvae"].append((time.perf_counter() - start) / calls * 1e3)
        request = {"name": name, "rows": rows, "seconds": SECONDS, "seed": SEED}
        peer.stdin.write(json.dumps(request) + "\n")
        peer.stdin.flush()
        answer = json.loads(peer.stdout.readline())
        milliseconds["pytorch"].append(answer["milliseconds"])
    ours = float(np.sum(outputs[min(outputs)].numpy()[:1]))  # the mean, of encode
    if not name.startswith(("sample", "log")) and abs(ours - answer["sum"]) > 1e-3 * max(1, abs(ours)):
        raise SystemExit(f"{name}: the answers differ, so the networks are not the same: {ours} and {answer['sum']}.")
    medians = {key: statistics.median(found) for key, found in milliseconds.items()}
    spread = {f"{key}_spread": [min(found), max(found)] for key, found in milliseconds.items()}
    return {**medians, **spread, "ratio": medians["tf_jmvae"] / medians["pytorch"]}


def _weights(model: tj.JMVAEKL) -> dict[str, np.ndarray]:
    found = {}
    for name, encoder in {"joint": model.encoder, **model.subset_encoders}.items():
        for modality, tower in encoder.towers.towers.items():
            found[f"{name}/tower/{modality}"] = tower.get_weights()
        found[f"{name}/head"] = encoder.head.get_weights()
    found |= {f"decoder/{name}": decoder.get_weights() for name, decoder in model.decoders.items()}
    return {f"{key}/{index}": array for key, weights in found.items() for index, array in enumerate(weights)}


if __name__ == "__main__":
    sys.exit(main())
