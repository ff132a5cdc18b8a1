"""The tab "Fill in": what is known of a row of a table, and what the model says of the rest."""

import html
import io
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import gradio as gr
import numpy as np
import tensorflow as tf
from PIL import Image

from tf_jmvae import images
from tf_jmvae._utils.tables import with_spread
from tf_jmvae.columns import kind_of
from tf_jmvae.columns.text import UNKNOWN
from tf_jmvae.demo import components, interface
from tf_jmvae.demo.drawings import PictureError
from tf_jmvae.demo.interface import DemoModel, InputError
from tf_jmvae.images.preprocessing import as_picture
from tf_jmvae.specs import Columns, ModalitySpec

TITLE = "Fill in"
_SAMPLES = 100  # of z behind each probability and spread
_PICTURES, _CLASSES, _TEXTS = 8, 6, 5  # shown
_STEPS = 100  # of a slider, at least
_REACH = 3.0  # standard deviations each way that a number's line shows
_LARGEST = float(np.finfo(np.float32).max)
_OPEN, _NO, _YES = "", "no", "yes"
_NOTHING = (_OPEN, "+", "-", ".")

Known = Mapping[tuple[str, str], Any]  # by modality and column; what is not known is None or ""


class Number(NamedTuple):
    """What a number or count is expected to be, and its standard deviation."""

    mean: float
    spread: float


class Text(NamedTuple):
    """The most probable text at the mean of z, and those of samples with the fraction that says them."""

    best: str
    samples: dict[str, float]


Answer = Number | Text | dict[str, float] | list[np.ndarray]


def can(model: DemoModel) -> bool:
    """Whether the model was made of a table's columns, and starts from any of them."""
    return not model.conditions and model.model.has_cells and any(_modalities(model))


def _modalities(model: DemoModel) -> Iterator[tuple[str, ModalitySpec, Columns]]:
    """The modalities whose cells the page can read and show."""
    for name, spec in model.fields.items():
        if spec.columns and spec.columns.kind in ("numbers", "counts", "attributes", "category", "text", "image"):
            yield name, spec, spec.columns


def filled(model: DemoModel, known: Known, seed: int = 0) -> dict[tuple[str, str], Answer]:
    """What the model says of every column that is not known, from 100 samples of z given those that are.

    Numbers come with the standard deviation that they have given what is known, classes and attributes with their
    probabilities, pictures as pixels, uint8 `[H, W, C]`, of single samples. Raises `InputError` if the model cannot
    start from what is known.
    """
    known = _said(known)
    rows = {name: [cell] * (1 + _SAMPLES) for name, cell in _cells(model, known)}
    noise = np.concatenate([np.zeros((1, model.model.latent_size)), model.noise(seed, _SAMPLES)])
    try:
        found = model.model.decode_to_cells(model.model.latents_of_cells(rows, noise))
    except ValueError as error:
        raise InputError(f"The model cannot start from {_listed(known)}: {error}") from error
    answers: dict[tuple[str, str], Answer] = {}
    for name, spec, columns in _modalities(model):
        for number, column in enumerate(columns.names):
            if (name, column) not in known:
                answers[name, column] = _answer(found, name, spec, number)
    return answers


def _said(known: Known) -> Known:
    """What is known: not nothing, nor blanks, nor the sign of a number that is still to be typed."""
    return {key: value for key, value in known.items() if value is not None and str(value).strip() not in _NOTHING}


def _cells(model: DemoModel, known: Known) -> Iterator[tuple[str, Any]]:
    """Of each modality of which something is known its cell, as `latents_of_cells` takes it."""
    for name, spec, columns in _modalities(model):
        own = [known.get((name, column)) for column in columns.names]
        if all(value is None for value in own):
            continue
        if columns.kind == "image":
            yield name, _encoded(own[0], spec)
        elif columns.kind in ("category", "text"):
            yield name, str(own[0])
        elif columns.kind == "attributes":
            yield name, np.array([{_NO: 0.0, _YES: 1.0}.get(value, np.nan) for value in own], np.float32)
        else:
            numbers = zip(columns.names, own, strict=True)
            yield name, np.array([_number(*one, whole=columns.kind == "counts") for one in numbers], np.float32)


def _number(column: str, value: Any, *, whole: bool) -> float:
    """What a box says, NaN if it is open; raises `InputError` unless it is a number, or a count where one is due."""
    try:
        number = np.nan if value is None else float(str(value))
    except ValueError as error:
        raise InputError(f"{column}: {value!r} is no number. Type one such as 1.5, or leave it open.") from error
    if value is not None and not abs(number) <= _LARGEST:
        raise InputError(f"{column}: {value!r} is too large a number.")
    if whole and (number < 0 or number % 1 > 0):
        raise InputError(f"{column}: {value!r} is no count. Type 0, 1, 2, ..., or leave it open.")
    return number


