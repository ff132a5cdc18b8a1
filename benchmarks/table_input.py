"""Whether the input of a table of 100,000 pictures on the disk keeps ahead of the training.

    python benchmarks/table_input.py

The pictures are JPEG files of 64x64 pixels, made here, beside a CSV file that names them. Reading them decodes each
once and keeps a copy of their pixels; reading them again finds the copy. Then the batches alone, and training steps on
them, beside steps on one batch that is in memory already, in turns.
"""

import os
import pathlib
import resource
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import harness
import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from PIL import Image

import tf_jmvae as tj
from tf_jmvae.optimizers import FusedAdam

PICTURES, SIDE, BATCH = 100_000, 64, 64
STEPS = 60
ROUNDS = 3


def measure(options: harness.Options) -> dict:
    size, steps = (400, 2) if options.quick else (PICTURES, STEPS)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TF_JMVAE_CACHE"] = folder  # of copies
        made = harness.seconds_of(lambda: _write(pathlib.Path(folder), size))
        print(f"{size:,} files written in {made:.0f} s", flush=True)
        found = []

        def read() -> None:
            found[:] = tj.data.from_table(
                pathlib.Path(folder) / "table.csv", {"photo": {"kind": "image", "size": SIDE}, "kind": "category"}
            )

        seconds = {"first": harness.seconds_of(read), "again": harness.seconds_of(read)}
        modalities, source = found
        keras.utils.set_random_seed(harness.SEED)
        model = tj.JMVAEKL(modalities, latent_dim=64)
        model.adapt({name: values[: 100 * BATCH] for name, values in source.train.items()})
        model.compile(FusedAdam(1e-3))
        batches = source.train_batches(BATCH, harness.SEED, epochs=range(1_000_000))
        same = tf.data.Dataset.from_tensors(next(iter(batches))).repeat()
        model.fit(batches, steps_per_epoch=3, verbose=0)

        def rate_of(call) -> float:
            return steps * BATCH / harness.seconds_of(call)

        rates = {
            "input": lambda: rate_of(lambda: sum(1 for _ in batches.take(steps))),
            "training": lambda: rate_of(lambda: model.fit(batches, steps_per_epoch=steps, verbose=0)),
            "training on one batch": lambda: rate_of(lambda: model.fit(same, steps_per_epoch=steps, verbose=0)),
        }
        measured = harness.alternate(rates, options.rounds(ROUNDS))
        harness.show("table of pictures", measured, "images/s")
    return {
        "pictures": size,
        "side": SIDE,
        "batch_size": BATCH,
        "seconds_to_read": seconds,
        "images_per_second": measured,
        "peak_memory_mebibytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _write(folder: pathlib.Path, size: int) -> None:
    """The table, and smooth random pictures, a thousand in a folder."""
    names = [f"pictures/{number // 1000}/{number}.jpg" for number in range(size)]
    for name in names[::1000]:
        (folder / name).parent.mkdir(parents=True)

    def write(number: int) -> None:
        coarse = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(folder / names[number], quality=90)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(write, range(size)))
    pd.DataFrame({"photo": names, "kind": np.arange(size) % 10}).to_csv(folder / "table.csv", index=False)


if __name__ == "__main__":
    sys.exit(harness.run("table_input", __doc__, measure))
