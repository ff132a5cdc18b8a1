"""What a run was: its headline in words, its numbers with their errors, and its settings in groups."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tf_jmvae.report.page.curves import meaning
from tf_jmvae.report.page.numbers import aligned, decimals, duration, number, percent
from tf_jmvae.report.page.record import Record

__all__ = ["headline", "key_numbers", "likelihoods", "metrics", "settings"]

_KINDS = {
    "vae": "VAE",
    "jmvae": "JMVAE",
    "jmvae-kl": "JMVAE-kl",
    "jmvae-kl-gan": "JMVAE-kl with a GAN",
    "hierarchical-jmvae": "hierarchical JMVAE",
    "cvae": "CVAE",
    "cmma": "CMMA",
}
_DATASETS = {"mnist": "MNIST", "celeba": "CelebA", "digits": "scikit-learn's digits"}
_LEFT_OUT = {"modalities", "run_dir", "overwrite", "source", "discriminator", "data_dir"}

# Without the words that say of what it is the estimator, which its row says.
_ESTIMATORS = {
    "bound": "lower bound, Eq. (11)",
    "monte carlo": "Monte Carlo",
    "importance": "importance sampling",
}


def headline(record: Record) -> str:
    """One sentence: which model, of what, trained on what, for how long."""
    config = record.config
    kind = _KINDS.get(config.model.kind, f"model {config.model.kind!r}")
    dataset = _DATASETS.get(config.data.dataset, config.data.dataset)
    parts = [
        f"{name} ({'×'.join(map(str, m.event_shape))}, {m.likelihood})" for name, m in config.model.modalities.items()
    ]
    text = f"A {kind} of {' and '.join(parts)}, trained on {dataset}"
    if config.model.target:
        text += f" to make {config.model.target} from the rest"
    if record.epochs:
        text += f" for {record.epochs} epoch{'s' if record.epochs > 1 else ''}"
    return text + (f" in {duration(record.seconds)}." if record.seconds else ".")


def key_numbers(record: Record) -> list[tuple[str, str]]:
    """Up to four numbers that say most, with what they are."""
    found = []
    if "elbo" in record.metrics:
        found.append((number(record.metrics["elbo"], 1), "nats: the bound on the test set"))
    elif record.history.get("elbo"):
        found.append((number(record.history["elbo"][-1], 1), "nats: the bound in the last epoch of training"))
    for name, value in record.metrics.items():
        if name.startswith("accuracy_") and "_from_" in name:
            target, _, given = name[9:].partition("_from_")
            found.append((percent(value), f"of {target} named right from {given.replace('_and_', ' and ')}"))
    found.append((str(record.config.model.latent_dim), "numbers in z"))
    if record.seconds:
        found.append((duration(record.seconds), f"for {record.epochs} epochs"))
    return found[:4]


def likelihoods(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Rows of an evaluation as texts: quantity, estimator, mean, error, ess and samples.

    The mean is rounded to the place of the second digit of its standard error.
    """
    places = [decimals(row.get("standard_error")) for row in rows]
    means = aligned([number(row.get("mean"), p) for row, p in zip(rows, places, strict=True)])
    errors = aligned([number(row.get("standard_error"), p) for row, p in zip(rows, places, strict=True)])
    return [
        {
            "quantity": row["quantity"],
            "estimator": _estimator(str(row["estimator"]).replace("_", " ")),
            "mean": mean,
            "error": error,
            "ess": "" if row.get("effective_sample_size") is None else number(row["effective_sample_size"], 1),
            "samples": f"{row['num_samples']:,}",
        }
        for row, mean, error in zip(rows, means, errors, strict=True)
    ]


def _estimator(name: str) -> str:
    return _ESTIMATORS.get(re.sub("^(conditional|joint|marginal) ", "", name).lower(), name)


def metrics(values: Mapping[str, float]) -> list[dict[str, str]]:
    """Rows of name, value and meaning: the bound first, fractions in per cent."""
    order = sorted(values, key=lambda name: (name != "elbo", not name.startswith("accuracy"), name == "loss"))
    texts = aligned(
        [percent(values[name]) if name.startswith("accuracy") else number(values[name], 2) for name in order]
    )
    return [{"name": name, "value": text, "meaning": meaning(name)} for name, text in zip(order, texts, strict=True)]


def settings(record: Record) -> list[tuple[str, list[tuple[str, str]]]]:
    """Groups of names and values: what was set, and where it ran."""
    config = record.config.model_dump(mode="json")
    groups = [("Model", _rows(config["model"]))]
    groups.extend((f"Modality {name}", _rows(modality)) for name, modality in config["model"]["modalities"].items())
    groups.append(("Training", _rows(config["training"])))
    groups.append(("Data", _rows(config["data"])))
    run = {name: config[name] for name in ("preset", "seed", "num_steps")}
    groups.append(("Run", _rows(run | {"commit": record.commit or "unknown"})))
    groups.append(("Versions", _rows(record.versions)))
    return [(title, rows) for title, rows in groups if rows]


def _rows(values: dict[str, Any]) -> list[tuple[str, str]]:
    shown = {name: value for name, value in values.items() if name not in _LEFT_OUT and value not in (None, [], "")}
    return [(name, _text(value)) for name, value in shown.items()]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return "; ".join(f"{name} {_text(item)}" for name, item in value.items() if item)
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) if len(value) <= 6 else f"{len(value)} entries"
    return f"{value:g}" if isinstance(value, float) else str(value)
