"""Exports the trained model of emoji and updates docs/emoji.md: the second step of `make emoji`.

    python benchmarks/emoji_page.py --data-dir FOLDER

It writes the pictures of the page and everything between `<!-- NAME -->` and `<!-- end -->`.
"""

import contextlib
import io
import pathlib
import re
import shutil
import sys

import emoji
import harness
import pandas as pd

from tf_jmvae import cli, tables
from tf_jmvae._utils.files import write_text
from tf_jmvae._utils.tables import lines, markdown
from tf_jmvae.training import run_folder

ROOT = harness.HERE.parent
PAGE = ROOT / "docs" / "emoji.md"
SAVED = ROOT / "saved_models" / "emoji"
SHEETS = {
    "emoji-drawn.png": ("name=woman astronaut", "name=man surfing", "name=person biking"),
    "emoji-dark.png": ("name=woman astronaut", "skin_tone=dark"),
}
ASTRONAUT = "emoji_u1f469_1f3fe_200d_1f680.png"


def main() -> int:
    options = harness.parse(__doc__, by_processor=False)
    found = harness.read("emoji", options.results)
    run = emoji.WORK / "run"
    _export(run)
    for name, given in SHEETS.items():
        _printed("generate", run, "--given", *given, "--target", "file", "--output", PAGE.parent / "images" / name)
    picture = options.data_dir / "images" / ASTRONAUT
    said = _printed("generate", run, "--given", f"file={picture}", "--target", "name", "skin_tone", "gender")
    parts = {
        "said": f"```text\n{said.strip()}\n```",
        "filled": f"```text\n{_filled(run)}\n```",
        "measured": measured(found),
    }
    write_text(PAGE, with_parts(PAGE.read_text(), parts))
    return 0


def with_parts(text: str, parts: dict[str, str]) -> str:
    """Replaces what stands between the marks of a page; raises `ValueError` if a mark is missing."""
    for name, part in parts.items():
        old = re.compile(rf"(<!-- {name} -->\n)(?:.*?\n)??(<!-- end -->)", re.DOTALL)
        text, number = old.subn(lambda match, part=part: f"{match[1]}{part}\n{match[2]}", text)
        if number != 1:
            raise ValueError(f"The page has {number} places for {name!r}; expected 1.")
    return text


def measured(found: dict) -> str:
    """Describes a result: a table of recall, the accuracies, and their provenance."""
    model, neighbours = found["recall"]["model"], found["recall"]["neighbours"].values()
    rows = []
    for query, title in (("file", "name found by its picture"), ("name", "picture found by its name")):
        best = max((one[query] for one in neighbours), key=lambda one: one["recall@10"]["all"]["mean"])
        for key, which in (("all", "all names"), ("new", "names not in the training rows")):
            own = [_shown(one["recall@10"][key]) for one in (model[query], best)]
            rows.append([f"{title}, {which}", *own, f"{1000 / found['candidates']:.1f}"])
    named = [
        f"the {label.replace('_', ' ')} correctly in {_shown(one['model'])}% of {one['rows']} rows (the most common "
        f"value: {_shown(one['commonest'])}%)"
        for label, one in found["accuracy"].items()
    ]
    return "\n".join(
        [
            markdown(["recall@10 in %", "model", "nearest neighbours", "chance"], rows),
            "",
            f"There are {found['candidates']} names, of which {found['new']} occur in no training row. From the "
            f"picture alone, the model predicts {' and '.join(named)}.",
            f"One training with seed {found['seed']}, measured at commit {found['commit'][:7]}; the record is "
            "`benchmarks/results/emoji.json`.",
        ]
    )


def _shown(entry: dict[str, float]) -> str:
    return f"{100 * entry['mean']:.1f} ± {100 * entry['error']:.1f}"


def _printed(*words: object) -> str:
    """Runs a command, which must succeed, and returns what it prints."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        code = cli.main([*map(str, words)])
    if code:
        raise SystemExit(code)
    return out.getvalue()


def _filled(run: pathlib.Path) -> str:
    """Fills a few held-out rows by `tables.fill`: people of whom one label is known."""
    rows = pd.read_csv(emoji.WORK / "test.csv").dropna(subset=["name"]).drop_duplicates("name")
    rows = rows[rows[["skin_tone", "gender"]].notna().sum(axis=1) == 1].head(6)
    filled = tables.fill(run_folder.load_model(run / "model.keras"), rows, folder="/", verbose=0)
    names = [name for name in filled.columns if name not in ("file", "name probability")]
    shown = filled[names].map(lambda cell: f"{cell:.2f}" if isinstance(cell, float) else cell).replace("nan", "")
    return lines(names, shown.to_numpy().tolist(), left=range(len(names)), indent="")


def _export(run: pathlib.Path) -> None:
    """Exports the model with signatures of all modalities only, which read gaps, so that it is small."""
    shutil.rmtree(SAVED / "1", ignore_errors=True)
    model = run_folder.load_model(run / "model.keras")
    notes = (SAVED / "README.md").read_text()
    model.export(SAVED / "1", observed=[list(model.modalities)], notes=notes, **run_folder.describe(run))


if __name__ == "__main__":
    sys.exit(main())
