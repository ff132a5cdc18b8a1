"""How long one waits before anything happens: commands from cold, the first training step, first calls of signatures.

    python benchmarks/start.py

Commands are processes of their own, whose files the system has read before; what they can be at least is that of
importing TensorFlow and Keras. The first step is that of `fit`, with what it needs: data, statistics, tracing and
compilation; beside it a step of later epochs of one step each. Each signature of the pre-trained model is called once,
with one row, and then again.
"""

import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile

import harness
import keras
import keras_side
import numpy as np
import tensorflow as tf

import tf_jmvae as tj
from tf_jmvae._utils import pretrained

ROUNDS = 5
TRAININGS = {"mnist": 128, "celeba": 64}  # the batch
SECONDS = 2.0  # of the steps after the first
COMMANDS = {  # arguments of Python
    "import tensorflow, keras": ["-c", "import tensorflow, keras"],
    "import tf_jmvae": ["-c", "import tf_jmvae"],
    "tf-jmvae --help": ["-m", "tf_jmvae", "--help"],
    "tf-jmvae info": ["-m", "tf_jmvae", "info"],
    "tf-jmvae generate --given w=3": ["-m", "tf_jmvae", "generate", "--given", "w=3"],
}


def measure(options: harness.Options) -> dict:
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        seconds = harness.alternate(
            {name: lambda arguments=arguments: _command(arguments) for name, arguments in COMMANDS.items()},
            options.rounds(ROUNDS),
        )
    harness.show("from cold", seconds, "s")
    return {"seconds": seconds, "fit": _first_steps(options), "signatures": _first_calls()}


def _command(arguments: list[str]) -> float:
    path = os.pathsep.join([str(harness.HERE.parent), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, *arguments]
    return harness.seconds_of(lambda: subprocess.run(command, check=True, capture_output=True, env=environment))


def _first_steps(options: harness.Options) -> dict[str, dict[str, float]]:
    """Seconds of the first step of `fit` and of one of those after it, by the preset's name."""
    found = {}
    for name, batch in TRAININGS.items():
        keras.backend.clear_session()
        preset = keras_side.PRESETS[name]
        batch = 8 if options.quick else batch
        model, made = keras_side.make(preset), []
        first = harness.seconds_of(
            lambda: made.append(keras_side.Training(model, batch, batch, preset))  # noqa: B023 called at once
        )
        after = batch / made[0].examples_per_second(options.seconds(SECONDS))
        found[preset] = {"first": first, "after": after, "batch": batch}
        print(f"{preset}: the first step {first:.1f} s, one after it {after:.3f} s", flush=True)
    return found


def _first_calls() -> dict[str, dict[str, float]]:
    """Milliseconds of the first and of the second call of each signature of the pre-trained model, by its name."""
    path = pathlib.Path(pretrained.located("mnist_jmvae_kl"))
    path = max(path.glob("[0-9]*"))
    found = {"load": {"first": 1e3 * harness.seconds_of(lambda: tj.hub.load(path))}}
    loaded = tf.saved_model.load(str(path))
    image = tf.io.encode_png(np.zeros((28, 28, 1), np.uint8))
    for name, signature in sorted(loaded.signatures.items()):
        inputs = {
            key: tf.reshape(image, (1,)) if spec.dtype == tf.string else tf.zeros((1, *spec.shape[1:]), spec.dtype)
            for key, spec in signature.structured_input_signature[1].items()
        }
        found[name] = {
            which: 1e3 * harness.seconds_of(lambda: signature(**inputs))  # noqa: B023 called at once
            for which in ("first", "second")
        }
    firsts = [at["first"] for name, at in found.items() if name != "load"]
    print(f"{len(firsts)} signatures: first calls {np.median(firsts):.0f} ms, at most {max(firsts):.0f} ms", flush=True)
    return found


if __name__ == "__main__":
    sys.exit(harness.run("start", __doc__, measure))
