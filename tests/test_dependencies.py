"""What the package needs: little by itself, and of an extra what an error names."""

import ast
import importlib.metadata
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
import setup_options

from tf_jmvae._utils import files

ROOT = pathlib.Path(__file__).parent.parent
# What an extra brings, by what it is imported as.
EXTRAS = {
    "beam": {"apache_beam"},
    "cli": {"pydantic", "tyro"},
    "data": {"importlib_resources", "skimage", "sklearn", "tensorflow_datasets"},
    "demo": {"gradio"},
    "faces": {"cv2"},
    "report": {"jinja2", "matplotlib", "scipy", "sklearn", "tensorboard"},
    "serving": {"grpc", "packaging", "requests", "tensorflow_hub", "tensorflow_serving"},
}
OF_TENSORFLOW = {"packaging", "requests"}  # required and imported by TensorFlow and Keras themselves
HIDDEN = set().union(*EXTRAS.values()) - OF_TENSORFLOW
# Mistakes in order, and what they say while nothing of HIDDEN is installed.
MISSING = {
    "tj.from_preset('digits-jmvae-kl')": 'A preset needs pydantic: pip install "tf-jmvae[cli]".',
    "tj.data.load('digits')": 'The dataset digits needs sklearn: pip install "tf-jmvae[data]".',
    "tj.data.load('five-digits')": 'The dataset five-digits needs skimage: pip install "tf-jmvae[data]".',
    "tj.data.load('mnist')": 'The dataset mnist needs tensorflow_datasets: pip install "tf-jmvae[data]".',
    "tj.data.load('celeba')": (
        'The dataset celeba without a data dir needs tensorflow_datasets: pip install "tf-jmvae[data]".'
    ),
    "importlib.import_module('tf_jmvae.data.celeba.arrays').crop_face(Image.new('RGB', (9, 9)))": (
        "Finding faces, unlike crop='center', needs cv2: pip install \"tf-jmvae[faces]\"."
    ),
    "tj.callbacks.TensorBoard()": 'The TensorBoard callback needs tensorboard: pip install "tf-jmvae[report]".',
    "importlib.import_module('tf_jmvae.report.plots')": 'A report needs jinja2: pip install "tf-jmvae[report]".',
    "importlib.import_module('tf_jmvae.tables.beam')": (
        'A pipeline of Apache Beam needs apache_beam: pip install "tf-jmvae[beam]".'
    ),
    "importlib.import_module('tf_jmvae.studies.study')": 'A study needs jinja2: pip install "tf-jmvae[report]".',
    "tj.serving.Client('localhost', model='a')": 'Client needs grpc: pip install "tf-jmvae[serving]".',
    "tj.serving.write_deployment_files('.')": (
        'The list of models for TF Serving needs tensorflow_serving: pip install "tf-jmvae[serving]".'
    ),
    "tj.hub.load('https://localhost/a.tar.gz')": (
        'A model\'s URL, unlike a folder or an archive, needs tensorflow_hub: pip install "tf-jmvae[serving]".'
    ),
    "importlib.import_module('tf_jmvae.demo').launch()": 'The demo needs gradio: pip install "tf-jmvae[demo]".',
    "importlib.import_module('tf_jmvae.cli').main(['info'])": "tf-jmvae info: The command needs tyro: pip install "
    '"tf-jmvae[cli]".\n',
    "hidden.difference_update({'tyro', 'pydantic'}) or train('digits-jmvae-kl')": (
        'A run with its pictures needs matplotlib: pip install "tf-jmvae[report]".'
    ),
}
_HIDE = """
import contextlib, importlib, io, json, sys

hidden = set(json.loads(sys.argv[1]))

class Hide:
    @staticmethod
    def find_spec(name, *_):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hide)
"""
_CORE = """
import keras, numpy as np
from PIL import Image
import tf_jmvae as tj

data = {"x": np.full((8, 4, 4, 1), 0.5, np.float32), "w": np.eye(8, 2, dtype=np.float32)}
model = tj.JMVAEKL({"x": tj.Modality((4, 4, 1), "bernoulli"), "w": tj.Modality((2,), "bernoulli")}, 2)
model.compile(keras.optimizers.Adam(1e-3))
model.fit(data, verbose=0, callbacks=[tj.callbacks.KLWarmUp(1), tj.callbacks.Checkpoint("kept")])
means = [tj.evaluation.joint_log_likelihood(model, data, num_samples=2).mean]
model.save("model.keras")
for opened in (tj.open_model("model.keras"), tj.hub.load(model.export("exported")), tj.open_model("mnist_jmvae_kl")):
    means.append(float(opened.sample(2, seed=1, images="uint8")["x"].mean()))

def train(preset):
    from tf_jmvae.training import presets, run
    run.train(presets.load(preset))

messages = []
for mistake in json.loads(sys.argv[2]):
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            eval(mistake)
        messages.append(said.getvalue())
    except ImportError as error:
        messages.append(str(error))
loaded = {name.partition(".")[0] for name in sys.modules}
print(json.dumps([bool(np.isfinite(means).all()), messages, sorted(hidden & loaded)]))
"""
_WITHOUT_POSIX = """
import builtins, importlib, json, pkgutil, sys
import keras, tensorflow_probability as tfp

tfp.distributions
before, imports = set(sys.modules), builtins.__import__

def without_posix(name, globals=None, *rest, **named):
    importer = (globals or {}).get("__name__", "")
    if importer.startswith("tf_jmvae") and name in ("fcntl", "grp", "pwd", "resource", "termios"):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return imports(name, globals, *rest, **named)

builtins.__import__ = without_posix
import tf_jmvae
added = sorted(set(sys.modules) - before)
found = [module.name for module in pkgutil.walk_packages(tf_jmvae.__path__, "tf_jmvae.")]
print(json.dumps([added, [name for name in found if not name.endswith("__main__") and importlib.import_module(name)]]))
"""


