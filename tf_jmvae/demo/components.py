"""Gradio components that several tabs share, and the handlers of their events."""

import base64
import contextlib
import html
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import gradio as gr
import numpy as np

from tf_jmvae import editing
from tf_jmvae.demo.drawings import PictureError
from tf_jmvae.demo.interface import DemoModel
from tf_jmvae.demo.theme import static
from tf_jmvae.images.preprocessing import as_picture

__all__ = [
    "PICTURES",
    "QUICK",
    "answers",
    "attribute_choices",
    "bars",
    "board",
    "choice",
    "crop",
    "drawing",
    "first_choices",
    "gallery",
    "own_picture",
    "seed",
    "status",
    "upload",
]

# One model and two cores: more at once would only wait for each other. Pictures take memory, so they come one by one.
QUICK = {"show_progress": "hidden", "api_visibility": "private", "concurrency_id": "answers", "concurrency_limit": 2}
_LARGEST = 500_000  # characters; the board's own drawings have a few thousand
_PREFIX = "data:image/png;base64,"
PICTURES = {**QUICK, "concurrency_id": "pictures", "concurrency_limit": 1}


def status(text: str, *, render: bool = True) -> gr.HTML:
    """The line of a tab that says what is happening, or has happened; screen readers speak it."""
    return gr.HTML(_status(text), elem_classes="status", padding=False, render=render)


def _status(text: str) -> str:
    return f'<p role="status" aria-live="polite">{html.escape(text)}</p>'


def answers(
    doing: str,
    function: Callable[..., tuple],
    inputs: Sequence[gr.Component],
    outputs: Sequence[gr.Component],
    triggers: Iterable[Callable[..., Any]],
    newest: Iterable[Callable[..., Any]] = (),
    queue: Mapping[str, Any] = PICTURES,
) -> Callable[..., Iterator[tuple]]:
    """Has a function answer every event of `triggers`, such as `button.click`, and the latest of `newest`.

    The first output is a `status`: of `doing`, with `{}` for the inputs, then of the text that the function gives
    before the values of the other outputs, which a picture that cannot be read empties. Returns the handler.
    """
    others = len(outputs) - 1

    def handler(*arguments: Any) -> Iterator[tuple]:
        yield _status(doing.format(*arguments)), *(gr.skip(),) * others
        start = time.perf_counter()
        try:
            text, *values = function(*arguments)
        except PictureError as error:
            yield _status(str(error)), *(None,) * others
        else:
            yield _status(f"{text} ({time.perf_counter() - start:.2f} s)"), *values

    for trigger in triggers:
        trigger(handler, inputs, outputs, **queue)
    for trigger in newest:
        trigger(handler, inputs, outputs, trigger_mode="always_last", **queue)
    return handler


def gallery(pictures: list, label: str, columns: int, **options: Any) -> gr.Gallery:
    """A gallery of pictures, with captions or without; `options` are those of Gradio's `Gallery`."""
    options = {"elem_classes": "pixels", "buttons": ["download", "fullscreen"]} | options
    return gr.Gallery(
        pictures, label=label, columns=columns, height="auto", format="png", object_fit="contain", interactive=False,
        **options,
    )  # fmt: skip


def bars(values: dict[str, float] | None, *, most: int = 12, render: bool = True) -> gr.Label:
    """The largest probabilities as bars."""
    return gr.Label(values, label="What it shows", num_top_classes=most, show_heading=False, render=render)


def choice(model: DemoModel, label: str, value: str | list[str]) -> gr.Radio | gr.CheckboxGroup:
    """What a picture is to show: one label, or any attributes."""
    if model.label:
        return gr.Radio(model.class_names(), value=value, label=label)
    names = attribute_choices(model)
    names.sort(key=lambda pair: pair[1] not in value)  # what is chosen is seen without scrolling
    return gr.CheckboxGroup(names, value=value, label=label, elem_classes="choices")


def attribute_choices(model: DemoModel) -> list[tuple[str, str]]:
    """Every attribute as it is shown, with its name."""
    return [(name.replace("_", " "), name) for name in model.fields[model.attributes].entry_names]


def seed() -> gr.Number:
    """The seed of the noise."""
    return gr.Number(0, label="Seed", info="The same seed gives the same pictures", precision=0, minimum=0, step=1)


def first_choices(model: DemoModel) -> tuple[Any, Any]:
    """Two choices to begin with."""
    if model.label:
        names = model.class_names()
        return names[min(3, len(names) - 1)], names[min(8, len(names) - 1)]
    names = model.fields[model.attributes].entry_names
    return tuple([name for name in some if name in names] for some in (("Smiling", "Young"), ("Male", "Eyeglasses")))


def crop() -> gr.Radio:
    """Which part of a photograph the model sees."""
    words = {
        "training": "As in training",
        "none": "The whole middle",
        "center": "Its middle, as of CelebA",
        "face": "About the face (OpenCV)",
    }
    return gr.Radio([(words[name], name) for name in editing.CROPS], value="training", label="Part of the photograph")


def upload(label: str, value: Any = None) -> gr.Image:
    """An upload of a picture, from a file or the clipboard; handlers get the file's path."""
    value = as_picture(value) if isinstance(value, np.ndarray) else value
    place = gr.Image(
        value, label=label, height=220, sources=["upload", "clipboard"], type="filepath", format="png",
        elem_classes="pixels", buttons=[],
    )  # fmt: skip
    # Gradio would decode the file here, whatever its size; images.open_rgb reads its header first. No subclass, since
    # Gradio writes a .pyi file beside the module of each.
    place.preprocess = lambda payload: payload.path if payload else None
    return place


def own_picture(model: DemoModel) -> np.ndarray:
    """A picture to begin with that the model makes itself, at z = 0: uint8 `[H, W, C]`."""
    return model.decode(np.zeros((1, model.model.latent_size), np.float32))[model.picture][0]


def board(label: str) -> gr.HTML:
    """A board to draw on with mouse, pen, finger or keys; handlers get its drawing as text, for `drawing` to decode.

    Gradio's own editor does not draw until a tool is chosen.
    """
    parts = {"html_template": "board.html", "css_template": "board.css", "js_on_load": "board.js"}
    files = {part: static(name) for part, name in parts.items()}
    framed = {"show_label": True, "container": True, "padding": True}
    return gr.HTML("", label=label, elem_classes="board", **framed, **files)


def drawing(text: str | None) -> bytes | None:
    """The drawing as an encoded image, transparent where there is no ink; None if the board was not touched."""
    if not text:
        return None
    with contextlib.suppress(ValueError):
        if text.startswith(_PREFIX) and len(text) <= _LARGEST:
            return base64.b64decode(text[len(_PREFIX) :], validate=True)
    raise PictureError("That is no drawing of the board's.")
