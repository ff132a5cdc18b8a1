"""Self-training: missing labels are filled in with confident predictions of a trained model."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from tf_jmvae._utils.gaps import missing_rows
from tf_jmvae.data import Source
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
                found = model.generate(model.read(others), targets=[name], latent="mean", seed=0)[name].numpy()
                labels = np.eye(found.shape[-1], dtype=np.float32)[found.argmax(axis=-1)]
                certain = found.max(axis=-1, keepdims=True) > confidence
                train[name][chosen] = np.where(certain, labels, np.float32(np.nan))
    return replace(source, train=train)
