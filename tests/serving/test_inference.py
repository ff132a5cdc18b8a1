"""Verbs find the signature that reads what is given and gives what is wished for, or say what there is."""

import exported
import numpy as np
import pytest
import tensorflow as tf

import tf_jmvae as tj
from tf_jmvae._utils import names
from tf_jmvae.serving.inference import InferenceModel
from tf_jmvae.serving.request import Signature, TensorInfo
from tf_jmvae.specs import ModalitySpec, ModelSpec

SHAPES = {"x": (4, 4, 1), "r": (4, 4, 3), "w": (3,), "z": (2,), "h": (4, 4, 5)}
PNG = [b"one", b"two"]


def _infos(*tensors):
    made = {}
    for name in tensors:
        if name == "seed":
            made[name] = TensorInfo("int32", (None, 2))
        elif name.endswith(names.BYTES):
            made[name] = TensorInfo("string", (None,))
        else:
            made[name] = TensorInfo("float32", (None, *SHAPES.get(name, (2,))))
    return made


class Recorder(InferenceModel):
    """Has signatures as `{"name": ("inputs", "outputs")}`, and remembers which were called."""

    def __init__(self, signatures):
        self.called = []
        self._signatures = {
            name: Signature(_infos(*inputs.split()), _infos(*outputs.split()))
            for name, (inputs, outputs) in signatures.items()
        }

    spec = ModelSpec("JMVAEKL", {name: ModalitySpec(shape, "bernoulli") for name, shape in SHAPES.items()}, 2)

    @property
    def signatures(self):
        return self._signatures

    def _predict(self, signature, inputs):
        self.called.append(signature)
        self.inputs = inputs
        rows = len(next(iter(inputs.values())))
        outputs = self.signatures[signature].outputs
        return {name: np.zeros((rows, *info.shape[1:]), np.float32) for name, info in outputs.items()}


def _formats(name, inputs, outputs):
    """A signature that gives images, in every format."""
    encoded = " ".join(names.encoded(o) if len(SHAPES[o]) == 3 else o for o in outputs.split())
    return {name: (inputs, outputs), f"{name}_as_uint8": (inputs, outputs), f"{name}_as_png": (inputs, encoded)}


@pytest.fixture
def model():
    """Of two images x and r, and a label w."""
    return Recorder(
        {
            "encode": ("x r w", "mean"),
            "encode_from_x_and_r_and_w": ("x r w", "mean"),
            "encode_from_x_and_r_and_w_bytes": ("x_bytes r_bytes w", "mean"),
            "generate_w_from_x_and_r": ("x r", "w"),
            "generate_w_from_x_and_r_bytes": ("x_bytes r_bytes", "w"),
            "sample_w_from_x_and_r": ("x r seed", "w"),
            **_formats("generate_x_from_w", "w", "x"),
            **_formats("generate_r_from_w", "w", "r"),
            **_formats("generate_r_from_x", "x", "r"),
            **_formats("generate_r_from_x_bytes", "x_bytes", "r"),
            **_formats("reconstruct", "x r w", "x r w"),
            **_formats("reconstruct_bytes", "x_bytes r_bytes w", "x r w"),
            **_formats("decode", "z", "x r w"),
            **_formats("sample", "seed", "x r w"),
            "log_likelihood": ("x r w seed", "log_likelihood"),
            "log_likelihood_bytes": ("x_bytes r_bytes w seed", "log_likelihood"),
        }
    )


def arrays(*modalities, rows=2):
    return {name: np.zeros((rows, *SHAPES[name]), np.float32) for name in modalities}


ENCODED = {"x": PNG, "r": PNG, **arrays("w")}


@pytest.mark.parametrize(
    ("call", "signature"),
    [
        (lambda m: m.encode(arrays("x", "r", "w")), "encode"),
        (lambda m: m.encode(ENCODED), "encode_from_x_and_r_and_w_bytes"),
        (lambda m: m.reconstruct(arrays("x", "r", "w")), "reconstruct"),
        (lambda m: m.reconstruct(arrays("x", "r", "w"), images="png"), "reconstruct_as_png"),
        (lambda m: m.reconstruct(ENCODED), "reconstruct_bytes"),
        (lambda m: m.reconstruct(ENCODED, images="png"), "reconstruct_bytes_as_png"),
        (lambda m: m.reconstruct(ENCODED, images="uint8"), "reconstruct_bytes_as_uint8"),
        (lambda m: m.log_likelihood(arrays("x", "r", "w")), "log_likelihood"),
        (lambda m: m.log_likelihood(ENCODED), "log_likelihood_bytes"),
        (lambda m: m.generate({"x": PNG}, targets=["r"], latent="mean"), "generate_r_from_x_bytes"),
        (lambda m: m.generate({"x": PNG}, latent="mean", images="png"), "generate_r_from_x_bytes_as_png"),
        (lambda m: m.generate({"x": PNG, "r": PNG}, latent="mean"), "generate_w_from_x_and_r_bytes"),
        (lambda m: m.generate(arrays("x", "r"), images="png", seed=0), "sample_w_from_x_and_r"),
        (lambda m: m.decode(np.zeros((2, 2)), images="uint8"), "decode_as_uint8"),
        (lambda m: m.sample(2, images="png"), "sample_as_png"),
    ],
)
def test_the_signature_that_takes_just_these_inputs_is_called(model, call, signature):
    call(model)
    assert model.called == [signature]


