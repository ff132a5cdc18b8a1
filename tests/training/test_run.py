"""The real command at a tiny size: what it leaves, and what it refuses. tests/faults kills it."""

import contextlib
import dataclasses
import json
import pathlib
import random
import re
import runpy
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from matplotlib import image

import tf_jmvae as tj
from tf_jmvae import cli
from tf_jmvae.models.iterated_sampling import iteration_of
from tf_jmvae.report import plots
from tf_jmvae.training import build, presets, run, run_folder

ROOT = pathlib.Path(__file__).resolve().parents[2]
EPOCHS = 5
BATCH_SIZE = 8

PRESET = f"""
source = "a test"

[data]
dataset = "digits"
train_size = 1200
batch_size = {BATCH_SIZE}

[model]
kind = "jmvae-kl"
latent_dim = 2

[model.modalities.x]
event_shape = [8, 8, 1]
likelihood = "bernoulli"
encoder = [16]
decoder = [16]

[model.modalities.w]
event_shape = [10]
likelihood = "categorical"
encoder = [16]
decoder = [16]

[training]
epochs = {EPOCHS}
kl_warm_up = 3
validate_every = 2
"""

FINISHED = ["config.json", "generated.png", "history.json", "history.png", "metrics.json", "model.keras", "tensorboard"]


def _command(preset, run_dir, *options):
    return [sys.executable, "train.py", "--preset", str(preset), "--run-dir", str(run_dir), "--seed", "3", *options]


def _train(*arguments):
    return subprocess.run(
        _command(*arguments), cwd=ROOT, capture_output=True, text=True, errors="replace", check=False, timeout=240
    )


def _contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def _read(run_dir, name):
    return json.loads((run_dir / name).read_text())


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    path = tmp_path_factory.mktemp("presets") / "tiny.toml"
    path.write_text(PRESET)
    return path


@pytest.fixture(scope="module")
def finished(preset, tmp_path_factory):
    """The folder of an uninterrupted run, and what the command printed."""
    run_dir = tmp_path_factory.mktemp("runs") / "whole"
    result = _train(preset, run_dir)
    assert result.returncode == 0, result.stderr
    return run_dir, result


def test_a_run_leaves_these_files_and_no_others(finished):
    run_dir, _ = finished
    assert sorted(path.name for path in run_dir.iterdir()) == FINISHED


def _assert_drawn_from(run_dir, folder):
    """The pictures of a run are those of its own history, model, data and seed: tests/report has what they show."""
    config = run_folder.read_config(run_dir, "")
    plots.history(_read(run_dir, "history.json"), folder / "history.png")
    source = config.data.load(config.model.modalities)
    model = keras.saving.load_model(run_dir / "model.keras")
    plots.both_directions(model, source, folder / "generated.png", seed=config.seed)
    for name in ("history.png", "generated.png"):
        drawn, expected = (image.imread(path / name) for path in (run_dir, folder))
        np.testing.assert_allclose(drawn, expected, atol=0.02)  # another process may round otherwise


def test_the_pictures_are_of_this_run(finished, tmp_path):
    run_dir, _ = finished
    _assert_drawn_from(run_dir, tmp_path)


def test_the_configuration_is_recorded_with_the_versions(preset, finished):
    run_dir, _ = finished
    recorded = _read(run_dir, "config.json")
    expected = presets.load(str(preset)).model_copy(update={"run_dir": run_dir, "seed": 3})
    assert recorded["config"] == expected.model_dump(mode="json")
    assert recorded["versions"]["keras"] == keras.version()
    assert recorded["versions"]["numpy"] == np.__version__


def test_the_saved_model_has_the_metrics_of_the_run(finished):
    run_dir, result = finished
    metrics = _read(run_dir, "metrics.json")
    model = keras.saving.load_model(run_dir / "model.keras")
    test = tj.data.load("digits").test
    evaluated = model.evaluate(test, batch_size=1000, verbose=0, return_dict=True)
    for name, value in evaluated.items():
        assert metrics[name] == pytest.approx(value, rel=1e-5)
        assert re.search(rf"\b{name} +{value:.4f}", result.stdout)
    named = model.generate({"x": test["x"]}, latent="mean")["w"].numpy().argmax(-1)
    assert metrics["accuracy_w_from_x"] == pytest.approx((named == test["w"].argmax(-1)).mean())
    assert metrics.keys() == {*evaluated, "accuracy_w_from_x"}


