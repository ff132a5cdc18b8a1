"""The tutorial of emoji: its commands on the real files, where they are at hand, with few rows and one epoch."""

import io
import re
import shutil

import numpy as np
import pages
import pandas as pd
import pytest
import requirements
from PIL import Image

from tf_jmvae import cli
from tf_jmvae.serving import hub

FOLDER = pages.ROOT.parent / "shared" / "data" / "emoji"
PAGE = pages.ROOT / "docs" / "emoji.md"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder as the page has it, where its commands run."""
    if not (FOLDER / "emoji.csv").is_file():
        requirements.skip("emoji", f"there is no emoji.csv in {FOLDER}")
    (tmp_path / "images").symlink_to(FOLDER / "images")
    shutil.copyfile(FOLDER / "emoji.csv", tmp_path / "emoji.csv")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def commands(verb):
    return [line.split()[1:] for block in pages.blocks(PAGE, "sh") for line in block.text.splitlines() if verb in line]


def test_what_the_page_quotes_is_what_init_drafts(folder):
    (words,) = commands(" init ")
    assert cli.main(words) == 0
    drafted = (folder / "emoji.toml").read_text()
    (quoted,) = re.findall(r"^```toml\n(.+?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert quoted in drafted
    assert 'folder = "images"' in drafted
    table = pd.read_csv("emoji.csv", keep_default_na=False)
    assert f"{len(table):,} pictures" in PAGE.read_text()
    lines = (folder / "emoji.csv").read_text().splitlines()
    (shown,) = re.findall(r"^```text\n(file,.+?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert set(shown.splitlines()) <= set(lines)


def test_the_commands_make_pictures_and_words_of_each_other(folder, capsys):
    rows = pd.read_csv(FOLDER / "emoji.csv")
    rows = rows[rows["gender"].notna() & rows["name"].notna()].iloc[::20]
    rows.to_csv("emoji.csv", index=False)
    assert cli.main(["init", "emoji.csv"]) == 0
    assert cli.main(["train", "--data", "emoji.toml", "--epochs", "1", "--no-tensorboard"]) == 0
    words = ["--given", f"name={rows['name'].iloc[-1]}", "skin_tone=dark", "--num-samples", "2"]
    assert cli.main(["generate", "runs/emoji", *words, "--output", "drawn.png"]) == 0
    assert "1 row of 2 images of file, 32 x 32 pixels each" in capsys.readouterr().out
    with Image.open("drawn.png") as drawn:
        assert drawn.mode == "RGB"
    given = ["--given", f"file=images/{rows['file'].iloc[0]}", "--num-samples", "3"]
    assert cli.main(["generate", "runs/emoji", *given]) == 0
    out = capsys.readouterr().out
    assert "name: texts of 3 samples" in out
    assert "skin_tone: probability of each class" in out
    assert cli.main(["fill", "emoji.csv", "--run", "runs/emoji", "--output", "filled.csv"]) == 0
    filled = pd.read_csv("filled.csv")
    assert filled["skin_tone"].notna().all()
    assert list(filled["name"]) == list(rows["name"])


def test_the_model_that_comes_with_the_package_is_small_and_knows_names():
    """By the signatures of cells: given two modalities there is no signature of just these."""
    root = pages.ROOT / "saved_models" / "emoji"
    assert sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) < 12 * 2**20
    model = hub.load("emoji")
    assert re.fullmatch("[0-9a-f]{40}", model.card["commit"])
    assert "Apache License" in model.card["notes"]
    cells = {"name": ["woman astronaut", "man surfing"], "skin_tone": ["dark", "light"]}
    found = model.generate_cells(cells, num_samples=8, seed=0)
    women = found["gender"][..., model.modalities["gender"].columns.words.index("woman")]
    assert women[0].mean() > 0.9 > 0.1 > women[1].mean()
    pictures = np.stack([[np.asarray(Image.open(io.BytesIO(png))) for png in row] for row in found["file"]])
    assert pictures.shape == (2, 8, 32, 32, 3)
    for drawn, word in zip(found["file"], (b"astronaut", b"surfing"), strict=True):
        named = model.generate_cells({"file": list(drawn)}, latent="mean")["name_text"][:, 0]
        assert np.mean([word in name for name in named]) > 0.7
