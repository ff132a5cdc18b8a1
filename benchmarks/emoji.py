"""Names and pictures of emoji that were held out, found by one another: `make emoji ARGS="--data-dir FOLDER"`.

    python benchmarks/emoji.py --data-dir FOLDER

The folder holds emoji.csv and images/. A tenth of the rows is laid aside. Of the others `tf-jmvae init` drafts a
description, and `tf-jmvae train --data` trains by it as it stands, with early stopping by a part of these rows, in
runs/emoji; a training that was stopped goes on. Then the rows laid aside are looked at for the first time: each name
once, and its picture.
"""

import pathlib
import sys

import harness
import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer

from tf_jmvae import cli, tables
from tf_jmvae.evaluation import retrieval
from tf_jmvae.training.run_folder import load_model

WORK = harness.HERE.parent / "runs" / "emoji"
HELD_OUT = 0.1
KS = (1, 10)
NEIGHBOURS = (1, 5, 20)
LABELS = ("skin_tone", "gender")


def measure(options: harness.Options) -> dict:
    work = WORK.with_name("emoji-quick") if options.quick else WORK
    folder = options.data_dir.resolve()
    train, test = _parts(pd.read_csv(folder / "emoji.csv"), folder / "images", work)
    run, short = work / "run", ["--epochs", "1"] if options.quick else []
    _command("init", work / "train.csv", "--overwrite")
    _command("train", "--data", work / "train.toml", "--run-dir", run, "--seed", harness.SEED, *short)
    model = load_model(run / "model.keras")

    test = test.dropna(subset=["name"])
    names = test.drop_duplicates("name")
    new = ~names["name"].isin(train["name"]).to_numpy()
    values = {name: model.modalities[name].cells.encode(names, "/") for name in ("file", "name")}
    found = {"candidates": len(names), "new": int(new.sum()), "rows": {"train": len(train), "test": len(test)}}
    found["recall"] = {
        "model": _by_posteriors(model, values, new),
        "neighbours": _by_neighbours(model, train.dropna(subset=["name"]), names, values, new),
    }
    found["accuracy"] = {label: _accuracy(model, train, test, label) for label in LABELS}
    return found


def _parts(table: pd.DataFrame, images: pathlib.Path, work: pathlib.Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows to train on, written as train.csv, and those laid aside, with whole paths of their pictures."""
    table["file"] = [str(images / name) for name in table["file"]]
    laid_aside = np.zeros(len(table), bool)
    size = round(HELD_OUT * len(table))
    laid_aside[np.random.default_rng(harness.SEED + 1).permutation(len(table))[:size]] = True
    work.mkdir(parents=True, exist_ok=True)
    table[~laid_aside].to_csv(work / "train.csv", index=False)
    table[laid_aside].to_csv(work / "test.csv", index=False)
    return table[~laid_aside], table[laid_aside]


def _command(*words: object) -> None:
    if code := cli.main([*map(str, words)]):
        raise SystemExit(code)


def _by_posteriors(model, values: dict[str, np.ndarray], new: np.ndarray) -> dict:
    found = {}
    for query, other in (("file", "name"), ("name", "file")):
        estimates = retrieval(model, values, query=query, candidates=other, ks=KS)
        found[query] = {f"recall@{k}": _both(estimates[f"recall@{k}"].values, new) for k in KS}
    return found


def _by_neighbours(model, train: pd.DataFrame, names: pd.DataFrame, values: dict[str, np.ndarray], new) -> dict:
    """Of pictures the nearest training pictures by pixels, and the words of their names; of names the other way."""
    pixels = {"train": _flat(model.modalities["file"].cells.encode(train, "/")), "test": _flat(values["file"])}
    bags = TfidfVectorizer().fit(train["name"])
    words = {"train": bags.transform(train["name"]).toarray(), "test": bags.transform(names["name"]).toarray()}
    far = _distances(pixels["test"], pixels["train"])
    alike = words["test"] @ words["train"].T
    found = {}
    for number in NEIGHBOURS:
        of_picture = [words["train"][np.argsort(row, kind="stable")[:number]].mean(axis=0) for row in far]
        of_name = [pixels["train"][np.argsort(-row, kind="stable")[:number]].mean(axis=0) for row in alike]
        scores = {
            "file": np.stack(of_picture) @ words["test"].T,
            "name": -_distances(np.stack(of_name), pixels["test"]),
        }
        found[str(number)] = {
            query: {f"recall@{k}": _both(_recall(score, k), new) for k in KS} for query, score in scores.items()
        }
    return found


def _recall(scores: np.ndarray, k: int) -> np.ndarray:
    """The probability that the partner, on the diagonal, is among the k best, where ties are in random order."""
    partner = np.diag(scores)[:, None]
    tied = np.isclose(scores, partner, rtol=1e-9)
    ahead = ((scores > partner) & ~tied).sum(axis=1)
    return np.clip((k - ahead) / tied.sum(axis=1), 0.0, 1.0)


def _accuracy(model, train: pd.DataFrame, test: pd.DataFrame, label: str) -> dict:
    """How often a label is filled in right where the picture alone is known, and how often the commonest class is."""
    known = test[test[label].notna()]
    alone = known.assign(**dict.fromkeys([*LABELS, "name"]))
    filled = tables.fill(model, alone, folder="/", verbose=0)
    commonest = train[label].mode()[0]
    rows = {"model": filled[label] == known[label], "commonest": known[label] == commonest}
    return {"rows": len(known), **{name: _summary(right.to_numpy(float)) for name, right in rows.items()}}


def _both(values: np.ndarray, new: np.ndarray) -> dict:
    return {"all": _summary(values), "new": _summary(values[new])}


def _summary(values: np.ndarray) -> dict[str, float]:
    return {"mean": float(values.mean()), "error": float(values.std(ddof=1) / np.sqrt(len(values)))}


def _flat(pictures: np.ndarray) -> np.ndarray:
    return pictures.reshape(len(pictures), -1).astype(np.float64)


def _distances(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Squares of Euclidean distances `[N, M]`."""
    return (points**2).sum(1)[:, None] - 2 * points @ others.T + (others**2).sum(1)[None]


if __name__ == "__main__":
    sys.exit(harness.run("emoji", __doc__, measure, by_processor=False))
