"""The parts of a study: its plan, its folder, and what it says of the time."""

import functools
import json
from pathlib import Path

import keras
import numpy as np
import pytest

from tf_jmvae import cli, data
from tf_jmvae.studies import study
from tf_jmvae.studies.celeba import measurements as celeba
from tf_jmvae.studies.collector import COMPARED, load_or_train, trained_models
from tf_jmvae.studies.mnist import measurements as mnist
from tf_jmvae.studies.mnist.plan import SCALES, TRAININGS
from tf_jmvae.studies.pages import TITLES
from tf_jmvae.studies.study import configs
from tf_jmvae.training import presets
from tf_jmvae.training.run import RunError
from tf_jmvae.training.run_folder import occupied

FULL, QUICK = SCALES["full"], SCALES["quick"]
EPOCHS = {
    "jmvae-kl-0.1": 200,
    "jmvae-kl-flow": 60,
    "jmvae-kl": 60,
    "jmvae": 60,
    "hierarchical-jmvae": 60,
    "cvae-x": 25,
    "cvae-w": 12,
    "cmma-x": 25,
    "cmma-w": 12,
    "jmvae-2d": 15,
    "hierarchical-jmvae-2d": 15,
    "jmvae-kl-2d": 15,
}


# The plan.


def test_the_full_plan_trains_twelve_models_on_all_of_mnist():
    made = configs(FULL, Path("runs/study"), Path("data/mnist"), 5)
    assert {name: config.training.epochs for name, config in made.items()} == EPOCHS
    for name, config in made.items():
        assert config.data.dataset == "mnist"
        assert config.data.train_size is None
        assert config.data.data_dir == Path("data/mnist")
        assert config.training.kl_warm_up == EPOCHS[name] // 10
        assert config.training.steps_per_execution == 7
        assert config.run_dir == Path("runs/study") / name
        assert config.seed == 5
        joint = Path("runs/study/jmvae-kl-0.1") if name == "jmvae-kl-flow" else None
        assert config.training.joint_from == joint


@pytest.mark.parametrize("name", EPOCHS)
def test_each_training_is_its_preset_but_for_what_the_plan_says(name):
    config = configs(FULL, Path("runs"), None, 0)[name]
    preset = presets.load(f"mnist-{TRAININGS[name].kind}")
    assert config.preset == preset.preset
    assert config.model == type(preset.model).model_validate({**preset.model.model_dump(), **TRAININGS[name].options})
    assert config.training.learning_rate == preset.training.learning_rate
    assert config.data.batch_size == preset.data.batch_size


def test_the_models_differ_in_what_they_are_compared_by():
    models = {name: config.model for name, config in configs(FULL, Path("runs"), None, 0).items()}
    assert models["jmvae-kl-0.1"].alpha == 0.1
    assert models["jmvae-kl"].alpha == 1
    assert (models["jmvae-kl-flow"].flow, models["jmvae-kl-flow"].subset_learning) == (8, "follow")
    for kind in ("cvae", "cmma"):
        for target in ("x", "w"):
            assert models[f"{kind}-{target}"].kind == kind
            assert models[f"{kind}-{target}"].target == target
    assert {name: model.latent_dim for name, model in models.items()} == {
        name: 2 if name.endswith("-2d") else 64 for name in EPOCHS
    }


def test_the_quick_plan_has_the_same_models_in_miniature():
    made = configs(QUICK, Path("runs"), None, 0)
    assert list(made) == list(EPOCHS)
    for name, config in made.items():
        assert config.data.dataset == "digits"
        assert config.data.train_size == QUICK.train_size
        assert config.training.epochs == 1
        assert config.model.kind == TRAININGS[name].kind


def test_every_row_of_table_1_has_trainings():
    assert {name for trained, _ in mnist.ROWS.values() for name in trained.values()} <= EPOCHS.keys()
    assert {f"{name}{suffix}" for name in COMPARED for suffix in ("", "-2d")} <= EPOCHS.keys()
    assert mnist.ROWS.keys() == TITLES.keys()


# The folder.


