"""The tab "Generate": pictures of a label or of attributes, with the sound generated from the same z."""

import gradio as gr
import numpy as np

from tf_jmvae.demo import components, interface
from tf_jmvae.demo.interface import DemoModel

TITLE = "Generate"
_MOST = 36


def can(model: DemoModel) -> bool:
    """Returns whether the model generates pictures from labels or attributes, or without either from its prior."""
    if model.meaning is None:
        return model.picture is not None and not model.conditions
    return model.goes(model.meaning, model.picture)


def drawn(model: DemoModel, choice, seed: int, spread: float, count: int) -> dict[str, np.ndarray]:
    """Computes the means of p(m | z) of every target by name, with z from `spread` times standard noise.

    `choice` is a label, or names of attributes; without either z is around the prior's mean. Spread 0 gives the mean of
    the posterior, 1 samples it. Sample i does not depend on `count`.
    """
    one = {} if model.meaning is None else model.observed(choice)
    given = {name: np.repeat(value, count, axis=0) for name, value in one.items()}
    z = model.model.latents(given, spread * model.noise(seed, count), seed=seed)
    return model.decode(z, given)


def _answer(model: DemoModel, choice, seed, spread, count) -> tuple:
    outputs = drawn(model, choice, int(seed or 0), spread, int(count))
    pictures, sounds = outputs[model.picture], outputs[model.sound] if model.sound else None
    text = f"{len(pictures)} {'picture' if len(pictures) == 1 else 'pictures'}"
    if model.meaning:
        text += f" of {model.named(choice)}"
    if model.label and model.goes(model.picture, model.label):
        again = {model.picture: pictures}
        said = model.decode(model.model.latents(again), again)[model.label].argmax(axis=1)
        same = int((said == model.names.index(choice)).sum())
        text += f"; the model itself reads {same} of them as {choice}"
    return f"{text}.", [interface.enlarged(picture) for picture in pictures], sounds


def build(model: DemoModel) -> None:
    """Builds the tab within a Gradio context, with a first answer."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=280):
            chosen = []
            if model.meaning:
                label = "Digit" if model.handwriting else "What to show"
                chosen = [components.choice(model, label, model.first_choices()[0])]
            spread = gr.Slider(
                0, 2, 1, step=0.05, label="Spread", info="0: mean picture; 1: the model's own spread; 2: exaggerated"
            )
            count = gr.Slider(1, _MOST, 16, step=1, label="Number of pictures")
            seed = gr.Number(
                0, label="Seed", info="The same seed gives the same pictures", precision=0, minimum=0, step=1
            )
            button = gr.Button("Generate", variant="primary")
        with gr.Column(scale=3, min_width=280):
            first = _answer(model, chosen[0].value if chosen else None, 0, 1, 16)
            status = components.status(first[0])
            gallery = components.gallery(first[1], "Generated pictures", 4)
            sounds = gr.State(first[2])  # from the same z as the pictures
            if model.sound:
                label = "Click a picture to hear the sound generated with it"
                heard = gr.Audio(label=label, format="wav", interactive=False, autoplay=True)

                def play(event: gr.SelectData, spectrograms: np.ndarray):
                    return model.heard(spectrograms[event.index])

                gallery.select(play, [sounds], [heard], **components.QUICK)
    function = (lambda *a: _answer(model, *a)) if chosen else (lambda *a: _answer(model, None, *a))
    doing = f"Drawing {{{2 + len(chosen)}}} pictures ..."
    inputs = [*chosen, seed, spread, count]
    newest = (*(control.input for control in chosen), spread.release, count.release)
    triggers = (button.click, seed.submit)
    components.answers(doing, function, inputs, [status, gallery, sounds], triggers, newest, components.QUICK)
