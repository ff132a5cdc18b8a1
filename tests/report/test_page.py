"""The page of a run: whole in one file, true to the run's numbers, and there for unfinished runs too."""

import base64
import html
import html.parser
import io
import json
import re
import shutil
from xml.etree import ElementTree

import celeba_folder
import numpy as np
import pytest
from PIL import Image

from tf_jmvae.report import drawings, facts, page, record
from tf_jmvae.training import build, presets, run, run_folder
from tf_jmvae.training.config import Config

EPOCHS = 3
SMALL = {"encoder": (8,), "decoder": (8,)}


def _config(kind, run_dir, **model):
    settings = presets.load(f"digits-{kind}").model_dump()
    for modality in settings["model"]["modalities"].values():
        modality |= SMALL
    settings["model"] |= {"latent_dim": 2, **model}
    settings["data"] |= {"train_size": 256}
    settings["training"] |= {"epochs": EPOCHS, "kl_warm_up": 0, "validate_every": 2, "tensorboard": False}
    return Config.model_validate(settings | {"run_dir": run_dir, "num_steps": 1})


EVALUATION = {
    "seed": 0,
    "examples": 200,
    "rows": [
        {"quantity": "log p(x, w)", "estimator": "importance", "target": ["x", "w"], "given": [],
         "mean": -37.128, "standard_error": 0.244, "effective_sample_size": 12.34, "num_samples": 100},
        {"quantity": "log p(w | x)", "estimator": "bound", "target": ["w"], "given": ["x"],
         "mean": -0.08861, "standard_error": 0.0123, "effective_sample_size": None, "num_samples": 10},
    ],
    "commit": None,
    "versions": {},
}  # fmt: skip


class _Parser(html.parser.HTMLParser):
    """Every element with its attributes, and all text."""

    VOID = ("img", "meta", "br")

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.text = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag, **attributes):
        return [a for t, a in self.elements if t == tag and attributes.items() <= a.items()]


def _write(folder, **options):
    path = page.write(folder, **options)
    text = path.read_text(encoding="utf-8")
    return text, _Parser(text)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "digits & <friends>"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "_draw", lambda *_: None)  # what a run draws itself is tested with it
        run.train(_config("jmvae-kl", folder), verbose=0)
    (folder / "evaluation.json").write_text(json.dumps(EVALUATION))
    return folder, *_write(folder)


def _check_pictures(parsed, flat=False):
    images = parsed.all("img")
    for image in images:
        assert len(image["alt"]) > 10
        kind, encoded = re.fullmatch(r"data:image/(png|jpeg);base64,(.+)", image["src"]).groups()
        with Image.open(io.BytesIO(base64.b64decode(encoded))) as drawn:
            assert drawn.format.lower() == kind
            assert drawn.size == (int(image["width"]), int(image["height"]))
            assert flat or np.ptp(np.asarray(drawn)) > 5
    return images


def test_the_page_needs_no_other_file(finished):
    folder, text, parsed = finished
    assert (folder / "report.html").is_file()
    for tag, attributes in parsed.elements:
        assert tag not in ("script", "link", "iframe", "object", "base")
        for name in ("src", "href", "xlink:href", "srcset", "action", "data"):
            if name in attributes:
                assert attributes[name].startswith("#" if tag in ("a", "use") else "data:"), attributes
    assert not re.search(r"https?:|url\(|@import", text)
    targets = {attributes.get("id") for _, attributes in parsed.elements}
    assert {link["href"][1:] for link in parsed.all("a")} <= targets


def test_every_picture_has_words_and_can_be_read(finished):
    _, _, parsed = finished
    images = _check_pictures(parsed)
    # ten columns from labels, twelve named images, eight reconstructions, twenty-four samples of the prior
    assert len(images) == 10 + 12 + 8 + 24
    for drawing in parsed.all("svg"):
        assert drawing.get("aria-hidden") == "true" or len(drawing["aria-label"]) > 10


def test_the_page_can_be_found_one_s_way_in(finished):
    folder, text, parsed = finished
    assert parsed.all("html", lang="en")
    assert all(len(parsed.all(tag)) == 1 for tag in ("header", "main", "footer", "h1", "title", "nav"))
    assert all(cell.get("scope") in ("col", "row") for cell in parsed.all("th"))
    assert len(parsed.all("caption")) == len(parsed.all("table")) == 2
    assert "digits &amp; &lt;friends&gt;" in text
    assert folder.name in "".join(parsed.text)


