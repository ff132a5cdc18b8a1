"""The gradient of each term reaches the variables that it should train, and no other."""

import numpy as np
import pytest
import tensorflow as tf
from small_models import small_batch, small_modalities

import tf_jmvae as tj

SEED = tf.constant([3, 4])


def _tensors(batch):
    return {name: tf.constant(value) for name, value in batch.items()}


def _reached(model, batch, term_names):
    """Paths of the variables whose gradient of the named terms is not zero."""
    with tf.GradientTape() as tape:
        terms = model.objective(_tensors(batch), SEED, training=True)
        total = tf.add_n([tf.reduce_sum(terms[name].coefficient * terms[name].value) for name in term_names])
    gradients = tape.gradient(total, model.trainable_variables)
    pairs = zip(model.trainable_variables, gradients, strict=True)
    return {id(v) for v, g in pairs if g is not None and np.any(g.numpy() != 0)}


def _ids(*layers):
    return {id(v) for layer in layers for v in layer.trainable_variables}


MODELS = [
    ("vae", tj.VAE, "x", {}),
    ("jmvae", tj.JMVAE, "xw", {}),
    ("jmvae_of_four", tj.JMVAE, "xwcv", {}),
    ("jmvae_kl_all", tj.JMVAEKL, "xwc", {"subsets": "all"}),
    ("jmvae_kl_single", tj.JMVAEKL, "xwc", {"subsets": "single"}),
    ("hierarchical", tj.HierarchicalJMVAE, "xw", {"num_layers": 3}),
]


@pytest.mark.parametrize(("cls", "names", "options"), [m[1:] for m in MODELS], ids=[m[0] for m in MODELS])
def test_the_bound_trains_every_variable(cls, names, options):
    model, batch = cls(small_modalities(names), 3, **options), small_batch(names, size=64)
    terms = model.objective(_tensors(batch), SEED)
    assert _reached(model, batch, terms) == {id(v) for v in model.trainable_variables}


def test_the_kl_to_the_prior_trains_the_joint_encoder_only():
    model = tj.JMVAEKL(small_modalities(), 3)
    assert _reached(model, small_batch(size=64), ["kl_prior"]) == _ids(model.encoder)


def test_a_likelihood_trains_its_decoder_and_the_joint_encoder():
    model = tj.JMVAEKL(small_modalities(), 3)
    assert _reached(model, small_batch(size=64), ["log_p_x"]) == _ids(model.encoder, model.decoders["x"])


def test_the_kl_to_a_subset_trains_that_encoder_and_the_joint_one():
    model = tj.JMVAEKL(small_modalities(), 3)
    assert _reached(model, small_batch(size=64), ["kl_w"]) == _ids(model.encoder, model.subset_encoders["w"])


def test_with_alpha_zero_the_subset_encoders_get_no_gradient():
    model = tj.JMVAEKL(small_modalities(), 3, alpha=0.0)
    batch = small_batch(size=64)
    reached = _reached(model, batch, model.objective(_tensors(batch), SEED))
    assert reached == _ids(model.encoder, *model.decoders.values())
