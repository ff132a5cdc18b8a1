"""scikit-learn's imputers for the study of tables, with standardised numbers and encoded categories."""

import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - without it IterativeImputer is not imported
from sklearn.impute import IterativeImputer, KNNImputer

if TYPE_CHECKING:
    import pandas as pd

# By name: the imputer from a seed, and whether the category is one column of class numbers, or one column for each
# class but the first; with a column for every class, the others would always determine it in IterativeImputer.
PEERS: Mapping[str, tuple[Callable[[int], IterativeImputer | KNNImputer], bool]] = {
    "iterative": (lambda seed: IterativeImputer(random_state=seed), False),
    "iterative-one": (lambda seed: IterativeImputer(random_state=seed), True),
    "neighbours": (lambda seed: KNNImputer(), False),
    "neighbours-10": (lambda seed: KNNImputer(n_neighbors=10), False),
}


def filled(table: "pd.DataFrame", category: str, peer: str, seed: int) -> "pd.DataFrame":
    """Fills the missing cells of a table.

    Args:
      table: `DataFrame` with missing cells: one column of class names, and numbers.
      category: name of the column of class names.
      peer: one of the names in `PEERS`.
      seed: integer seed of the imputer.

    Returns:
      New `DataFrame` with the same columns.
    """
    make, one_column = PEERS[peer]
    numbers = table.drop(columns=category).astype(float)
    means, stddevs = numbers.mean(), numbers.std(ddof=0)
    names = sorted(table[category].dropna().unique())
    codes = table[category].map(names.index, na_action="ignore").to_numpy(float)[:, None]
    classes = codes if one_column else np.where(np.isnan(codes), np.nan, codes == np.arange(1, len(names)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        cells = make(seed).fit_transform(np.concatenate([(numbers - means) / stddevs, classes], axis=1))
    found, classes = numbers.copy(), cells[:, numbers.shape[1] :]
    found[:] = cells[:, : numbers.shape[1]] * stddevs.to_numpy() + means.to_numpy()
    if one_column:
        best = np.clip(np.rint(classes[:, 0]), 0, len(names) - 1).astype(int)
    else:
        best = np.concatenate([1 - classes.sum(axis=1, keepdims=True), classes], axis=1).argmax(axis=1)
    found[category] = np.array(names, object)[best]
    return found[table.columns]