def test_a_folder_with_other_files_is_refused_and_left_as_it_is(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("years of work")
    assert cli.main(["reproduce", "mnist", "--quick", "--run-dir", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert f"{tmp_path} holds files that belong to no study; choose another folder with --run-dir." in error
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_study_that_another_process_is_at_is_left_alone(tmp_path, capsys):
    with occupied(tmp_path / "study"):
        before = list(tmp_path.iterdir())
        assert cli.main(["reproduce", "mnist", "--quick", "--run-dir", str(tmp_path / "study")]) == 1
        assert list(tmp_path.iterdir()) == before
    assert f"Another process is at work in {tmp_path / 'study'}. Wait until it has ended" in capsys.readouterr().err


def test_a_folder_that_is_a_file_is_refused(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert cli.main(["reproduce", "mnist", "--quick", "--run-dir", str(tmp_path / "file")]) == 1
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_a_start_that_was_cut_off_can_be_repeated(tmp_path):
    (tmp_path / "study~.json").write_text("{")
    study.Study(tmp_path, {"seed": 1})
    study.Study(tmp_path, {"seed": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["study.json"]


def test_other_settings_are_refused_and_both_are_named(tmp_path):
    study.Study(tmp_path / "new" / "folder", {"seed": 1})
    with pytest.raises(RunError, match=r"other settings: \{'seed': 1\} there, \{'seed': 2\} here"):
        study.Study(tmp_path / "new" / "folder", {"seed": 2})


@pytest.mark.parametrize("text", ["", '{"seed": '])
def test_a_damaged_record_of_the_settings_is_named_with_what_to_do(tmp_path, text):
    (tmp_path / "study.json").write_text(text)
    message = (
        rf'{tmp_path}/study\.json is missing or damaged .*write \{{"seed": 1\}} into it; else choose another folder'
    )
    with pytest.raises(RunError, match=message):
        study.Study(tmp_path, {"seed": 1})


@pytest.mark.parametrize("name", ["config.json", "history.json", "metrics.json"])
def test_a_damaged_file_of_a_training_is_named_with_what_to_do(tmp_path, name):
    one = study.Study(tmp_path, {})
    (tmp_path / "jmvae").mkdir()
    config = {"preset": "p", "model": {}, "training": {}, "data": {"batch_size": 1, "train_size": None}, "seed": 0}
    recorded = {"config": config, "commit": "c", "versions": {}}
    for file, value in (("config.json", recorded), ("history.json", {"seconds": [2.0]}), ("metrics.json", {})):
        (tmp_path / "jmvae" / file).write_text(json.dumps(value))
    assert one.provenance("jmvae")["seconds"] == 2
    assert one.provenance("jmvae")["dirty"] is None
    (tmp_path / "jmvae" / name).write_text('{"half": ')
    with pytest.raises(RunError, match=rf"jmvae/{name} is missing or damaged .*Delete the folder {tmp_path}/jmvae and"):
        one.provenance("jmvae")


@pytest.mark.parametrize("fraction", [0, 0.5])
def test_a_damaged_model_is_named_with_what_to_do(tmp_path, fraction):
    path = tmp_path / "jmvae" / "model.keras"
    _damaged_model(path, fraction)
    with pytest.raises(RunError, match=rf"{path} cannot be loaded .*Delete the folder {path.parent} and start again"):
        trained_models(tmp_path)("jmvae")


@pytest.mark.parametrize("fraction", [0, 0.5])
@pytest.mark.parametrize("kind", ["digits", "faces"])
def test_a_damaged_classifier_is_trained_anew_and_leaves_the_precision_of_others(tmp_path, capsys, kind, fraction):
    path = tmp_path / "classifier.keras"
    _damaged_model(path, fraction)
    source = data.load("digits", train_size=64)
    train, precision = functools.partial(mnist.train_classifier, source, epochs=1), "float32"
    if kind == "faces":
        options = {"epochs": 1, "seed": 0, "channels": (4,)}
        train, precision = functools.partial(celeba.train_classifier, source, **options), "mixed_bfloat16"
    others = "mixed_bfloat16" if precision == "float32" else "float32"
    keras.config.set_dtype_policy(others)
    made = load_or_train(path, train, seed=0, precision=precision)
    assert keras.config.dtype_policy().name == others
    assert f"{path} cannot be loaded" in capsys.readouterr().out
    loaded = load_or_train(path, train, seed=0, precision=precision)
    assert {layer.dtype_policy.name for layer in loaded.layers if layer.weights} <= {precision, "float32"}
    for a, b in zip(made.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert capsys.readouterr().out == ""


def _damaged_model(path, fraction):
    """The first `fraction` of a model's file."""
    path.parent.mkdir(exist_ok=True)
    keras.Sequential([keras.layers.Input((8,)), keras.layers.Dense(4)]).save(path)
    path.write_bytes(path.read_bytes()[: int(fraction * path.stat().st_size)])


def test_the_command_knows_its_experiments(tmp_path, capsys):
    with pytest.raises(SystemExit):
        cli.main(["reproduce", "omniglot", "--run-dir", str(tmp_path / "run")])
    assert "omniglot" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


# Measurements.


def test_a_measurement_is_computed_once_and_recorded_with_versions_and_commit(tmp_path, capsys):
    calls = []

    def measurement(name):
        return study.Measurement(lambda: calls.append(name) or {"mean": len(calls), "standard_error": 0.5}, cost=2)

    measurements = {name: measurement(name) for name in ("a/b", "a/c", "d")}
    first = study.Study(tmp_path, {}).measure(measurements)
    assert calls == ["a/b", "a/c", "d"]
    assert [value["mean"] for value in first.values()] == [1, 2, 3]
    assert all({"versions", "commit", "standard_error"} <= value.keys() for value in first.values())
    assert json.loads((tmp_path / "measurements" / "a" / "c.json").read_text()) == first["a/c"]
    assert capsys.readouterr().out.splitlines() == [
        "measurement 1 of 3, a/b",
        "measurement 2 of 3, a/c; less than a minute left",
        "measurement 3 of 3, d; less than a minute left",
    ]
    assert study.Study(tmp_path, {}).measure(measurements) == first
    assert len(calls) == 3


def test_the_time_left_in_measurements_is_by_their_cost(tmp_path, capsys, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(study.time, "monotonic", lambda: clock[0])

    def measurement(minutes):
        def compute():
            clock[0] += 60 * minutes
            return {"mean": 0.0}

        return study.Measurement(compute, cost=minutes / 4)

    minutes = {"done": 1000, "first": 2, "second": 90, "third": 3}
    (tmp_path / "measurements").mkdir()
    (tmp_path / "measurements" / "done.json").write_text('{"mean": 1.0}')
    study.write_json(tmp_path / "study.json", {})
    study.Study(tmp_path, {}).measure({name: measurement(value) for name, value in minutes.items()})
    assert capsys.readouterr().out.splitlines() == [
        "measurement 2 of 4, first",
        "measurement 3 of 4, second; 1 h 33 min left",
        "measurement 4 of 4, third; 3 min left",
    ]


@pytest.mark.parametrize("text", ["", '{"mean": 1.0, ', "[]"])
def test_a_measurement_whose_file_is_damaged_is_computed_again(tmp_path, text):
    measurements = {name: study.Measurement(lambda: {"mean": 1.0}, cost=1) for name in ("a", "b")}
    first = study.Study(tmp_path, {}).measure(measurements)
    path = tmp_path / "measurements" / "b.json"
    path.write_text(text)
    again = {"a": measurements["a"], "b": study.Measurement(lambda: {"mean": 2.0}, cost=1)}
    assert study.Study(tmp_path, {}).measure(again) == {**first, "b": {**first["b"], "mean": 2.0}}
    assert json.loads(path.read_text())["mean"] == 2


def test_a_measurement_that_fails_leaves_no_file_and_the_others_stay(tmp_path):
    def fail():
        raise ValueError("no luck")

    good = study.Measurement(lambda: {"mean": 1.0}, cost=1)
    with pytest.raises(ValueError, match="no luck"):
        study.Study(tmp_path, {}).measure({"good": good, "bad": study.Measurement(fail, cost=1)})
    assert [path.name for path in (tmp_path / "measurements").iterdir()] == ["good.json"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "less than a minute"),
        (29, "less than a minute"),
        (31, "1 min"),
        (59.6 * 60, "1 h 0 min"),
        (59 * 60, "59 min"),
        (3.5 * 3600, "3 h 30 min"),
        (30 * 3600, "30 h 0 min"),
    ],
)
def test_durations_are_said_in_minutes_and_hours(seconds, text):
    assert study._duration(seconds) == text


def test_the_time_left_is_the_epochs_left_at_the_pace_so_far(tmp_path):
    made = {name: config for name, config in configs(FULL, tmp_path, None, 0).items() if name in ("jmvae", "cvae-x")}
    pace = study._Pace(tmp_path, made)
    assert pace.add("jmvae", 59, 60) == "1 h 24 min"  # 59 and 25 epochs
    assert pace.add("jmvae", 1, 180) == "52 min"  # 1 and 25, at two minutes
    (tmp_path / "jmvae").mkdir()
    (tmp_path / "jmvae" / "history.json").write_text(json.dumps({"seconds": [30.0, 30.0]}))
    assert study._Pace(tmp_path, made).add("cvae-x", 20, 30) == "10 min"
