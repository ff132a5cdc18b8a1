"""The trained model of emoji as a SavedModel, and what docs/emoji.md shows of it: the second step of `make emoji`.

    python benchmarks/emoji_page.py --data-dir FOLDER

In the page everything between `<!-- NAME -->` and `<!-- end -->` is made here, and so are its pictures.
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
    """A page with what stands between its marks replaced; raises `ValueError` if a mark is missing."""
    for name, part in parts.items():
        old = re.compile(rf"(<!-- {name} -->\n)(?:.*?\n)??(<!-- end -->)", re.DOTALL)
        text, number = old.subn(lambda match, part=part: f"{match[1]}{part}\n{match[2]}", text)
        if number != 1:
            raise ValueError(f"The page has {number} places for {name!r}; expected 1.")
    return text


def measured(found: dict) -> str:
    """What the page says of a result: recall as a table, accuracies, and where they are from."""
    model, neighbours = found["recall"]["model"], found["recall"]["neighbours"].values()
    rows = []
    for query, title in (("file", "name found by its picture"), ("name", "picture found by its name")):
        best = max((one[query] for one in neighbours), key=lambda one: one["recall@10"]["all"]["mean"])
        for key, which in (("all", "all names"), ("new", "names of no training row")):
            own = [_shown(one["recall@10"][key]) for one in (model[query], best)]
            rows.append([f"{title}, {which}", *own, f"{1000 / found['candidates']:.1f}"])
    named = [
        f"{label.replace('_', ' ')} right in {_shown(one['model'])}% of {one['rows']} rows (the commonest one: "
        f"{_shown(one['commonest'])}%)"
        for label, one in found["accuracy"].items()
    ]
    return (
        markdown(["recall@10, per cent", "model", "nearest neighbours", "chance"], rows)
        + f"\n\nThe names are {found['candidates']}, of which {found['new']} are of no training row. From the picture "
        f"alone the model fills in {' and '.join(named)}.\nOne training of seed {found['seed']}, measured at commit "
        f"{found['commit'][:7]}; the record is `benchmarks/results/emoji.json`."
    )


def _shown(entry: dict[str, float]) -> str:
    return f"{100 * entry['mean']:.1f} ± {100 * entry['error']:.1f}"


def _printed(*words: object) -> str:
    """What a command prints; it must succeed."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        code = cli.main([*map(str, words)])
    if code:
        raise SystemExit(code)
    return out.getvalue()


def _filled(run: pathlib.Path) -> str:
    """A few rows laid aside as `fill` fills them in: people of whom one label is known."""
    rows = pd.read_csv(emoji.WORK / "test.csv").dropna(subset=["name"]).drop_duplicates("name")
    rows = rows[rows[["skin_tone", "gender"]].notna().sum(axis=1) == 1].head(6)
    filled = tables.fill(run_folder.load_model(run / "model.keras"), rows, folder="/", verbose=0)
    names = [name for name in filled.columns if name not in ("file", "name probability")]
    shown = filled[names].map(lambda cell: f"{cell:.2f}" if isinstance(cell, float) else cell).replace("nan", "")
    return lines(names, shown.to_numpy().tolist(), left=range(len(names)), indent="")


def _export(run: pathlib.Path) -> None:
    """With signatures of all modalities alone, in which gaps say what is not given: so the model is small."""
    shutil.rmtree(SAVED / "1", ignore_errors=True)
    model = run_folder.load_model(run / "model.keras")
    notes = (SAVED / "README.md").read_text()
    model.export(SAVED / "1", observed=[list(model.modalities)], notes=notes, **run_folder.describe(run))


if __name__ == "__main__":
    sys.exit(main())
