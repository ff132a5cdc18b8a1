"""Training by one process and by two workers on one machine, in examples per second, and the sum of gradients alone.

    python benchmarks/workers.py

Two workers here shard the cores that one process has to itself, and talk over the loopback: they can only be slower.
What is measured is what the distribution costs. A machine or a GPU for each worker was not at hand.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import harness
import keras
import numpy as np
import tensorflow as tf
from harness import SEED

from tf_jmvae.data import pipeline
from tf_jmvae.distribute import devices as distribution
from tf_jmvae.distribute.replicas import Shards
from tf_jmvae.optimizers import FusedAdam
from tf_jmvae.training import build

EXAMPLES = 10_240
EPOCHS = 6  # the first is not counted: it traces
SUMS = 10
PRESET = "mnist-jmvae-kl"
BATCHES = (128, 1024)
WORKER = "--worker"  # measure as one of the workers of TF_CONFIG, and print


def compare(options: harness.Options) -> dict:
    batches = BATCHES[:1] if options.quick else BATCHES
    found = {str(count): run_workers(count, batches) for count in (1, 2)}
    rates = {}
    for batch in map(str, batches):
        counts = {count: harness.summary(one["examples_per_second"][batch]) for count, one in found.items()}
        harness.show(f"batch {batch}, workers", counts, "examples/s")
        rates[f"batch {batch}"] = counts
    two = found["2"]
    return {
        "preset": PRESET,
        "examples_per_second": rates,
        "gradient_bytes": two["gradient_bytes"],
        "seconds_of_a_sum": harness.summary(two["seconds_of_a_sum"]),
    }


def run_workers(count: int, batches: Sequence[int]) -> dict:
    """What the chief of so many workers measures."""
    free = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    hosts = [f"127.0.0.1:{one.getsockname()[1]}" for one in free]
    for one in free:
        one.close()
    command = [sys.executable, __file__, WORKER, *map(str, batches)]
    workers = []
    for index in range(count):
        place = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
        own = {**os.environ, "TF_CONFIG": json.dumps(place)}
        workers.append(subprocess.Popen(command, env=own, stdout=subprocess.PIPE, text=True))
    printed = [worker.communicate()[0] for worker in workers]
    if any(worker.returncode for worker in workers):
        raise SystemExit("A worker failed.")
    return json.loads(printed[0].splitlines()[-1])


def measure(batches: list[int]) -> dict:
    devices = distribution.connect("auto")
    random = np.random.default_rng(SEED)
    arrays = {
        "x": random.random((EXAMPLES, 28, 28, 1), np.float32),
        "w": np.eye(10, dtype=np.float32)[random.integers(0, 10, EXAMPLES)],
    }
    rates = {}
    for batch_size in batches:
        keras.utils.set_random_seed(SEED)
        with devices.strategy.scope():
            model = build.from_preset(PRESET)
            model.compile(FusedAdam(1e-3))

        def make(shards: Shards | None, batch_size: int = batch_size) -> tf.data.Dataset:
            options = {"shuffle": True, "binarize": ["x"], "seed": SEED, "epochs": range(EPOCHS), "shards": shards}
            return pipeline.from_arrays(arrays, batch_size=batch_size, **options)

        clock = Clock()
        steps = EXAMPLES // batch_size
        (data,) = devices.batches(make)
        model.fit(data, epochs=EPOCHS, steps_per_epoch=steps, verbose=0, callbacks=[clock])
        rates[str(batch_size)] = [steps * batch_size / seconds for seconds in clock.seconds[1:]]
    size = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    return {"examples_per_second": rates, "gradient_bytes": 4 * size, "seconds_of_a_sum": sums(devices, size)}


class Clock(keras.callbacks.Callback):
    """The seconds of each epoch."""

    def on_train_begin(self, logs=None):
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.perf_counter() - self._start)


def sums(devices: distribution.Devices, size: int) -> list[float]:
    """Seconds of each sum over the workers of as many numbers as a model has gradients; none for one worker."""
    if devices.num_replicas == 1:
        return []
    strategy = devices.strategy

    @tf.function
    def add():
        return strategy.run(lambda: tf.distribute.get_replica_context().all_reduce("SUM", tf.ones([size])))

    add()
    seconds = []
    for _ in range(SUMS):
        start = time.perf_counter()
        strategy.experimental_local_results(add())[0].numpy()
        seconds.append(time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    if WORKER in sys.argv:
        print(json.dumps(measure([int(batch) for batch in sys.argv[2:]])), flush=True)
    else:
        sys.exit(harness.run("workers", __doc__, compare))
