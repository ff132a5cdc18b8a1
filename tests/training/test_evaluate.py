"""A run's evaluation: every direction that the model has, by the estimators themselves, in a file."""

import contextlib
import io
import json

import pytest
import small_models

import tf_jmvae as tj
from tf_jmvae._utils.files import RunError
from tf_jmvae.evaluation import conditional_log_likelihood, joint_log_likelihood, marginal_log_likelihood
from tf_jmvae.evaluation.planned import planned, scored_directions
from tf_jmvae.evaluation.scored_rows import NoExamplesError
from tf_jmvae.training import build, evaluate, presets
from tf_jmvae.training.run import write_json

SMALL = {"latent_dim": 2}
FEW = {"num_samples": 2, "importance_samples": 3, "examples": 20, "seed": 5, "verbose": False}


def _run_of(folder, preset, **changes):
    """What a run of a preset leaves, but for the training."""
    config = presets.load(preset)
    config = config.model_copy(update={"model": config.model.model_copy(update={**SMALL, **changes})})
    model = build.build_model(config.model)
    folder.mkdir()
    model.save(folder / "model.keras")
    write_json(folder / "config.json", {"config": config.model_dump(mode="json"), "versions": {}})
    write_json(folder / "metrics.json", {"elbo": -1.0})
    return model


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run's folder, its model, its evaluation, and what that printed."""
    folder = tmp_path_factory.mktemp("runs") / "kl"
    model = _run_of(folder, "digits-jmvae-kl")
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        found = evaluate.evaluate_run(folder, **FEW | {"verbose": True})
    return folder, model, found, (out.getvalue(), err.getvalue())


def _row(found, estimator, target, given):
    (row,) = (
        row
        for row in found["rows"]
        if (row["estimator"], row["target"], row["given"]) == (estimator, [*target], [*given])
    )
    return row


def test_the_file_has_what_was_returned_and_where_it_comes_from(made):
    folder, _, found, _ = made
    assert json.loads((folder / "evaluation.json").read_text()) == found
    assert (found["seed"], found["examples"]) == (5, 20)
    assert found["settings"] == {"num_samples": 2, "importance_samples": 3, "num_steps": 1}
    assert {"commit", "versions", "dirty"} <= found.keys()
    assert not list(folder.glob("*~*"))


def test_the_numbers_are_those_of_the_estimators(made):
    _, model, found, _ = made
    test = {name: values[:20] for name, values in tj.data.load("digits").test.items()}
    common = {"seed": 5, "verbose": 0}
    for target, given in (("x", "w"), ("w", "xw")):
        expected = conditional_log_likelihood(model, test, target=target, given=[*given], num_samples=2, **common)
        row = _row(found, "conditional bound", target, given)
        assert row["mean"] == pytest.approx(expected.mean, rel=1e-5)
        assert row["standard_error"] == pytest.approx(expected.standard_error, rel=1e-4)
        assert row["num_samples"] == 2
    expected = joint_log_likelihood(model, test, num_samples=3, **common)
    assert _row(found, "joint importance", "xw", "")["mean"] == pytest.approx(expected.mean, rel=1e-5)
    expected = marginal_log_likelihood(model, test, modality="w", proposal="own", num_samples=3, **common)
    row = _row(found, "marginal importance", "w", "")
    assert row["mean"] == pytest.approx(expected.mean, rel=1e-5)
    assert row["effective_sample_size"] == pytest.approx(expected.effective_sample_size, rel=1e-4)
    assert len(found["rows"]) == 7


def test_a_one_way_model_is_scored_in_its_direction(tmp_path, capsys):
    model = _run_of(tmp_path / "cvae", "digits-cvae", target="w")
    found = evaluate.evaluate_run(tmp_path / "cvae", **FEW)
    kinds = [(row["estimator"], row["target"], row["given"]) for row in found["rows"]]
    assert kinds == [
        ("conditional bound", ["w"], ["x"]),
        ("conditional bound", ["w"], ["x", "w"]),
        ("conditional importance", ["w"], ["x"]),
    ]
    assert model.targets == ["w"]
    assert capsys.readouterr() == ("", "")


