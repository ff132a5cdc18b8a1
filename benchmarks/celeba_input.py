"""Whether the input keeps ahead of the training: images per second of each on CelebA, and peak memory.

    python benchmarks/celeba_input.py --celeba-dir FOLDER

The batches alone (gathered, mirrored), then training steps on them, in turns.
"""

import resource
import sys

import harness
import keras_side

from tf_jmvae.optimizers import FusedAdam
from tf_jmvae.training import presets

PRESET = "celeba-jmvae-kl-small"
STEPS = 100
ROUNDS = 3


def measure(options: harness.Options) -> dict:
    steps = 4 if options.quick else STEPS
    config = presets.load(PRESET)
    config = config.model_copy(update={"data": config.data.model_copy(update={"data_dir": options.celeba_dir})})
    source, size = config.data.load(), config.data.batch_size
    model = keras_side.make(PRESET, config.training.precision)
    model.adapt(source.train)
    model.compile(FusedAdam(config.training.learning_rate))
    batches = source.train_batches(size, harness.SEED, epochs=range(1_000_000))
    model.fit(batches, steps_per_epoch=3, verbose=0)

    def input_rate() -> float:
        return steps * size / harness.seconds_of(lambda: sum(1 for _ in batches.take(steps)))

    def training_rate() -> float:
        return steps * size / harness.seconds_of(lambda: model.fit(batches, steps_per_epoch=steps, verbose=0))

    found = harness.alternate({"input": input_rate, "training": training_rate}, options.rounds(ROUNDS))
    harness.show(PRESET, found, "images/s")
    return {
        "preset": PRESET,
        "batch_size": size,
        "images_per_second": found,
        "peak_memory_mebibytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "training_images": len(source.train["x"]),
    }


if __name__ == "__main__":
    sys.exit(harness.run("celeba_input", __doc__, measure))
