"""Where a training step spends its time: seconds of each kind of operation, by TensorFlow's own profiler.

    python benchmarks/profile.py

JMVAE-kl with MNIST's networks (batch 128) and CelebA's (batch 64), in both precisions. Times are added up over threads,
so two cores have two seconds in every second; what no operation takes is the executor's, Python's, or idle.
"""

import collections
import pathlib
import sys
import tempfile
from collections.abc import Iterator

import harness
import keras_side
import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

EXAMPLES = {"mnist": (128, 10_240), "celeba": (64, 256)}
SHOWN = 16


def measure(options: harness.Options) -> dict:
    found = {}
    for architecture, (batch, examples) in EXAMPLES.items():
        for precision in ("float32", "mixed_bfloat16"):
            preset = keras_side.PRESETS[architecture]
            examples = 2 * batch if options.quick else examples
            training = keras_side.Training(keras_side.make(preset, precision), batch, examples, preset)
            with tempfile.TemporaryDirectory() as folder:
                seconds = _profiled(training, folder)
                kinds = _kinds(pathlib.Path(folder))
            steps = 2 * (examples // batch)
            found[f"{architecture}/{batch}, {precision}"] = {
                "milliseconds_per_step": 1e3 * seconds / steps,
                "operations": {kind: 1e3 * took / steps for kind, took in kinds.most_common(SHOWN)},
            }
            _show(found)
    return found


def _profiled(training: keras_side.Training, folder: str) -> float:
    """Seconds of two epochs under the profiler."""
    tf.profiler.experimental.start(folder)
    seconds = harness.seconds_of(lambda: training.fit(2))
    tf.profiler.experimental.stop()
    return seconds


def _kinds(folder: pathlib.Path) -> collections.Counter:
    """Seconds by kind of operation, of all threads."""
    (path,) = folder.rglob("*.xplane.pb")
    space = xplane_pb2.XSpace.FromString(path.read_bytes())
    seconds = collections.Counter()
    for plane in space.planes:
        if plane.name != "/host:CPU":
            continue
        for line in plane.lines:
            for event, own in _own_times(line.events):
                # "model/dense/MatMul:_MklMatMul": the operation, then its kind.
                name = plane.event_metadata[event.metadata_id].name
                if ":" in name and " " not in name:
                    seconds[name.rpartition(":")[2]] += own / 1e12
    return seconds


def _own_times(events) -> Iterator[tuple[object, int]]:
    """Events of one thread with their picoseconds, less those of the events within them."""
    nested, own = [], {}
    for index, event in sorted(enumerate(events), key=lambda item: (item[1].offset_ps, -item[1].duration_ps)):
        while nested and nested[-1][1] <= event.offset_ps:
            nested.pop()
        if nested:
            own[nested[-1][0]] -= event.duration_ps
        own[index] = event.duration_ps
        nested.append((index, event.offset_ps + event.duration_ps))
    return ((events[index], took) for index, took in own.items())


def _show(found: dict) -> None:
    name, values = list(found.items())[-1]
    print(f"{name}: {values['milliseconds_per_step']:.2f} ms per step", flush=True)
    for kind, took in values["operations"].items():
        print(f"  {took:8.3f} ms  {kind}", flush=True)


if __name__ == "__main__":
    sys.exit(harness.run("profile", __doc__, measure))