def test_the_history_has_every_epoch_and_the_kl_warms_up(finished):
    history = _read(finished[0], "history.json")
    assert {len(values) for name, values in history.items() if not name.startswith("val_")} == {EPOCHS}
    kl = np.array(history["kl_prior"])
    weight = np.minimum(1, np.arange(EPOCHS) / 3)
    np.testing.assert_allclose(history["loss"], -np.array(history["objective"]) + (weight - 1) * kl, rtol=1e-5)
    assert [epoch for epoch, value in enumerate(history["val_elbo"], start=1) if value is not None] == [2, 4]


def test_training_improves_the_bound(finished):
    elbo = _read(finished[0], "history.json")["elbo"]
    assert elbo[-1] > elbo[0] + 5


# From here on the command runs in this process: the same code, without the seconds of a start.


def test_other_settings_are_refused_with_their_names(preset, finished, monkeypatch, capsys):
    run_dir, _ = finished
    before = _contents(run_dir)
    command = _command(preset, run_dir, "--latent-dim", "3", "--kl-warm-up", "1")
    monkeypatch.setattr(sys, "argv", command[1:])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "train.py"), run_name="__main__")
    assert ended.value.code == 1
    assert capsys.readouterr().err.splitlines() == [
        f"train.py: {run_dir} holds a run with other settings: model.latent_dim (2 there, 3 here), "
        "training.kl_warm_up (3 there, 1 here). Choose another folder with --run-dir, or delete that one "
        "(tf-jmvae train does with --overwrite)."
    ]
    assert _contents(run_dir) == before


def _main(preset, run_dir, *options):
    return cli.main(["train", *_command(preset, run_dir, *options)[2:]])


def test_a_finished_run_is_not_trained_again(preset, finished, capsys):
    run_dir, _ = finished
    before = _contents(run_dir)
    assert _main(preset, run_dir) == 0
    output = capsys.readouterr().out
    assert f"{run_dir} already holds this run, finished" in output
    assert f"{_read(run_dir, 'metrics.json')['elbo']:.4f}" in output
    assert "Epoch" not in output
    assert _contents(run_dir) == before


def test_an_unfinished_run_of_other_settings_is_refused(preset, tmp_path, capsys):
    run_folder.prepare(tmp_path / "run", presets.load(str(preset)))
    before = _contents(tmp_path)
    assert _main(preset, tmp_path / "run", "--epochs", "50") == 1
    error = capsys.readouterr().err
    assert "holds a run with other settings: seed (0 there, 3 here), training.epochs (5 there, 50 here)" in error
    assert _contents(tmp_path) == before


def _changed_config(preset, run_dir, change):
    """The folder of a run whose recorded configuration was changed."""
    run_folder.prepare(run_dir, presets.load(str(preset)))
    recorded = _read(run_dir, "config.json")
    change(recorded["config"])
    (run_dir / "config.json").write_text(json.dumps(recorded))
    return run_dir


def test_an_option_that_is_newer_than_a_run_has_its_default_there(preset, tmp_path):
    def forget(config):
        del config["training"]["clip_norm"], config["model"]["subsets"], config["num_steps"]

    run_dir = _changed_config(preset, tmp_path / "run", forget)
    config = presets.load(str(preset))
    run_folder.prepare(run_dir, config)
    clipped = config.model_copy(update={"training": config.training.model_copy(update={"clip_norm": 3.0})})
    with pytest.raises(run.RunError, match=r"other settings: training\.clip_norm \(None there, 3\.0 here\)"):
        run_folder.prepare(run_dir, clipped)


def test_a_recorded_configuration_that_is_none_is_refused_with_its_path(preset, tmp_path):
    run_dir = _changed_config(preset, tmp_path / "run", lambda config: config["training"].update(momentum=0.9))
    message = rf"{run_dir}/config\.json is not a configuration for this version(.|\n)*momentum(.|\n)*another folder"
    with pytest.raises(run.RunError, match=message):
        run_folder.prepare(run_dir, presets.load(str(preset)))


