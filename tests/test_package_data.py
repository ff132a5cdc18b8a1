"""What the package reads beside its modules is installed with it."""

import pathlib
import runpy

import setuptools

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / "tf_jmvae"


def test_every_file_that_is_no_module_is_package_data(monkeypatch):
    options = {}
    monkeypatch.setattr(setuptools, "setup", lambda **given: options.update(given))
    monkeypatch.chdir(ROOT)
    runpy.run_path("setup.py")
    installed = {
        path
        for package, patterns in options["package_data"].items()
        for pattern in patterns
        for path in (ROOT / package.replace(".", "/")).glob(pattern)
    }
    data = {path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert data
    assert data == installed
