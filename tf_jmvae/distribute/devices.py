"""Devices of a run: one, several of this machine, or those of several machines.

Training gives the same results on all of them: see `tf_jmvae.distribute.replicas`. Workers need no shared folder. Only
the chief, the first worker, reads and writes the run folder and prints; the others get the starting point and weights
from it through TensorFlow's collective operations.
"""

import contextlib
import functools
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tf_jmvae._utils.files import RunError
from tf_jmvae.distribute.replicas import Shards

_EXAMPLE = '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'

# Errors that TensorFlow raises on other workers when one is lost.
_LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError)


class Cluster(NamedTuple):
    """Addresses of all workers, the chief first, and the index of this process."""

    workers: tuple[str, ...]  # `host:port` of each worker
    index: int  # index of this process

    @classmethod
    def from_environment(cls) -> "Cluster | None":
        """Reads the workers from `TF_CONFIG`, TensorFlow's description of a cluster; None if it is not set.

        Raises `ValueError` unless it describes a cluster of workers and this process's index.
        """
        text = os.environ.get("TF_CONFIG", "").strip()
        if not text or text == "{}":
            return None
        try:
            config = json.loads(text)
            jobs, kind, index = config["cluster"], config["task"]["type"], int(config["task"]["index"])
            chief, workers = list(jobs.get("chief", ())), list(jobs.get("worker", ()))
            place = {"chief": index, "worker": len(chief) + index}[kind]
            if not 0 <= index < len(jobs[kind]) or set(jobs) - {"chief", "worker"}:
                raise ValueError(f"there is no {kind} {index} in a cluster of workers")
            if len({*chief, *workers}) < len(chief) + len(workers):
                raise ValueError("two workers have one address")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"TF_CONFIG must name every worker and which one this is, such as {_EXAMPLE}; got {text} ({error!r})."
            ) from error
        return cls((*chief, *workers), place)


@dataclass
class Agreement:
    """Values of a worker that all workers agree on."""

    settings: Any = None  # JSON types, equal on all workers; not compared if the chief has None
    number: int = 0  # set by the chief, and equal on all workers afterwards