@pytest.mark.parametrize("text", ["", '{"elbo": -1'])
def test_damaged_metrics_are_named_with_what_to_do(preset, tmp_path, capsys, text):
    run_dir = _changed_config(preset, tmp_path / "run", lambda config: config.update(seed=3))
    (run_dir / "metrics.json").write_text(text)
    assert _main(preset, run_dir) == 1
    error = capsys.readouterr().err
    assert f"{run_dir / 'metrics.json'} is missing or damaged" in error
    assert f"Delete the folder {run_dir} to train this run anew." in error


SHORT = ["--epochs", "1", "--train-size", "64", "--batch-size", "32"]


def test_overwrite_deletes_the_run_and_trains_anew(preset, finished, tmp_path):
    run_dir = tmp_path  # an empty folder will do
    shutil.copytree(finished[0], run_dir, dirs_exist_ok=True)
    (run_dir / "metrics.json").write_text("{}")
    (run_dir / "note.txt").write_text("of the old run")
    assert _main(preset, run_dir, *SHORT, "--latent-dim", "3", "--overwrite") == 0
    assert sorted(path.name for path in run_dir.iterdir()) == FINISHED
    assert keras.saving.load_model(run_dir / "model.keras").latent_dim == 3
    assert np.isfinite(_read(run_dir, "metrics.json")["elbo"])


@pytest.mark.parametrize("options", [[], ["--overwrite"]], ids=["", "overwrite"])
def test_a_folder_with_other_files_is_refused_and_left_as_it_is(preset, tmp_path, capsys, options):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("precious")
    assert _main(preset, tmp_path, *options) == 1
    error = capsys.readouterr().err
    assert f"{tmp_path} holds files that belong to no run; choose another folder with --run-dir" in error
    assert _contents(tmp_path) == {"thesis/chapter.tex": b"precious"}