def _drawings(text):
    """The drawings of a page, by what they say that they show."""
    found = re.findall(r"<svg [^>]*aria-label[^>]*>.*?</svg>", text, re.DOTALL)
    drawings = {
        html.unescape(re.search(r'aria-label="([^"]*)"', one)[1]): ElementTree.fromstring(
            one.replace("<svg", '<svg xmlns:xlink="http://www.w3.org/1999/xlink"', 1)
        )
        for one in found
    }
    assert len(drawings) == len(found)
    return drawings


def _line(drawing, kind):
    """The points `[N, 2]` of the line of a class."""
    path = drawing.find(f".//g[@class='{kind}']/path")
    return _numbers(path).reshape(-1, 2)


def _marks(drawing, kind):
    """The places `[N, 2]` of the marks of a class."""
    return np.array([[float(use.get(axis)) for axis in "xy"] for use in drawing.findall(f".//g[@class='{kind}']//use")])


def _axes(drawing):
    """Of the numbers below and on the left, the values and where they stand, `[N, 2]` each."""
    numbers = {"middle": [], "end": []}
    for text in drawing.iter("text"):
        value = float(text.text.replace("−", "-").replace(",", ""))
        numbers[text.get("text-anchor")].append((value, float(text.get("x"))))
    lines = [np.reshape(_numbers(path), (2, 2)) for path in drawing.findall(".//g[@class='grid']/path")]
    assert all(line[0, 1] == line[1, 1] for line in lines)
    up = [(value, line[0, 1]) for (value, _), line in zip(numbers["end"], lines, strict=True)]
    return np.array(numbers["middle"]), np.array(up)


def _numbers(path):
    return np.array(re.findall(r"-?[\d.]+", path.get("d")), float)


def test_each_chart_shows_its_own_term_linearly(finished):
    folder, text, _ = finished
    history = json.loads((folder / "history.json").read_text())
    terms = [name for name in history if name != "seconds" and not name.startswith("val_")]
    charts = {alt.split(" over ")[0]: drawing for alt, drawing in _drawings(text).items() if " over " in alt}
    assert charts.keys() == set(terms)
    for name, drawing in charts.items():
        across, up = _axes(drawing)
        assert across[:, 0].tolist() == [1, 2, EPOCHS]
        assert len(up) >= 2
        x, y = np.polyfit(*across.T, 1), np.polyfit(*up.T, 1)
        assert y[0] < 0  # more is higher
        for kind, values in (("training", history[name]), ("test", history[f"val_{name}"])):
            expected = [(epoch, value) for epoch, value in enumerate(values, start=1) if value is not None]
            assert len(expected) == (EPOCHS if kind == "training" else EPOCHS // 2)  # validate_every is 2
            places = [(np.polyval(x, epoch), np.polyval(y, value)) for epoch, value in expected]
            # Numbers on an axis are rounded, by 5 in the fifth digit at the most.
            np.testing.assert_allclose(_line(drawing, kind), places, atol=0.6)
            if kind == "test":
                np.testing.assert_array_equal(_marks(drawing, kind), _line(drawing, kind))


def test_a_chart_leaves_out_what_is_not_finite_and_says_the_last_values():
    values = [-200.0, -1200.0, None, -1000.0, float("nan")]
    (chart,) = drawings.charts({"elbo": values, "val_elbo": [None, -1300.0], "seconds": [1.0], "loss": [None]})
    ((alt, drawing),) = _drawings(chart.svg).items()
    assert alt == "elbo over 5 epochs; at the end training −1,000, test −1,300."
    across, up = _axes(drawing)
    assert across[:, 0].tolist() == [1, 2, 3, 4, 5]
    assert up[:, 0].tolist() == [-1000, -500]
    x, y = np.polyfit(*across.T, 1), np.polyfit(*up.T, 1)
    expected = [(np.polyval(x, epoch), np.polyval(y, values[epoch - 1])) for epoch in (1, 2, 4)]
    np.testing.assert_allclose(_line(drawing, "training"), expected, atol=0.05)
    np.testing.assert_allclose(_marks(drawing, "test"), [(np.polyval(x, 2), np.polyval(y, -1300))], atol=0.05)


def test_drawings_take_their_colours_from_the_style_sheet_and_share_no_name(finished):
    _, text, parsed = finished
    assert len(_drawings(text)) == len(set(_drawings(text)))
    names = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(names) == len(set(names))
    for drawing in _drawings(text).values():
        for element in drawing.iter():
            assert not element.attrib.keys() & {"style", "fill", "stroke", "clip-path"}
        marks = {use.get("{http://www.w3.org/1999/xlink}href")[1:] for use in drawing.iter("use")}
        assert marks <= {path.get("id") for path in drawing.iter("path")}
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)[1]
    classes = {group.get("class") for drawing in _drawings(text).values() for group in drawing.iter("g")} - {None}
    assert classes == {"grid", "training", "test", *(f"k{number}" for number in range(10))}
    assert all(f".{name} " in style or f".{name}," in style for name in classes)


