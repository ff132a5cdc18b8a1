"""Self-training: missing labels are filled in with confident predictions of a trained model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import tensorflow as tf

from tf_jmvae._utils.gaps import missing_rows
from tf_jmvae.data import Source
from tf_jmvae.models import MultimodalVAE
from tf_jmvae.training.run_folder import load_model

_BATCH = 1000


def filled(source: Source, run_dir: Path, confidence: float) -> Source:
    """Fills in missing labels of the training data by the model of a finished run.

    A label is filled in if a class has probability above `confidence` under p(label | z) at the mean of q(z | row), and
    stays missing otherwise. Raises `RunError` if the folder has no model.
    """
    model, train = load_model(run_dir / "model.keras"), dict(source.train)
    for name in model.targets:
        if name in train and model.modalities[name].spec.kind == "label":
            rows = np.flatnonzero(missing_rows(train[name]))
            train[name] = train[name].copy()
            for start in range(0, len(rows), _BATCH):
                chosen = rows[start : start + _BATCH]
                others = {other: values[chosen] for other, values in source.train.items() if other != name}
                train[name][chosen] = _confident_labels(model, name, others, confidence)
    return replace(source, train=train)


def _confident_labels(
    model: MultimodalVAE, name: str, observed: dict[str, np.ndarray], confidence: float
) -> np.ndarray:
    """Predicts one-hot labels of rows, `[B, C]`, NaN where the model is not confident."""
    found = model.generate(model.read(observed), targets=[name], latent="mean", seed=0)[name]
    one_hot = tf.one_hot(tf.argmax(found, axis=-1), found.shape[-1]).numpy()
    return np.where(np.max(found, axis=-1, keepdims=True) > confidence, one_hot, np.float32(np.nan))