def test_a_run_without_labels_draws_its_history_only(tmp_path):
    assert cli.main(["train", "--preset", "digits-vae", "--run-dir", str(tmp_path), *SHORT]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [name for name in FINISHED if name != "generated.png"]


@pytest.mark.parametrize(("kind", "target"), [("cvae", "w"), ("cmma", "x")])
def test_a_run_of_one_direction_leaves_all_files_and_names_labels_only_if_it_can(tmp_path, kind, target):
    arguments = ["train", "--preset", f"digits-{kind}", "--target", target, "--run-dir", str(tmp_path), *SHORT]
    assert cli.main(arguments) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == FINISHED
    assert keras.saving.load_model(tmp_path / "model.keras").targets == [target]
    metrics = _read(tmp_path, "metrics.json")
    accuracies = {"accuracy_w_from_x"} if target == "w" else set()
    assert metrics.keys() == {"loss", "elbo", "objective", "kl_prior", f"log_p_{target}"} | accuracies
    assert np.isfinite(list(metrics.values())).all()
    pixels = image.imread(tmp_path / "generated.png")
    assert pixels.shape[1] == pytest.approx(pixels.shape[0], rel=0.1)  # one panel, where two are twice as wide
    (tmp_path / "again").mkdir()
    _assert_drawn_from(tmp_path, tmp_path / "again")


DIVERGING = ["--learning-rate", "1e30", "--train-size", "64", "--batch-size", "64", "--decay", "constant"]


def test_a_loss_of_nan_ends_the_run_and_names_the_term(preset, tmp_path, capsys):
    # One step an epoch: the first loss is that of the initial weights.
    assert _main(preset, tmp_path, *DIVERGING) == 1
    error = capsys.readouterr().err
    print(error)
    assert re.search(r"In epoch 2, step 1, .*(kl_prior|log_p_x) became (NaN|infinite)", error)
    assert "--overwrite and a lower --learning-rate" in error
    # The only update made weights of 1e30: finite, and of no use.
    assert not list((tmp_path / "checkpoint").iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint", "config.json", "tensorboard"]


def test_a_loss_of_nan_in_the_first_epoch_ends_the_run_with_a_message(preset, tmp_path, capsys):
    assert _main(preset, tmp_path, "--learning-rate", "1e30", "--train-size", "64", "--batch-size", "16") == 1
    assert re.search(r"In epoch 1, by step 4, .* became (NaN|infinite)", capsys.readouterr().err)
    assert not (tmp_path / "metrics.json").exists()
    logged = tmp_path / "tensorboard/train/events.out.tfevents.1.of-the-epoch-that-comes-again"
    logged.parent.mkdir(parents=True, exist_ok=True)
    logged.touch()
    assert _main(preset, tmp_path, "--learning-rate", "1e30", "--train-size", "64", "--batch-size", "16") == 1
    assert not logged.exists()


def test_a_folder_of_somebody_else_survives_overwrite(preset, tmp_path, capsys):
    (tmp_path / "config.json").write_text('{"model_type": "other"}')
    (tmp_path / "thesis.txt").write_text("years of work")
    assert _main(preset, tmp_path, "--overwrite") == 1
    assert "holds files that belong to no run" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "thesis.txt"]


def test_a_start_that_was_cut_off_can_be_repeated(preset, tmp_path):
    (tmp_path / "config~.json").write_text("{")
    assert _main(preset, tmp_path, *SHORT) == 0
    assert not list(tmp_path.glob("*~*"))


def test_steps_per_execution_must_divide_the_steps_of_an_epoch(preset, tmp_path, capsys):
    assert _main(preset, tmp_path, "--steps-per-execution", "7") == 1
    assert "steps_per_execution must divide the 150 steps of an epoch; got 7" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_callbacks_of_a_run_see_calls_of_several_steps_and_every_validated_epoch(preset, tmp_path):
    config = presets.load(str(preset))  # validates every second epoch
    settings = {"data": {"train_size": 64}, "training": {"epochs": 4, "tensorboard": False}, "run_dir": tmp_path}
    config = type(config).model_validate(presets.merge(config.model_dump(), settings))
    begun, ended, validated, written = [], [], [], []
    watch = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: begun.append(batch),
        on_train_batch_end=lambda batch, logs: ended.append(batch),
        on_epoch_end=lambda epoch, logs: (
            validated.append("val_loss" in logs),
            written.append((tmp_path / f"checkpoint/epoch-{epoch + 1}.weights.h5").exists()),
        ),
    )
    run.train(config, extra_callbacks=[watch], verbose=0)
    assert (begun, ended) == ([0] * 4, [7] * 4)  # all 8 steps of an epoch are one call
    assert validated == [False, True, False, True]
    assert written == [True] * 4


def _exit_code(arguments):
    try:
        return cli.main(arguments)
    except SystemExit as stopped:  # what the parser itself refuses
        return stopped.code


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset", "mnist-vea"], r"Unknown preset 'mnist-vea'\. Expected one of .*mnist-vae"),
        (["--preset", "absent.toml"], r"There is no configuration file absent\.toml"),
        (["--train-size", "5000"], "train_size must lie between 1 and 1437 for 'digits'; got 5000"),
        (
            ["--preset", "digits-jmvae", "--alpha", "0.5"],
            "alpha: an option of jmvae-kl and jmvae-kl-gan, but the model",
        ),
        (["--preset", "digits-jmvae", "--target", "x"], "target: an option of cvae and cmma, but the model is jmvae"),
        (["--preset", "digits-cvae", "--target", "y"], "target: cvae needs one of x, w; got y"),
        (["--learning-rate", "nan"], r"learning_rate.* finite number"),
        (["--learning-rate", "-1"], "learning_rate.* greater than 0.*-1"),
        (["--epochs", "0"], "epochs.* greater than 0.*0"),
        (["--seed", "-1"], "seed.* greater than or equal to 0.*-1"),
        (["--learnin-rate", "0.1"], "--learnin-rate"),
        (["--epochs", "many"], "--epochs.*many"),
        (["--decay", "linear"], "invalid choice 'linear'"),
    ],
    ids=lambda value: "=".join(value) if isinstance(value, list) else "",
)
def test_what_does_not_fit_is_refused_before_anything_is_written(tmp_path, capsys, arguments, message):
    assert _exit_code(["train", "--run-dir", str(tmp_path / "run"), *arguments]) in (1, 2)
    error = " ".join(capsys.readouterr().err.split())  # the parser breaks lines
    assert re.search(message, error)
    assert "Traceback" not in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("arguments", "message"), [(["trian"], "'trian'"), ([], "VERB")], ids=["unknown", "none"])
