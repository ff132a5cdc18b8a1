"""Thousands of damaged batches of incomplete rows: refused with a message, or scored with finite numbers."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from record import SEED, WRITES, record
from small_models import set_seeds, small_batch, small_modalities

import tf_jmvae as tj

TIMES = 15_000 if WRITES else 5_000
SIZE = 6
ODD = (np.nan, np.inf, -np.inf, -1.0, 0.5, 2.0, 1e30, 1e-30, -0.0)


@pytest.fixture(scope="module")
def model():
    set_seeds(1)
    modalities = small_modalities("xwcv")
    modalities["w"].optional = modalities["x"].optional = True
    networks = {"encoder": tj.networks.mlp([8]), "decoder": tj.networks.mlp([8])}
    for name, shape, likelihood in (("c", (5,), "counts"), ("v", (2,), "gaussian")):
        modalities[name] = tj.Modality(shape, likelihood, optional="entries", **networks)
    return tj.JMVAEKL(modalities, 2)


def _damaged(random):
    """A good batch with gaps, changed in one to four ways."""
    batch = small_batch("xwcv", SIZE, seed=int(random.integers(1000)))
    for name in batch:
        batch[name][random.random(SIZE) < 0.3] = np.nan
    for _ in range(random.integers(1, 5)):
        name = random.choice(list(batch))
        value = batch[name]
        if not isinstance(value, np.ndarray) or value.dtype == object or value.ndim == 0 or not value.size:
            continue
        index = tuple(int(random.integers(size)) for size in value.shape)
        match int(random.integers(12)):
            case 0 | 1 | 2:
                batch[name] = value.astype(np.float64)
                batch[name][index] = random.choice(ODD)
            case 3:
                batch[name] = value.astype(np.float64)
                batch[name][index[0]] = random.choice(ODD)
            case 4:
                batch[name] = value[: random.integers(SIZE + 1)]
            case 5:
                batch[name] = value[..., None] if random.random() < 0.5 else value[..., 0]
            case 6:
                batch[name] = np.ma.MaskedArray(value, random.random(value.shape) < 0.2)
            case 7:
                batch[name] = np.where(np.isnan(value), random.choice([None, pd.NA, "", "?"]), value.astype(object))
            case 8:
                batch[name] = value.tolist()
            case 9 if value.ndim == 2:
                batch[name] = pd.DataFrame(value)
            case 10:
                batch[random.choice(["y", "X", "w_"])] = batch.pop(name)
            case _:
                batch.pop(name)
        if not batch:
            batch = {"x": None}
    return batch


def test_damaged_batches_are_refused_with_a_message_or_scored(model):
    random = np.random.default_rng(SEED)
    score = tf.function(
        lambda batch: {name: term.value for name, term in model.objective(batch, tf.constant([1, 2])).items()},
        reduce_retracing=True,
    )
    refused, scored = [], 0
    for _ in range(TIMES):
        batch = _damaged(random)
        try:
            tensors = model.checked(batch)
        except (TypeError, ValueError) as error:
            refused.append(str(error))
            continue
        if len(tensors) == len(model.modalities) and len(tensors["x"]) == SIZE:
            for name, values in score(tensors).items():
                assert not np.isnan(values).any(), (name, batch)
            scored += 1
    assert min(len(refused), scored) > TIMES / 8
    assert all(20 < len(message) < 2000 for message in refused)
    record(
        "damaged batches of incomplete rows",
        TIMES,
        f"refused with a message ({len(refused):,}), scored without NaN ({scored:,}), or of fewer rows or modalities, "
        f"which pass the same checks ({TIMES - len(refused) - scored:,})",
    )
