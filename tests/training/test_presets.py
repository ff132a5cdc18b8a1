"""Presets: valid, buildable, of the data's shapes and the paper's sizes; overrides and mistakes."""

import itertools
import math
from importlib import resources

import numpy as np
import pytest

import tf_jmvae as tj
from tf_jmvae.data import five_digits, log_mel
from tf_jmvae.registry import DATASETS
from tf_jmvae.training import build, presets
from tf_jmvae.training.config import Config, ConvolutionConfig

KINDS = {
    "vae": tj.VAE,
    "jmvae": tj.JMVAE,
    "jmvae-kl": tj.JMVAEKL,
    "jmvae-kl-gan": tj.JMVAEKLGAN,
    "hierarchical-jmvae": tj.HierarchicalJMVAE,
    "cvae": tj.CVAE,
    "cmma": tj.CMMA,
}
SHAPES = {
    "digits": {"x": (8, 8, 1), "w": (10,)},
    "mnist": {"x": (28, 28, 1), "w": (10,)},
    "celeba": {"x": (64, 64, 3), "w": (40,)},
    "five-digits": dict.fromkeys(five_digits.PICTURES, (28, 28, 3)),
    "spoken-digits": {"image": (28, 28, 1), "sound": log_mel.SHAPE, "w": (10,)},
}
OF_GREY_IMAGES = [kind for kind in KINDS if kind != "jmvae-kl-gan"]
OF_PHOTOGRAPHS = [kind for kind in KINDS if kind != "vae"]  # a baseline of single modalities
ALL = [f"{dataset}-{kind}" for dataset in ("digits", "mnist") for kind in OF_GREY_IMAGES]
ALL += [f"celeba-{kind}{size}" for kind in OF_PHOTOGRAPHS for size in ("", "-small")]
ALL += [f"{dataset}-jmvae-kl{size}" for dataset in ("five-digits", "spoken-digits") for size in ("", "-small")]

TINY = """
source = "a test"

[data]
dataset = "digits"

[model]
kind = "jmvae"
latent_dim = 2

[model.modalities.x]
event_shape = [8, 8, 1]
likelihood = "bernoulli"
weight = 16.0
encoder = [5]
decoder = [6]

[model.modalities.w]
event_shape = [10]
likelihood = "categorical"
encoder = [7]
decoder = []

[training]
epochs = 1
"""