class Devices:
    """Devices of a run as seen by this process; without a cluster, it is the only one.

    Used as a context, it turns the loss of another worker into a `RunError`.

    Attributes:
      strategy: `tf.distribute.Strategy`, TensorFlow's default for one device. Models and optimizers are made in its
        scope.
      num_replicas: number of shards of every global batch.
      is_chief: whether this process writes and prints, as a single process always does.
    """

    def __init__(self, strategy: tf.distribute.Strategy | None = None, cluster: Cluster | None = None):
        self.strategy = strategy or tf.distribute.get_strategy()
        self._workers, self._index = (len(cluster.workers), cluster.index) if cluster else (1, 0)
        self.num_replicas = self.strategy.num_replicas_in_sync
        self.is_chief = self._index == 0

    def __enter__(self) -> "Devices":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: Any) -> None:
        """Converts the loss of another worker to a `RunError` that says what to do."""
        if isinstance(error, _LOST) and self._workers > 1:
            raise RunError(
                f"The connection to another worker is lost, so this one (number {self._index} of {self._workers}) "
                "stops too. Start all workers again with the same command: they continue from the last epoch. "
                f"TensorFlow says: {str(error).strip().splitlines()[-1]}"
            ) from error

    @contextlib.contextmanager
    def agreement(self, state_of: keras.Model | None = None) -> Iterator[Agreement]:
        """Context of a step that all workers take or none: they wait for each other, and all stop if it fails for one.

        Afterwards all workers have the chief's `number`; if it is not 0, the models `state_of` also have the chief's
        state. Raises `RunError` if the step failed for another worker, or the workers' settings differ.
        """
        agreed, failure = Agreement(), None
        try:
            yield agreed
        except Exception as error:  # raised again once the others are told
            failure = error
        table = np.zeros((self._workers, 3), np.int64)
        digest = hashlib.sha256(json.dumps(agreed.settings, sort_keys=True, default=str).encode()).digest()
        number = 0 if agreed.settings is None else int.from_bytes(digest[:7], "big")
        table[self._index] = failure is not None, agreed.number, number
        failed, numbers, digests = self._sum(table.ravel()).reshape(table.shape).T
        if failure is not None:
            raise failure
        if failed.any():
            which = (
                "The chief, the first worker of TF_CONFIG," if failed[0] else f"Worker {np.argmax(failed)} of TF_CONFIG"
            )
            raise RunError(f"{which} has stopped; its own output says why.")
        agreed.number = int(numbers[0])
        other = np.flatnonzero(digests != digests[0])
        if len(other) and digests[0]:
            raise RunError(
                f"Workers {', '.join(map(str, other))} of TF_CONFIG have other settings, data or versions than worker "
                "0: start all of them with the same command and the same installation."
            )
        if agreed.number and state_of is not None and self._workers > 1:
            self._share_state(state_of)

    def batches(self, *makers: Callable[..., tf.data.Dataset]) -> list[Any]:
        """Makes a dataset for `fit` from each maker, in which replicas get and make only their shard of global batches.

        Makers are functions of `shards`, a `Shards` or None for whole batches, such as `Source.test_batches`.
        """
        if self.num_replicas == 1:
            return [make(shards=None) for make in makers]

        def of_this_worker(context: tf.distribute.InputContext, make: Callable[..., Any]) -> tf.data.Dataset:
            here = context.num_replicas_in_sync // context.num_input_pipelines
            first = context.input_pipeline_id * here
            return make(shards=Shards(range(first, first + here), context.num_replicas_in_sync))

        distributed = self.strategy.distribute_datasets_from_function
        return [distributed(functools.partial(of_this_worker, make=make)) for make in makers]

    def _share_state(self, model: keras.Model) -> None:
        """Copies the chief's variables of the model, except metrics, and of optimizers to all workers, bit by bit."""
        metrics = {id(variable) for metric in model.metrics for variable in metric.variables}
        optimizers = [value for value in vars(model).values() if isinstance(value, keras.optimizers.Optimizer)]
        unique = {id(variable): variable for owner in (model, *optimizers) for variable in owner.variables}
        variables = [variable for key, variable in unique.items() if key not in metrics]
        arrays = [np.asarray(variable) for variable in variables]
        contents = b"".join(array.tobytes() for array in arrays)
        contents += bytes(-len(contents) % 8)
        bits = np.frombuffer(contents, np.int64)
        contents = self._sum(bits if self.is_chief else np.zeros_like(bits)).tobytes()
        for variable, array in zip(() if self.is_chief else variables, arrays, strict=not self.is_chief):
            variable.assign(np.frombuffer(contents[: array.nbytes], array.dtype).reshape(array.shape))
            contents = contents[array.nbytes :]

    def _sum(self, numbers: np.ndarray) -> np.ndarray:
        """Sums int64 numbers over workers."""
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
    """Returns the devices to train on; waits for all workers if there are several.

    With several workers, TensorFlow must not have run anything in the process yet.

    Args:
      name: `"none"` for one device, `"mirrored"` for all GPUs of this machine, `"multi-worker"` for all GPUs, or else
        the CPU, of all workers in `TF_CONFIG`. `"auto"` is the last of these that the machine and `TF_CONFIG` allow.

    Raises:
      ValueError: for `"multi-worker"` without workers in `TF_CONFIG`, or too late in a process; or for an invalid
        `TF_CONFIG`.
    """
    cluster = Cluster.from_environment() if name in ("auto", "multi-worker") else None
    if name == "multi-worker" and cluster is None:
        raise ValueError("--strategy multi-worker needs the environment variable TF_CONFIG; see docs/scaling.md.")
    if cluster is not None and len(cluster.workers) > 1:
        if cluster.index == 0:
            names = ", ".join(cluster.workers)
            print(f"Waiting for {len(cluster.workers)} workers: {names}.", file=sys.stderr, flush=True)
        try:
            return Devices(tf.distribute.MultiWorkerMirroredStrategy(), cluster)
        except RuntimeError as error:
            raise ValueError(
                "A process can become one of several workers only before TensorFlow has run anything in it; "
                f"start a new one. TensorFlow says: {error}"
            ) from error
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    devices = [device.name for device in tf.config.list_logical_devices(kind)]
    if name == "mirrored" or (name != "none" and len(devices) > 1 and kind == "GPU"):
        return Devices(tf.distribute.MirroredStrategy(devices))
    return Devices()