def _run(code, folder, *arguments):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, *map(json.dumps, arguments)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def without_extras(tmp_path_factory):
    """What a process does and says in which nothing but the core is installed."""
    return _run(_HIDE + _CORE, tmp_path_factory.mktemp("core"), sorted(HIDDEN), list(MISSING))


def test_the_core_trains_scores_saves_exports_and_opens_without_any_extra(without_extras):
    works, _, loaded = without_extras
    assert works
    assert loaded == []


@pytest.mark.parametrize("mistake", MISSING)
def test_what_is_missing_is_named_with_its_extra(mistake, without_extras):
    assert dict(zip(MISSING, without_extras[1], strict=True))[mistake] == MISSING[mistake]


@pytest.fixture(scope="module")
def without_posix(tmp_path_factory):
    """What `import tf_jmvae` loads where POSIX modules are missing, and every module of it that can be imported."""
    return _run(_WITHOUT_POSIX, tmp_path_factory.mktemp("imports"))


def test_the_import_loads_no_package_of_an_extra(without_posix):
    """Not even where they are installed; Keras loads some of them on its own."""
    added = {name.partition(".")[0] for name in without_posix[0]}
    assert "tf_jmvae" in added
    assert not added & set().union(*EXTRAS.values())


def test_every_import_is_declared_and_the_core_declares_none_of_an_extra():
    """By the names of the packages, as the metadata of an installed environment maps modules to them."""
    providers = importlib.metadata.packages_distributions()
    imported = set()
    for path in (path for folder in (ROOT / "tf_jmvae").rglob("__init__.py") for path in folder.parent.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            imported |= {name for name in names if name.partition(".")[0] not in {"tf_jmvae", *sys.stdlib_module_names}}
    assert HIDDEN - {"importlib_resources", "tensorflow_hub"} <= {name.partition(".")[0] for name in imported}
    options = setup_options.read()
    core = _names(options["install_requires"])
    extras = {name: _names(found) for name, found in options["extras_require"].items()}
    for name in imported:
        top = "protobuf" if name.startswith("google.protobuf") else name.partition(".")[0]
        assert {_normal(one) for one in [*providers.get(top, []), top]} & (core | extras["all"] | extras["beam"]), name
    for name, modules in EXTRAS.items():
        brought = {_normal(one) for module in modules for one in providers.get(module, [module])}
        assert brought & extras[name] == extras[name], name
        assert not extras[name] & core
        assert name == "beam" or extras[name] <= extras["all"]
        assert extras[name] | extras["all"] <= extras["dev"]


def _names(requirements):
    return {_normal(re.match(r"[\w.-]+", requirement)[0]) for requirement in requirements}


def _normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_module_imports_where_posix_modules_are_missing(without_posix):
    """As on Windows; what the libraries need of them is theirs."""
    _, imported = without_posix
    assert len(imported) > 100
    assert {"tf_jmvae._utils.files", "tf_jmvae.cli.demo", "tf_jmvae.demo.page"} <= set(imported)


def test_without_locks_a_file_is_written_under_a_temporary_name_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with files.locked(tmp_path) as alone:
        assert not alone
    names = []
    for _ in range(2):
        files.replace_atomically(tmp_path / "a.txt", lambda path: names.append(path) or pathlib.Path(path).touch())
    assert len(set(names)) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