@pytest.fixture
def tiny(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


def _edited(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return str(path)


SHORT = {f"celeba-hierarchical{size}": f"celeba-hierarchical-jmvae{size}" for size in ("", "-small")}


def test_there_is_a_preset_for_every_model_that_suits_the_dataset():
    assert set(SHAPES) == set(DATASETS.names()) - {"table"}  # of one's own, which no preset can know
    assert presets.names() == sorted([*ALL, *SHORT])
    files = {path.name for path in (resources.files("tf_jmvae.training") / "presets").iterdir()}
    assert files == {f"{name}.toml" for name in presets.names()} | {"_celeba.toml", "_celeba-small.toml"}


@pytest.mark.parametrize(("short", "name"), SHORT.items())
def test_a_shorter_name_is_the_same_preset(short, name):
    assert presets.load(short).model_copy(update={"preset": name}) == presets.load(name)


@pytest.mark.parametrize("name", ALL)
def test_a_preset_is_valid_and_says_where_it_comes_from(name):
    config = presets.load(name)
    assert config.preset == name
    assert f"{config.data.dataset}-{config.model.kind}" == name.removesuffix("-small")
    assert "paper" in config.source or "Suzuki" in config.source
    shapes = SHAPES[config.data.dataset]
    assert {m: modality.event_shape for m, modality in config.model.modalities.items()} == (
        {"x": shapes["x"]} if config.model.kind == "vae" else shapes
    )
    assert Config.model_validate_json(config.model_dump_json()) == config


def _thin(config):
    """A configuration with as many layers of one unit or channel; test_celeba_presets.py makes the wide ones."""

    def thin(network):
        if isinstance(network, ConvolutionConfig):
            sizes = {"filters": (1,) * len(network.filters), "units": (1,) * len(network.units)}
            return network.model_copy(update=sizes)
        return (1,) * len(network)

    modalities = {
        name: m.model_copy(update={"encoder": thin(m.encoder), "decoder": thin(m.decoder)})
        for name, m in config.modalities.items()
    }
    own = {"discriminator": config.discriminator and thin(config.discriminator), "trunk": thin(config.trunk)}
    return config.model_copy(update={"modalities": modalities, **own})


@pytest.mark.parametrize("name", ALL)
def test_a_preset_makes_the_model_that_it_describes(name):
    config = presets.load(name).model
    model = build.build_model(_thin(config)) if name.startswith("celeba") else tj.from_preset(name)
    assert type(model) is KINDS[config.kind]
    assert model.latent_dim == config.latent_dim
    assert list(model.modalities) == list(config.modalities)
    for modality, expected in zip(model.modalities.values(), config.modalities.values(), strict=True):
        assert modality.event_shape == expected.event_shape
        assert type(modality.head) is type(tj.heads.make(expected.likelihood))
        assert modality.weight == expected.weight
    settings, options = model.get_config(), config.arguments()
    if "target" in options:
        options["target"] = [options["target"]]  # models may have several
    if "flow" in options:
        settings["flow"] = settings["flow"]["config"]["num_couplings"]
    assert {option: settings[option] for option in options} == options


@pytest.mark.parametrize("kind", OF_GREY_IMAGES)
def test_the_shapes_are_those_of_the_data(kind):
    config = presets.load(f"digits-{kind}")
    source = tj.data.load("digits").only(config.model.modalities)
    for name, modality in config.model.modalities.items():
        assert source.train[name].shape[1:] == modality.event_shape


def _mlp(*widths):
    return sum(a * b + b for a, b in itertools.pairwise(widths))


def test_mnist_jmvae_kl_has_the_papers_sizes():
    model = tj.from_preset("mnist-jmvae-kl")
    assert (model.latent_dim, model.alpha, model.subsets) == (64, 1.0, "all")
    assert {name: modality.likelihood for name, modality in model.modalities.items()} == {
        "x": "bernoulli",
        "w": "categorical",
    }
    towers = [_mlp(784, 512, 512), _mlp(10, 512, 512)]
    joint = sum(towers) + 2 * _mlp(2 * 512, 64)
    single = sum(towers) + 2 * 2 * _mlp(512, 64)
    decoders = _mlp(64, 512, 512, 784) + _mlp(64, 512, 512, 10)
    assert sum(math.prod(v.shape) for v in model.trainable_variables) == joint + single + decoders


@pytest.mark.parametrize("kind", ["cvae", "cmma"])
@pytest.mark.parametrize(("target", "size", "given_size"), [("x", 784, 10), ("w", 10, 784)])
def test_mnist_cvae_and_cmma_have_the_papers_networks_in_either_direction(kind, target, size, given_size):
    model = tj.from_preset(f"mnist-{kind}", target=target)
    assert (model.targets, model.latent_dim) == ([target], 64)
    towers = {size: _mlp(size, 512, 512) for size in (784, 10)}
    joint = sum(towers.values()) + 2 * _mlp(2 * 512, 64)
    own = {
        "cvae": towers[given_size] + _mlp(64 + 512, 512, 512, size),
        "cmma": towers[given_size] + 2 * _mlp(512, 64) + _mlp(64, 512, 512, size),
    }
    assert sum(math.prod(v.shape) for v in model.trainable_variables) == joint + own[kind]


def test_mnist_presets_train_as_the_paper_does_but_for_the_schedule():
    for kind in OF_GREY_IMAGES:
        config = presets.load(f"mnist-{kind}")
        assert config.model.latent_dim == 64
        assert config.training.learning_rate == 1e-3
        for modality in config.model.modalities.values():
            assert modality.encoder == modality.decoder == (512, 512)
            assert modality.weight == 1
    assert presets.load("mnist-hierarchical-jmvae").model.num_layers == 2
    assert presets.load("mnist-cvae").model.target == presets.load("mnist-cmma").model.target == "x"


def test_options_of_the_model_can_be_overridden(tiny):
    model = tj.from_preset("digits-jmvae-kl", alpha=0.1, latent_dim=3, subsets="single")
    assert (model.alpha, model.latent_dim, model.subsets) == (0.1, 3, "single")
    assert tj.from_preset("digits-hierarchical-jmvae", num_layers=3, latent_dim=2).num_layers == 3
    assert type(tj.from_preset(str(tiny), kind="hierarchical-jmvae")) is tj.HierarchicalJMVAE
    for kind, cls in {"cvae": tj.CVAE, "cmma": tj.CMMA}.items():
        model = tj.from_preset(str(tiny), kind=kind, target="w")
        assert type(model) is cls
        assert (model.conditions, model.targets) == (["x"], ["w"])
        assert tj.from_preset(f"digits-{kind}", target="w").targets == ["w"]
    assert presets.load("digits-jmvae-kl").model.alpha == 1.0


def test_a_toml_file_does_as_well_as_a_name(tiny):
    config = presets.load(str(tiny))
    assert config.preset == "tiny"
    assert config.source == "a test"
    model = tj.from_preset(str(tiny))
    assert [m.weight for m in model.modalities.values()] == [16.0, 1.0]
    joint = _mlp(64, 5) + _mlp(10, 7) + 2 * _mlp(12, 2)
    decoders = _mlp(2, 6, 64) + _mlp(2, 10)
    assert sum(math.prod(v.shape) for v in model.trainable_variables) == joint + decoders


def test_what_is_not_set_has_the_defaults(tiny):
    config = presets.load(str(tiny))
    assert config.model.arguments() == {}
    assert (config.data.batch_size, config.training.kl_warm_up, config.training.decay) == (128, 0, "cosine")


@pytest.mark.parametrize("use", [presets.load, tj.from_preset])
def test_an_unknown_preset_lists_the_known_ones(use):
    with pytest.raises(ValueError, match=r"Unknown preset 'mnist-vea'\. Expected .*mnist-jmvae-kl.*or a \.toml file"):
        use("mnist-vea")


@pytest.mark.parametrize("name", ["", "../presets/mnist-vae", "presets/"])
def test_a_preset_is_no_path(name):
    with pytest.raises(ValueError, match="Unknown preset"):
        presets.load(name)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"no configuration file .*absent\.toml"):
        presets.load(str(tmp_path / "absent.toml"))


def test_bad_toml_is_named_with_its_line(tiny):
    with pytest.raises(ValueError, match=r"tiny\.toml is not valid TOML: .*line 4"):
        presets.load(_edited(tiny, "[data]", "[data"))


def test_a_file_that_is_no_text_is_named(tiny):
    tiny.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"tiny\.toml is not valid TOML"):
        presets.load(str(tiny))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("latent_dim = 2", "latent_dim = 0", r"model\.latent_dim: .*greater than 0 \(got 0\)"),
        ("latent_dim = 2", "", r"model\.latent_dim: Field required"),
        ("latent_dim = 2", "latent_dim = 2\nlatent = 3", r"model\.latent: Extra inputs are not permitted \(got 3\)"),
        (
            "latent_dim = 2",
            "latent_dim = 2\nalpha = 0.5",
            r"alpha: an option of jmvae-kl and jmvae-kl-gan, but the model is jmvae",
        ),
        ('"jmvae"', '"mvae"', r"model\.kind: expected one of 'cmma', .*'vae'; got 'mvae'"),
        (
            "latent_dim = 2",
            'latent_dim = 2\ntarget = "x"',
            "target: an option of cvae and cmma, but the model is jmvae",
        ),
        ('"jmvae"', '"cvae"', "target: cvae needs one of x, w; got None"),
        ('"jmvae"', '"cmma"\ntarget = "y"', "target: cmma needs one of x, w; got y"),
        (
            '"digits"',
            '"cifar"',
            r"data\.dataset: expected one of 'celeba', 'digits', .*'mnist'.*; got 'cifar'",
        ),
        (
            '"bernoulli"',
            '"normal"',
            r"model\.modalities\.x\.likelihood: expected one of .*'bernoulli', .*; got 'normal'",
        ),
        ("encoder = [5]", "encoder = [0]", r"model\.modalities\.x\.encoder\.0: .*greater than 0 \(got 0\)"),
        ("weight = 16.0", "weight = nan", r"model\.modalities\.x\.weight: .*finite number \(got nan\)"),
        ("epochs = 1", 'epochs = "many"', r"training\.epochs: .*valid integer.*\(got 'many'\)"),
        ("epochs = 1", "epochs = 1\nlearning_rate = -1", r"training\.learning_rate: .*greater than 0 \(got -1\)"),
        ('source = "a test"', "", "source: Field required"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_a_file_that_is_no_valid_configuration_says_which_setting_is_wrong(tiny, old, new, message):
    with pytest.raises(ValueError, match=r"tiny\.toml is not a valid configuration: .*" + message):
        presets.load(_edited(tiny, old, new))


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("digits-jmvae", {"alpha": 0.5}, "alpha: an option of jmvae-kl and jmvae-kl-gan, but the model is jmvae"),
        ("digits-vae", {"subsets": "all"}, "subsets: an option of jmvae-kl and jmvae-kl-gan, but the model is vae"),
        (
            "digits-jmvae-kl",
            {"num_layers": 2},
            "num_layers: an option of hierarchical-jmvae, but the model is jmvae-kl",
        ),
        (
            "digits-jmvae-kl",
            {"kind": "jmvae"},
            "alpha, subsets: an option of jmvae-kl and jmvae-kl-gan, but the model is jmvae",
        ),
        ("digits-jmvae", {"target": "x"}, "target: an option of cvae and cmma, but the model is jmvae"),
        ("digits-vae", {"target": "x"}, "target: an option of cvae and cmma, but the model is vae"),
        ("digits-cvae", {"kind": "jmvae"}, "target: an option of cvae and cmma, but the model is jmvae"),
        ("digits-cvae", {"alpha": 0.5}, "alpha: an option of jmvae-kl and jmvae-kl-gan, but the model is cvae"),
        ("digits-cmma", {"target": "y"}, "target: cmma needs one of x, w; got y"),
        ("digits-cmma", {"target": None}, "target: cmma needs one of x, w; got None"),
        ("digits-jmvae", {"kind": "cvae"}, "target: cvae needs one of x, w; got None"),
        ("digits-jmvae", {"dropout": 0.5}, r"dropout: Extra inputs are not permitted \(got 0\.5\)"),
        ("digits-jmvae", {"latent_dim": 0}, r"latent_dim: .*greater than 0 \(got 0\)"),
        ("digits-jmvae-kl", {"alpha": -1.0}, r"alpha: .*greater than or equal to 0 \(got -1\.0\)"),
        ("digits-jmvae-kl", {"subsets": "pairs"}, r"subsets: .*'all', 'single' or 'shared' \(got 'pairs'\)"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_an_override_that_does_not_fit_is_refused(name, overrides, message):
    with pytest.raises(ValueError, match=rf"from_preset\('{name}'\): .*{message}"):
        tj.from_preset(name, **overrides)


def test_rows_that_lack_something_are_configured_too(tmp_path):
    path = tmp_path / "incomplete.toml"
    path.write_text(
        """
        extends = "digits-jmvae-kl"

        [data]
        missing_seed = 3
        complete_rows = 0.25
        missing.w = { fraction = 0.5, balanced = true }
        missing.x = { fraction = 0.05, of = ["0", "1"] }

        [model.modalities.w]
        optional = true

        [model.modalities.x]
        optional = "entries"
        encoder = [16, 16]
        dropout = 0.3
        """
    )
    (tmp_path / "digits-jmvae-kl.toml").write_text(
        (resources.files("tf_jmvae.training") / "presets" / "digits-jmvae-kl.toml").read_text()
    )
    config = presets.load(str(path))
    source = config.data.load()
    lacking = {name: np.isnan(values).reshape(len(values), -1).all(axis=1) for name, values in source.train.items()}
    assert {name: rows.sum() for name, rows in lacking.items()} == {"x": round(0.05 * 1437), "w": round(0.5 * 1437)}
    assert source.complete_rows == 0.25
    model = build.build_model(config.model)
    assert {name: m.optional for name, m in model.modalities.items()} == {"x": "entries", "w": True}
    layers = [type(layer).__name__ for layer in model.modalities["x"].encoder.layers]
    assert layers == ["Flatten", "Dense", "Dropout", "Dense", "Dropout"]
    assert model.modalities["x"].encoder.layers[2].rate == 0.3