def _encoded(path: str, spec: ModalitySpec) -> bytes:
    """A picture as PNG of the model's size, prepared as those of the table were."""
    try:
        pixels = images.prepared(images.open_rgb(path), spec.event_shape, spec.preprocessing)
    except (OSError, ValueError, ImportError) as error:
        raise PictureError(str(error).replace(str(path), "The picture")) from error
    buffer = io.BytesIO()
    as_picture(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def _answer(found: Mapping[str, np.ndarray], name: str, spec: ModalitySpec, number: int) -> Answer:
    """Of one column; the first row is at the mean of z, the others are samples."""
    values, columns = found.get(name), spec.columns
    if columns.kind == "image":
        return [np.asarray(Image.open(io.BytesIO(png))) for png in values[: 1 + _PICTURES]]
    if columns.kind == "text":
        texts = [text.decode() for text in found[f"{name}_text"]]
        counts = Counter(texts[1:]).most_common(_TEXTS)
        return Text(texts[0], {text: count / _SAMPLES for text, count in counts})
    means = values[1:].astype(np.float64).mean(axis=0)
    if columns.kind == "category":
        return dict(zip(columns.words, map(float, means), strict=True))
    if columns.kind == "attributes":
        return dict(zip(columns.words[2 * number :][:2], (1 - means[number], means[number]), strict=True))
    variance = values[1:, number].astype(np.float64).var() + np.square(found[f"{name}_spread"][1:, number]).mean()
    return Number(float(means[number]), float(np.sqrt(variance)))


def unknown_words(model: DemoModel, known: Known) -> list[str]:
    """The words of texts that the model did not learn."""
    found = []
    for name, _, columns in _modalities(model):
        if columns.kind == "text" and (text := known.get((name, columns.names[0]))):
            kind = kind_of(columns)
            for word in str(text).split():
                tokens = kind.from_strings(tf.constant([word]))
                if kind.to_strings(tokens)[0].numpy().decode() == UNKNOWN:
                    found.append(word)
    return found


def _listed(known: Known) -> str:
    return ", ".join(column for _, column in known) or "nothing"


def _shown(model: DemoModel, usual: Mapping[tuple[str, str], Answer], keys: list, *values: Any) -> tuple:
    """The status, the answers in HTML, and a gallery for each picture's column."""
    known = _said(dict(zip(keys, values, strict=True)))
    answers = filled(model, known)
    text = f"{len(known)} of {len(keys)} columns known; what the model expects of the others."
    if not known:
        text = "Nothing is known yet: what the model expects of any row."
    elif not answers:
        text = "Everything is known, so there is nothing to fill in."
    if words := unknown_words(model, known):
        text += f" The model did not learn the word{'s' * (len(words) > 1)} {', '.join(words)}."
    galleries = []
    for name, _, columns in _modalities(model):
        if columns.kind == "image":
            pictures = answers.get((name, columns.names[0]), [])
            captions = ["at the mean of z", *(f"sample {number}" for number in range(1, len(pictures)))]
            shown = list(zip(map(interface.enlarged, pictures), captions, strict=False))
            galleries.append(gr.update(value=shown, visible=bool(shown)))
    return text, _markup(answers, usual), *galleries


def _markup(answers: Mapping[tuple[str, str], Answer], usual: Mapping[tuple[str, str], Answer]) -> str:
    parts = []
    for key, answer in answers.items():
        match answer:
            case Number():
                said = _of_number(answer, usual[key])
            case Text():
                best = html.escape(answer.best) or "<i>no word</i>"
                said = f"<b>{best}</b>{_bars({text or 'no word': p for text, p in answer.samples.items()})}"
            case dict():
                order = sorted(answer, key=answer.get, reverse=True)
                said = _bars({word: answer[word] for word in order[:_CLASSES]})
            case _:
                continue
        parts.append(f"<div><dt>{html.escape(key[1])}</dt><dd>{said}</dd></div>")
    return f"<dl class='cells'>{''.join(parts)}</dl>"


def _of_number(answer: Number, usual: Number) -> str:
    """The number with its spread, and a line of what is usual with both on it."""
    low = usual.mean - _REACH * usual.spread
    scale = 100 / (2 * _REACH * usual.spread) if usual.spread else 0.0
    start, middle, end = (
        float(np.clip(scale * (value - low), 0, 100))
        for value in (answer.mean - answer.spread, answer.mean, answer.mean + answer.spread)
    )
    line = f"<i style='left:{start:.1f}%;width:{end - start:.1f}%'></i><b style='left:{middle:.1f}%'></b>"
    number, _, spread = with_spread(answer.mean, answer.spread).partition(" ± ")
    return f"<b>{number}</b> <small>± {spread}</small><span class='line' aria-hidden='true'>{line}</span>"


def _bars(values: Mapping[str, float]) -> str:
    bars = (
        f"<li><span>{html.escape(word)}</span><span class='bar' aria-hidden='true'>"
        f"<i style='width:{100 * p:.1f}%'></i></span><span>{p:.0%}</span></li>"
        for word, p in values.items()
    )
    return f"<ul>{''.join(bars)}</ul>"


def _field(spec: ModalitySpec, number: int, usual: Answer) -> gr.Component:
    """The component to say what is known of a column; open at first."""
    columns = spec.columns
    label = columns.names[number]
    match columns.kind:
        case "category":
            choices = [("(not known)", _OPEN), *((word, word) for word in columns.words)]
            return gr.Dropdown(choices, value=_OPEN, label=label)
        case "attributes":
            words = zip(columns.words[2 * number :][:2], (_NO, _YES), strict=True)
            return gr.Radio([("not known", _OPEN), *words], value=_OPEN, label=label)
        case "text":
            return gr.Textbox(label=label, placeholder="not known", max_length=500)
        case "image":
            return components.upload(label)
    # Gradio's own box of numbers cannot be left open: it says 0.
    return gr.Textbox(label=label, placeholder=with_spread(*usual), max_lines=1, max_length=40)


def _slider(label: str, usual: Number, *, whole: bool) -> gr.Slider:
    """A slider that writes into a number's box, over the range that its line shows."""
    low, high = (usual.mean + side * _REACH * usual.spread for side in (-1, 1))
    if whole:
        low, high, step = 0, max(math.ceil(high), 1), 1
    else:
        step = 10.0 ** math.floor(math.log10((high - low) / _STEPS or 1))
        low, high = (round(step * end, 9) for end in (math.floor(low / step), math.ceil(high / step)))
    return gr.Slider(
        low, high, usual.mean, step=step, label=f"{label}, by a slider", show_label=False, buttons=[], min_width=80
    )


def _typed(number: float) -> str:
    """What a slider says, as one would type it."""
    return f"{number:.6g}"


def build(model: DemoModel) -> None:
    """Lays the tab out, within Gradio's context, and fills it with its first answer."""
    usual = filled(model, {})
    keys, fields, sliders = list(usual), [], []
    first = _shown(model, usual, keys, *[None] * len(keys))
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=290):
            gr.Markdown("Say what is known of a row, and leave the rest open.")
            for name, spec, columns in _modalities(model):
                with gr.Row(elem_classes="fields"):
                    for number, column in enumerate(columns.names):
                        answer = usual[name, column]
                        if not isinstance(answer, Number):
                            fields.append(_field(spec, number, answer))
                            continue
                        with gr.Column(min_width=80, elem_classes="number"):
                            fields.append(_field(spec, number, answer))
                            slider = _slider(column, answer, whole=columns.kind == "counts")
                        sliders.append((slider, fields[-1]))
            with gr.Row():
                button = gr.Button("Fill in", variant="primary")
                clear = gr.Button("Leave all open")
        with gr.Column(scale=3, min_width=290):
            status = components.status(first[0])
            said = gr.HTML(first[1], padding=False)
            names = [columns.names[0] for *_, columns in _modalities(model) if columns.kind == "image"]
            shown = zip(first[2:], names, strict=True)
            galleries = [components.gallery(update["value"], name, 3) for update, name in shown]
            if any(isinstance(answer, Number) for answer in usual.values()):
                line = f"its mean where nothing is known, and {_REACH:g} standard deviations each way"
                gr.HTML(f"<p class='note'>A number's line is {line}.</p>")
    newest = []
    for field in fields:
        if isinstance(field, gr.Image):
            newest += [field.upload, field.clear]
        elif isinstance(field, gr.Textbox):
            newest.append(field.change)  # Gradio has no event of input when a character is deleted
        else:
            newest.append(field.input)
    outputs = [status, said, *galleries]
    function = lambda *values: _shown(model, usual, keys, *values)  # noqa: E731
    handler = components.answers("Filling in ...", function, fields, outputs, (button.click,), newest)
    for slider, field in sliders:
        slider.input(_typed, slider, field, trigger_mode="always_last", **components.QUICK)
    opened = [field.value for field in fields]
    clear.click(lambda: opened if len(opened) > 1 else opened[0], None, fields, **components.QUICK).then(
        handler, fields, outputs, **components.PICTURES
    )
