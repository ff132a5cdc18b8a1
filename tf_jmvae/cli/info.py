"""`tf-jmvae info`: describes a model, a run or the installation, as text or JSON."""

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

import tf_jmvae
from tf_jmvae._utils.pretrained import default_model, located
from tf_jmvae._utils.tables import aligned, first_of, lines
from tf_jmvae.cli.common import Common, default, load_tensorflow, metavar
from tf_jmvae.specs import ModelSpec
from tf_jmvae.training import presets


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Describe a model or a run; without one, say what is installed and where files are kept.

    Examples:
      tf-jmvae info
      tf-jmvae info runs/mnist-jmvae-kl
      tf-jmvae info mnist_jmvae_kl --json
    """

    model: Annotated[str | None, tyro.conf.Positional, metavar("[MODEL]"), default("the installation")] = None
    """The folder of a run, a model.keras, an exported SavedModel, or the name of a pre-trained one."""
    json: bool = False
    """Print JSON, for programs."""


def run(options: Options) -> None:
    """Prints the description."""
    load_tensorflow(debug=options.debug)
    if options.model is None:
        found, text = _installation(), _installation_text
    else:
        found, text = _of_model(options.model), _model_text
    print(json.dumps(found, indent=2) if options.json else text(found))


def _installation() -> dict[str, Any]:
    """Returns versions, devices, presets and folders of files."""
    import tensorflow as tf

    from tf_jmvae._utils.provenance import environment
    from tf_jmvae.data.prepared import cache_folder

    hub = os.environ.get("TFHUB_CACHE_DIR", "a temporary folder; TFHUB_CACHE_DIR names another")
    return {
        "tf_jmvae": tf_jmvae.__version__,
        **environment(),
        "devices": [_device(device, tf.config.experimental) for device in tf.config.list_physical_devices()],
        "presets": presets.names(),
        "pretrained_model": str(default_model()),
        "folders": {
            "datasets": str(Path(os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")).expanduser()),
            "prepared photographs": str(cache_folder()),
            "downloaded models": hub,
        },
    }


def _of_model(handle: str) -> dict[str, Any]:
    """Describes a model or a run; raises `RunError`, `ValueError` or `OSError` if it is missing or damaged."""
    if "://" in handle:
        raise ValueError(f"info reads models on this machine only; got the URL {handle}. Download and unpack it first.")
    from tf_jmvae.serving import card, opening

    path = Path(located(handle)).expanduser()
    if file := opening.keras_file(path):
        return _trained(file)
    if folder := card.version_folder(path):
        return _exported(folder)
    raise opening.no_model(path)


def _trained(file: Path) -> dict[str, Any]:
    from tf_jmvae.evaluation.planned import scored_directions
    from tf_jmvae.serving.opening import ADVICE
    from tf_jmvae.training.run_folder import describe, load_model

    model = load_model(file, advice=ADVICE)
    record = describe(file.parent)
    weights = {"trainable": model.trainable_weights, "other": model.non_trainable_weights}
    generated = [f"{target} from {', '.join(given)}" for target, given in scored_directions(model)]
    return {
        **_described(file, model.spec),
        "parameters": {name: sum(math.prod(one.shape) for one in found) for name, found in weights.items()},
        "directions": generated + ([] if model.conditions else [f"{', '.join(model.modalities)} from the prior"]),
        "signatures": {},
        "bytes": file.stat().st_size,
        **record,
    }


def _exported(folder: Path) -> dict[str, Any]:
    import tensorflow as tf

    from tf_jmvae._utils import names
    from tf_jmvae.serving import card

    content = card.read(folder, links=True)
    card.verify(folder, content, links=True)
    shapes = tf.train.load_checkpoint(str(folder / "variables" / "variables")).get_variable_to_shape_map()
    weights = [shape for name, shape in shapes.items() if name.startswith("model_variables/")]  # each variable once
    signatures = content["signatures"]
    plain = [of for name, of in signatures.items() if name.startswith("generate_") and names.plain(name) == name]
    generated = [f"{next(iter(of['outputs']))} from {', '.join(of['inputs'])}" for of in plain]
    generated += ["anything from any others"] if names.FILL in signatures and not generated else []
    generated += [f"{', '.join(signatures['reconstruct']['outputs'])} again"] if "reconstruct" in signatures else []
    return {
        **_described(folder, ModelSpec.from_json(content)),
        "parameters": {"in all": sum(map(math.prod, weights))},
        "directions": generated + (["everything from the prior"] if "sample" in signatures else []),
        "signatures": signatures,
        "bytes": sum(entry["bytes"] for entry in content["files"].values()),
        **{name: content[name] for name in ("training", "metrics", "created", "versions", "commit")},
        "notes": content.get("notes", ""),
    }


def _described(path: Path, spec: ModelSpec) -> dict[str, Any]:
    known = spec.to_json()
    return {"path": str(path), **{name: known[name] for name in ("kind", "latent_dim", "num_steps", "modalities")}}


def _device(device: Any, config: Any) -> str:
    name = device.name.removeprefix("/physical_device:")
    if device.device_type == "CPU":
        return f"{name} ({len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} cores)"
    details = config.get_device_details(device)
    return f"{name} ({details['device_name']})" if "device_name" in details else name


def _installation_text(found: dict[str, Any]) -> str:
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


def _model_text(found: dict[str, Any]) -> str:
    parameters = found["parameters"]
    rows = {
        "model": f"{found['kind']} of {', '.join(found['modalities'])}",
        "file": f"{found['path']} ({found['bytes'] / 2**20:.1f} MiB)",
        "z": f"{found['latent_dim']} dimensions",
        "parameters": ", ".join(f"{count:,} {name}".replace("_", " ") for name, count in parameters.items()),
    }
    if found["num_steps"] > 1:
        rows["steps"] = f"{found['num_steps']} of iterated sampling"
    modalities = []
    for name, entry in found["modalities"].items():
        remarks = ["given"] * (entry["role"] == "given") + ["standardized"] * entry["standardized"]
        remarks += [first_of(entry["entry_names"], most=4)] if entry["entry_names"] else []
        modalities.append([name, " x ".join(map(str, entry["event_shape"])), entry["likelihood"], "; ".join(remarks)])
    table = lines(["", "shape", "likelihood", ""], modalities, left=range(4))
    parts = [aligned(rows), f"\nModalities\n{table}"]
    if found["directions"]:
        parts.append("\n  ".join(["\nIt generates", *found["directions"]]))
    if signatures := found["signatures"]:
        cells = [[name, ", ".join(of["inputs"]), ", ".join(of["outputs"])] for name, of in signatures.items()]
        parts.append(f"\nSignatures\n{lines(['name', 'inputs', 'outputs'], cells, left=range(3))}")
    parts += [f"\n{title}\n{aligned(rows, indent='  ')}" for title, rows in _record(found).items() if rows]
    return "\n".join(parts)


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
