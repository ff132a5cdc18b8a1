"""`tf-jmvae reproduce many --quick`: what is trained, what MultiVae is asked, and what the page says."""

import contextlib
import io
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from eager_studies import eagerly
from mnist_folder import stripes

from tf_jmvae import cli, data
from tf_jmvae._utils.gaps import missing_rows
from tf_jmvae.data import five_digits as dataset
from tf_jmvae.distributions import conditional_product
from tf_jmvae.studies import experiments
from tf_jmvae.studies.many import measurements, peers, plan
from tf_jmvae.studies.study import configs
from tf_jmvae.training.run_folder import load_model

pytestmark = pytest.mark.timeout(600)
QUICK = plan.SCALES["quick"]
FULL = plan.SCALES["full"]
VIEWS = plan.VIEWS

# In place of MultiVae: "trains" by writing what it was asked, and "generates" the real test rows.
STUB = """
import json, pathlib, sys
import numpy as np
request = json.loads(pathlib.Path(sys.argv[1]).read_text())
folder = pathlib.Path(request["folder"])
if request["verb"] == "train":
    trained = {"seconds": 60.0, "parameters": 1234, "packages": {"multivae": "1.0.3"}, "request": request}
    (folder / "trained.json").write_text(json.dumps(trained))
else:
    test = {view: np.load(path)[:request["rows"]] for view, path in request["test"].items()}
    output = pathlib.Path(request["output"])
    for given in request["given"]:
        np.savez(output / f"{'+'.join(given)}.npz", **{v: x for v, x in test.items() if v not in given})
    for prior in ("standard", "fitted"):
        np.savez(output / f"{prior}.npz", **test)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("studies") / "many"


@pytest.fixture(scope="module")
def few_digits(tmp_path_factory):
    """A small MNIST of which a classifier can learn something, with a cache of its own."""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset.digits, "read", lambda data_dir=None: (stripes(300), stripes(60)))
        patch.setenv("TF_JMVAE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def printed(folder, few_digits, tmp_path_factory):
    stub = tmp_path_factory.mktemp("peer") / "stub.py"
    stub.write_text(STUB)
    asked = ["reproduce", "many", "--quick", "--run-dir", str(folder), "--seed", "3", "--peer-python", sys.executable]
    with eagerly(), contextlib.redirect_stdout(io.StringIO()) as printed, pytest.MonkeyPatch.context() as patch:
        patch.setattr(peers, "_SCRIPT", stub)
        assert cli.main(asked) == 0
    return printed.getvalue()


@pytest.fixture(scope="module")
def measured(folder, printed):
    return json.loads((folder / "docs" / "results" / "many.json").read_text())["measurements"]


@pytest.fixture(scope="module")
def report(folder, printed):
    return (folder / "docs" / "results-many.md").read_text()


def test_the_whole_study_has_each_form_and_each_of_multivaes_models():
    assert {*plan.FORMS} < {*FULL.trainings}
    assert {one.kind for one in FULL.peers.values()} == {"jmvae", "jnf", "mvtcae", "mmvae"}
    for fraction in (0.2, 0.5):
        assert {plan.incomplete(way, fraction) for way in ("keep", "drop")} < {*FULL.trainings}
        assert {plan.incomplete(kind, fraction) for kind in ("mvtcae", "mmvae")} < {*FULL.peers}


def test_multivae_reads_the_same_rows_with_the_same_gaps_for_as_long(folder, printed):
    name = plan.incomplete("mmvae", 0.5)
    request = json.loads((folder / name / "trained.json").read_text())["request"]
    config = configs(QUICK, folder, None, 3)[plan.incomplete("keep", 0.5)]
    ours, held = config.data.load(VIEWS).train, np.load(request["held"])
    for view in VIEWS:
        np.testing.assert_array_equal(held[view], ~missing_rows(ours[view]))
        read = np.load(request["train"][view])[: request["options"]["train_size"]]
        np.testing.assert_array_equal(read[held[view]], ours[view][held[view]])
    options = request["options"]
    assert (options["epochs"], options["batch_size"]) == (config.training.epochs, config.data.batch_size)
    assert (options["latent_dim"], options["learning_rate"]) == (64, config.training.learning_rate)
    complete = json.loads((folder / "multivae-mmvae" / "trained.json").read_text())["request"]
    assert complete["held"] is None


def test_real_images_are_as_coherent_as_the_classifier_is_right(measured):
    for count in QUICK.counts:
        found = measured[f"table-coherence/multivae-mmvae/{count}"]
        assert found["mean"] == pytest.approx(measured["classifier"]["mean"], abs=1e-6)
        assert measured[f"frechet/multivae-mmvae/{count}"]["mean"] < 1e-3
    assert 0 < measured["classifier"]["mean"] <= 1


def test_every_coherence_is_that_of_what_the_trained_model_generates(folder, printed, measured):
    import keras

    test = {name: values[: QUICK.test_size] for name, values in data.load("five-digits").test.items()}
    model, labels = load_model(folder / "shared-flow" / "model.keras"), test["w"].argmax(-1)
    classifier = keras.saving.load_model(folder / "classifier.keras")
    hits = []
    for given in VIEWS:
        observed = model.read({given: test[given]})
        made = model.generate(observed, targets=[v for v in VIEWS if v != given], seed=tf.constant([3, 0]))
        for view, values in made.items():
            pixels = model.pixels(view, values).numpy() / np.float32(255)
            hits.append(classifier.predict(pixels, verbose=0).argmax(-1) == labels)
    assert measured["table-coherence/shared-flow/1"]["mean"] == pytest.approx(np.mean(hits), abs=1e-6)


def test_a_plain_product_leaves_the_prior_in_each_expert(folder, printed):
    model = load_model(folder / "single-pull" / "model.keras")
    test = data.load("five-digits").test
    observed = model.read({view: test[view][:4] for view in VIEWS[:3]})
    plain = measurements._plain_product(model, observed)
    experts = [model.posterior({view: values}) for view, values in observed.items()]
    precisions = np.array([1 / expert.variance() for expert in experts])
    np.testing.assert_allclose(1 / plain.variance(), precisions.sum(axis=0), rtol=1e-4)
    divided = conditional_product(experts)
    unbounded = precisions.sum(axis=0) - 2 > 1
    np.testing.assert_allclose((1 / divided.variance())[unbounded], (precisions.sum(axis=0) - 2)[unbounded], rtol=1e-3)


def test_the_page_says_it(measured, report, folder):
    one = measured["table-coherence/shared-flow/1"]
    assert f"| shared towers, follow, flows | {one['mean']:.2%} ± {one['standard_error']:.2%} |" in report
    theirs = measured["joint/multivae-mmvae/fitted"]
    assert f"{theirs['mean']:.2%} ± {theirs['standard_error']:.2%} |" in report
    assert "50% of all views missing" in report
    assert "| multivae-mmvae | 1.0 min | 1,234 |" in report
    assert "nan" not in report
    for image in re.findall(r"images/(many-[a-z]+\.png)", report):
        assert (folder / "docs" / "images" / image).stat().st_size > 10_000
    tables = [block.splitlines() for block in report.split("\n\n") if block.startswith("|")]
    for lines in tables:
        assert len({line.count("|") for line in lines}) == 1
    assert experiments.write_page(folder / "docs", "many").read_text() == report


def test_without_multivae_the_page_says_what_is_not_there(folder, printed):
    record = json.loads((folder / "docs" / "results" / "many.json").read_text())
    theirs = ("multivae", "-mmvae", "-mvtcae", "peer/")
    kept = {name: one for name, one in record["measurements"].items() if not any(part in name for part in theirs)}
    page = experiments._part("many", "page").page({**record, "measurements": kept})
    assert "MultiVae's models are not here" in page
    assert "MMVAE" not in page


def test_what_fails_in_multivaes_process_is_said_with_its_name(tmp_path, few_digits, capfd):
    source = data.load("five-digits")
    like = configs(QUICK, tmp_path, None, 0)
    broken = peers.Peers(Path(sys.executable), source, like, tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peers, "_SCRIPT", tmp_path / "none.py")
        with pytest.raises(peers.RunError, match="multivae-jnf: MultiVae's process failed"):
            broken.train("multivae-jnf", plan.PeerTraining("jnf"))
    assert not (tmp_path / "multivae-jnf" / "trained.json").exists()


@pytest.mark.parametrize("experiment", ["mnist", "many"])
def test_a_python_that_is_not_there_or_not_asked_for_is_refused(experiment, capsys, tmp_path):
    wanted = {"mnist": "--peer-python is an option of many", "many": "there is no"}[experiment]
    asked = ["reproduce", experiment, "--quick", "--run-dir", str(tmp_path / "run"), "--peer-python", "none/python"]
    assert cli.main(asked) != 0
    assert wanted in capsys.readouterr().err
