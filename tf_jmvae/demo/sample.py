"""The tab "Sample": joint samples of pictures and the other modalities from the prior."""

import gradio as gr
import numpy as np

from tf_jmvae.columns import kind_of
from tf_jmvae.demo import components, interface
from tf_jmvae.demo.interface import DemoModel

TITLE = "Sample"
_MOST = 36
_PRIORS = {"standard": "N(0, I), the model's own", "fitted": "A mixture fitted to z of the data"}


def can(model: DemoModel) -> bool:
    """Returns whether the model generates a picture and its label, attributes or text jointly from the prior."""
    return model.picture is not None and bool(model.meaning or model.text) and not model.conditions


def samples(model: DemoModel, prior: str, seed: int, count: int) -> dict[str, np.ndarray]:
    """Generates all modalities from `count` samples of z, pictures as uint8; sample i does not depend on `count`."""
    return model.model.sample(count, prior=prior, images="uint8", seed=seed)


def _answer(model: DemoModel, prior, seed, count) -> tuple:
    drawn = samples(model, prior, int(seed or 0), int(count))
    pictures = drawn[model.picture]
    text = f"{len(pictures)} {'sample' if len(pictures) == 1 else 'samples'}"
    said = [model.probabilities(means) for means in drawn[model.meaning]] if model.meaning else []
    if model.text:
        (captions,) = kind_of(model.fields[model.text].columns).decode(drawn[model.text]).values()
    elif model.label:
        captions = [max(one, key=one.get) for one in said]
        if model.goes(model.picture, model.label):
            seen = {model.picture: pictures}
            read = model.decode(model.model.latents(seen), seen)[model.label].argmax(axis=1)
            same = sum(model.names[k] == caption for k, caption in zip(read, captions, strict=True))
            text += f"; the model itself reads {same} of the pictures as the label beside them"
    else:
        captions = [interface.in_words(name for name, p in one.items() if p > 0.5) or "no attribute" for one in said]
    return f"{text}.", list(zip(map(interface.enlarged, pictures), captions, strict=True))


def build(model: DemoModel) -> None:
    """Builds the tab within a Gradio context, with a first answer."""
    priors = [(title, name) for name, title in _PRIORS.items() if name == "standard" or model.model.has_fitted_prior]
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=280):
            gr.Markdown("Nothing is given: z is sampled from the prior, and the picture with its caption from z.")
            prior = gr.Radio(priors, value=priors[-1][1], label="Prior", visible=len(priors) > 1)
            count = gr.Slider(1, _MOST, 16, step=1, label="Number of samples")
            seed = gr.Number(
                0, label="Seed", info="The same seed gives the same samples", precision=0, minimum=0, step=1
            )
            button = gr.Button("Sample", variant="primary")
        with gr.Column(scale=3, min_width=280):
            first = _answer(model, priors[-1][1], 0, 16)
            status = components.status(first[0])
            gallery = components.gallery(first[1], "Samples", 4)
    triggers, newest = (button.click, seed.submit), (prior.input, count.release)
    inputs, outputs = [prior, seed, count], [status, gallery]
    components.answers(
        "Drawing {2} samples ...", lambda *a: _answer(model, *a), inputs, outputs, triggers, newest, components.QUICK
    )
