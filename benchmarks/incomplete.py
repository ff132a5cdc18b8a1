"""What rows that lack modalities cost in training, beside complete ones, in one run and in turns.

JMVAE-kl of the MNIST preset on random data in memory, batches of 128: nothing may be missing; something may be and is
not; and fractions of the labels or of the images are missing.

    python benchmarks/incomplete.py
"""

import functools
import sys

import harness
import keras
import keras_side

from tf_jmvae.training import presets
from tf_jmvae.training.build import build_model
from tf_jmvae.training.config import Config

BATCH, EXAMPLES, SECONDS, ROUNDS = 128, 10_240, 2.0, 5
CASES = {  # what may be missing, and which fraction is
    "nothing may be missing": {},
    "w may be missing": {"w": 0.0},
    "10% of w missing": {"w": 0.1},
    "50% of w missing": {"w": 0.5},
    "90% of w missing": {"w": 0.9},
    "50% of x missing": {"x": 0.5},
}


def measure(options: harness.Options) -> dict:
    measures = {}
    for name, missing in CASES.items():
        examples = 2 * BATCH if options.quick else EXAMPLES
        training = keras_side.Training(_model(missing), BATCH, examples, missing=missing)
        measures[name] = functools.partial(training.examples_per_second, options.seconds(SECONDS))
    found = harness.alternate(measures, options.rounds(ROUNDS))
    harness.show(f"batch {BATCH}", found, "examples/s")
    complete = found["nothing may be missing"]["median"]
    costs = {name: complete / values["median"] for name, values in found.items()}
    for name, cost in costs.items():
        print(f"an epoch, {name}: {cost:.3f} times the complete one")
    return {"batch": BATCH, "examples_per_second": found, "cost_of_an_epoch": costs}


def _model(optional: dict[str, float]) -> keras.Model:
    config = presets.load(keras_side.PRESETS["mnist"])
    changes = {"model": {"modalities": {name: {"optional": True} for name in optional}}}
    keras.utils.set_random_seed(harness.SEED)
    return build_model(Config.model_validate(presets.merge(config.model_dump(), changes)).model)


if __name__ == "__main__":
    sys.exit(harness.run("incomplete", __doc__, measure))
