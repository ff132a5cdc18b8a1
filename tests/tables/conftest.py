"""Models of tables that several files ask, trained and exported once in each process."""

import io

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from PIL import Image

import tf_jmvae as tj
from tests.small_models import set_seeds


def picture(colour):
    file = io.BytesIO()
    Image.new("RGB", (10, 10), colour).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    random = np.random.default_rng(0)
    kinds = random.choice(["cat", "dog"], 40)
    table = pd.DataFrame(
        {
            "size": np.where(kinds == "cat", 4.0, 9.0) + random.normal(size=40),
            "kind": kinds,
            "said": [f"a {kind}" for kind in kinds],
            "photo": [picture("red" if kind == "cat" else "blue") for kind in kinds],
        }
    )
    networks = {"encoder": (8,), "decoder": (8,)}
    description = {
        "size": {"kind": "numbers", **networks},
        "kind": {"kind": "category", **networks},
        "said": {"kind": "text", **networks},
        "photo": {"kind": "image", "size": 4, **networks},
    }
    modalities, source = tj.data.from_table(table, description)
    set_seeds(0)
    model = tj.JMVAEKL(modalities, latent_dim=2, subsets="single")
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(source.train_batches(8), epochs=1, verbose=0)
    observed = [["kind"], ["size", "kind"]]
    path = tj.serving.export(model, tmp_path_factory.mktemp("exported") / "pets", observed=observed)
    return model, table, path, tf.saved_model.load(str(path)).signatures


@pytest.fixture(scope="session")
def of_numbers(tmp_path_factory):
    """A model of cells that are averaged over samples, by importance."""
    random = np.random.default_rng(1)
    kinds = random.choice(["cat", "dog"], 40)
    tame = random.choice(["yes", "no"], 40)
    table = pd.DataFrame(
        {
            "size": np.where(kinds == "cat", 40.0, 90.0) + random.normal(size=40),
            "age": random.normal(5, 2, 40),
            "kind": kinds,
            "tame": tame,
            "legs": random.poisson(4, 40),
        }
    )
    networks = {"encoder": (8,), "decoder": (8,)}
    description = {
        "numbers": {"kind": "numbers", "columns": ["size", "age"], **networks},
        "kind": {"kind": "category", **networks},
        "tame": {"kind": "attributes", **networks},
        "legs": {"kind": "counts", **networks},
    }
    modalities, source = tj.data.from_table(table, description)
    set_seeds(0)
    model = tj.JMVAEKL(modalities, latent_dim=2, subsets="single")
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(source.train_batches(8), epochs=2, verbose=0)
    path = tj.serving.export(model, tmp_path_factory.mktemp("numbers") / "pets", observed=[["kind"]])
    return model, table, path, None
