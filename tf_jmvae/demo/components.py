"""Gradio components shared by several tabs, and handlers of their events."""

import html
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import resources
from typing import Any

import gradio as gr
import numpy as np

from tf_jmvae import editing
from tf_jmvae.demo.interface import DemoModel, InputError
from tf_jmvae.images.preprocessing import as_picture

# More concurrent answers than cores would only wait for each other. Pictures are limited to one for their memory.
QUICK = {"show_progress": "hidden", "api_visibility": "private", "concurrency_id": "answers", "concurrency_limit": 2}
_BUTTONS = 20  # largest number of classes for buttons rather than a menu
PICTURES = {**QUICK, "concurrency_id": "pictures", "concurrency_limit": 1}


def static(name: str) -> str:
    """Reads one of the page's static files: markup, styles or scripts."""
    return (resources.files("tf_jmvae.demo") / "static" / name).read_text(encoding="utf-8")


def status(text: str, *, render: bool = True) -> gr.HTML:
    """Makes the status line of a tab, which screen readers announce."""
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
    """Makes a function answer every event of `triggers`, such as `button.click`, and the latest of `newest`.

    The first output is a `status`: first the text `doing`, formatted with the inputs, then the text that the function
    returns before the values of the other outputs. An `InputError` becomes the status and empties the other outputs.
    Returns the handler.
    """
    others = len(outputs) - 1

    def handler(*arguments: Any) -> Iterator[tuple]:
        yield _status(doing.format(*arguments)), *(gr.skip(),) * others
        start = time.perf_counter()
        try:
            text, *values = function(*arguments)
        except InputError as error:
            yield _status(str(error)), *(None,) * others
        else:
            yield _status(f"{text} ({time.perf_counter() - start:.2f} s)"), *values

    for trigger in triggers:
        trigger(handler, inputs, outputs, **queue)
    if newest := list(newest):
        gr.on(newest, handler, inputs, outputs, trigger_mode="always_last", **queue)
    return handler


def gallery(pictures: list, label: str, columns: int, **options: Any) -> gr.Gallery:
    """Makes a gallery of pictures with optional captions; `options` are those of Gradio's `Gallery`."""
    options = {"elem_classes": "pixels", "buttons": ["download", "fullscreen"]} | options
    return gr.Gallery(
        pictures, label=label, columns=columns, height="auto", format="png", object_fit="contain", interactive=False,
        **options,
    )  # fmt: skip


def bars(values: dict[str, float] | None, *, most: int = 12, render: bool = True) -> gr.Label:
    """Makes bars of the largest probabilities."""
    return gr.Label(values, label="What it shows", num_top_classes=most, show_heading=False, render=render)


def choice(model: DemoModel, label: str, value: str | list[str]) -> gr.Radio | gr.CheckboxGroup:
    """Makes the choice of what a picture shows: one label, or any attributes."""
    if model.label:
        return (gr.Radio if len(model.names) <= _BUTTONS else gr.Dropdown)(model.names, value=value, label=label)
    names = sorted(
        model.names, key=lambda name: name not in value
    )  # chosen attributes first, visible without scrolling
    return gr.CheckboxGroup(in_pairs(names), value=value, label=label, elem_classes="choices")


def in_pairs(names: Iterable[str]) -> list[tuple[str, str]]:
    """Returns pairs of an attribute's displayed and actual name."""
    return [(name.replace("_", " "), name) for name in names]


def crop() -> gr.Radio:
    """Makes the choice of the part of a photograph that the model sees."""
    words = {
        "training": "As in training",
        "none": "The largest centred part",
        "center": "Its centre, as for CelebA",
        "face": "Around the face (OpenCV)",
    }
    return gr.Radio([(words[name], name) for name in editing.CROPS], value="training", label="Part of the photograph")


def upload(label: str, value: Any = None) -> gr.Image:
    """Makes an upload of a picture, from a file or the clipboard; handlers get the file's path."""
    value = as_picture(value) if isinstance(value, np.ndarray) else value
    place = gr.Image(
        value, label=label, height=220, sources=["upload", "clipboard"], type="filepath", format="png",
        elem_classes="pixels", buttons=[],
    )  # fmt: skip
    # Gradio would decode the file here, whatever its size; images.open_rgb reads its header first. Not a subclass,
    # because Gradio writes a .pyi file next to a subclass's module.
    place.preprocess = lambda payload: payload.path if payload else None
    return place
