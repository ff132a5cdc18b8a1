"""Subset encoders trained for a joint model that was trained before."""

import pathlib

import keras
import numpy as np
import pydantic
import pytest
import tensorflow as tf
from small_models import set_seeds, small_batch, small_modalities

import tf_jmvae as tj
from tf_jmvae._utils.files import RunError
from tf_jmvae.training import presets, run, run_folder
from tf_jmvae.training.config import Config

SEED = tf.constant([3, 4])


def _with_statistics():
    """Modalities of which x has batch statistics and dropout in its encoder, and v has a mean and a stddev."""
    modalities, layers = small_modalities("xwv"), keras.layers
    encoder = keras.Sequential([layers.Flatten(), layers.Dense(8), layers.BatchNormalization(), layers.Dropout(0.5)])
    modalities["x"] = tj.Modality((4, 4, 1), "bernoulli", encoder=encoder, decoder=tj.networks.mlp([8]))
    modalities["v"] = tj.Modality((2,), "gaussian", standardized=True)
    return modalities


def _trained(cls, modalities, data, **options):
    set_seeds(7)
    model = cls(modalities, 3, **options)
    model.compile("adam")
    model.fit(data, batch_size=4, epochs=1, verbose=0)
    return model


def _joint(model):
    layers = [model.encoder, *model.decoders.values(), *model.standardizations.values()]
    return [weight for layer in layers for weight in layer.get_weights()]


def _subset_encoders(model):
    layers = [model.shared_encoders] if model.shared_encoders else model.subset_encoders.values()
    return [weight for layer in layers for weight in layer.get_weights()]


@pytest.mark.parametrize(
    "options", [{}, {"subsets": "shared", "flow": 2}, {"subset_learning": "follow", "flow": 2}], ids=str
)
def test_the_joint_model_stays_as_it_was_trained_and_the_subset_encoders_learn(options):
    data = small_batch("xwv")
    trained = _trained(tj.JMVAE, _with_statistics(), data)
    before = _joint(trained)
    set_seeds(8)
    model = tj.JMVAEKL(_with_statistics(), 3, **options)
    model.take_joint(trained)
    untrained = _subset_encoders(model)
    model.compile("adam")
    model.fit(data, batch_size=4, epochs=1, verbose=0)
    for ours, theirs, first in zip(_joint(model), _joint(trained), before, strict=True):
        np.testing.assert_array_equal(ours, first)
        np.testing.assert_array_equal(theirs, first)
    assert any(np.any(one != other) for one, other in zip(_subset_encoders(model), untrained, strict=True))
    batch = model.read(data)
    np.testing.assert_array_equal(model.elbo(batch, seed=1), trained.elbo(trained.read(data), seed=1))


@pytest.mark.parametrize("learning", ["pull", "follow"])
def test_the_subset_encoders_have_the_gradient_that_they_have_when_they_follow(learning):
    """However they are to learn: a joint encoder that is fixed cannot be pulled."""
    set_seeds(4)
    following = tj.JMVAEKL(small_modalities(), 3, alpha=0.7, subset_learning="follow")
    set_seeds(4)
    model = tj.JMVAEKL(small_modalities(), 3, alpha=0.7, subset_learning=learning)
    model.take_joint(following)
    batch = {name: tf.constant(value) for name, value in small_batch().items()}

    def gradients(model, variables):
        with tf.GradientTape() as tape:
            loss = model._loss(model.objective(batch, SEED, training=True), None)
        return tape.gradient(loss, variables)

    expected = gradients(following, [v for e in following.subset_encoders.values() for v in e.trainable_variables])
    for one, other in zip(gradients(model, model.trainable_variables), expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_saved_model_goes_on_with_the_subset_encoders_alone(tmp_path):
    data = small_batch()
    trained = _trained(tj.JMVAEKL, small_modalities(), data)
    model = tj.JMVAEKL(small_modalities(), 3, flow=2)
    model.take_joint(trained)
    model.compile("adam")
    model.fit(data, batch_size=4, epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for one in (model, again):
        set_seeds(9)
        one.fit(data, batch_size=4, epochs=1, verbose=0, shuffle=False)
    for ours, theirs in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(_joint(again), _joint(trained), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("trained", "message"),
    [
        (lambda: tj.JMVAE(small_modalities("xv"), 3), r"modalities differ: expected \('w', 'categorical', \(3,\)\)"),
        (lambda: tj.JMVAE(small_modalities("wx"), 3), r"the order is \['x', 'w'\] here and \['w', 'x'\] there"),
        (lambda: tj.JMVAE(small_modalities(), 4), r"weights of encoder and decoders differ: expected \('encoder'"),
        (lambda: tj.JMVAE(small_modalities(), 3, trunk=tj.networks.mlp([8])), "weights of encoder and decoders differ"),
    ],
    ids=["modality", "order", "latents", "trunk"],
)
def test_another_model_is_refused_and_nothing_is_taken(trained, message):
    model = tj.JMVAEKL(small_modalities(), 3)
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        model.take_joint(trained())
    for ours, first in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, first)
    assert len(model.trainable_variables) == len(tj.JMVAEKL(small_modalities(), 3).trainable_variables)


def test_only_a_joint_model_is_taken_and_not_by_a_gan():
    model = tj.JMVAEKL(small_modalities(), 3)
    with pytest.raises(TypeError, match="expects a trained JMVAE or JMVAEKL; got a CMMA"):
        model.take_joint(tj.CMMA(small_modalities(), 3, target="x"))
    gan = tj.JMVAEKLGAN(small_modalities(), 3, discriminator=tj.networks.mlp([8]))
    with pytest.raises(TypeError, match="use a JMVAEKL"):
        gan.take_joint(tj.JMVAE(small_modalities(), 3))


# Runs.


def _config(kind, run_dir, **training):
    changes = {
        "run_dir": run_dir,
        "data": {"train_size": 128},
        "model": {"modalities": {name: {"encoder": (8,), "decoder": (8,)} for name in "xw"}, "latent_dim": 2},
        "training": {"epochs": 1, "kl_warm_up": 0, "tensorboard": False, **training},
    }
    return Config.model_validate(presets.merge(presets.load(f"digits-{kind}").model_dump(), changes))


def test_a_run_takes_the_joint_model_of_another(tmp_path):
    run.train(_config("jmvae", tmp_path / "joint"), verbose=0)
    run.train(_config("jmvae-kl", tmp_path / "second", joint_from=tmp_path / "joint"), verbose=0)
    joint, second = (run_folder.load_model(tmp_path / name / "model.keras") for name in ("joint", "second"))
    for ours, theirs in zip(_joint(second), _joint(joint), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert str(tmp_path) not in str(run_folder.describe(tmp_path / "second")["training"]["config"])  # goes into a card


def test_a_run_without_that_model_says_so_and_leaves_no_folder(tmp_path):
    with pytest.raises(RunError, match=r"There is no model .*joint.model\.keras"):
        run.train(_config("jmvae-kl", tmp_path / "second", joint_from=tmp_path / "joint"), verbose=0)
    assert not (tmp_path / "second").exists()


def test_other_kinds_have_no_second_stage():
    with pytest.raises(pydantic.ValidationError, match="joint_from: an option of jmvae-kl, but the model is jmvae"):
        _config("jmvae", pathlib.Path("x"), joint_from="y")