def _rows(text, number):
    """The cells of a table of the page, without their padding."""
    body = re.findall(r"<tbody>(.*?)</tbody>", text, re.DOTALL)[number]
    rows = [
        re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)
        for row in re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    ]
    return [[re.sub(r"<span.*|[\u2007\u2008]", "", cell).strip() for cell in row] for row in rows]


def test_each_metric_stands_beside_its_own_name(finished):
    values = {"log_p_x": -80.5, "loss": 99.25, "accuracy_w_from_x": 0.875, "kl_prior": 18.75, "elbo": -99.5}
    expected = [("elbo", "−99.50"), ("accuracy_w_from_x", "87.5%"), ("log_p_x", "−80.50"), ("kl_prior", "18.75")]
    found = [(row["name"], row["value"].rstrip("\u2007\u2008")) for row in facts.metrics(values)]
    assert found == [*expected, ("loss", "99.25")]
    assert all(row["meaning"] == facts.meaning(row["name"]) for row in facts.metrics(values))
    folder, text, _ = finished
    metrics = json.loads((folder / "metrics.json").read_text())
    shown = {row[0]: row[1] for row in _rows(text, 1)}
    assert shown.keys() == metrics.keys()
    for name, value in metrics.items():
        text = f"{100 * value:.1f}%" if name.startswith("accuracy") else f"{value:,.2f}".replace("-", "−")
        assert shown[name] == text, name


def test_each_likelihood_has_its_own_error(finished):
    _, text, _ = finished
    # To the place of the second digit of the standard error.
    assert _rows(text, 0) == [
        ["log p(x, w)", "−37.13", "0.24", "100", "12.3"],
        ["log p(w | x)", "−0.089", "0.012", "10", ""],
    ]
    assert "over 200 test examples" in re.search(r"<caption>(.*?)</caption>", text)[1]


def test_the_first_numbers_say_what_they_are(finished):
    folder, text, _ = finished
    metrics = json.loads((folder / "metrics.json").read_text())
    seconds = sum(json.loads((folder / "history.json").read_text())["seconds"])
    minutes, rest = divmod(round(seconds), 60)
    assert re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", text.partition("<nav")[0]) == [
        ("nats, lower bound on the test set", f"{metrics['elbo']:.1f}".replace("-", "−")),
        ("of w predicted correctly from x", f"{100 * metrics['accuracy_w_from_x']:.1f}%"),
        ("dimensions of z", "2"),
        (f"for {EPOCHS} epochs", f"{minutes} min {rest} s" if minutes else f"{rest} s"),
    ]


@pytest.mark.parametrize(
    ("error", "places"), [(0.244, 2), (8.94, 1), (25.0, 0), (0.0123, 3), (1e-9, 4), (None, 2), (float("nan"), 2)]
)
def test_a_mean_is_rounded_to_its_error(error, places):
    assert facts._decimals(error) == places


def test_points_stand_below_one_another():
    rows = facts.likelihoods([*EVALUATION["rows"], {**EVALUATION["rows"][0], "mean": -1234.0, "standard_error": 31.0}])
    from_right = {len(row["mean"]) - row["mean"].find(".") for row in rows if "." in row["mean"]}
    assert len(from_right) == 1
    assert len({len(row["mean"]) - len(row["mean"].lstrip("−0123456789,")) for row in rows}) > 1
    assert rows[2]["mean"].startswith("−1,234\u2008")


def test_numbers_have_a_minus_and_none_has_a_dash():
    assert facts.number(-0.001, 2) == "0.00"
    assert facts.number(-13504.14, 1) == "−13,504.1"
    assert facts.number(None, 2) == facts.number(float("nan"), 2) == "–"
    assert [facts._duration(seconds) for seconds in (12.4, 564, 8130)] == ["12 s", "9 min 24 s", "2 h 15 min"]


