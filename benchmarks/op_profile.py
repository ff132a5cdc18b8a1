"""Where the time goes: seconds of each kind of operation, by TensorFlow's own profiler.

    python benchmarks/op_profile.py

A training step of JMVAE-kl with MNIST's networks (batch 128) and CelebA's (batch 64), in both precisions, and MNIST's
joint importance bound. Times are added up over threads, so two cores have two seconds in every second; what no
operation takes is the executor's, Python's, or idle. A product counts once, however many threads help with it.
"""

import collections
import pathlib
import sys
import tempfile
from collections.abc import Callable, Iterator

import harness
import keras_side
import tensorflow as tf
from importance_sampling import SAMPLES
from tensorflow.tsl.profiler.protobuf import xplane_pb2

import tf_jmvae as tj

EXAMPLES = {"mnist": (128, 10_240), "celeba": (64, 256)}
SCORED = 200
SHOWN = 16


def measure(options: harness.Options) -> dict:
    found = {}
    for architecture, (batch, examples) in EXAMPLES.items():
        for precision in ("float32", "mixed_bfloat16"):
            preset = keras_side.PRESETS[architecture]
            examples = 2 * batch if options.quick else examples
            training = keras_side.Training(keras_side.make(preset, precision), batch, examples, preset)
            steps = 2 * (examples // batch)
            name = f"{architecture}/{batch}, {precision}, a step"
            found[name] = _profile(name, lambda training=training: training.fit(2), steps)
    found["importance, an example"] = _importance(options)
    return found


def _importance(options: harness.Options) -> dict:
    samples, examples = (20, 10) if options.quick else (SAMPLES, SCORED)
    model = keras_side.make(keras_side.PRESETS["mnist"])
    batch = keras_side.random_batch(model, examples)

    def score():
        tj.evaluation.joint_log_likelihood(model, batch, num_samples=samples, seed=harness.SEED, verbose=0)

    score()
    return _profile("importance, an example", score, examples)


def _profile(name: str, call: Callable[[], object], units: int) -> dict:
    """Milliseconds of a unit, and those of its operations."""
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        seconds = harness.seconds_of(call)
        tf.profiler.experimental.stop()
        kinds = _kinds(pathlib.Path(folder))
    found = {
        "milliseconds": 1e3 * seconds / units,
        "operations": {kind: 1e3 * took / units for kind, took in kinds.most_common(SHOWN)},
    }
    _show(name, found)
    return found


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


def _show(name: str, found: dict) -> None:
    print(f"{name}: {found['milliseconds']:.2f} ms", flush=True)
    for kind, took in found["operations"].items():
        print(f"  {took:8.3f} ms  {kind}", flush=True)


if __name__ == "__main__":
    sys.exit(harness.run("op_profile", __doc__, measure))
