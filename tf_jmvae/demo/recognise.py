"""The tab "Recognise", which predicts the label or attributes of a drawing or a photograph."""

import base64
import contextlib
from pathlib import Path

import gradio as gr
import numpy as np

from tf_jmvae.demo import components, interface
from tf_jmvae.demo.drawings import PictureError, prepare
from tf_jmvae.demo.interface import DemoModel

TITLE = "Recognise"
_DOING = "Looking at the picture ..."
_LARGEST = 500_000  # largest number of characters; drawings of the board have a few thousand
_PREFIX = "data:image/png;base64,"
EXAMPLES = sorted((Path(__file__).parent / "examples").glob("*.png"))


def can(model: DemoModel) -> bool:
    """Returns whether the model generates labels or attributes from pictures."""
    return model.goes(model.picture, model.meaning)


def answer(model: DemoModel, source, crop: str = "training") -> tuple[str, np.ndarray, np.ndarray, dict[str, float]]:
    """Returns the prediction as text, the picture as the model sees it, its reconstruction, and probabilities.


    Pictures are uint8; the reconstruction is None if the model generates no pictures. Raises `PictureError` if the
    picture cannot be read.
    """
    seen = prepare(source, model, crop)
    said, words = model.read(seen.pixels)
    given = {model.picture: seen.pixels[None]}
    is_target = model.picture not in model.conditions
    again = model.decode(model.model.latents(given), given)[model.picture][0] if is_target else None
    return f"{words} {seen.note}".strip(), seen.pixels, again, said


def _shown(model: DemoModel, source, crop: str = "training") -> tuple:
    text, seen, again, said = answer(model, source, crop)
    pictures = [(seen, "What the model sees"), (again, "Its reconstruction")]
    shown = [(interface.enlarged(pixels), caption) for pixels, caption in pictures if pixels is not None]
    return text, interface.shown(said), shown


def examples(model: DemoModel) -> list[str]:
    """Returns example files: MNIST's digits for models of digits."""
    return [str(path) for path in EXAMPLES] if model.handwriting else []


def _board(label: str) -> gr.HTML:
    """Makes a drawing board for mouse, pen, finger or keys; handlers get a text that `drawing` decodes.

    Gradio's own editor requires the choice of a tool first.
    """
    parts = {"html_template": "board.html", "css_template": "board.css", "js_on_load": "board.js"}
    files = {part: components.static(name) for part, name in parts.items()}
    framed = {"show_label": True, "container": True, "padding": True}
    return gr.HTML("", label=label, elem_classes="board", **framed, **files)


def drawing(text: str | None) -> bytes | None:
    """Decodes a drawing to an encoded image, transparent without ink; None if the board is empty."""
    if not text:
        return None
    with contextlib.suppress(ValueError):
        if text.startswith(_PREFIX) and len(text) <= _LARGEST:
            return base64.b64decode(text[len(_PREFIX) :], validate=True)
    raise PictureError("That is no drawing of the board's.")


def build(model: DemoModel) -> None:
    """Builds the tab within a Gradio context, with a first answer."""
    grey = model.fields[model.picture].event_shape[-1] == 1
    if given := examples(model):
        first = _shown(model, given[0])
    elif model.conditions:
        first = ("Upload a picture.", None, [])
    else:
        text, *rest = _shown(model, model.own_picture())
        first = (f"For a start, a picture of the model's own. {text}", *rest)
    status = components.status(first[0], render=False)
    bars = components.bars(first[1], render=False)
    label = "What the model sees, and its reconstruction"
    seen = components.gallery(first[2], label, 2, buttons=[], allow_preview=False, render=False)
    outputs = [status, bars, seen]
    if grey:  # on a phone the answer is right below the board
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=290):
                place = _board("Draw a digit" if given else "Draw")
                of_drawing = (_DOING, lambda text: _shown(model, drawing(text)))
                components.answers(*of_drawing, [place], outputs, (), (place.change,))
            with gr.Column(scale=3, min_width=290):
                status.render()
                bars.render()
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=290):
            label = "Or upload a picture" if grey else "Upload a picture"
            upload = components.upload(label, given[0] if given else None)
            crop = [] if grey else [components.crop()]
            button = gr.Button("Recognise the upload", variant="primary")
            triggers = (button.click, upload.upload, *(control.input for control in crop))
            handler = components.answers(_DOING, lambda *a: _shown(model, *a), [upload, *crop], outputs, triggers)
            if given:
                gr.Examples(
                    [[path] for path in given], upload, outputs, handler, label="Examples: digits of MNIST's test set",
                    run_on_click=True, cache_examples=False, api_visibility="private",
                )  # fmt: skip
        with gr.Column(scale=3, min_width=290):
            for component in [seen] if grey else outputs:
                component.render()
