"""Second stage of training: subset encoders for a joint model that is trained already, as in TELBO [1] and JNF [2].

References:
  [1] Vedantam et al., Generative models of visually grounded imagination, 2018 (arXiv 1705.10762).
  [2] Senellart, Chadebec and Allassonniere, Improving multimodal joint variational autoencoders through normalizing
      flows and correlation analysis, 2023 (arXiv 2305.11832).
"""

from collections.abc import Mapping
from typing import Any

import keras

from tf_jmvae.models.jmvae import JMVAE
from tf_jmvae.networks import prototypes

# Entries of the configs of layers that do not change what a trained network computes, or hold names given by Keras.
_IGNORED = ("name", "dtype", "trainable", "build_config", "inbound_nodes", "input_layers", "output_layers")


def copy_joint(model: JMVAE, trained: JMVAE) -> None:
    """Copies joint encoder, decoders, statistics and fitted prior of `trained`; errors as `JMVAEKL.take_joint`."""
    if not isinstance(trained, JMVAE):
        raise TypeError(f"a trained JMVAE or JMVAEKL is needed; got a {type(trained).__name__}.")
    if difference := _difference(_described(model), _described(trained)):
        raise ValueError(
            f"both models must have the same modalities, networks and latent_dim, but they differ in {difference}."
        )
    for theirs, ours in zip(_joint(trained), _joint(model), strict=True):
        prototypes.copy_state(theirs, ours)
    model.fitted_prior = trained.fitted_prior


def freeze_joint(model: JMVAE) -> None:
    """Freezes the joint encoder and the decoders, which then also run in inference mode in training."""
    for layer in _joint(model):
        layer.trainable = False


def _joint(model: JMVAE) -> list[keras.layers.Layer]:
    return [model.encoder, *model.decoders.values(), *model.standardizations.values()]


def _described(model: JMVAE) -> dict[str, Any]:
    """Describes what must agree: modalities in order, latent_dim, and the joint model's networks and heads."""
    specs = {name: dict(vars(spec)) for name, spec in model.spec.modalities.items()}
    for name, spec in specs.items():
        del spec["role"], spec["optional"]
        spec["optional='entries'"] = model.modalities[name].optional == "entries"
    networks = {
        name: _essentials(prototypes.serialize(layer))
        for name, layer in model.networks().items()
        if name.split("/")[0] in ("encoder", "decoders")
    }
    heads = {name: _essentials(prototypes.serialize(m.head)) for name, m in model.modalities.items()}
    of_modalities = {"order": list(specs), **specs}
    return {"modalities": of_modalities, "latent_dim": model.latent_dim, "networks": networks, "heads": heads}


def _essentials(config: Any) -> Any:
    if isinstance(config, list | tuple):
        return [_essentials(value) for value in config]
    if not isinstance(config, dict):
        return config
    kept = {key: value for key, value in config.items() if key not in _IGNORED and not key.endswith("_initializer")}
    return {key: _essentials(value) for key, value in kept.items()}


def _difference(ours: Any, theirs: Any, place: str = "") -> str:
    """Describes the first difference of two nested descriptions; empty if there is none."""
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping) and list(ours) == list(theirs):
        pairs = [(f"{place}/{key}", ours[key], theirs[key]) for key in ours]
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = [(f"{place}/{index}", *values) for index, values in enumerate(zip(ours, theirs, strict=True))]
    elif ours == theirs:
        return ""
    else:
        shown = [list(value) if isinstance(value, Mapping) else value for value in (ours, theirs)]
        return f"{place.strip('/')}: {shown[0]!r} here, {shown[1]!r} there"
    return next(filter(None, (_difference(one, other, where) for where, one, other in pairs)), "")
