"""`tf-jmvae export`: a run or a model becomes a folder that a server can be started with."""

import json

import exported
import pytest

from tf_jmvae import cli
from tf_jmvae.serving import card

CONFIG = {"config": {"preset": "small", "num_steps": 2, "run_dir": "/home/me/runs", "data": {"data_dir": "/home/me"}}}


@pytest.fixture
def run_dir(tmp_path):
    """What a finished run leaves."""
    folder = tmp_path / "my-run"
    folder.mkdir()
    exported.tj.JMVAE(exported.modalities("wv"), 2).save(folder / "model.keras")
    (folder / "config.json").write_text(json.dumps(CONFIG | {"commit": "abc", "versions": {}}))
    (folder / "metrics.json").write_text('{"elbo": -3.5}')
    return folder


def test_a_run_is_exported_with_its_steps_and_its_metrics(run_dir, tmp_path, capsys):
    output = tmp_path / "saved_models"
    assert cli.main(["export", str(run_dir), "--output", str(output)]) == 0
    assert f"The model is {output / 'my_run' / '1'}." in capsys.readouterr().out
    content = card.read(output / "my_run" / "1")
    assert content["num_steps"] == 2
    assert content["metrics"] == {"elbo": -3.5}
    config = {"preset": "small", "num_steps": 2, "data": {}}
    assert content["training"] == {"config": config, "commit": "abc", "versions": {}}
    assert "my_run" in (output / "models.config").read_text()
    assert (output / "compose.yaml").is_file()


def test_a_model_by_itself_is_exported_under_a_name_and_a_version(run_dir, tmp_path):
    model = tmp_path / "alone" / "model.keras"
    model.parent.mkdir()
    (run_dir / "model.keras").rename(model)
    options = ["--output", str(tmp_path / "out"), "--name", "mine", "--version", "7", "--num-steps", "3"]
    assert cli.main(["export", str(model), *options]) == 0
    content = card.read(tmp_path / "out" / "mine" / "7")
    assert (content["num_steps"], content["training"], content["metrics"]) == (3, {}, {})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "There is no model nothing"),
        (
            ["{run}", "--name", "a/b"],
            "--name must consist of ASCII letters, digits and underscores, and not begin with a digit; got 'a/b'",
        ),
        (["{run}", "--num-steps", "0"], "num_steps must be a whole number of 1 or more; got 0"),
        (["{run}", "--version", "-1"], "--version must be 0 or more; got -1"),
        (["{run}", "--num-samples", "0"], "num_samples must be a whole number of 1 or more; got 0"),
    ],
)
def test_mistakes_are_messages_and_leave_nothing(run_dir, tmp_path, capsys, arguments, message):
    arguments = [argument.format(run=run_dir) for argument in arguments]
    assert cli.main(["export", *arguments, "--output", str(tmp_path / "out")]) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("out/*/[0-9]*"))
