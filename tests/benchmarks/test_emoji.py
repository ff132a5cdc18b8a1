"""The measurement of emoji: ranks with ties, the rows laid aside, and that the page shows what was measured."""

import emoji
import emoji_page
import harness
import numpy as np
import pandas as pd
import pytest


def test_recall_is_that_of_random_orders_of_what_is_tied():
    random = np.random.default_rng(0)
    scores = random.integers(0, 4, (12, 12)).astype(float)
    hits = np.zeros(12)
    for _ in range(4000):
        noisy = scores + random.uniform(0, 0.5, scores.shape)  # orders ties alone
        rank = (noisy > np.diag(noisy)[:, None]).sum(axis=1)
        hits += rank < 3
    np.testing.assert_allclose(emoji._recall(scores, 3), hits / 4000, atol=0.04)
    assert emoji._recall(np.eye(5), 1).tolist() == [1.0] * 5
    assert emoji._recall(-np.eye(5), 4).tolist() == [0.0] * 5


def test_neighbours_of_what_was_seen_are_itself():
    """A name and its picture that training has, too, are found by one neighbour, whatever the others are."""
    random = np.random.default_rng(1)
    rows = pd.DataFrame({"name": ["red cat", "blue dog", "green cow", "old fish"]})
    pictures = random.uniform(0, 255, (4, 2, 2, 3))

    class Kind:
        def encode(self, table, folder):
            return pictures[: len(table)]

    class Model:
        modalities = {"file": type("Modality", (), {"cells": Kind()})}  # noqa: RUF012

    found = emoji._by_neighbours(Model, rows, rows, {"file": pictures}, np.array([True, False, False, True]))
    for query in ("file", "name"):
        assert found["1"][query]["recall@1"]["all"]["mean"] == 1.0


def test_a_tenth_is_laid_aside_and_nothing_is_lost(tmp_path):
    table = pd.DataFrame({"file": [f"{number}.png" for number in range(50)], "name": "x"})
    train, test = emoji._parts(table, tmp_path, tmp_path / "work")
    assert (len(train), len(test)) == (45, 5)
    assert sorted([*train["file"], *test["file"]]) == sorted(str(tmp_path / f"{number}.png") for number in range(50))
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "work" / "test.csv"), test.reset_index(drop=True))


def test_a_page_gets_its_parts():
    text = "a\n<!-- said -->\nold\n<!-- end -->\nb\n<!-- measured -->\n<!-- end -->\n"
    found = emoji_page.with_parts(text, {"said": r"new \1", "measured": "| 1 |"})
    assert found == "a\n<!-- said -->\nnew \\1\n<!-- end -->\nb\n<!-- measured -->\n| 1 |\n<!-- end -->\n"
    assert emoji_page.with_parts(found, {"said": r"new \1"}) == found
    with pytest.raises(ValueError, match="0 places for 'drawn'"):
        emoji_page.with_parts(text, {"drawn": ""})


def test_a_result_is_said_in_per_cent():
    def entry(mean):
        return {"mean": mean, "error": 0.021}

    def recall(all_names, new):
        return {"recall@10": {"all": entry(all_names), "new": entry(new)}}

    both = {"file": recall(0.5, 0.25), "name": recall(0.4, 0.2)}
    worse = {"file": recall(0.1, 0.9), "name": recall(0.45, 0.1)}
    found = {
        "candidates": 250,
        "new": 90,
        "recall": {
            "model": both,
            "neighbours": {"1": worse, "5": {"file": recall(0.3, 0.2), "name": recall(0.2, 0.9)}},
        },
        "accuracy": {"skin_tone": {"rows": 7, "model": entry(0.75), "commonest": entry(0.5)}},
        "seed": 0,
        "commit": "0123456789",
    }
    said = emoji_page.measured(found)
    assert "| name found by its picture, all names | 50.0 ± 2.1 | 30.0 ± 2.1 | 4.0 |" in said
    assert "| picture found by its name, names not in the training rows | 20.0 ± 2.1 | 10.0 ± 2.1 | 4.0 |" in said
    assert "the skin tone correctly in 75.0 ± 2.1% of 7 rows (the most common value: 50.0 ± 2.1%)" in said
    assert "commit 0123456;" in said


def test_the_page_shows_what_was_measured():
    page = emoji_page.PAGE.read_text()
    assert (
        emoji_page.with_parts(page, {"measured": emoji_page.measured(harness.read("emoji", harness.RESULTS))}) == page
    )
    for name in emoji_page.SHEETS:
        assert f"images/{name}" in page
