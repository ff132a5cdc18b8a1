"""Plan of the study of tables: drafts of `tf-jmvae init`, unchanged, on tables without a fifth of their cells.

The tables ship with scikit-learn. The drafts are not edited, so the results are those of a user who runs `init`,
`train` and `fill`. The defaults of drafts were chosen on other cells, hidden from those that removal 0 leaves.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from sklearn import datasets

from tf_jmvae._utils.files import replace_atomically, write_text
from tf_jmvae.columns import read_table
from tf_jmvae.tables import description
from tf_jmvae.tables.draft import draft, guesses
from tf_jmvae.training import presets
from tf_jmvae.training.config import Config

if TYPE_CHECKING:
    import pandas as pd

TABLES = ("wine", "breast_cancer", "diabetes", "iris")
FRACTION = 0.2  # fraction of cells to remove


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Size of the study."""

    tables: tuple[str, ...] = TABLES
    removals: int = 3  # per table, each with its own training
    training: Mapping[str, int] | None = None  # merged over the drafts' settings
    num_samples: int = 100  # samples of z for each filled cell
    resamples: int = 1000  # bootstrap resamples for each standard error


SCALES = {
    "full": Scale(),
    "quick": Scale(tables=("iris",), removals=2, training={"epochs": 1, "kl_warm_up": 0}, num_samples=3, resamples=20),
}


def name_of(table: str, removal: int) -> str:
    """Returns the name of a training."""
    return f"{table}-{removal}"


def whole(name: str) -> tuple["pd.DataFrame", str]:
    """Loads a table of scikit-learn, with class names as cells, and the name of the column of classes."""
    options = {"scaled": False} if name == "diabetes" else {}
    loaded = getattr(datasets, f"load_{name}")(as_frame=True, **options)
    table = loaded.frame.copy()
    if name == "diabetes":
        category, table["sex"] = (
            "sex",
            np.where(table["sex"] == 1, "first", "second"),
        )  # the dataset does not document which is which
    else:
        category, table["target"] = "target", np.asarray(loaded.target_names, object)[table["target"]]
    return table, category


def removed(shape: tuple[int, int], removal: int, seed: int) -> np.ndarray:
    """Returns which cells to remove, Boolean `[N, columns]`: a fifth of them."""
    cells = np.zeros(shape[0] * shape[1], bool)
    order = np.random.default_rng((seed, removal)).permutation(cells.size)
    cells[order[: round(FRACTION * cells.size)]] = True
    return cells.reshape(shape)


def configs(scale: Scale, folder: Path, seed: int) -> dict[str, Config]:
    """Makes the configuration of every training, by name; writes its table and its draft to `folder/tables`."""
    made = {}
    for name in scale.tables:
        table, _ = whole(name)
        for removal in range(scale.removals):
            training = name_of(name, removal)
            path = folder / "tables" / f"{training}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            gaps = table.mask(removed(table.shape, removal, seed))
            replace_atomically(path, lambda temporary, gaps=gaps: gaps.to_csv(temporary, index=False))
            read = read_table(path)
            write_text(path.with_suffix(".toml"), draft(read, path.name, guesses(read), {}))
            config = description.load(path.with_suffix(".toml"))
            changes = {
                "run_dir": folder / training,
                "seed": seed + removal,
                "training": {"tensorboard": False, **(scale.training or {})},
            }
            made[training] = Config.model_validate(presets.merge(config.model_dump(), changes))
    return made
