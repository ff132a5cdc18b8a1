"""Parts of the page that several tabs use, and the two that hand over files without opening them."""

import html
import time
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr
import numpy as np

from tf_jmvae import editing
from tf_jmvae.demo.drawings import PictureError
from tf_jmvae.demo.interface import DemoModel, to_pixels

__all__ = [
    "PICTURES",
    "QUICK",
    "Canvas",
    "Upload",
    "answer",
    "choice",
    "crop",
    "first_choices",
    "own_picture",
    "seed",
    "status",
    "status_text",
    "upload",
]

# One model and two cores: more at once would only wait for each other. Pictures take memory, so they come one by one.
QUICK = {"show_progress": "hidden", "api_visibility": "private", "concurrency_id": "answers", "concurrency_limit": 2}
PICTURES = {**QUICK, "concurrency_id": "pictures", "concurrency_limit": 1}

class Upload(gr.Image):
    """Gradio's upload of images; the file's path is handed over, for `images.open_rgb` to read its header first."""

    is_template = True  # the browser's half is that of gr.Image

    def preprocess(self, payload):
        return payload.path if payload else None
    from collections.abc import Callable, Sequence
    from typing import TYPE_CHECKING, Any, Literal

    from gradio.blocks import Block

    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component

class Canvas(gr.ImageEditor):
    """Gradio's drawing board; what is drawn is handed over encoded, and transparent where there is no ink."""

    is_template = True

    def preprocess(self, payload):
        if payload is None:
            return None
        drawn = payload if payload.id is None else self.blob_storage.pop(payload.id, None)
        composite = drawn and drawn.composite
        return composite if isinstance(composite, bytes | None) else composite.path
    from collections.abc import Callable, Sequence
    from typing import TYPE_CHECKING, Any, Literal

    from gradio.blocks import Block

    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component

def status(text: str) -> gr.HTML:
    """The line of a tab that says what is happening, or has happened; screen readers speak it."""
    return gr.HTML(status_text(text), elem_classes="status", padding=False)

def status_text(text: str) -> str:
    """The content of a `status`."""
    return f'<p role="status" aria-live="polite">{html.escape(text)}</p>'

def answer(doing: str, function: Callable[..., tuple], outputs: int) -> Callable[..., Iterator[tuple]]:
    """A handler that says what it does, does it, and says how it went.

    Args:
      doing: for the status, with `{}` for the arguments of `function`.
      function: gives a text for the status, then the values of the other outputs.
      outputs: how many others there are; a picture that cannot be read leaves them as they are.
    """

    def handler(*arguments: Any) -> Iterator[tuple]:
        yield status_text(doing.format(*arguments)), *(gr.skip(),) * outputs
        start = time.perf_counter()
        try:
            text, *values = function(*arguments)
        except PictureError as error:
            yield status_text(str(error)), *(gr.skip(),) * outputs
        else:
            yield status_text(f"{text} ({time.perf_counter() - start:.2f} s)"), *values

    return handler

def choice(model: DemoModel, label: str, value: str | list[str]) -> gr.Radio | gr.CheckboxGroup:
    """What a picture is to show: one label, or any attributes."""
    if model.label:
        return gr.Radio(model.class_names(), value=value, label=label)
    names = [(name.replace("_", " "), name) for name in model.fields[model.attributes].entry_names]
    return gr.CheckboxGroup(names, value=value, label=label)

def seed() -> gr.Number:
    """The seed of the noise."""
    return gr.Number(0, label="Seed", info="The same seed gives the same pictures", precision=0, minimum=0, step=1)

def first_choices(model: DemoModel) -> tuple[Any, Any]:
    """Two choices to begin with."""
    if model.label:
        names = model.class_names()
        return names[min(3, len(names) - 1)], names[min(8, len(names) - 1)]
    names = model.fields[model.attributes].entry_names
    first = [name for name in ("Smiling", "Young") if name in names]
    second = [name for name in ("Male", "Eyeglasses") if name in names]
    return first, second

def crop() -> gr.Radio:
    """Which part of a photograph the model sees."""
    words = {"none": "The middle square", "center": "Its middle, as of CelebA", "face": "About the face (OpenCV)"}
    return gr.Radio([(words[name], name) for name in editing.CROPS], value="none", label="Part of the photograph")

def upload(label: str, value: Any = None) -> Upload:
    """A place for a picture: a file, or what is pasted."""
    return Upload(
        value, label=label, height=220, sources=["upload", "clipboard"], type="filepath", format="png",
        elem_classes="pixels", buttons=[],
    )  # fmt: skip

def own_picture(model: DemoModel) -> np.ndarray:
    """A picture to begin with that the model makes itself, at z = 0: uint8 `[H, W]` or `[H, W, 3]`."""
    pixels = to_pixels(model.decode(np.zeros((1, model.latent_size()), np.float32))[model.picture][0])
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels
