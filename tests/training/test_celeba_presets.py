"""Presets of photographs: the paper's networks by their sizes, files that extend others, and convolutions that fit."""

import itertools
import math

import pytest

import tf_jmvae as tj
from tf_jmvae.data.celeba import ATTRIBUTES
from tf_jmvae.training import presets
from tf_jmvae.training.config import Config, ConvolutionConfig, ModalityConfig


def _mlp(*widths, norm=()):
    return sum(a * b + b for a, b in itertools.pairwise(widths)) + sum(norm)


def _conv(*channels, norm=()):
    return sum(16 * a * b + b for a, b in itertools.pairwise(channels)) + sum(norm)


def _size(layer):
    return sum(math.prod(v.shape) for v in layer.trainable_variables)


def test_celeba_networks_have_the_sizes_of_section_4_2_2():
    """With GAN it has every network of the paper but the hierarchy's second layer."""
    model = tj.from_preset("celeba-jmvae-kl-gan")
    photograph = _conv(3, 64, 128, 256, 256, norm=(128, 256, 256))  # C64R-C128BR-C256BR-C256BR, 4 * 4 * 256 features
    attributes = _mlp(40, 512, 512, norm=(512,))  # D512R-D512BR
    heads = 2 * _mlp(1024, 128)
    expected = {
        "joint": photograph + attributes + _mlp(4096 + 512, 1024) + heads,
        "q(z|x)": photograph + _mlp(4096, 1024) + heads,
        "q(z|w)": attributes + _mlp(512, 1024) + heads,
        "p(x|z)": _mlp(128, 4096) + _conv(256, 256, 128, 64, norm=(256, 128, 64)) + _conv(64, 3),
        "p(w|z)": _mlp(128, 4096, 512, norm=(512,)) + _mlp(512, 40),
        "discriminator": photograph + _mlp(4096, 1024, 1),
    }
    found = {
        "joint": model.encoder,
        "q(z|x)": model.subset_encoders["x"],
        "q(z|w)": model.subset_encoders["w"],
        "p(x|z)": model.decoders["x"],
        "p(w|z)": model.decoders["w"],
        "discriminator": model.discriminator,
    }
    assert {name: _size(layer) for name, layer in found.items()} == expected
    assert _size(model) == sum(expected.values())


@pytest.mark.parametrize("kind", ["jmvae", "jmvae-kl", "hierarchical-jmvae", "cvae", "cmma"])
def test_celeba_presets_train_as_the_paper_does(kind):
    config = presets.load(f"celeba-{kind}")
    assert (config.model.latent_dim, config.data.batch_size, config.num_steps) == (128, 64, 40)
    training = config.training
    assert (training.epochs, training.kl_warm_up, training.learning_rate, training.decay) == (50, 20, 1e-4, "constant")
    for modality in config.model.modalities.values():
        assert (modality.likelihood, modality.variance, modality.mean_activation) == ("gaussian", 1.0, "tanh")
        assert modality.weight == 1
    assert config.model.modalities["w"].entry_names == ATTRIBUTES
    assert config.model.modalities["x"].standardized


def test_a_decoder_with_a_gan_is_free_to_leave_the_range_of_tanh():
    model = tj.from_preset("celeba-jmvae-kl-gan-small")
    assert model.modalities["x"].head.mean_activation == "linear"
    assert model.modalities["w"].head.mean_activation == "tanh"


# Files that extend others.