def test_other_steps_of_iterated_sampling_are_those_of_every_estimate(tmp_path, monkeypatch):
    model = _run_of(tmp_path / "jmvae", "digits-jmvae")
    first = planned(model, num_samples=2, importance_samples=3)[:1]
    monkeypatch.setattr(evaluate, "planned", lambda model, **samples: planned(model, **samples)[:1])
    assert (first[0][1].target, first[0][1].given) == (["x"], ["w"])
    found = evaluate.evaluate_run(tmp_path / "jmvae", **FEW, num_steps=3)
    test = {name: values[:20] for name, values in tj.data.load("digits").test.items()}
    options = {"target": "x", "given": "w", "num_samples": 2, "seed": 5, "verbose": 0}
    expected = conditional_log_likelihood(
        model, test, iterated_sampling=tj.IteratedSampling(3, num_chains=1), **options
    )
    (row,) = found["rows"]
    assert found["settings"]["num_steps"] == row["settings"]["num_steps"] == 3
    assert row["mean"] == pytest.approx(expected.mean, rel=1e-5)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("xw", {"x|w", "w|x", "x|xw", "w|xw"}),
        ("xwc", {"x|w", "x|c", "x|wc", "w|x", "w|c", "w|xc", "c|x", "c|w", "c|xw", "x|xwc", "w|xwc", "c|xwc"}),
    ],
)
def test_the_directions_of_a_joint_model(names, expected):
    model = tj.JMVAE(small_models.small_modalities(names), 2)
    found = scored_directions(model)
    assert {f"{target}|{''.join(given)}" for target, given in found} == expected
    assert len(found) == len(expected)


def test_the_directions_of_a_model_that_needs_two_modalities():
    model = tj.CVAE(small_models.small_modalities("xwc"), 2, target="w")
    assert scored_directions(model) == [("w", ("x", "c")), ("w", ("x", "w", "c"))]


def test_a_model_of_one_modality_has_its_reconstruction_and_its_likelihood(tmp_path):
    _run_of(tmp_path / "vae", "digits-vae")
    rows = evaluate.evaluate_run(tmp_path / "vae", **FEW)["rows"]
    assert [(row["estimator"], row["quantity"]) for row in rows] == [
        ("conditional bound", "log p(x | x)"),
        ("joint importance", "log p(x)"),
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_samples": 0}, "num_samples must be a whole number of 1 or more; got 0"),
        ({"importance_samples": 0}, "importance_samples must be a whole number of 1 or more; got 0"),
        ({"num_steps": 0}, "num_steps must be a whole number of 1 or more; got 0"),
        ({"examples": 0}, "examples must be a whole number of 1 or more; got 0"),
        ({"examples": 361}, "examples must lie between 1 and 360, the size of the test set; got 361"),
    ],
)
def test_options_that_make_no_sense_are_refused(made, options, message):
    with pytest.raises(ValueError, match=message):
        evaluate.evaluate_run(made[0], **FEW | options)


def test_a_folder_that_is_no_finished_run_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"is not a finished run. Expected the folder that tf-jmvae train leaves"):
        evaluate.evaluate_run(tmp_path)
    with pytest.raises(RunError, match=r"absent does not exist"):
        evaluate.evaluate_run(tmp_path / "absent")
    (tmp_path / "metrics.json").write_text("{}")
    (tmp_path / "config.json").write_text('{"config": {}}')
    with pytest.raises(RunError, match=r"config.json is not a configuration for this version"):
        evaluate.evaluate_run(tmp_path)


def test_progress_goes_to_stderr(made):
    out, err = made[3]
    assert out == ""
    assert "5/7  log p(x, w), importance" in err
    assert err.count("━") > 7  # Keras's bars


def test_estimates_that_no_example_allows_are_left_out_and_named(tmp_path, monkeypatch):
    _run_of(tmp_path / "jmvae", "digits-jmvae")
    bound, *_ = planned(tj.JMVAE(small_models.small_modalities(), 2), num_samples=2, importance_samples=3)

    def nothing(*_, **__):
        raise NoExamplesError("The data contain no examples that can be scored.")

    without = (bound[0], bound[1]._replace(function=nothing))
    monkeypatch.setattr(evaluate, "planned", lambda model, **samples: [without, *planned(model, **samples)[:1]])
    found = evaluate.evaluate_run(tmp_path / "jmvae", **FEW)
    assert len(found["rows"]) == 1
    assert found["left_out"] == [f"{bound[1].quantity}, {bound[0]}"]
    monkeypatch.setattr(evaluate, "planned", lambda model, **samples: [without])
    with pytest.raises(ValueError, match="no examples that can be scored"):
        evaluate.evaluate_run(tmp_path / "jmvae", **FEW)
