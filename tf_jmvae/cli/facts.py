"""Facts that `tf-jmvae info` shows, as JSON: of the installation, a run's model or an exported one."""

import math
import os
from pathlib import Path
from typing import Any

import tf_jmvae
from tf_jmvae._utils.pretrained import default_model, located
from tf_jmvae.specs import ModelSpec
from tf_jmvae.training import presets

__all__ = ["installation", "of_model"]


def installation() -> dict[str, Any]:
    """Versions, devices, presets, and where files are kept."""
    import tensorflow as tf

    from tf_jmvae._utils.provenance import environment
    from tf_jmvae.data.prepared import cache_folder

    tfds = os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    hub = os.environ.get("TFHUB_CACHE_DIR", "a temporary folder; TFHUB_CACHE_DIR names another")
    return {
        "tf_jmvae": tf_jmvae.__version__,
        **environment(),
        "devices": [_device(device) for device in tf.config.list_physical_devices()],
        "presets": presets.names(),
        "pretrained_model": str(default_model()),
        "folders": {
            "datasets": str(Path(tfds).expanduser()),
            "prepared photographs": str(cache_folder()),
            "downloaded models": hub,
        },
    }


def of_model(handle: str) -> dict[str, Any]:
    """Facts of a model or a run; raises `RunError`, `ValueError` or `OSError` if it is not there or damaged."""
    if "://" in handle:
        raise ValueError(f"info reads models on this machine; got the URL {handle}. Download and unpack it first.")
    from tf_jmvae.serving import card, opening

    path = Path(located(handle)).expanduser()
    if file := opening.keras_file(path):
        return _trained(file)
    if folder := card.version_folder(path):
        return _exported(folder)
    raise opening.no_model(path)


def _trained(file: Path) -> dict[str, Any]:
    from tf_jmvae.evaluation.planned import directions
    from tf_jmvae.serving.opening import ADVICE
    from tf_jmvae.training.run_folder import describe, load_model

    model = load_model(file, advice=ADVICE)
    record = describe(file.parent)
    weights = {"trainable": model.trainable_weights, "other": model.non_trainable_weights}
    return {
        "path": str(file),
        **_described(model.spec),
        "parameters": {name: sum(math.prod(one.shape) for one in found) for name, found in weights.items()},
        "directions": [f"{target} from {', '.join(given)}" for target, given in directions(model)]
        + ([] if model.conditions else [f"{', '.join(model.modalities)} from the prior"]),
        "signatures": {},
        "bytes": file.stat().st_size,
        **record,
    }


def _exported(folder: Path) -> dict[str, Any]:
    import tensorflow as tf

    from tf_jmvae.serving import card

    content = card.read(folder, links=True)
    card.verify(folder, content, links=True)
    shapes = tf.train.load_checkpoint(str(folder / "variables" / "variables")).get_variable_to_shape_map()
    weights = [shape for name, shape in shapes.items() if name.startswith("model_variables/")]  # each of them once
    return {
        "path": str(folder),
        **_described(ModelSpec.from_json(content)),
        "parameters": {"in all": sum(map(math.prod, weights))},
        "directions": _directions(content["signatures"]),
        "signatures": content["signatures"],
        "bytes": sum(entry["bytes"] for entry in content["files"].values()),
        **{name: content[name] for name in ("training", "metrics", "created", "versions", "commit")},
        "notes": content.get("notes", ""),
    }


def _directions(signatures: dict[str, Any]) -> list[str]:
    from tf_jmvae.serving import names

    plain = [of for name, of in signatures.items() if name.startswith("generate_") and names.plain(name) == name]
    found = [f"{next(iter(of['outputs']))} from {', '.join(of['inputs'])}" for of in plain]
    found += [f"{', '.join(signatures['reconstruct']['outputs'])} again"] if "reconstruct" in signatures else []
    return found + (["everything from the prior"] if "sample" in signatures else [])


def _described(spec: ModelSpec) -> dict[str, Any]:
    return {name: spec.to_json()[name] for name in ("kind", "latent_dim", "num_steps", "modalities")}


def _device(device: Any) -> str:
    import tensorflow as tf

    name = device.name.removeprefix("/physical_device:")
    if device.device_type == "CPU":
        return f"{name} ({len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} cores)"
    details = tf.config.experimental.get_device_details(device)
    return f"{name} ({details['device_name']})" if "device_name" in details else name
