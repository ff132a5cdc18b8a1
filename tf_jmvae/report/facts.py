"""Texts of a run: its headline, its settings, and its numbers, rounded to their errors and aligned."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tf_jmvae.report.record import Record

_KINDS = {
    "vae": "VAE",
    "jmvae": "JMVAE",
    "jmvae-kl": "JMVAE-kl",
    "jmvae-kl-gan": "JMVAE-kl with a GAN",
    "hierarchical-jmvae": "hierarchical JMVAE",
    "cvae": "CVAE",
    "cmma": "CMMA",
}
_DATASETS = {
    "mnist": "MNIST",
    "celeba": "CelebA",
    "digits": "scikit-learn's digits",
    "five-digits": "five views of a digit",
    "spoken-digits": "spoken and written digits",
}
_LEFT_OUT = {"modalities", "run_dir", "overwrite", "source", "discriminator", "data_dir"}

# Names without the prefix "conditional", "joint" or "marginal", which the row shows.
_ESTIMATORS = {
    "bound": "lower bound, Eq. (11)",
    "monte carlo": "Monte Carlo",
    "importance": "importance sampling",
}
_MEANINGS = {
    "elbo": "The lower bound on the log-likelihood; higher is better.",
    "objective": "What training maximises: for JMVAE-kl, the bound minus alpha times its KL terms; higher is better.",
    "loss": "What the optimizer minimises: the negative objective, with KL warm-up and modality weights.",
    "discriminator_loss": "The discriminator's loss.",
    "generator_loss": "How far the image decoder is from deceiving the discriminator.",
    "accuracy_real": "Fraction of real images that the discriminator classifies as real.",
    "accuracy_reconstructed": "Fraction of reconstructions that the discriminator classifies as generated.",
    "accuracy_sampled": "Fraction of images from the prior that the discriminator classifies as generated.",
}
_FIGURE_SPACE, _POINT_SPACE = "\u2007", "\u2008"


def headline(record: Record) -> str:
    """Returns a sentence with the model, its modalities, its training data and its duration."""
    config = record.config
    kind = _KINDS.get(config.model.kind, f"model {config.model.kind!r}")
    dataset = _DATASETS.get(config.data.dataset, config.data.dataset)
    dataset = config.data.table.name if config.data.table else dataset
    parts = [
        f"{name} ({'×'.join(map(str, m.event_shape))}, {m.likelihood})" for name, m in config.model.modalities.items()
    ]
    text = f"A {kind} of {_joined(parts)}, trained on {dataset}"
    if config.model.target:
        text += f" to generate {config.model.target} from the rest"
    if record.epochs:
        text += f" for {record.epochs} epoch{'s' if record.epochs > 1 else ''}"
    return text + (f" in {_duration(record.seconds)}." if record.seconds else ".")


def _joined(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 2 else parts)


def key_numbers(record: Record) -> list[tuple[str, str]]:
    """Returns up to four key numbers with their descriptions."""
    found = []
    if "elbo" in record.metrics:
        found.append((number(record.metrics["elbo"], 1), "nats, lower bound on the test set"))
    elif record.history.get("elbo"):
        found.append((number(record.history["elbo"][-1], 1), "nats, lower bound in the last training epoch"))
    for name, value in record.metrics.items():
        if named := _named(name):
            found.append((percent(value), f"of {named}"))
    found.append((str(record.config.model.latent_dim), "dimensions of z"))
    if record.seconds:
        found.append((_duration(record.seconds), f"for {record.epochs} epochs"))
    return found[:4]


def likelihoods(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Formats rows of an evaluation as texts: quantity, estimator, mean, error, ess and samples.

    The mean is rounded to the second significant digit of its standard error.
    """
    shown = []
    for row in rows:
        places, name = _decimals(row.get("standard_error")), str(row["estimator"]).replace("_", " ")
        shown.append(
            {
                "quantity": row["quantity"],
                "estimator": _ESTIMATORS.get(re.sub("^(conditional|joint|marginal) ", "", name).lower(), name),
                "mean": number(row.get("mean"), places),
                "error": number(row.get("standard_error"), places),
                "ess": "" if row.get("effective_sample_size") is None else number(row["effective_sample_size"], 1),
                "samples": f"{row['num_samples']:,}",
            }
        )
    return _aligned(shown, "mean", "error")


