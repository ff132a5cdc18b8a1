"""Second stage of training: subset encoders for a joint model that is trained already, as in TELBO [1] and JNF [2].

References:
  [1] Vedantam et al., Generative models of visually grounded imagination, 2018 (arXiv 1705.10762).
  [2] Senellart, Chadebec and Allassonniere, Improving multimodal joint variational autoencoders through normalizing
      flows and correlation analysis, 2023 (arXiv 2305.11832).
"""

import keras

from tf_jmvae.models.jmvae import JMVAE


def take_joint(model: JMVAE, trained: JMVAE) -> None:
    """Copies the joint encoder, decoders and standardisations of `trained` into `model`, and freezes them."""
    if not isinstance(trained, JMVAE):
        raise TypeError(f"take_joint expects a trained JMVAE or JMVAEKL; got a {type(trained).__name__}.")
    ours, theirs = _joint(model), _joint(trained)
    for what, expected, got in (
        ("modalities", _events(model), _events(trained)),
        ("weights of encoder and decoders", _shapes(ours), _shapes(theirs)),
    ):
        if expected != got:
            raise ValueError(
                f"take_joint: both models must have the same modalities, networks, latent_dim and trunk, but their "
                f"{what} differ: {_difference(expected, got)}."
            )
    for name, layer in ours.items():
        layer.set_weights(theirs[name].get_weights())
        layer.trainable = False


def _joint(model: JMVAE) -> dict[str, keras.layers.Layer]:
    groups = {"decoders": model.decoders, "standardizations": model.standardizations}
    members = {f"{group}/{name}": layer for group, layers in groups.items() for name, layer in layers.items()}
    return {"encoder": model.encoder, **members}


def _events(model: JMVAE) -> list[tuple]:
    """Returns name, likelihood and event shape of each modality, in order."""
    return [(name, spec.likelihood, spec.event_shape) for name, spec in model.spec.modalities.items()]


def _shapes(layers: dict[str, keras.layers.Layer]) -> list[tuple]:
    return [(name, *(tuple(weight.shape) for weight in layer.weights)) for name, layer in layers.items()]


def _difference(expected: list[tuple], got: list[tuple]) -> str:
    """Describes the first entries that differ."""
    missing = [entry for entry in expected if entry not in got]
    others = [entry for entry in got if entry not in expected]
    if not missing and not others:
        return f"the order is {[name for name, *_ in expected]} here and {[name for name, *_ in got]} there"
    return f"expected {missing[0] if missing else 'nothing'}; got {others[0] if others else 'nothing'}"
