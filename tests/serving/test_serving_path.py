"""The serving path: what one process exports, another without TensorFlow's Python runs by its tensors."""

import dataclasses
import io
import json
import pathlib
import pickle
import re
import subprocess
import sys

import exported
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.protobuf import config_pb2, saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2

from tf_jmvae.distributions import diagonal_gaussian
from tf_jmvae.images import preprocessing_in_graph as images
from tf_jmvae.specs import ModelSpec

HERE = pathlib.Path(__file__).parent
LIBRARIES = pathlib.Path(tf.__file__).parent
SIZE = 5  # the requests of the warm-up have one row
ROWS = (0, 63)


def _signature_defs(folder):
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    (graph,) = saved.meta_graphs
    return {name: value for name, value in graph.signature_def.items() if not name.startswith("__")}


def _run(folder, calls, optimize, tmp_path):
    """Results of `(signature, inputs)` pairs, from a process that never imports TensorFlow."""
    config = config_pb2.ConfigProto()
    config.graph_options.rewrite_options.disable_meta_optimizer = not optimize
    definitions = _signature_defs(folder)
    wanted = [
        (
            {definitions[name].inputs[key].name: value for key, value in inputs.items()},
            {key: info.name for key, info in definitions[name].outputs.items()},
        )
        for name, inputs in calls
    ]
    (tmp_path / "calls").write_bytes(pickle.dumps((str(folder), config.SerializeToString(), wanted)))
    command = [sys.executable, HERE / "c_api.py", LIBRARIES, tmp_path / "calls", tmp_path / "results"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr[-2000:]
    return pickle.loads((tmp_path / "results").read_bytes())


def _picture(shape, seed):
    """A PNG of another size and another shape than the model's."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (13 + seed, 11, 3), np.uint8)
    image = Image.fromarray(pixels).convert("RGB" if shape[-1] == 3 else "L")
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _inputs(model, definition, size):
    values = exported.batch(model.modalities, size, seed=size)
    random = np.random.default_rng(size)
    made = {}
    for name in definition.inputs:
        if name == "seed":
            made[name] = random.integers(-(2**31), 2**31, (size, 2)).astype(np.int32)
        elif name == "rows":
            made[name] = np.arange(size, dtype=np.int32)
        elif name in ("z", "noise"):
            made[name] = random.normal(size=(size, definition.inputs[name].tensor_shape.dim[1].size)).astype(np.float32)
        elif name.endswith("_bytes"):
            shape = model.modalities[name.removesuffix("_bytes")].event_shape
            made[name] = np.array([_picture(shape, seed) for seed in range(size)], object)
        elif name.endswith("_kept"):
            made[name] = (values[name.removesuffix("_kept")] > 0).astype(np.float32)
        else:
            made[name] = values[name.removesuffix("_changed")]
    return made


def _decoded(model, name, encoded, cache):
    """As the documentation says: the middle, resized by Lanczos's kernel, to a level of Pillow; then as values."""
    key = name, *encoded
    if key not in cache:
        cache[key] = _decoded_anew(model, name, encoded)
    return cache[key]


def _decoded_anew(model, name, encoded):
    modality = model.modalities[name]
    height, width, channels = modality.event_shape
    raw = images.from_bytes(tf.constant(encoded), modality.spec)
    black, white = modality.preprocessing.range
    for data, found in zip(encoded, raw.numpy(), strict=True):
        picture = Image.open(io.BytesIO(data)).convert("L" if channels == 1 else "RGB")
        columns, rows = picture.size
        cut_rows, cut_columns = min(rows, columns * height // width), min(columns, rows * width // height)
        left, top = (columns - cut_columns) // 2, (rows - cut_rows) // 2
        middle = picture.crop((left, top, left + cut_columns, top + cut_rows))
        expected = np.asarray(middle.resize((width, height), Image.Resampling.LANCZOS), float)
        levels = (found - black) * 255 / (white - black)
        assert np.abs(levels - expected.reshape(height, width, channels)).max() < 1.01
    return model.preprocess({name: raw})[name]


def _expected(model, name, inputs, num_steps, cache):
    """What the model's own methods give for the signature's name; the forms of a result share the values in `cache`."""
    plain = re.sub("_as_uint8$|_as_png$", "", name)
    key = plain, pickle.dumps(inputs)
    if key not in cache:
        cache[key] = _values(model, plain, inputs, num_steps, cache)
    if plain == name:
        return cache[key]
    return {output: _as_pixels(model, output, value) for output, value in cache[key].items()}


def _values(model, plain, inputs, num_steps, cache):
    """What the model's own methods give for the name of a signature that returns numbers."""
    size = len(next(iter(inputs.values())))
    observed = {
        key.removesuffix("_bytes"): _decoded(model, key.removesuffix("_bytes"), value, cache)
        if key.endswith("_bytes")
        else value
        for key, value in inputs.items()
        if key not in ("seed", "z", "noise") and not key.endswith(("_changed", "_kept"))
    }
    seed = tf.constant(inputs["seed"]) if "seed" in inputs else tf.zeros((size, 2), tf.int32)
    if plain.startswith("encode") or plain == "serving_default":
        q = model.posterior(observed, iterated_sampling=num_steps, seed=seed)
        return {"mean": q.mean(), "standard_deviation": q.stddev()}
    if plain == "latent_noise":
        shape = (size, model.latent_dim * getattr(model, "num_layers", 1))
        return {"noise": model.latent_noise(diagonal_gaussian(tf.zeros(shape), tf.ones(shape)), seed)}
    if plain.startswith("latents"):
        noise = tf.constant(inputs["noise"])
        q = diagonal_gaussian(tf.zeros_like(noise), tf.ones_like(noise))
        q = model.posterior(observed, iterated_sampling=num_steps, seed=seed) if observed else q
        return {"z": model.draw_latents(q, noise)}
    if plain.startswith("decode"):
        z = tf.constant(inputs["z"])
        return {key: p.mean() for key, p in model.likelihoods(z, conditions=observed or None).items()}
    if plain == "sample":
        return model.sample(size, seed=seed)
    if plain.startswith("reconstruct"):
        return model.reconstruct(observed, latent="mean", seed=seed)
    if plain.startswith("log_likelihood"):
        return {"log_likelihood": exported.log_likelihood(model, observed, seed)}
    if plain.startswith("edit"):
        return _edited(model, *re.fullmatch("edit_(.+)_by_(.+?)(?:_bytes)?", plain).groups(), observed, inputs, seed)
    verb, target = re.match("(generate|sample)_([^_]+)_from", plain).groups()
    latent = "mean" if verb == "generate" else "sample"
    return model.generate(observed, targets=[target], latent=latent, num_steps=num_steps, seed=seed)


def _edited(model, image, attributes, observed, inputs, seed):
    """What is seen, but where a new value comes in; the picture moves as the means of the two do."""
    seen = model.generate(observed, targets=[attributes], latent="mean", seed=seed)[attributes].numpy()
    new = np.where(inputs[f"{attributes}_kept"] == 1, seen, inputs[f"{attributes}_changed"])
    means = [model.generate({attributes: a}, targets=[image], latent="mean", seed=seed)[image] for a in (new, seen)]
    return {image: observed[image] + means[0] - means[1], attributes: seen}


def _as_pixels(model, name, values):
    if len(model.modalities[name].event_shape) != 3:
        return values
    if model.modalities[name].standardized:
        return model.postprocess({name: values})[name]
    return np.round(values.numpy() * 255).astype(np.uint8)


def _assert_close(found, expected, label):
    found = {
        key.removesuffix("_bytes"): np.stack([_png(data) for data in value]) if key.endswith("_bytes") else value
        for key, value in found.items()
    }
    assert found.keys() == expected.keys(), label
    for key, value in expected.items():
        value = np.asarray(value)
        if value.dtype == np.uint8:  # a rounding of half a grey level may go either way
            assert np.abs(found[key].astype(int) - value.astype(int)).max() <= 1, (label, key)
        else:
            np.testing.assert_allclose(found[key], value, rtol=1e-5, atol=1e-5, err_msg=f"{label} {key}")


def _png(data):
    pixels = np.asarray(Image.open(io.BytesIO(data)))
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _requests(folder):
    path = folder / "assets.extra" / "tf_serving_warmup_requests"
    for record in tf.data.TFRecordDataset(str(path)):
        yield prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request


@pytest.mark.parametrize("kind", exported.KINDS)
def test_every_signature_alone_in_batches_and_as_warm_up(exports, kind, tmp_path, monkeypatch):
    """One session for all of it; TensorFlow's optimizers, slow to start, work on one kind, as they do in a server."""
    folder, model = exports(kind), exported.make(kind)
    definitions = _signature_defs(folder)
    calls = [(name, _inputs(model, definitions[name], SIZE)) for name in sorted(definitions)]
    num_steps, cache = exported.KINDS[kind][-1].get("num_steps", 1), {}

    rows = []
    for name, definition in sorted(definitions.items()):
        if "seed" in definition.inputs:
            inputs = _inputs(model, definition, 64)
            rows.append((name, inputs))
            rows += [(name, {key: value[row : row + 1] for key, value in inputs.items()}) for row in ROWS]

    requests = list(_requests(folder))
    warm_up = [
        (request.model_spec.signature_name, {key: tf.make_ndarray(value) for key, value in request.inputs.items()})
        for request in requests
    ]

    results = iter(_run(folder, calls + rows + warm_up, kind in exported.OPTIMIZED, tmp_path))
    for name, inputs in calls:
        if name == "describe":
            _assert_described(next(results), model, num_steps, len(inputs["rows"]))
            continue
        _assert_close(next(results), _expected(model, name, inputs, num_steps, cache), f"{kind} {name}")
    for start in range(0, len(rows), 1 + len(ROWS)):
        together = next(results)
        for row in ROWS:
            _assert_row(next(results), together, row, rows[start][0])
    assert sorted(name for name, _ in warm_up) == sorted(_functions(definitions, model))
    assert {request.model_spec.name for request in requests} == {kind}
    monkeypatch.setattr(
        "tf_jmvae._utils.checks.check_values", lambda *_, **__: None
    )  # warm-up rows are all zeros, labels too
    for name, inputs in warm_up:
        if name == "describe":
            _assert_described(next(results), model, num_steps, len(inputs["rows"]))
            continue
        _assert_close(next(results), _expected(model, name, inputs, num_steps, cache), f"{kind} {name}, warm-up")


def _functions(definitions, model):
    """One signature for each function: not the forms of its images, nor the other names of `encode`."""
    of_all = f"encode_from_{'_and_'.join(model.modalities)}"
    plain = {re.sub("(_bytes)?(_as_uint8|_as_png)?$", "", name) for name in definitions}
    return plain - {"serving_default", of_all}


def _assert_described(found, model, num_steps, rows):
    (texts,) = found.values()
    assert len(texts) == rows
    for text in texts:
        assert ModelSpec.from_json(json.loads(text)) == dataclasses.replace(model.spec, num_steps=num_steps)


def _assert_row(alone, together, row, name):
    """A row by itself gives what it gives in a batch."""
    for key, value in alone.items():
        if key.endswith("_bytes"):
            np.testing.assert_allclose(_png(value[0]).astype(int), _png(together[key][row]), atol=1, err_msg=name)
        elif value.dtype == np.uint8:
            np.testing.assert_allclose(value[0].astype(int), together[key][row], atol=1, err_msg=name)
        else:
            np.testing.assert_allclose(value[0], together[key][row], atol=1e-6, rtol=1e-6, err_msg=name)
