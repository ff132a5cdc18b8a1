"""The tab "Fill in", which predicts the unknown cells of a table row from the known ones."""

import base64
import html
import io
import math
from collections.abc import Mapping
from typing import Any

import gradio as gr
import numpy as np

from tf_jmvae._utils.tables import with_spread
from tf_jmvae.demo import cells, components, interface
from tf_jmvae.demo.cells import Answer, Number, Text
from tf_jmvae.demo.interface import DemoModel
from tf_jmvae.specs import ModalitySpec

TITLE = "Fill in"
_CLASSES = 6  # number of classes shown
_STEPS = 100  # smallest number of steps of a slider
_REACH = 3.0  # half the range of a number's line, in stddevs


def can(model: DemoModel) -> bool:
    """Returns whether the model is made of table columns, and has a posterior given any of them."""
    return not model.conditions and model.model.has_cells and any(cells.modalities(model))


def _shown(model: DemoModel, usual: Mapping[tuple[str, str], Answer], keys: list, *values: Any) -> tuple:
    """Returns the status, the answers in HTML, and a gallery for each column of pictures."""
    known = cells.said(model, dict(zip(keys, values, strict=True)))
    answers = cells.filled(model, known)
    text = f"{len(known)} of {len(keys)} columns known; the model fills in the others."
    if not known:
        text = "Nothing is known yet: this is what the model expects of any row."
    elif not answers:
        text = "Everything is known, so there is nothing to fill in."
    if words := cells.unknown_words(model, known):
        text += f" The model did not learn the word{'s' * (len(words) > 1)} {', '.join(words)}."
    galleries = []
    for name, _, columns in cells.modalities(model):
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
            case np.ndarray():
                said = _of_array(answer, key[1])
            case _:
                continue
        parts.append(f"<div><dt>{html.escape(key[1])}</dt><dd>{said}</dd></div>")
    return f"<dl class='cells'>{''.join(parts)}</dl>"


def _of_number(answer: Number, usual: Number) -> str:
    """Formats a number with its stddev, and draws both on a line of the usual range."""
    low = usual.mean - _REACH * usual.spread
    scale = 100 / (2 * _REACH * usual.spread) if usual.spread else 0.0
    start, middle, end = (
        float(np.clip(scale * (value - low), 0, 100))
        for value in (answer.mean - answer.spread, answer.mean, answer.mean + answer.spread)
    )
    line = f"<i style='left:{start:.1f}%;width:{end - start:.1f}%'></i><b style='left:{middle:.1f}%'></b>"
    number, _, spread = with_spread(answer.mean, answer.spread).partition(" ± ")
    return f"<b>{number}</b> <small>± {spread}</small><span class='line' aria-hidden='true'>{line}</span>"


def _of_array(answer: np.ndarray, column: str) -> str:
    """Formats the shape and range of an array, with a download link."""
    buffer = io.BytesIO()
    np.save(buffer, answer)
    size = " x ".join(map(str, answer.shape))
    file = f"data:application/octet-stream;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    name = html.escape(f"{column}.npy")
    link = f"<a download='{name}' href='{file}'>{name}</a>"
    return f"{size} values from {answer.min():.3g} to {answer.max():.3g}, {link}"


def _bars(values: Mapping[str, float]) -> str:
    bars = (
        f"<li><span>{html.escape(word)}</span><span class='bar' aria-hidden='true'>"
        f"<i style='width:{100 * p:.1f}%'></i></span><span>{p:.0%}</span></li>"
        for word, p in values.items()
    )
    return f"<ul>{''.join(bars)}</ul>"


def _field(spec: ModalitySpec, number: int, usual: Answer) -> gr.Component:
    """Makes the input component of a column's cell; empty at first."""
    columns = spec.columns
    label = columns.names[number]
    match columns.kind:
        case "category":
            choices = [("(not known)", cells.OPEN), *((word, word) for word in columns.words)]
            return gr.Dropdown(choices, value=cells.OPEN, label=label)
        case "attributes":
            words = zip(columns.words[2 * number :][:2], (cells.NO, cells.YES), strict=True)
            return gr.Radio([("not known", cells.OPEN), *words], value=cells.OPEN, label=label)
        case "text":
            return gr.Textbox(label=label, placeholder="not known", max_length=500)
        case "image":
            return components.upload(label)
        case "array":
            return gr.File(label=f"{label} (.npy or .npz)", file_types=[".npy", ".npz"], type="filepath", height=120)
    # Gradio's number box cannot be empty: it shows 0.
    return gr.Textbox(label=label, placeholder=with_spread(*usual), max_lines=1, max_length=40)


def _slider(label: str, usual: Number, *, whole: bool) -> gr.Slider:
    """Makes a slider for a number's box, over the range of its line."""
    low, high = (usual.mean + side * _REACH * usual.spread for side in (-1, 1))
    if whole:
        low, high, step = 0, max(math.ceil(high), 1), 1
    else:
        step = 10.0 ** math.floor(math.log10((high - low) / _STEPS or 1))
        low, high = (round(step * end, 9) for end in (math.floor(low / step), math.ceil(high / step)))
    return gr.Slider(
        low, high, usual.mean, step=step, label=f"{label}, by a slider", show_label=False, buttons=[], min_width=80
    )


def build(model: DemoModel) -> None:
    """Builds the tab within a Gradio context, with a first answer."""
    usual = cells.filled(model, {})
    keys, fields, sliders = list(usual), [], []
    first = _shown(model, usual, keys, *[None] * len(keys))
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=290):
            gr.Markdown("Enter what is known of a row and leave the rest open.")
            for name, spec, columns in cells.modalities(model):
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
            names = [columns.names[0] for *_, columns in cells.modalities(model) if columns.kind == "image"]
            shown = zip(first[2:], names, strict=True)
            galleries = [components.gallery(update["value"], name, 3) for update, name in shown]
            if any(isinstance(answer, Number) for answer in usual.values()):
                line = f"its mean when nothing is known, with {_REACH:g} standard deviations on each side"
                gr.HTML(f"<p class='note'>The line of a number shows {line}.</p>")
    newest = []
    for field in fields:
        if isinstance(field, gr.Image | gr.File):
            newest += [field.upload, field.clear]
        elif isinstance(field, gr.Textbox):
            newest.append(field.change)  # Gradio has no input event for deleted characters
        else:
            newest.append(field.input)
    outputs = [status, said, *galleries]
    function = lambda *values: _shown(model, usual, keys, *values)  # noqa: E731
    handler = components.answers("Filling in ...", function, fields, outputs, (button.click,), newest)
    for slider, field in sliders:
        slider.input("{:.6g}".format, slider, field, trigger_mode="always_last", **components.QUICK)
    opened = [field.value for field in fields]
    clear.click(lambda: opened if len(opened) > 1 else opened[0], None, fields, **components.QUICK).then(
        handler, fields, outputs, **components.PICTURES
    )