def test_the_command_needs_a_known_verb(capsys, arguments, message):
    assert _exit_code(arguments) == 2
    assert message in capsys.readouterr().err


def test_the_default_folder_is_named_after_the_preset(preset):
    assert run.default_run_dir(presets.load(str(preset))) == pathlib.Path("runs") / "tiny"
    assert run.default_run_dir(presets.load("digits-vae")) == pathlib.Path("runs") / "digits-vae"


def _begun(preset, run_dir, monkeypatch, *, seed=0, num_steps=1, training=(), **model):
    """The model and the first batch of a run that trains nothing."""
    config = presets.load(str(preset))
    changes = {
        "run_dir": run_dir,
        "seed": seed,
        "num_steps": num_steps,
        "model": config.model.model_copy(update=model),
        "training": config.training.model_copy(update=dict(training)),
    }
    begun = []
    monkeypatch.setattr(tj.MultimodalVAE, "fit", lambda model, data, **_: begun.extend([model, next(iter(data))]))
    monkeypatch.setattr(run, "_finish", lambda *_: {})
    run.train(config.model_copy(update=changes), verbose=0)
    return begun


def test_the_order_of_the_data_is_of_the_seed(preset, tmp_path, monkeypatch):
    seeds = {"first": 3, "again": 3, "other": 4}
    batches = {name: _begun(preset, tmp_path / name, monkeypatch, seed=seed)[1] for name, seed in seeds.items()}
    source = tj.data.load("digits", train_size=1200)
    expected = next(iter(source.train_batches(BATCH_SIZE, 3, epochs=range(EPOCHS))))
    for name in ("x", "w"):
        np.testing.assert_array_equal(batches["first"][name], expected[name])
        np.testing.assert_array_equal(batches["again"][name], expected[name])
    assert (batches["other"]["x"].numpy() != expected["x"].numpy()).any()


def test_a_run_has_the_steps_and_the_optimizer_of_its_configuration(preset, tmp_path, monkeypatch):
    training = {"learning_rate": 0.02, "decay": "constant", "beta_1": 0.6, "clip_norm": 7.0}
    model, _ = _begun(preset, tmp_path, monkeypatch, num_steps=4, training=training, kind="jmvae")
    assert model.iterated_sampling.num_steps == 4
    optimizer = model.optimizer
    assert float(optimizer.learning_rate) == pytest.approx(0.02)
    assert (optimizer.beta_1, optimizer.global_clipnorm) == (0.6, 7.0)