BASE = """
source = "a base"
[data]
dataset = "celeba"
batch_size = 5
[model]
kind = "jmvae"
latent_dim = 2
[model.modalities.x]
event_shape = [8, 8, 3]
likelihood = "gaussian"
variance = 1.0
encoder = { filters = [4, 4], units = [6] }
decoder = { filters = [4] }
[model.modalities.w]
event_shape = [3]
likelihood = "gaussian"
encoder = [7]
[training]
epochs = 9
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "base.toml").write_text(BASE)
    return tmp_path


def _load(folder, text, name="own"):
    path = folder / f"{name}.toml"
    path.write_text(text)
    return presets.load(str(path))


def test_settings_are_laid_over_those_of_the_extended_file_table_by_table(folder):
    config = _load(folder, 'extends = "base"\n[model]\nlatent_dim = 4\n[model.modalities.w]\nencoder = [5, 5]')
    base = presets.load(str(folder / "base.toml"))
    expected = base.model_dump() | {"preset": "own"}
    expected["model"]["latent_dim"] = 4
    expected["model"]["modalities"]["w"]["encoder"] = (5, 5)
    assert config == Config.model_validate(expected)


def test_a_chain_of_files_ends_with_the_last_word(folder):
    (folder / "middle.toml").write_text('extends = "base"\n[training]\nepochs = 7\n[data]\nbatch_size = 6')
    config = _load(folder, 'extends = "middle"\n[training]\nepochs = 3')
    assert (config.training.epochs, config.data.batch_size, config.model.latent_dim) == (3, 6, 2)


@pytest.mark.parametrize(("first", "second"), [("own", "own"), ("other", "own"), ("other", "other")])
def test_a_circle_is_refused(folder, first, second):
    (folder / "other.toml").write_text(f'extends = "{second}"')
    with pytest.raises(ValueError, match=r"\.toml: extends must name another file, and not lead back to this one; got"):
        _load(folder, f'extends = "{first}"')


def test_an_extended_file_that_is_not_there_is_named(folder):
    with pytest.raises(ValueError, match=r"own\.toml extends 'bse', but there is no bse\.toml beside it"):
        _load(folder, 'extends = "bse"')


def test_an_extended_file_with_a_mistake_is_named(folder):
    (folder / "broken.toml").write_text("[model")
    with pytest.raises(ValueError, match=r"broken\.toml is not valid TOML"):
        _load(folder, 'extends = "broken"')


def test_bases_are_no_presets():
    assert not [name for name in presets.names() if name.startswith("_")]
    with pytest.raises(ValueError, match="Unknown preset '_celeba'"):
        presets.load("_celeba")


# Convolutions and the options of a GAN.


def test_a_file_makes_convolutional_networks_of_its_sizes(folder):
    model = tj.from_preset(str(folder / "base.toml"))
    tower = _conv(3, 4, 4) + _mlp(2 * 2 * 4, 6)
    assert _size(model.encoder) == tower + _mlp(3, 7) + 2 * _mlp(6 + 7, 2)
    assert _size(model.decoders["x"]) == _mlp(2, 2 * 2 * 4) + _conv(4, 4) + _conv(4, 3)
    assert model.generate({"w": [[0.0, 1.0, -1.0]]}, num_steps=2, seed=0)["x"].shape == (1, 8, 8, 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"event_shape": (12, 12, 3)}, r"height and width are multiples of 8; event_shape is \(12, 12, 3\)"),
        ({"event_shape": (64,)}, r"multiples of 8; event_shape is \(64,\)"),
        ({"decoder": {"filters": (4, 4), "units": (9,)}}, "takes no units: its dense layer follows from the filters"),
        (
            {"likelihood": "laplace", "variance": 1.0},
            "variance, mean_activation: options of gaussian only, but the likelihood is lap",
        ),
    ],
    ids=lambda value: str(next(iter(value))) if isinstance(value, dict) else "",
)
def test_a_decoder_that_does_not_fit_the_image_is_refused(settings, message):
    fitting = {"event_shape": (16, 8, 3), "likelihood": "gaussian", "decoder": {"filters": (4, 4)}}
    ModalityConfig.model_validate(fitting)
    with pytest.raises(ValueError, match=message):
        ModalityConfig.model_validate(fitting | settings)


@pytest.mark.parametrize("filters", [(), (0,), (-4,)], ids=str)
def test_a_convolution_without_channels_is_refused(filters):
    with pytest.raises(ValueError, match="filters"):
        ConvolutionConfig(filters=filters)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ("[0]", r"encoder\.0: Input should be greater than 0 \(got 0\)$"),
        ("{ filters = [4, 0] }", r"encoder\.filters\.1: Input should be greater than 0 \(got 0\)$"),
        ("{ filter = [4] }", r"encoder\.filters: Field required; .*encoder\.filter: Extra inputs are not permitted"),
        ('"wide"', r"encoder: Input should be a valid tuple \(got 'wide'\)"),
    ],
)
def test_a_network_that_is_wrong_is_described_in_the_form_that_came(folder, network, message):
    with pytest.raises(ValueError, match=r"not a valid configuration: model\.modalities\.w\." + message):
        _load(folder, f'extends = "base"\n[model.modalities.w]\nencoder = {network}')


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("adversarial_weight", 2.0, "adversarial_weight: an option of jmvae-kl-gan, but the model is jmvae-kl"),
        ("reconstruction", "features", "reconstruction: an option of jmvae-kl-gan, but the model is jmvae-kl"),
        ("discriminator", {"filters": (4,)}, "discriminator: a network of jmvae-kl-gan, but the model is jmvae-kl"),
    ],
)
def test_options_of_the_gan_are_refused_for_other_models(option, value, message):
    with pytest.raises(ValueError, match=message):
        tj.from_preset("celeba-jmvae-kl", **{option: value})


@pytest.mark.parametrize("rate", ["decoder_learning_rate", "discriminator_learning_rate"])
def test_learning_rates_of_a_gan_are_refused_for_other_models(rate):
    settings = presets.load("celeba-jmvae-kl").model_dump()
    settings["training"][rate] = 1e-3
    with pytest.raises(ValueError, match=f"{rate}: an option of jmvae-kl-gan, but the model is jmvae-kl"):
        Config.model_validate(settings)
