"""Whether the input keeps ahead of the training: images per second of each on CelebA, and peak memory.

    python benchmarks/celeba_input.py --data-dir FOLDER

The batches alone (gathered, mirrored, standardised), then training steps on them, alternating.
"""

import argparse
import json
import pathlib
import resource
import statistics
import sys
import time

import keras

from tf_jmvae.files import write_json
from tf_jmvae.provenance import environment
from tf_jmvae.training import presets
from tf_jmvae.training.build import build_model

SEED = 0
RESULTS = pathlib.Path(__file__).parent / "results" / "celeba_input.json"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=pathlib.Path)
    parser.add_argument("--preset", default="celeba-jmvae-kl-small")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()

    config = presets.load(arguments.preset)
    config = config.model_copy(update={"data": config.data.model_copy(update={"data_dir": arguments.data_dir})})
    source = config.data.load()
    keras.utils.set_random_seed(SEED)
    keras.config.set_dtype_policy(config.training.precision)
    model = build_model(config.model)
    model.compile(keras.optimizers.Adam(config.training.learning_rate))
    size = config.data.batch_size
    batches = source.train_batches(size, SEED, passes=range(1_000_000))
    model.fit(batches, steps_per_epoch=10, verbose=0)

    rates = {"input": [], "training": []}
    for _ in range(arguments.rounds):
        start = time.perf_counter()
        for _ in batches.take(arguments.steps):
            pass
        rates["input"].append(arguments.steps * size / (time.perf_counter() - start))
        start = time.perf_counter()
        model.fit(batches, steps_per_epoch=arguments.steps, verbose=0)
        rates["training"].append(arguments.steps * size / (time.perf_counter() - start))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    result = {
        "preset": arguments.preset,
        "batch_size": size,
        "images_per_second": medians,
        "ratio": medians["input"] / medians["training"],
        "rounds": rates,
        "peak_memory_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "training_images": len(source.train["x"]),
    }
    print(json.dumps(result, indent=2))
    write_json(RESULTS, {**result, "seed": SEED, **environment()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