def test_the_latent_map_shows_each_test_example_where_it_is(finished):
    folder, text, _ = finished
    model = run.load_model(folder / "model.keras")
    test = presets.load("digits-jmvae-kl").data.load().test
    maps = [drawing for alt, drawing in _drawings(text).items() if alt.startswith("Map of z")]
    assert len(maps) == 2
    labels = test["w"].argmax(-1)
    z = model.posterior({"x": test["x"]}).mean().numpy()
    drawn = [_marks(maps[0], f"k{label}") for label in range(10)]
    assert [len(points) for points in drawn] == np.bincount(labels).tolist()
    # z has two numbers: the map is z itself up to one scale, with the second axis upwards.
    placed = [(points - 170) * [1, -1] for points in drawn]
    ordered = np.concatenate([z[labels == label] for label in range(10)])
    scale = (np.concatenate(placed) * ordered).sum() / (ordered**2).sum()
    assert scale > 10
    np.testing.assert_allclose(np.concatenate(placed), scale * ordered, atol=0.05)
    names = {one.text: (float(one.get("x")) - 170, 170 - float(one.get("y"))) for one in maps[0].iter("text")}
    for label in range(10):  # each name in the middle of its class
        np.testing.assert_allclose(names[str(label)], scale * np.median(z[labels == label], axis=0), atol=0.05)


@pytest.mark.parametrize("latent_dim", [2, 3])
def test_a_posterior_that_collapsed_has_a_map_with_all_points_in_the_middle(monkeypatch, latent_dim):
    config = _config("jmvae-kl", None)
    model = build.build_model(config.model)
    monkeypatch.setattr(drawings, "_latents", lambda model, test, *_, **__: np.zeros((len(test["x"]), latent_dim)))
    drawn = drawings.latent_map(model, config.data.load(), seed=0)
    (drawing,) = _drawings(next(iter(drawn.panels.values()))).values()
    places = np.concatenate([_marks(drawing, f"k{number}") for number in range(10)])
    np.testing.assert_array_equal(places, np.full((360, 2), 170.0))
    assert np.isnan(drawings._correlations(np.zeros((4, 2)), np.eye(4) > 0)).all()


def test_the_modalities_of_a_divergence_are_told_apart():
    assert facts.meaning("kl_left_eye_and_w").startswith("How far z inferred from left_eye and w alone is")


def test_equal_runs_give_equal_pages(finished, tmp_path):
    folder, text, _ = finished
    again, _ = _write(folder, output=tmp_path / "deep" / "page.html")
    assert again == text


def test_an_unfinished_run_says_so_and_shows_its_checkpoint(finished, tmp_path):
    folder, _, _ = finished
    unfinished = tmp_path / "unfinished"
    (unfinished / "checkpoint").mkdir(parents=True)
    shutil.copy(folder / "config.json", unfinished)
    history = json.loads((folder / "history.json").read_text())
    shortened = {name: values[:2] for name, values in history.items()}
    (unfinished / "checkpoint" / "epoch-2.history.json").write_text(json.dumps(shortened))
    run.load_model(folder / "model.keras").save_weights(unfinished / "checkpoint" / "epoch-2.weights.h5")
    text, parsed = _write(unfinished)
    assert f"Stopped after epoch 2 of {EPOCHS}." in "".join(parsed.text)
    assert len(_check_pictures(parsed)) == 54
    charts = {alt: drawing for alt, drawing in _drawings(text).items() if " over " in alt}
    assert charts
    assert all(" over 2 epochs; " in alt and len(_line(chart, "training")) == 2 for alt, chart in charts.items())
    shutil.rmtree(unfinished / "checkpoint")
    _, parsed = _write(unfinished)
    text = "".join(parsed.text)
    assert f"None of {EPOCHS} epochs is finished." in text
    assert "holds no model" in text
    assert not parsed.all("img")
    assert not [one for one in parsed.all("svg") if "aria-label" in one]


def test_without_an_evaluation_the_page_has_estimates_and_the_folder_stays_as_it_is(finished, tmp_path):
    folder, _, _ = finished
    part = shutil.copytree(folder, tmp_path / "part")
    (part / "evaluation.json").unlink()
    _, parsed = _write(part)
    assert "200 test examples" in "".join(parsed.text)
    assert "log p(x, w)" in "".join(parsed.text)
    assert {path.name for path in part.iterdir()} == {path.name for path in folder.iterdir()} - {"evaluation.json"}


def test_missing_and_damaged_files_are_told_on_the_page(finished, tmp_path):
    folder, _, _ = finished
    part = shutil.copytree(folder, tmp_path / "part")
    (part / "history.json").unlink()
    (part / "model.keras").write_bytes(b"no model")
    (part / "evaluation.json").write_text("{")
    _, parsed = _write(part)
    text = "".join(parsed.text)
    for words in ("holds no history", "The model cannot be loaded", "evaluation.json cannot be read"):
        assert words in text


