"""Training throughput of JMVAE-kl on MNIST's networks beside MultiVae, Pixyz and PyTorch by hand, in one run.

All train the same networks on random binary images in memory, in turns, for several rounds. Medians and spread are
written, and the rate of matrix products on this machine at the shapes used. The peers live in an environment of their
own:

    python -m venv peer && peer/bin/pip install multivae==1.0.3 pixyz==0.3.3
    python benchmarks/training.py --peer-python peer/bin/python
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time

import keras
import numpy as np
import tensorflow as tf

import tf_jmvae as tj
from tf_jmvae.data import pipeline
from tf_jmvae.files import write_json
from tf_jmvae.optimizers import FusedAdam
from tf_jmvae.provenance import environment

SEED = 0
EXAMPLES = 20_480
SECONDS = 3.0  # of each measurement
PEERS = ("multivae", "pixyz", "pytorch", "pytorch, compiled", "pytorch, bfloat16", "pytorch, compiled, bfloat16")
HERE = pathlib.Path(__file__).parent
RESULTS = HERE / "results" / "training.json"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", default=sys.executable, help="a Python that has the peers")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, nargs="+", default=[128, 1024])
    parser.add_argument("--peers", nargs="*", default=list(PEERS))
    arguments = parser.parse_args()

    rates = {}
    command = [arguments.peer_python, HERE / "peers" / "training.py"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as peer:
        versions = json.loads(peer.stdout.readline())
        for batch in arguments.batches:
            ours = {name: Training(batch, name) for name in ("float32", "mixed_bfloat16")}
            found = {name: [] for name in (*(f"tf_jmvae, {name}" for name in ours), *arguments.peers)}
            for _ in range(arguments.rounds):
                for name, training in ours.items():
                    found[f"tf_jmvae, {name}"].append(training.examples_per_second())
                for name in arguments.peers:
                    found[name].append(_ask(peer, {"name": name, "batch": batch, "seconds": SECONDS}))
            rates[str(batch)] = {
                name: {"median": statistics.median(values), "rounds": values} for name, values in found.items()
            }
            for name, values in rates[str(batch)].items():
                print(f"batch {batch:5}  {name:30} {values['median']:8.0f} examples/s", flush=True)
        peer.stdin.close()
    result = {"examples_per_second": rates, "peers": versions, "products": products()}
    write_json(RESULTS, {**result, "rounds": arguments.rounds, "seed": SEED, **environment()})
    return 0


class Training:
    """A `fit` that goes on: as `train.py` sets it up, but for the data."""

    def __init__(self, batch: int, precision: str):
        keras.utils.set_random_seed(SEED)
        keras.config.set_dtype_policy(precision)
        self._model = tj.from_preset("mnist-jmvae-kl")
        keras.config.set_dtype_policy("float32")
        self._model.compile(FusedAdam(1e-3))
        random = np.random.default_rng(SEED)
        arrays = {
            "x": random.random((EXAMPLES, 28, 28, 1), np.float32),
            "w": np.eye(10, dtype=np.float32)[random.integers(0, 10, EXAMPLES)],
        }
        self._batch, self._steps = batch, EXAMPLES // batch
        self._data = pipeline.from_arrays(
            arrays, batch_size=batch, shuffle=True, seed=SEED, binarize=["x"], passes=range(10**6)
        )
        self._timer = _Timer()
        self._fit(1)

    def examples_per_second(self) -> float:
        """Over whole epochs, until SECONDS have passed."""
        self._timer.stop_after = SECONDS
        self._fit(1000)
        return self._timer.epochs * self._steps * self._batch / self._timer.seconds

    def _fit(self, epochs: int) -> None:
        self._model.fit(self._data, epochs=epochs, steps_per_epoch=self._steps, verbose=0, callbacks=[self._timer])


class _Timer(keras.callbacks.Callback):
    """The time of an epoch after the first, in which Keras starts its input."""

    stop_after = 0.0

    def on_train_begin(self, logs=None):
        self.seconds, self.epochs = 0.0, 0

    def on_epoch_begin(self, epoch, logs=None):
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        if epoch:
            self.seconds += time.perf_counter() - self._start
            self.epochs += 1
        if self.seconds >= self.stop_after:
            self.model.stop_training = True


def products() -> dict[str, float]:
    """Matrix products of the networks' shapes, in GFLOP/s: what arithmetic costs at least."""
    found = {}
    for rows in (128, 1024):
        left, right = tf.random.normal((rows, 512)), tf.random.normal((512, 512))
        for dtype in (tf.float32, tf.bfloat16):
            a, b = tf.cast(left, dtype), tf.cast(right, dtype)
            product = tf.function(lambda a=a, b=b: [tf.matmul(a + i, b) for i in range(50)][-1])
            product()
            repeats, start = 0, time.perf_counter()
            while time.perf_counter() - start < 1.0:
                product()
                repeats += 50
            found[f"{dtype.name}/{rows}"] = 2 * rows * 512 * 512 * repeats / (time.perf_counter() - start) / 1e9
    return found


def _ask(peer: subprocess.Popen, request: dict) -> float:
    peer.stdin.write(json.dumps(request) + "\n")
    peer.stdin.flush()
    return json.loads(peer.stdout.readline())["examples_per_second"]


if __name__ == "__main__":
    sys.exit(main())
