"""Evaluation of the latent space: retrieval of partners across modalities, and clustering of classes.

References:
  [1] Hubert and Arabie, Comparing partitions, 1985: the adjusted Rand index.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tf_jmvae._utils import checks
from tf_jmvae._utils.extras import extra
from tf_jmvae.evaluation.coherence import known_labels
from tf_jmvae.evaluation.estimate import Estimate, Fingerprint, Statistic, bootstrapped, whole_seed
from tf_jmvae.evaluation.scored_rows import scored
from tf_jmvae.models import MultimodalVAE

_BATCH = 500
_PAIRS = 2**22  # largest number of entries of z over the pairs scored at once


def retrieval(
    model: MultimodalVAE,
    data: Mapping[str, Any],
    *,
    query: str | Iterable[str],
    candidates: str | Iterable[str],
    ks: Sequence[int] = (1, 5, 10),
    seed: int = 0,
) -> dict[str, Estimate]:
    """Estimates how often a row's partner is retrieved among the candidates of all rows, by z alone.

    A query a and a candidate b are scored by the log of the integral of q(z|a) q(z|b) / p(z), which is
    log p(a, b) - log p(a) - log p(b) for exact posteriors. Posteriors that are not Gaussian are replaced by Gaussians
    with their mean and variance. Candidates with equal scores are ranked in random order, in expectation.

    Args:
      model: `MultimodalVAE` with a posterior given the query and one given the candidates.
      data: dict of arrays `[N, *event_shape]` by name; the query and candidate of a row are partners.
      query: name of the query modality, or a list of names.
      candidates: name of the modality to retrieve, or a list of names.
      ks: numbers k of best candidates for recall@k, positive integers; by default 1, 5 and 10.
      seed: integer seed of iterated sampling, for models that need it; by default 0.

    Returns:
      Dict of `Estimate` objects: `"recall@<k>"`, whose values are the probability that the partner is among the k best,
      and `"rank"`, 1 for the best.

    Raises:
      ValueError: if a modality is unknown or on both sides, no row is complete, or a posterior is missing.
    """
    query, candidates = map(checks.names_of, (query, candidates))
    if both := sorted({*query} & {*candidates}):
        raise ValueError(f"{both[0]!r} cannot belong to both the query and the candidates.")
    ks = [checks.positive_integer("ks", k) for k in ks]
    seed = whole_seed(seed)
    arrays, _, left_out = scored(model, data, [[name] for name in (*query, *candidates)])
    sides = [_moments(model, {name: arrays[name] for name in names}, seed) for names in (query, candidates)]
    (means, precisions), (others, other_precisions) = ((mean, np.maximum(1 / var, 1.0)) for mean, var in sides)
    size, dim = means.shape
    ahead, tied = np.empty(size), np.empty(size)
    rows = max(_PAIRS // (size * dim), 1)
    for start in range(0, size, rows):
        own = slice(start, start + rows)
        score = _log_ratio(means[own, None], precisions[own, None], others[None], other_precisions[None])
        partner = score[np.arange(len(score)), np.arange(start, start + len(score))][:, None]
        alike = np.isclose(score, partner, rtol=1e-5, atol=1e-4)  # equal up to rounding of float32 encoders
        ahead[own], tied[own] = ((score > partner) & ~alike).sum(axis=1), alike.sum(axis=1)
    found = {f"recall@{k}": np.clip((k - ahead) / tied, 0.0, 1.0) for k in ks}
    found["rank"] = ahead + (tied + 1) / 2
    examples = Fingerprint(arrays).hexdigests()
    what = f"{', '.join(candidates)} found by {', '.join(query)}"
    options = {"settings": {"candidates": size, **left_out}, "examples": examples}
    return {key: Estimate(f"{key} of {what}", "retrieval", value, 1, seed, **options) for key, value in found.items()}


def clustering(
    model: MultimodalVAE,
    data: Mapping[str, Any],
    *,
    given: str | Iterable[str],
    labels: Any = None,
    clusters: int | None = None,
    resamples: int = 20,
    seed: int = 0,
) -> Statistic:
    """Computes the adjusted Rand index [1] between classes and k-means clusters of the means of q(z | given).

    It is 1 if classes and clusters are the same, and 0 in expectation for random clusters.

    Args:
      model: `MultimodalVAE` with a posterior given these modalities.
      data: dict of arrays `[N, *event_shape]` by name.
      given: name of the modality to encode, or a list of names.
      labels: class numbers `[N]`; by default those of the one categorical modality in `data`.
      clusters: number of clusters; by default the number of classes.
      resamples: number of bootstrap resamples for the standard error; by default 20.
      seed: integer seed of k-means and of the resampling; by default 0.

    Returns:
      `Statistic` of the index.

    Raises:
      ImportError: if scikit-learn is missing, which comes with the extra `report`.
      ValueError: if there are fewer rows than clusters, labels have another shape, or the posterior is missing.
    """
    with extra("report", "clustering()"):
        from sklearn.cluster import KMeans
        from sklearn.metrics import adjusted_rand_score
    given = checks.names_of(given)
    seed, resamples = whole_seed(seed), checks.positive_integer("resamples", resamples)
    labels, known = known_labels(model, data, given, labels)
    arrays, kept, left_out = scored(model, data, [[name] for name in given], known)
    labels = labels[kept]
    clusters = len(np.unique(labels)) if clusters is None else checks.positive_integer("clusters", clusters)
    if len(labels) < clusters:
        raise ValueError(f"{clusters} clusters need at least as many rows; got {len(labels)}.")
    means, _ = _moments(model, arrays, seed)
    found = KMeans(clusters, n_init=10, random_state=seed % 2**32).fit_predict(means)
    index, error = bootstrapped(
        lambda rows: float(adjusted_rand_score(labels[rows], found[rows])), len(labels), resamples, seed
    )
    quantity = f"adjusted Rand index of z given {', '.join(given)}"
    settings = {"clusters": clusters, **left_out}
    return Statistic(quantity, "k-means", index, error, resamples, len(labels), seed, settings)


def _log_ratio(mean: np.ndarray, precision: np.ndarray, other: np.ndarray, other_precision: np.ndarray) -> np.ndarray:
    """Computes the log of the integral of N(z; a) N(z; b) / N(z; 0, 1), summed over the last axis."""
    product = np.maximum(precision + other_precision - 1.0, 1.0)
    weighted = mean * precision + other * other_precision
    squares = mean**2 * precision + other**2 * other_precision
    entries = np.log(precision) + np.log(other_precision) - np.log(product) - squares + weighted**2 / product
    return 0.5 * entries.sum(axis=-1)


def _moments(model: MultimodalVAE, observed: Mapping[str, np.ndarray], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Computes the mean and variance of q(z | observed), float64 `[N, D]` each."""
    q = model.posterior(model.read(observed), seed=seed, batch_size=_BATCH, verbose=0)
    return q["mean"].astype(np.float64), np.square(q["standard_deviation"].astype(np.float64))
