"""The paper's network blocks, layer by layer against its notation (SPEC section 4), with their sizes by hand."""

import itertools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_jmvae as tj
from tf_jmvae import networks


def _notation(model):
    """The layers in the paper's notation: C64R, C128BR, DC64BR, F, D1024R."""
    text = []
    for layer in model.layers:
        kind = type(layer).__name__
        if kind in ("Conv2D", "Conv2DTranspose"):
            assert (layer.kernel_size, layer.strides, layer.padding) == ((4, 4), (2, 2), "same")
            text.append({"Conv2D": "C", "Conv2DTranspose": "DC"}[kind] + str(layer.filters))
        elif kind == "Dense":
            text.append(f"D{layer.units}")
        elif kind == "Flatten":
            text.append("F")
        elif kind == "BatchNormalization":
            text[-1] += "B"
        elif kind == "Activation":
            text[-1] += {"relu": "R"}[layer.activation.__name__]
        else:
            assert kind == "Reshape"
        if kind in ("Conv2D", "Conv2DTranspose", "Dense") and layer.activation.__name__ != "linear":
            text[-1] += {"relu": "R"}[layer.activation.__name__]
    return "-".join(text)


@pytest.mark.parametrize(
    ("network", "notation"),
    [
        (networks.mlp([512, 512]), "F-D512R-D512R"),
        (networks.mlp([512, 512], batch_norm=True), "F-D512R-D512BR"),
        (networks.conv_encoder(), "C64R-C128BR-C256BR-C256BR-F"),
        (networks.conv_encoder(units=[1024]), "C64R-C128BR-C256BR-C256BR-F-D1024R"),
        (networks.conv_encoder([8, 8], batch_norm=False), "C8R-C8R-F"),
        (networks.conv_decoder(), "D4096R-DC256BR-DC128BR-DC64BR"),
        (networks.conv_decoder([8], start=(2, 3), batch_norm=False), "D48R-DC8R"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_block_has_the_layers_of_the_papers_notation(network, notation):
    assert _notation(network) == notation


def _conv(*channels, norm=()):
    """Weights of 4x4 convolutions in a row, each with a bias; a scale besides where batches are normalised."""
    total = sum(16 * a * b + b for a, b in itertools.pairwise(channels))
    return total + sum(norm)


def test_shapes_and_sizes_of_the_celeba_networks():
    encoder, decoder, last = networks.conv_encoder(), networks.conv_decoder(), networks.upsampling(3)
    assert encoder(tf.zeros((1, 64, 64, 3))).shape == (1, 4 * 4 * 256)
    features = decoder(tf.zeros((1, 128)))
    assert features.shape == (1, 32, 32, 64)
    assert last(features).shape == (1, 64, 64, 3)
    count = {
        name: sum(math.prod(v.shape) for v in network.trainable_variables)
        for name, network in (("encoder", encoder), ("decoder", decoder), ("last", last))
    }
    assert count == {
        "encoder": _conv(3, 64, 128, 256, 256, norm=(128, 256, 256)),
        "decoder": 128 * 4096 + 4096 + _conv(256, 256, 128, 64, norm=(256, 128, 64)),
        "last": _conv(64, 3),
    }


def test_batch_normalisation_stands_before_the_activation():
    network = networks.mlp([4, 4], batch_norm=True)
    made = network(np.random.default_rng(0).normal(size=(500, 3)), training=True).numpy()
    # A standardised Gaussian cut off at 0: about half of the values, never a negative one.
    assert made.min() == 0
    assert 0.2 < (made == 0).mean() < 0.8


def _normalized(layer, images, training=True):
    """Outputs, the gradients of a function of them, and the moving statistics after one pass."""
    layer.build(images.shape)
    layer.set_weights([np.linspace(0.5, 1.5, 5), np.linspace(-1, 1, 5), np.linspace(0, 1, 5), np.linspace(1, 2, 5)])
    images = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(images)
        outputs = layer(images, training=training)
        loss = tf.reduce_sum(tf.sin(3 * tf.cast(outputs, tf.float32)))
    gradients = tape.gradient(loss, [images, *layer.trainable_variables])
    return [outputs, *gradients, *layer.get_weights()]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(6, 4, 3, 5), (6, 5)], ids=["images", "vectors"])
def test_batch_normalisation_is_keras_own(shape, training):
    inputs = np.random.default_rng(0).normal(1, 2, shape).astype("float32")
    arguments = {"momentum": 0.9, "epsilon": 0.01}
    ours = _normalized(networks.BatchNormalization(**arguments), inputs, training)
    for value, expected in zip(
        ours, _normalized(keras.layers.BatchNormalization(**arguments), inputs, training), strict=True
    ):
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "arguments", [{"axis": 1}, {"scale": False}, {"center": False}, {"renorm": True}, {"synchronized": True}]
)
def test_batch_normalisation_without_a_kernel_is_keras_own(arguments):
    inputs = np.random.default_rng(0).normal(1, 2, (6, 5, 3, 5)).astype("float32")
    ours = networks.BatchNormalization(**arguments)(inputs, training=True)
    theirs = keras.layers.BatchNormalization(**arguments)(inputs, training=True)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_batch_normalisation_keeps_its_statistics_in_float32():
    inputs = np.random.default_rng(0).normal(1, 2, (6, 4, 3, 5)).astype("float32")
    outputs, *_, mean, variance = _normalized(networks.BatchNormalization(dtype="mixed_bfloat16"), inputs)
    expected, *_, expected_mean, expected_variance = _normalized(keras.layers.BatchNormalization(), inputs)
    assert outputs.dtype == tf.bfloat16
    np.testing.assert_allclose(tf.cast(outputs, tf.float32), expected, atol=0.03)
    np.testing.assert_allclose(mean, expected_mean, rtol=1e-3)
    np.testing.assert_allclose(variance, expected_variance, rtol=1e-3)


def test_the_images_projection_is_float32_under_mixed_precision():
    """Whatever the policy under which the pattern was made: the pixels' log-density sums over thousands."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    image = tj.Modality(
        (8, 8, 3),
        tj.heads.Gaussian(variance=1.0, projection=networks.upsampling(3)),
        encoder=networks.conv_encoder([4]),
        decoder=networks.conv_decoder([4], start=(2, 2)),
    )
    model = tj.VAE({"x": image}, 2)
    (projection,) = model.decoders["x"].head._projections
    assert type(projection) is keras.layers.Conv2DTranspose
    assert (projection.compute_dtype, projection.variable_dtype) == ("float32", "float32")
    assert model.decoders["x"].network.layers[0].compute_dtype == "bfloat16"
    fine = model.decoders["x"](tf.constant([[0.1, 0.2]])).mean().numpy()
    assert (fine != tf.cast(tf.cast(fine, tf.bfloat16), tf.float32).numpy()).any()


def test_settings_that_cannot_be_used_are_refused():
    with pytest.raises(ValueError, match="variance must be"):
        tj.Modality.from_settings({"event_shape": (3,), "likelihood": "gaussian", "variance": 0})
    image = {"event_shape": (8, 8, 1), "likelihood": "gaussian", "encoder": {"filters": (4,)}, "dropout": 0.5}
    with pytest.raises(ValueError, match=r"dropout: an option of encoders given by widths.* got 0\.5"):
        tj.Modality.from_settings(image)