def test_data_that_are_gone_leave_what_needs_none(finished, tmp_path):
    folder, _, _ = finished
    part = shutil.copytree(folder, tmp_path / "part")
    recorded = json.loads((part / "config.json").read_text())
    recorded["config"]["data"] |= {"dataset": "mnist", "data_dir": str(tmp_path / "absent")}
    (part / "config.json").write_text(json.dumps(recorded))
    _, parsed = _write(part)
    assert "The data cannot be read" in "".join(parsed.text)
    assert len(_check_pictures(parsed)) == 10 + 24  # from labels and from the prior


def test_an_unfinished_run_is_shown_after_its_own_number_of_steps(tmp_path):
    config = _config("jmvae", tmp_path).model_copy(update={"num_steps": 4})
    run_folder.prepare(tmp_path, config)
    (tmp_path / "checkpoint").mkdir()
    build.build_model(config.model).save_weights(tmp_path / "checkpoint" / "epoch-1.weights.h5")
    (tmp_path / "checkpoint" / "epoch-1.history.json").write_text('{"elbo": [-1.0]}')
    assert record.Record(tmp_path).model().iterated_sampling.num_steps == 4


@pytest.mark.parametrize("content", [None, "{}", '{"config": {"preset": 3}, "versions": {}}', "[1]"])
def test_a_folder_that_is_no_run_is_an_error(tmp_path, content):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(
        run.RunError, match=r"is not a run folder: it holds no config\.json|is not a configuration for this version"
    ):
        page.write(tmp_path)
    assert not (tmp_path / "report.html").exists()


def _folder_of(config, folder):
    """An unfinished run whose model was never trained: enough for every picture."""
    (folder / "checkpoint").mkdir(parents=True)
    recorded = {"config": config.model_dump(mode="json"), "versions": {"python": "3"}, "commit": None}
    (folder / "config.json").write_text(json.dumps(recorded))
    (folder / "checkpoint" / "epoch-1.history.json").write_text(json.dumps({"elbo": [-1.0], "loss": [1.0]}))
    model = build.build_model(config.model)
    for name in model.standardizations:
        shape = model.modalities[name].event_shape
        model.set_statistics(name, np.full(shape, 128.0), np.full(shape, 60.0))
    model.save_weights(folder / "checkpoint" / "epoch-1.weights.h5")
    return folder


@pytest.mark.parametrize(
    ("kind", "options", "titles", "panels"),
    [
        ("vae", {}, ["Reconstruction of x", "From nothing"], ["q(z | x)"]),
        ("jmvae", {"latent_dim": 3}, ["Images from labels", "Labels from images"], ["q(z | x)", "q(z | w)"]),
        ("hierarchical-jmvae", {}, ["Images from labels", "Labels from images"], ["q(z | x)", "q(z | w)"]),
        ("cvae", {"target": "x"}, ["Images from labels", "Reconstruction of x"], ["q(z | x, w)"]),
        ("cmma", {"target": "w"}, ["Labels from images"], ["q(z | x, w)", "q(z | x)"]),
    ],
)
def test_every_kind_of_model_has_its_pictures(tmp_path, kind, options, titles, panels):
    _, parsed = _write(_folder_of(_config(kind, tmp_path, **options), tmp_path / "run"))
    text = "".join(parsed.text)
    assert _check_pictures(parsed, flat=True)
    for title in titles:
        assert title in text
    one_way = kind in ("cvae", "cmma")
    assert ("From nothing" in text) is not one_way
    assert ("Images from labels" in text) is ("Images from labels" in titles)
    assert ("Labels from images" in text) is ("Labels from images" in titles)
    assert [title for title in parsed.text if title.startswith("q(z")] == panels


def test_faces_have_pictures_of_every_attribute(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_JMVAE_CACHE", str(tmp_path / "cache"))
    celeba_folder.make(tmp_path / "celeba", 40)
    settings = presets.load("celeba-jmvae-kl-gan-small").model_dump()
    small = {"filters": (4, 4, 4, 4)}
    settings["model"] |= {"latent_dim": 3, "trunk": (8,), "discriminator": small}
    settings["model"]["modalities"]["x"] |= {"encoder": small, "decoder": {"filters": (4, 4, 4)}}
    settings["model"]["modalities"]["w"] |= SMALL
    settings["data"] |= {"data_dir": tmp_path / "celeba"}
    _, parsed = _write(_folder_of(Config.model_validate(settings), tmp_path / "run"))
    images = _check_pictures(parsed, flat=True)
    text = "".join(parsed.text)
    assert "Images from attributes" in text
    assert "Attributes from images" in text
    # the usual face and forty changes, six named, six reconstructed, twenty-four from the prior
    assert len(images) == 41 + 6 + 6 + 24
    assert all(image["class"] == "photograph" for image in images)
    assert any(image["alt"] == "The same with one attribute changed: Eyeglasses." for image in images)
