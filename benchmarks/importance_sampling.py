"""Joint importance sampling beside MultiVae: seconds per example with 1,000 samples, on the same networks.

Both libraries get MNIST's networks of section 4.2.1 with the same weights, and the same random images, and take
turns; the estimates must agree. MultiVae may live in an environment of its own:

    python -m venv peer && peer/bin/pip install multivae==1.0.3
    python benchmarks/importance_sampling.py --peer-python peer/bin/python
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

import tf_jmvae as tj
from tf_jmvae.files import write_json
from tf_jmvae.provenance import environment

SAMPLES = 1000
SEED = 0
HERE = pathlib.Path(__file__).parent
RESULTS = HERE / "results" / "importance_sampling.json"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", default=sys.executable, help="a Python that has MultiVae")
    parser.add_argument("--examples", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()

    keras.utils.set_random_seed(SEED)
    model = tj.from_preset("mnist-jmvae-kl")
    random = np.random.default_rng(SEED)
    batch = {
        "x": random.integers(0, 2, (arguments.examples, 28, 28, 1)).astype(np.float32),
        "w": np.eye(10, dtype=np.float32)[random.integers(0, 10, arguments.examples)],
    }
    with tempfile.TemporaryDirectory() as folder:
        np.savez(f"{folder}/peer.npz", **_arrays(model, batch))
        command = [arguments.peer_python, HERE / "peers" / "importance_sampling.py", f"{folder}/peer.npz", str(SAMPLES)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as peer:
            result = _compare(model, batch, peer, arguments.rounds)
            peer.stdin.close()
    print(json.dumps(result, indent=2))
    RESULTS.parent.mkdir(exist_ok=True)
    write_json(RESULTS, {**result, "samples": SAMPLES, "seed": SEED, **environment()})
    return 0


def _compare(model: tj.JMVAEKL, batch: dict[str, np.ndarray], peer: subprocess.Popen, rounds: int) -> dict:
    peers = json.loads(peer.stdout.readline())
    seconds = {"tf_jmvae": [], "multivae": []}
    for number in range(rounds + 1):
        start = time.perf_counter()
        ours = tj.evaluation.joint_log_likelihood(model, batch, num_samples=SAMPLES, seed=SEED, verbose=0).mean
        took = time.perf_counter() - start
        peer.stdin.write("score\n")
        peer.stdin.flush()
        theirs = json.loads(peer.stdout.readline())
        if number:  # the first round warms up
            seconds["tf_jmvae"].append(took / len(batch["x"]))
            seconds["multivae"].append(theirs["seconds"] / len(batch["x"]))
    if abs(ours - theirs["mean"]) > 1e-3 * abs(ours):
        raise SystemExit(f"The estimates differ, so the networks are not the same: {ours} and {theirs['mean']}.")
    per_example = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "seconds_per_example": per_example,
        "ratio": per_example["tf_jmvae"] / per_example["multivae"],
        "rounds": seconds,
        "mean_log_likelihood": {"tf_jmvae": ours, "multivae": theirs["mean"]},
        "peers": peers,
    }


def _arrays(model: tj.JMVAEKL, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    weights = {f"tower/{name}": tower.get_weights() for name, tower in model.encoder.towers.towers.items()}
    weights["head"] = model.encoder.head.get_weights()
    weights |= {f"decoder/{name}": decoder.get_weights() for name, decoder in model.decoders.items()}
    arrays = {f"{key}/{index}": array for key, found in weights.items() for index, array in enumerate(found)}
    return {**arrays, **{name: values.reshape(len(values), -1) for name, values in batch.items()}}


if __name__ == "__main__":
    sys.exit(main())
