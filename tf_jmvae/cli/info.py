"""`tf-jmvae info`: what a model or a run is, or what is installed."""

import json
from dataclasses import dataclass
from typing import Annotated, Any

import tyro

from tf_jmvae._utils.tables import aligned, first_of, lines
from tf_jmvae.cli import facts
from tf_jmvae.cli.options import Common, default, metavar
from tf_jmvae.cli.startup import load_tensorflow

__all__ = ["Options", "run"]


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Say what a model or a run is; without one, what is installed and where files are kept.

    Examples:
      tf-jmvae info
      tf-jmvae info runs/mnist-jmvae-kl
      tf-jmvae info mnist_jmvae_kl --json
    """

    model: Annotated[str | None, tyro.conf.Positional, metavar("[MODEL]"), default("the installation")] = None
    """The folder of a run, a model.keras, an exported SavedModel, or the name of a pre-trained one."""
    json: bool = False
    """For programs."""


def run(options: Options) -> None:
    """Prints what there is to know."""
    load_tensorflow(debug=options.debug)
    if options.model is None:
        found, text = facts.installation(), _installation
    else:
        found, text = facts.of_model(options.model), _model
    print(json.dumps(found, indent=2) if options.json else text(found))


def _installation(found: dict[str, Any]) -> str:
    rows = {
        "tf-jmvae": found["tf_jmvae"],
        **found["versions"],
        "commit": _commit(found),
        "devices": ", ".join(found["devices"]),
        "pre-trained model": found["pretrained_model"],
        **{f"{name} in": path for name, path in found["folders"].items()},
    }
    presets = "\n".join(f"  {name}" for name in found["presets"])
    return f"{aligned(rows)}\n\nPresets\n{presets}"


def _model(found: dict[str, Any]) -> str:
    parameters = found["parameters"]
    rows = {
        "model": f"{found['kind']} of {', '.join(found['modalities'])}",
        "file": f"{found['path']} ({found['bytes'] / 2**20:.1f} MiB)",
        "z": f"{found['latent_dim']} dimensions",
        "parameters": ", ".join(f"{count:,} {name}".replace("_", " ") for name, count in parameters.items()),
    }
    if found["num_steps"] > 1:
        rows["steps"] = f"{found['num_steps']} of iterated sampling"
    parts = [aligned(rows), f"\nModalities\n{_modalities(found['modalities'])}"]
    if found["directions"]:
        parts.append("\n  ".join(["\nIt generates", *found["directions"]]))
    if signatures := found["signatures"]:
        cells = [[name, ", ".join(of["inputs"]), ", ".join(of["outputs"])] for name, of in signatures.items()]
        parts.append(f"\nSignatures\n{lines(['name', 'inputs', 'outputs'], cells, left=range(3))}")
    parts += [f"\n{title}\n{aligned(rows, indent='  ')}" for title, rows in _record(found).items() if rows]
    return "\n".join(parts)


def _modalities(modalities: dict[str, Any]) -> str:
    rows = []
    for name, entry in modalities.items():
        remarks = ["given"] * (entry["role"] == "given") + ["standardized"] * entry["standardized"]
        if entry["entry_names"]:
            remarks.append(first_of(entry["entry_names"], most=4))
        rows.append([name, " x ".join(map(str, entry["event_shape"])), entry["likelihood"], "; ".join(remarks)])
    return lines(["", "shape", "likelihood", ""], rows, left=range(4))


def _record(found: dict[str, Any]) -> dict[str, dict[str, str]]:
    training = found["training"]
    config = training.get("config", {})
    parts = (config, config.get("data", {}), config.get("training", {}))
    shown = (("preset", "seed"), ("dataset", "batch_size"), ("epochs", "learning_rate"))
    how = {name: part.get(name) for part, names in zip(parts, shown, strict=True) for name in names if part}
    if how:
        how |= {"commit": _commit(training), "tensorflow": training.get("versions", {}).get("tensorflow", "")}
    metrics = {name: f"{value:.4f}" for name, value in found["metrics"].items()}
    card = {"created": found.get("created"), "notes": found.get("notes")}
    return {
        "Training": {name.replace("_", " "): str(value) for name, value in how.items() if value is not None},
        "On the test set, nats per example (accuracies as fractions)": metrics,
        "Card": {name: value for name, value in card.items() if value},
    }


def _commit(found: dict[str, Any]) -> str:
    commit = found.get("commit")
    return "none" if commit is None else commit[:12] + (" with changes" if found.get("dirty") else "")