def test_given_images_of_a_one_way_model_may_be_encoded():
    model = Recorder({"decode": ("z x", "w"), "decode_bytes": ("z x_bytes", "w")})
    model.decode(np.zeros((2, 2)), arrays("x"))
    model.decode(np.zeros((2, 2)), {"x": PNG}, images="png")
    assert model.called == ["decode", "decode_bytes"]
    with pytest.raises(ValueError, match=r"cannot decode z given nothing\. It offers decode of 'x', 'z'; decode_b"):
        model.decode(np.zeros((2, 2)))


def test_all_targets_are_generated_once_and_in_one_format(model):
    assert model.generate(arrays("w"), latent="mean", images="png").keys() == {"x", "r"}
    assert model.called == ["generate_x_from_w_as_png", "generate_r_from_w_as_png"]


def test_encoded_images_beside_arrays_are_a_clear_error(model):
    mixed = {"x": PNG, **arrays("r")}
    calls = [
        lambda: model.generate(mixed),
        lambda: model.generate(mixed, targets=["w"], latent="mean"),
        lambda: model.encode({**mixed, **arrays("w")}),
        lambda: model.reconstruct({**mixed, **arrays("w")}),
        lambda: model.log_likelihood({**mixed, **arrays("w")}),
    ]
    message = r"cannot read 'r'.*, 'x_bytes' together, .* It reads 'r'.*'x'; or 'r_bytes'.*'x_bytes'\. Give all images"
    for call in calls:
        with pytest.raises(ValueError, match=message):
            call()
    assert model.called == []


def test_pixels_beside_encoded_images_are_encoded_too(model):
    """Signatures read all images as bytes, or none."""
    levels = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3)).astype(np.uint8)
    model.generate({"x": PNG, "r": levels}, latent="mean")
    assert model.called == ["generate_w_from_x_and_r_bytes"]
    np.testing.assert_array_equal(np.stack([tf.io.decode_png(png) for png in model.inputs["r_bytes"]]), levels)


def test_what_is_missing_is_told_from_what_there_is(model):
    with pytest.raises(ValueError, match=r"cannot draw z from 'x'\. It offers encode of 'r', 'w', 'x'; "):
        model.reconstruct(arrays("x"))
    with pytest.raises(ValueError, match=r"cannot generate 'x' from 'r'\. It offers generate_x_from_w\."):
        model.generate(arrays("r"), targets=["x"], latent="mean")
    with pytest.raises(ValueError, match="generates nothing from 'q'"):
        model.generate({"q": np.zeros((1, 2))})


@pytest.mark.parametrize("images", ["png", "uint8"])
def test_images_without_such_a_form_are_an_error_and_labels_are_not(images):
    model = Recorder({"reconstruct": ("h w", "h w"), "generate_w_from_h": ("h", "w"), "sample": ("seed", "h w")})
    for call in (lambda: model.reconstruct(arrays("h", "w"), images=images), lambda: model.sample(3, images=images)):
        with pytest.raises(ValueError, match=r"gives 'h' as values only, with images='float': .* 1 or 3 channels"):
            call()
    model.generate(arrays("h"), latent="mean", images=images)
    model.reconstruct(arrays("h", "w"))
    assert model.called == ["generate_w_from_h", "reconstruct"]


def test_samples_of_an_example_stand_beside_each_other(model):
    observed = {name: np.arange(2.0).reshape(2, 1, 1, 1) + value for name, value in arrays("x", "r").items()}
    samples = model.generate(observed, num_samples=3, seed=5)
    assert samples["w"].shape == (2, 3, 3)
    np.testing.assert_array_equal(model.inputs["x"][:, 0, 0, 0], [0, 0, 0, 1, 1, 1])
    assert len(np.unique(model.inputs["seed"], axis=0)) == 6


def test_values_are_checked_as_they_were_given(model, monkeypatch):
    checked = {}
    monkeypatch.setattr(model, "_check_value", checked.__setitem__, raising=True)
    model.generate({"x": np.full((2, *SHAPES["x"]), 7), **arrays("r")}, num_samples=3)
    assert checked.keys() == {"x", "r"}
    assert checked["x"].shape == (2, 4, 4, 1)
    assert checked["x"].dtype == np.float32


def test_a_number_beyond_float32_is_refused(model):
    for value in (1e300, -1e39):
        with pytest.raises(ValueError, match=r"'w' holds -?1e\+3.*, which is too large for float32"):
            model.encode({**arrays("x", "r"), "w": np.full((2, 3), value)})


@pytest.mark.parametrize("kind", ["jmvae", "hierarchical"])
def test_the_mean_is_what_its_latents_decode_to(kind):
    """Also where chains of draws complete what is missing."""
    model = tj.open_model(exported.make(kind), iterated_sampling=3)
    for name, value in exported.batch(model.modalities, 3).items():
        mean = model.generate({name: value}, latent="mean")
        decoded = model.decode(model.latents({name: value}))
        for target, expected in mean.items():
            np.testing.assert_array_equal(decoded[target], expected)


def test_names_of_signatures():
    assert names.without_format("reconstruct_bytes_as_png") == "reconstruct_bytes"
    assert names.plain("reconstruct_bytes_as_uint8") == names.plain("reconstruct_bytes") == "reconstruct"
    assert names.modality(names.encoded("x")) == names.modality("x") == "x"
