"""Keras on another backend than TensorFlow: one clear error, before that backend is looked for."""

import json
import os
import subprocess
import sys

import keras
import pytest

from tf_jmvae.optimizers import FusedAdam


def _import_in_a_fresh_process(and_then="", **environment):
    inherited = {name: value for name, value in os.environ.items() if name not in ("KERAS_BACKEND", "KERAS_HOME")}
    return subprocess.run(
        [sys.executable, "-c", f"import tf_jmvae{and_then}"],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def _assert_one_clear_error(result, backend):
    assert result.returncode == 1
    assert result.stderr.count("Error: ") == 1, result.stderr
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith(f"ImportError: tf_jmvae needs Keras to run on TensorFlow, but the backend is '{backend}'.")
    assert "KERAS_BACKEND=tensorflow" in last


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_a_backend_set_by_environment_variable_is_refused(backend):
    _assert_one_clear_error(_import_in_a_fresh_process(KERAS_BACKEND=backend), backend)


def test_a_backend_set_in_keras_json_is_refused(tmp_path):
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "jax"}))
    _assert_one_clear_error(_import_in_a_fresh_process(KERAS_HOME=str(tmp_path)), "jax")


def test_the_environment_variable_comes_before_keras_json(tmp_path):
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "tensorflow"}))
    _assert_one_clear_error(_import_in_a_fresh_process(KERAS_BACKEND="jax", KERAS_HOME=str(tmp_path)), "jax")
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "jax"}))
    # What the import is for: a model that was compiled with the package's optimizer loads after it.
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
    model.compile(FusedAdam(1e-2), loss="mse")
    model.save(tmp_path / "model.keras")
    load = f"; import keras; print(type(keras.saving.load_model({str(tmp_path / 'model.keras')!r}).optimizer))"
    result = _import_in_a_fresh_process(load, KERAS_BACKEND="tensorflow", KERAS_HOME=str(tmp_path))
    assert result.returncode == 0, result.stderr
    assert "FusedAdam" in result.stdout
