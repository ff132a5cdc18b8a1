"""The tab "Interpolate", which interpolates between two pictures in z."""

import gradio as gr
import numpy as np

from tf_jmvae.demo import components, interface
from tf_jmvae.demo.drawings import prepare
from tf_jmvae.demo.interface import DemoModel

TITLE = "Interpolate"
_MOST = 15
_CHOICES, _PICTURES = "choices", "pictures"


def can(model: DemoModel) -> bool:
    """Returns whether the model decodes z alone, and encodes labels, attributes or pictures."""
    return not model.conditions and bool(_modes(model))


def _modes(model: DemoModel) -> list[tuple[str, str]]:
    modes = []
    if model.goes(model.meaning, model.picture):
        modes.append(("Two labels" if model.label else "Two sets of attributes", _CHOICES))
    if model.goes(model.picture, model.picture):
        modes.append(("Two pictures", _PICTURES))
    return modes


def ends_of_choices(model: DemoModel, first, second) -> np.ndarray:
    """Computes the means of q(z | w) of two labels, or of two sets of attributes, `[2, D]`."""
    return np.concatenate([model.model.latents(model.observed(w)) for w in (first, second)])


def ends_of_pictures(model: DemoModel, first, second, crop: str = "training") -> np.ndarray:
    """Computes the means of q(z | x) of two pictures, `[2, D]`; raises `PictureError` if one cannot be read."""
    seen = np.stack([prepare(source, model, crop).pixels for source in (first, second)])
    return model.model.latents({model.picture: seen})


def between(model: DemoModel, ends: np.ndarray, steps: int) -> dict[str, np.ndarray]:
    """Decodes z on the straight line between two ends, both included, `[steps, ...]`."""
    return model.decode(np.linspace(*ends, steps).astype(np.float32))


def _answer(model: DemoModel, mode, first, second, x_first, x_second, steps) -> tuple:
    if mode == _CHOICES:
        ends = ends_of_choices(model, first, second)
        text = f"From {model.named(first)} to {model.named(second)}"
    else:
        ends = ends_of_pictures(model, x_first, x_second)
        text = "From the first picture to the second, both as the model reconstructs them,"
    outputs = between(model, ends, int(steps))
    captions = [f"{fraction:.0%}" for fraction in np.linspace(0, 1, int(steps))]
    if model.label:
        best = outputs[model.label].argmax(axis=1)
        captions = [f"{caption}: {model.names[k]}" for caption, k in zip(captions, best, strict=True)]
    pictures = [interface.enlarged(picture) for picture in outputs[model.picture]]
    return f"{text} in {int(steps)} steps.", list(zip(pictures, captions, strict=True))


def build(model: DemoModel, examples: list[str]) -> None:
    """Builds the tab within a Gradio context, with a first answer, from example files if any."""
    modes = _modes(model)
    by_choice = modes[0][1] == _CHOICES
    choices = model.first_choices() if by_choice else ("", "")
    own = model.own_picture()
    pictures = (examples[0], examples[-1]) if examples else (own, own)
    first = _answer(model, modes[0][1], *choices, *pictures, 9)
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=290):
            mode = gr.Radio(modes, value=modes[0][1], label="Between", visible=len(modes) > 1)
            with gr.Group(visible=by_choice) as of_choices:
                ends = [gr.Textbox(visible=False), gr.Textbox(visible=False)]
                if by_choice:
                    ends = [components.choice(model, *pair) for pair in zip(("From", "To"), choices, strict=True)]
            with gr.Row(visible=not by_choice) as of_pictures:
                uploads = [components.upload(*pair) for pair in zip(("From", "To"), pictures, strict=True)]
            steps = gr.Slider(2, _MOST, 9, step=1, label="Number of steps")
            button = gr.Button("Interpolate", variant="primary")
        with gr.Column(scale=3, min_width=290):
            status = components.status(first[0])
            strip = components.gallery(first[1], "From one to the other", 5, elem_classes=["pixels", "strip"])
    doing, inputs = "Interpolating from one to the other ...", [mode, *ends, *uploads, steps]
    triggers = (button.click, *(upload.upload for upload in uploads))
    newest = (steps.release, *(control.input for control in ((mode, *ends) if by_choice else ())))
    components.answers(doing, lambda *a: _answer(model, *a), inputs, [status, strip], triggers, newest)

    def switch(chosen):
        return gr.update(visible=chosen == _CHOICES), gr.update(visible=chosen == _PICTURES)

    mode.input(switch, mode, [of_choices, of_pictures], **components.QUICK)
