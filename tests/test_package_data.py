"""What the package reads beside its modules is installed with it, the pre-trained model too."""

import glob
import json
import os
import pathlib
import subprocess
import sys

import pytest
import setup_options

import tf_jmvae as tj
from tf_jmvae._utils import pretrained

ROOT = pathlib.Path(__file__).parent.parent
_FILES = ("setup.py", "pyproject.toml", "README.md", "LICENSE", "NOTICE")


def test_every_file_that_is_no_module_is_package_data():
    options = setup_options.read()
    folders = options["package_dir"]
    installed = {
        pathlib.Path(path)
        for package, patterns in options["package_data"].items()
        for pattern in patterns
        for path in glob.glob(f"{ROOT}/{folders.get(package, package.replace('.', '/'))}/{pattern}", recursive=True)  # noqa: PTH207
        if pathlib.Path(path).is_file()
    }
    kept = [ROOT / "tf_jmvae", *(ROOT / "saved_models" / name for name in pretrained.NAMES)]
    kept = [path for folder in kept for path in folder.rglob("*")]
    data = {path for path in kept if path.is_file() and not _is_module(path)}
    assert data
    assert data == installed


def _is_module(path):
    """Programs of another environment lie in folders that are no packages."""
    return path.suffix == ".pyc" or (path.suffix == ".py" and (path.parent / "__init__.py").exists())


def test_the_wheel_brings_the_pre_trained_model(tmp_path):
    """Built from what git knows, installed elsewhere, and asked in a folder that has nothing."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in tracked.rstrip("\0").split("\0"):
        if name.startswith(("tf_jmvae/", "saved_models/")) or name in _FILES:
            target = tmp_path / "source" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target"]
    subprocess.run([*pip, tmp_path / "site", tmp_path / "source"], check=True)
    (tmp_path / "empty").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}

    def tf_jmvae_in_empty_folder(*words):
        command = [sys.executable, "-m", "tf_jmvae", *words]
        done = subprocess.run(
            command, cwd=tmp_path / "empty", env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "three.png: 1 row of 2 images" in tf_jmvae_in_empty_folder(
        "generate", "--given", "w=3", "--num-samples", "2", "--output", "three.png"
    )
    assert "man.png: 1 row of 2 images of file" in tf_jmvae_in_empty_folder(
        "generate", "emoji", "--given", "name=man surfing", "--num-samples", "2", "--output", "man.png"
    )
    assert list((tmp_path / "site").glob("tf_jmvae-*.dist-info/licenses/NOTICE"))
    found = json.loads(tf_jmvae_in_empty_folder("info", "mnist_jmvae_kl", "--json"))
    assert found["path"] == str(tmp_path / "site" / "tf_jmvae" / "pretrained" / "mnist_jmvae_kl" / "1")


@pytest.mark.parametrize("opens", [tj.hub.load, tj.open_model])
def test_a_pre_trained_model_opens_by_its_name_unless_a_path_has_it(opens, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert opens("mnist_jmvae_kl").spec.name == "mnist_jmvae_kl"
    for unknown in ("mnist_jmvae", "./mnist_jmvae_kl"):
        with pytest.raises(FileNotFoundError, match=r"pre-trained model.*mnist_jmvae_kl"):
            opens(unknown)
    (tmp_path / "mnist_jmvae_kl").mkdir()
    with pytest.raises(FileNotFoundError, match=r"mnist_jmvae_kl (holds none|has neither)"):
        opens("mnist_jmvae_kl")
