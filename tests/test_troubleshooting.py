"""The messages that docs/troubleshooting.md quotes are those that come."""

import ast
import re

import keras
import numpy as np
import pages
import pytest
import tensorflow as tf

import tf_jmvae as tj

PAGE = pages.ROOT / "docs/troubleshooting.md"
QUOTED = pages.quoted(PAGE)


@pytest.fixture(scope="module")
def space():
    """What the mistakes are made with."""
    image = tj.Modality((8, 8, 1), "bernoulli", encoder=tj.networks.mlp([4]), decoder=tj.networks.mlp([4]))
    label = tj.Modality((10,), "categorical", encoder=tj.networks.mlp([4]), decoder=tj.networks.mlp([4]))
    model = tj.JMVAEKL({"x": image, "w": label}, latent_dim=2)
    model.compile("adam")
    arrays = {"images": np.ones((5, 8, 8, 1), np.float32), "labels": np.eye(10)[:5]}
    return {"tj": tj, "tf": tf, "np": np, "model": model, "image": image, "label": label, **arrays}


@pytest.mark.parametrize(("mistake", "message"), [q for q in QUOTED if q[0]], ids=lambda text: text.strip()[:40])
def test_the_mistake_gives_the_message(mistake, message, space):
    with pytest.raises((ValueError, TypeError, OSError)) as raised:
        exec(compile(mistake, str(PAGE), "exec"), dict(space))
    assert pages.pattern(message).fullmatch(str(raised.value))


def _text(node):
    """A string of the source, with … for what is filled in; None if it is none."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
    return None


def _templates():
    for path in (pages.ROOT / "tf_jmvae").rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        docstrings = [node.value for node in nodes if isinstance(node, ast.Expr)]
        yield from filter(None, (_text(node) for node in nodes if node not in docstrings))


def test_every_message_is_one_of_the_package():
    """Every stretch of it between two gaps; those that follow a mistake are compared whole, above."""
    templates = [re.sub(r"\s+", " ", template) for template in _templates()]
    assert len(QUOTED) == PAGE.read_text().count('title="Message"')
    alone = [message for mistake, message in QUOTED if mistake is None]
    assert alone
    for message in alone:
        for part in filter(None, map(str.strip, re.split(r"…|'jax'", message))):
            assert any(part in template for template in templates), part


def test_keras_names_the_class_that_it_does_not_know():
    message = re.search(r'```text title="Message of Keras"\n(.+?)\n```', PAGE.read_text())[1]
    config = {"module": "another.package", "class_name": "JMVAEKL", "config": {}, "registered_name": "JMVAEKL"}
    with pytest.raises(TypeError, match=re.escape(message)):
        keras.saving.deserialize_keras_object(config)
