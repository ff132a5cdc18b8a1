"""The tab "Edit", which changes attributes of a portrait and keeps the rest."""

import gradio as gr
import numpy as np

from tf_jmvae import editing
from tf_jmvae.demo import components, interface
from tf_jmvae.demo.drawings import PictureError, prepare
from tf_jmvae.demo.interface import DemoModel

TITLE = "Edit"


def can(model: DemoModel) -> bool:
    """Returns whether the model generates attributes from pictures and back, as `tf_jmvae.edit` requires."""
    try:
        return bool(model.model.editable(model.picture, model.attributes))
    except ValueError:
        return False


def edited(model: DemoModel, source, crop: str, more: list[str], less: list[str], strength: float) -> tuple:
    """Returns a portrait as the model sees it, and the edited one, both uint8 `[H, W, 3]`.

    `source` is a file, its content or pixel values; `more` are the attributes to add, and `less` those to remove:
    strength 1 sets them to 1 and -1, 2 exaggerates. Raises `PictureError` if the picture cannot be read, or an
    attribute is in both.
    """
    if both := sorted(set(more) & set(less)):
        raise PictureError(f"{interface.in_words(both)} cannot be both added and taken away.")
    seen = prepare(source, model, crop).pixels
    field = model.fields[model.attributes]
    changes = dict.fromkeys(more, interface.attribute_value(field, strength))
    changes |= dict.fromkeys(less, interface.attribute_value(field, -strength))
    chosen = {"attributes": model.attributes, "photograph": model.picture}
    return seen, editing.edit(model.model, seen, changes, **chosen)


def _answer(model: DemoModel, source, crop, more, less, strength) -> tuple:
    before, after = edited(model, source, crop, more, less, strength)
    added, removed = interface.in_words(more), interface.in_words(less)
    parts = [f"with {added}"] if more else []
    parts += [f"without {removed}"] if less else []
    change = np.abs(after.astype(int) - before).mean()
    text = f"The portrait {' and '.join(parts) or 'as it is'}: changed by {change:.1f} of 255 pixel values on average."
    return text, [(interface.enlarged(before), "As the model sees it"), (interface.enlarged(after), "Edited")]


def build(model: DemoModel) -> None:
    """Builds the tab within a Gradio context, with a first answer."""
    attributes = model.fields[model.attributes].entry_names
    names, portrait = components.in_pairs(attributes), model.own_picture()
    wanted = [name for name in ("Male", "Eyeglasses") if name in attributes] or [attributes[0]]
    first = _answer(model, portrait, "training", wanted, [], 1.0)
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=290):
            upload = components.upload("Portrait", portrait)
            crop = components.crop()
            more = gr.Dropdown(names, value=wanted, multiselect=True, label="With")
            less = gr.Dropdown(names, value=[], multiselect=True, label="Without")
            strength = gr.Slider(0, 3, 1, step=0.25, label="Strength", info="1: as in training images; 2 exaggerates")
            button = gr.Button("Edit", variant="primary")
        with gr.Column(scale=3, min_width=290):
            status = components.status(f"For a start, a face of the model's own. {first[0]}")
            gallery = components.gallery(first[1], "Before and after", 2)
    inputs, newest = [upload, crop, more, less, strength], (strength.release, crop.input, more.input, less.input)
    triggers, doing = (button.click, upload.upload), "Editing the portrait ..."
    components.answers(doing, lambda *a: _answer(model, *a), inputs, [status, gallery], triggers, newest)