def metrics(values: Mapping[str, float]) -> list[dict[str, str]]:
    """Formats metrics as rows of name, value and meaning: the bound first, fractions in per cent."""
    shown = []
    for name in sorted(values, key=lambda name: (name != "elbo", not name.startswith("accuracy"), name == "loss")):
        text = percent(values[name]) if name.startswith("accuracy") else number(values[name], 2)
        shown.append({"name": name, "value": text, "meaning": meaning(name)})
    return _aligned(shown, "value")


def meaning(name: str) -> str:
    """Explains a term or a metric to readers who are new to it."""
    if name in _MEANINGS:
        return _MEANINGS[name]
    if name.startswith("kl_prior"):
        layer = name.removeprefix("kl_prior").strip("_")
        of_layer = f" of layer {layer}" if layer else ""
        return f"How much information z{of_layer} carries: its KL divergence from the prior."
    if name.startswith("kl_"):
        subset = name[3:].replace("_and_", " and ")
        return f"How far z inferred from {subset} alone is from z of all modalities; 0 is perfect."
    if name.startswith("log_p_"):
        return f"How well {name[6:]} is reconstructed from z; higher is better."
    named = _named(name)
    return f"Fraction of {named}." if named else ""


def _named(metric: str) -> str:
    """Describes an accuracy such as `accuracy_w_from_x`; empty for other metrics."""
    match = re.fullmatch("accuracy_(.+?)_from_(.+)", metric)
    return f"{match[1]} predicted correctly from {match[2].replace('_and_', ' and ')}" if match else ""


def settings(record: Record) -> list[tuple[str, list[tuple[str, str]]]]:
    """Returns groups of names and values of the settings and the environment."""
    config = record.config.model_dump(mode="json")
    run = {name: config[name] for name in ("preset", "seed", "num_steps")}
    groups = {
        "Model": config["model"],
        **{f"Modality {name}": modality for name, modality in config["model"]["modalities"].items()},
        "Training": config["training"],
        "Data": config["data"],
        "Run": run | {"commit": record.commit or "unknown"},
        "Versions": record.versions,
    }
    shown = []
    for title, values in groups.items():
        kept = [name for name, value in values.items() if name not in _LEFT_OUT and value not in (None, [], "")]
        if kept:
            shown.append((title, [(name, _text(values[name])) for name in kept]))
    return shown


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return "; ".join(f"{name} {_text(item)}" for name, item in value.items() if item)
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) if len(value) <= 6 else f"{len(value)} entries"
    return f"{value:g}" if isinstance(value, float) else str(value)


def number(value: float | None, places: int) -> str:
    """Formats a number with this many decimal places; a dash if it is missing."""
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value:,.{places}f}"
    if float(text.replace(",", "")) == 0:
        text = text.removeprefix("-")
    return text.replace("-", "−")


def _decimals(standard_error: float | None) -> int:
    """Returns the decimal places, 0 to 4, that give a standard error two digits; 2 if it is unknown."""
    if standard_error is None or not math.isfinite(standard_error) or standard_error <= 0:
        return 2
    return min(4, max(0, 1 - math.floor(math.log10(standard_error))))


def percent(fraction: float) -> str:
    """Formats a fraction in per cent, with one decimal place."""
    return f"{fraction:.1%}"


def _duration(seconds: float) -> str:
    """Formats a duration in its two largest units."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _aligned(rows: list[dict[str, str]], *columns: str) -> list[dict[str, str]]:
    """Pads the numbers in columns so that their decimal points are aligned."""
    for column in columns:
        places = [len(row[column].partition(".")[2]) for row in rows]
        most = max(places, default=0)
        for row, own in zip(rows, places, strict=True):
            row[column] += ("" if own or not most else _POINT_SPACE) + _FIGURE_SPACE * (most - own)
    return rows
