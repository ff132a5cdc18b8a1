"""`tf-jmvae info`, and the script of `tf-jmvae completion` in a real bash."""

import json
import pathlib
import re
import shutil
import subprocess

import pytest
import small_models

import tf_jmvae as tj
from tf_jmvae import cli
from tf_jmvae.cli import completion
from tf_jmvae.training import presets

ROOT = pathlib.Path(__file__).resolve().parents[2]
PRETRAINED = ROOT / "saved_models/mnist_jmvae_kl"


def _info(capsys, *words):
    assert cli.main(["info", *map(str, words)]) == 0
    return capsys.readouterr().out


def test_what_is_installed(capsys, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", "/data/tfds")
    monkeypatch.setenv("TF_JMVAE_CACHE", "/data/cache")
    found = json.loads(_info(capsys, "--json"))
    assert found["tf_jmvae"] == tj.__version__
    assert found["presets"] == presets.names()
    assert found["folders"]["datasets"] == "/data/tfds"
    assert found["folders"]["prepared photographs"] == "/data/cache"
    assert found["pretrained_model"].endswith("saved_models/mnist_jmvae_kl")
    out = _info(capsys)
    assert f"CPU:0 ({found['devices'][0].partition('(')[2]}" in out
    assert "  mnist-jmvae-kl\n" in out


def test_a_model_in_a_file(tmp_path, capsys):
    model = tj.JMVAEKL(small_models.small_modalities("xw"), 2)
    model.save(tmp_path / "model.keras")
    found = json.loads(_info(capsys, tmp_path / "model.keras", "--json"))
    assert (found["kind"], found["latent_dim"], found["num_steps"]) == ("JMVAEKL", 2, 1)
    assert found["modalities"]["x"]["event_shape"] == [4, 4, 1]
    assert found["modalities"]["w"]["likelihood"] == "categorical"
    assert sum(found["parameters"].values()) == model.count_params()
    assert found["directions"] == [
        "x from w",
        "w from x",
        "x from x, w",
        "w from x, w",
        "x, w from the prior",
    ]
    out = _info(capsys, tmp_path / "model.keras")
    assert "JMVAEKL of x, w" in out
    assert "Training" not in out


def test_an_exported_model_without_running_it(capsys, monkeypatch):
    monkeypatch.setattr("tensorflow.saved_model.load", lambda *arguments: pytest.fail("the graph was loaded"))
    found = json.loads(_info(capsys, PRETRAINED, "--json"))
    card = json.loads((PRETRAINED / "1/model_card.json").read_text())
    for name in ("kind", "latent_dim", "metrics", "signatures", "notes"):
        assert found[name] == card[name]
    assert found["parameters"] == {"in all": tj.from_preset("mnist-jmvae-kl").count_params()}
    assert found["directions"][:2] == ["w from x", "x from w"]
    out = _info(capsys, PRETRAINED / "1")
    assert "JMVAEKL of x, w" in out
    assert f"  elbo               {card['metrics']['elbo']:.4f}" in out
    assert "  generate_x_from_w " in out


@pytest.mark.parametrize(
    ("name", "message"),
    [("absent", "absent does not exist"), ("empty", "empty holds none"), ("text.txt", "text.txt is none")],
)
def test_what_is_no_model_is_refused(tmp_path, capsys, name, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("")
    assert cli.main(["info", str(tmp_path / name)]) == 1
    assert message in capsys.readouterr().err
    assert cli.main(["generate", str(tmp_path / name)]) == 1  # in the same words
    assert message in capsys.readouterr().err


def test_a_url_is_not_taken_for_a_path(capsys):
    assert cli.main(["info", "https://example.com/model.tar.gz"]) == 1
    assert "got the URL https://example.com/model.tar.gz. Download" in capsys.readouterr().err


def test_a_damaged_model_is_named(tmp_path, capsys):
    (tmp_path / "model.keras").write_text("no model")
    (tmp_path / "config.json").write_text("{}")
    assert cli.main(["info", str(tmp_path)]) == 1
    assert "model.keras cannot be loaded" in capsys.readouterr().err
    shutil.copytree(PRETRAINED / "1", tmp_path / "1")
    (tmp_path / "1/variables/variables.index").write_text("")
    assert cli.main(["info", str(tmp_path / "1")]) == 1
    assert "variables/variables.index is truncated" in capsys.readouterr().err


ASK = """
source {script}
function_name=$(complete -p tf-jmvae | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
COMP_WORDS=({words})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
$function_name tf-jmvae
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("tf-jmvae ev", {"evaluate"}),
        ("tf-jmvae evaluate run --num-s", {"--num-samples", "--num-steps"}),
        ("tf-jmvae train --kl-w", {"--kl-warm-up"}),
        ("tf-jmvae generate --latent ''", {"sample", "mean"}),
        ("tf-jmvae edit me.keras me.jpg --cr", {"--crop"}),
    ],
)
def test_bash_completes(tmp_path, words, expected):
    (tmp_path / "script").write_text(completion.script("bash"))
    asked = ASK.format(script=tmp_path / "script", words=words)
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == expected


def test_completions_are_one_line_each():
    """Bash would offer the second line of an option's help as another option."""
    (known,) = re.findall(r"^COMPLETION_SPEC = .*", completion.script("bash"), re.MULTILINE)
    assert "--crop" in known
    assert "\\n" not in known


def test_scripts_for_other_shells_name_every_verb(capsys):
    for shell in ("zsh", "fish"):
        assert cli.main(["completion", shell]) == 0
        script = capsys.readouterr().out
        assert all(verb in script for verb in cli.program.VERBS)
