"""Which devices a run trains on: one, several of this machine, or those of several machines.

Whichever they are, training gives the same numbers: see `tf_jmvae.distribute.replicas`. Workers need no common folder.
The chief, the first of them, alone reads and writes the run folder and prints; the others get from it, through
TensorFlow's own collective operations, where to start and with which weights.
"""

import contextlib
import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_jmvae._utils.errors import RunError
from tf_jmvae.distribute.cluster import Cluster
from tf_jmvae.distribute.shards import Shards

__all__ = ["Devices", "connect"]

# What TensorFlow raises at the others when a worker is gone.
_LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError)


class Devices:
    """The devices that share a run's work, as this process sees them; without a cluster, it is alone.

    Attributes:
      strategy: of `tf.distribute`; None for one device.
      num_replicas: into so many parts every global batch is divided.
      is_chief: whether this process writes and prints; the only process always does.
    """

    def __init__(self, strategy: tf.distribute.Strategy | None = None, cluster: Cluster | None = None):
        self.strategy = strategy
        self._workers, self._index = (len(cluster.workers), cluster.index) if cluster else (1, 0)
        self.num_replicas = strategy.num_replicas_in_sync if strategy else 1
        self.is_chief = self._index == 0

    def scope(self) -> contextlib.AbstractContextManager:
        """Where a model and its optimizers must be made."""
        return self.strategy.scope() if self.strategy else contextlib.nullcontext()

    def batches(self, make: Callable[[Shards | None], tf.data.Dataset]) -> Any:
        """A dataset for `fit`, of which each replica gets its share of every global batch, and makes no other.

        `make` makes the dataset of those shards: `from_arrays` with all but `shards` set.
        """
        if self.num_replicas == 1:
            return make(None)

        def of_this_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
            here = context.num_replicas_in_sync // context.num_input_pipelines
            first = context.input_pipeline_id * here
            return make(Shards(range(first, first + here), context.num_replicas_in_sync))

        return self.strategy.distribute_datasets_from_function(of_this_worker)

    def on_chief(self, action: Callable[[], Any]) -> Any:
        """What `action` gives on the chief, and None on the other workers, which wait until it is done.

        Raises:
          RunError: on the others, if the chief's action failed; on the chief what the action raised.
        """
        result = failure = None
        if self.is_chief:
            try:
                result = action()
            except Exception as error:  # raised again as soon as the others know
                failure = error
        failed = self.from_chief(int(failure is not None))
        if failure is not None:
            raise failure
        if failed:
            raise RunError("The chief, the first worker of TF_CONFIG, has stopped; its own output says why.")
        return result

    def from_chief(self, number: int | None) -> int:
        """The chief's number, on every worker."""
        return int(self._sum(np.array([number or 0] if self.is_chief else [0], np.int64))[0])

    def check_same(self, settings: Any) -> None:
        """Raises `RunError` on every worker unless all have been given the same `settings`, of JSON's types."""
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).digest()
        own = np.zeros(self._workers, np.int64)
        own[self._index] = int.from_bytes(digest[:7], "big")
        digests = self._sum(own)
        other = np.flatnonzero(digests != digests[0])
        if len(other):
            raise RunError(
                f"Workers {', '.join(map(str, other))} of TF_CONFIG have other settings, data or versions than worker "
                "0: start all of them with the same command and the same installation."
            )

    def share_state(self, model: keras.Model) -> None:
        """Gives every worker's model and optimizers the chief's state, bit by bit."""
        if self._workers == 1:
            return
        variables = _state(model)
        arrays = [np.asarray(variable) for variable in variables]
        contents = b"".join(array.tobytes() for array in arrays)
        contents += bytes(-len(contents) % 8)
        bits = np.frombuffer(contents, np.int64)
        contents = self._sum(bits if self.is_chief else np.zeros_like(bits)).tobytes()
        if self.is_chief:
            return
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(np.frombuffer(contents[: array.nbytes], array.dtype).reshape(array.shape))
            contents = contents[array.nbytes :]

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Turns the loss of another worker into a `RunError` that says what to do."""
        try:
            yield
        except _LOST as error:
            if self._workers == 1:
                raise
            raise RunError(
                f"The connection to another worker is lost, so this one (number {self._index} of {self._workers}) "
                "stops too. Start all workers again with the same command: they continue from the last epoch. "
                f"TensorFlow says: {str(error).strip().splitlines()[-1]}"
            ) from error

    def _sum(self, numbers: np.ndarray) -> np.ndarray:
        """The sum of int64 numbers over workers."""
        if self._workers == 1:
            return numbers
        added = self._added(tf.constant(numbers))
        return self.strategy.experimental_local_results(added)[0].numpy()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64)], autograph=False)
    def _added(self, numbers: tf.Tensor) -> Any:
        def of_replica() -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            on_worker = tf.cast(context.replica_id_in_sync_group, tf.int64) % (self.num_replicas // self._workers)
            return context.all_reduce("SUM", numbers * tf.cast(on_worker == 0, tf.int64))

        return self.strategy.run(of_replica)


def connect(name: str) -> Devices:
    """The devices to train on; with several workers it waits until all of them are there.

    TensorFlow must not have run anything yet in a process that is to be one of several workers.

    Args:
      name: `"none"` is one device, `"mirrored"` all GPUs of this machine, `"multi-worker"` all GPUs, or else the CPU,
        of all workers that `TF_CONFIG` names. `"auto"` is the last of these that the machine and `TF_CONFIG` allow.

    Raises:
      ValueError: `"multi-worker"` without workers in `TF_CONFIG`, or too late in a process; or `TF_CONFIG` is damaged.
    """
    cluster = Cluster.from_environment() if name in ("auto", "multi-worker") else None
    if name == "multi-worker" and cluster is None:
        raise ValueError("--strategy multi-worker needs the environment variable TF_CONFIG; see docs/scaling.md.")
    if cluster is not None and len(cluster.workers) > 1:
        return _workers(cluster)
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    devices = [device.name for device in tf.config.list_logical_devices(kind)]
    if name == "mirrored" or (name != "none" and len(devices) > 1 and kind == "GPU"):
        return Devices(tf.distribute.MirroredStrategy(devices))
    return Devices()


def _workers(cluster: Cluster) -> Devices:
    if cluster.index == 0:
        print(f"Waiting for {len(cluster.workers)} workers: {', '.join(cluster.workers)}.", file=sys.stderr, flush=True)
    try:
        return Devices(tf.distribute.MultiWorkerMirroredStrategy(), cluster)
    except RuntimeError as error:
        raise ValueError(
            "A process can become one of several workers only before TensorFlow has run anything in it; "
            f"start a new one. TensorFlow says: {error}"
        ) from error


def _state(model: keras.Model) -> list[keras.Variable]:
    """What a checkpoint holds: all variables but those of metrics, and those of every optimizer."""
    metrics = {id(variable) for metric in model.metrics for variable in metric.variables}
    optimizers = [value for value in vars(model).values() if isinstance(value, keras.optimizers.Optimizer)]
    unique = {id(variable): variable for owner in (model, *optimizers) for variable in owner.variables}
    return [variable for key, variable in unique.items() if key not in metrics]
