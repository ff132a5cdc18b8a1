"""A `.keras` file that would run code of its own when it is loaded is refused, with its path and what it holds."""

import json
import sys
import zipfile

import keras
import pytest
from small_models import small_modalities

import tf_jmvae as tj
from tf_jmvae import cli
from tf_jmvae.training import run

EVIL = "evil_module_of_a_test"


def _rewritten(path, target, change):
    """A copy of a model's file whose configuration is changed."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as copy:
        for name in source.namelist():
            content = source.read(name)
            if name == "config.json":
                config = json.loads(content)
                change(config)
                content = json.dumps(config).encode()
            copy.writestr(name, content)
    return target


def _with_lambda(config):
    body = keras.saving.serialize_keras_object(keras.layers.Lambda(lambda x: x))
    _encoder(config).update(body)


def _with_foreign_class(config):
    _encoder(config).update(module=EVIL, class_name="Evil", registered_name="Evil", config={})


def _as_foreign_function(config):
    config.update(module="os", class_name="system", registered_name="system", config="true")


def _encoder(config):
    return config["config"]["modalities"]["x"]["config"]["encoder"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "model.keras"
    tj.JMVAE(small_modalities(), 2).save(path)
    return path


@pytest.fixture(
    params=[(_with_lambda, "Lambda"), (_with_foreign_class, EVIL), (_as_foreign_function, "os")],
    ids=["lambda", "foreign class", "foreign function"],
)
def unsafe(request, saved, tmp_path, monkeypatch):
    """Such a file, what the message must name, and a file that is there if code of it ran."""
    change, named = request.param
    (tmp_path / f"{EVIL}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\nclass Evil: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, EVIL, raising=False)
    return _rewritten(saved, tmp_path / "unsafe.keras", change), named, tmp_path / "ran"


def test_the_model_as_it_was_loads(saved, tmp_path):
    assert isinstance(run.load_model(_rewritten(saved, tmp_path / "same.keras", lambda config: None)), tj.JMVAE)


def test_loading_is_refused(unsafe):
    path, named, ran = unsafe
    with pytest.raises(run.RunError, match=rf"unsafe\.keras .*{named}"):
        run.load_model(path)
    assert not ran.exists()


@pytest.mark.parametrize("verb", ["export", "edit"])
def test_the_commands_refuse(unsafe, verb, tmp_path, capsys):
    path, named, ran = unsafe
    arguments = {"export": ["--output", str(tmp_path / "out"), "--name", "m"], "edit": [str(tmp_path / "portrait.png")]}
    assert cli.main([verb, str(path), *arguments[verb]]) == 1
    error = capsys.readouterr().err
    assert str(path) in error
    assert named in error
    assert "Traceback" not in error
    assert not ran.exists()
    assert not (tmp_path / "out").exists()


def test_hub_takes_no_keras_files(unsafe):
    path, _, ran = unsafe
    with pytest.raises(ValueError, match=r"unsafe\.keras is neither a folder nor an archive"):
        tj.hub.load(path)
    assert not ran.exists()


def test_a_class_that_this_process_has_registered_is_no_stranger(saved, tmp_path):
    @keras.saving.register_keras_serializable(package="mine")
    class Mine(keras.layers.Dense):
        pass

    def change(config):
        layer = keras.saving.serialize_keras_object(keras.Sequential([Mine(4)]))
        _encoder(config).clear()
        _encoder(config).update(layer)

    path = _rewritten(saved, tmp_path / "mine.keras", change)
    # It gets past the look at the configuration; its weights are not those of the file.
    with pytest.raises(run.RunError, match=r"cannot be loaded \((?!.*Mine.* is no part)"):
        run.load_model(path)