def test_a_cosine_ends_with_the_last_step_of_the_run(preset, tmp_path, monkeypatch):
    training = {"learning_rate": 0.02, "decay": "cosine"}
    model, _ = _begun(preset, tmp_path, monkeypatch, training=training)
    steps = EPOCHS * (1200 // BATCH_SIZE)
    schedule = model.optimizer.get_config()["learning_rate"]["config"]
    assert (schedule["initial_learning_rate"], schedule["decay_steps"], schedule["alpha"]) == (0.02, steps, 0.0)


def test_every_network_of_a_gan_has_its_own_rate():
    config = presets.load("celeba-jmvae-kl-gan-small")
    rates = {"learning_rate": 0.01, "decoder_learning_rate": 0.02, "discriminator_learning_rate": 0.03}
    training = config.training.model_copy(update={**rates, "decay": "constant", "beta_1": 0.4, "clip_norm": 5.0})

    class Compiled:
        distribute_strategy = tf.distribute.get_strategy()

        def compile(self, optimizer, *, decoder_optimizer, discriminator_optimizer, **_):
            self.optimizers = [optimizer, decoder_optimizer, discriminator_optimizer]

    model = Compiled()
    build.compile_model(model, config.model_copy(update={"training": training}), 10)
    assert [float(one.learning_rate) for one in model.optimizers] == pytest.approx([0.01, 0.02, 0.03])
    assert {(one.beta_1, one.global_clipnorm) for one in model.optimizers} == {(0.4, 5.0)}


def test_a_finished_run_names_labels_by_the_models_own_steps(monkeypatch):
    source = tj.data.load("digits")
    source = dataclasses.replace(source, test={name: values[:20] for name, values in source.test.items()})
    model = tj.from_preset("digits-jmvae", latent_dim=2)
    model.iterated_sampling = tj.IteratedSampling(4)
    used, posterior = [], model.posterior

    def spied(observed, *, iterated_sampling=None, **options):
        used.append((sorted(observed), iteration_of(model, iterated_sampling).num_steps))
        return posterior(observed, iterated_sampling=iterated_sampling, **options)

    model.compile("adam", run_eagerly=True)
    monkeypatch.setattr(model, "posterior", spied)
    run._metrics(model, source)
    assert (["x"], 4) in used


@pytest.mark.parametrize("fails", [False, True], ids=["returns", "raises"])
def test_the_process_keeps_its_seeds_and_its_dtype_policy(preset, tmp_path, monkeypatch, fails):
    config = presets.load(str(preset))
    training = config.training.model_copy(update={"precision": "mixed_bfloat16"})
    config = config.model_copy(update={"run_dir": tmp_path / "run", "training": training})
    used = []

    def fit(*_):
        used.append(keras.config.dtype_policy().name)
        if fails:
            raise KeyboardInterrupt

    monkeypatch.setattr(run, "_fit", fit)
    monkeypatch.setattr(run, "_finish", lambda *_: {})
    draws = (
        random.random,
        np.random.random,
        lambda: float(tf.random.uniform([])),
        lambda: float(keras.random.uniform([])),
    )
    keras.utils.set_random_seed(11)
    expected = [draw() for _ in range(2) for draw in draws]
    keras.utils.set_random_seed(11)
    before = [draw() for draw in draws]
    policy = keras.config.dtype_policy().name
    with contextlib.suppress(KeyboardInterrupt):
        run.train(config, verbose=0)
    assert used == ["mixed_bfloat16"]
    assert keras.config.dtype_policy().name == policy
    assert before + [draw() for draw in draws] == expected


def _configured(tmp_path, kind, optional=True, lacks="w", **data):
    """The configuration of a model of x and w of which training rows lack one."""
    target = 'target = "w"' if kind in ("cvae", "cmma") else ""
    text = PRESET.replace('kind = "jmvae-kl"', f'kind = "{kind}"\n{target}')
    for name in "xw" if optional else "":
        text = text.replace(f"[model.modalities.{name}]", f"[model.modalities.{name}]\noptional = true")
    settings = "".join(f"{name} = {json.dumps(value)}\n" for name, value in data.items())
    text = text.replace("[data]\n", f"[data]\n{settings}missing.{lacks}.fraction = 0.75\n")
    (tmp_path / "preset.toml").write_text(text)
    return presets.load(str(tmp_path / "preset.toml"))


@pytest.mark.parametrize("kind", ["cvae", "cmma"])
def test_batches_for_a_one_way_model_are_made_of_the_rows_that_have_its_target(kind, tmp_path, capsys):
    config = _configured(tmp_path, kind)
    source = run._load(config, 1, verbose=2)
    said = f"Missing in the training data: w: 900 of 1,200 rows missing; {kind.upper()} uses the 300 rows with w.\n"
    assert capsys.readouterr().out == said
    expected = _configured(tmp_path, kind, incomplete="drop").data.load()
    for name, values in expected.train.items():
        np.testing.assert_array_equal(source.train[name], values)
    assert run._load(config, 1, verbose=0).num_batches(BATCH_SIZE) == -(-300 // BATCH_SIZE)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("jmvae-kl", {"optional": False}, r"the modality is not optional: add optional = true under \[model\..*w\]"),
        ("jmvae", {}, r"a jmvae needs it in every row: take kind = 'jmvae-kl' under \[model\]"),
        ("cvae", {"lacks": "x"}, r"a cvae needs it in every row"),
    ],
)
def test_rows_that_may_not_be_missing_are_refused_before_training_with_the_settings_to_change(
    kind, options, message, tmp_path
):
    with pytest.raises(ValueError, match=rf"^[wx]: 900 of 1,200 rows are missing, but {message}.*incomplete = 'drop'"):
        run._load(_configured(tmp_path, kind, **options), 1, verbose=0)
