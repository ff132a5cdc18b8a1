"""The page: a heading, and the tabs that the model can fill."""

import html

import gradio as gr

from tf_jmvae.demo import edit, generate, interpolate, recognise, walk
from tf_jmvae.demo.interface import DemoModel
from tf_jmvae.demo.theme import static

__all__ = ["page"]

_MISSING = {
    generate: "a direction from labels or attributes to pictures",
    recognise: "a direction from pictures to labels or attributes",
    edit: "named attributes and pictures, and both directions between them",
    walk: "pictures from z alone",
    interpolate: "pictures from z alone, and an encoder of what lies at the ends",
}
_TOGGLE = "() => { document.body.classList.toggle('dark'); }"


def page(model: DemoModel) -> gr.Blocks:
    """The page of a model, with first answers on it; raises `ValueError` if no tab fits the model."""
    shown = [tab for tab in _MISSING if model.picture and tab.can(model)]
    if not shown:
        raise ValueError(
            f"{model.name} has the modalities {', '.join(map(repr, model.fields))}: the page shows pictures, that is "
            "modalities of shape [H, W, 1] or [H, W, 3], and how they and labels or attributes follow from each other."
        )
    with gr.Blocks(analytics_enabled=False, title=f"{model.name} - tf_jmvae", delete_cache=(600, 3600)) as blocks:
        with gr.Row(elem_id="top"):
            gr.HTML(_heading(model), elem_id="heading")
            switch = gr.Button("Light or dark", size="sm", scale=0, min_width=120)
            switch.click(None, js=_TOGGLE, api_visibility="private")
        with gr.Tabs():
            for tab in shown:
                with gr.Tab(tab.TITLE, id=tab.TITLE.lower()) as place:
                    tab.build(model, *([recognise.examples(model)] if tab is interpolate else []))
                # Gradio gives the pictures of examples no text, which a screen reader needs.
                place.select(None, js=static("name_examples.js"), api_visibility="private")
        if notes := [f"<b>{t.TITLE}</b> needs {_MISSING[t]}." for t in _MISSING if t not in shown]:
            gr.HTML(f"<p class='note'>Not shown for this model: {' '.join(notes)}</p>")
    return blocks


def _heading(model: DemoModel) -> str:
    trained = f", trained on {html.escape(model.dataset)}" if model.dataset else ""
    parts = []
    for name, field in model.fields.items():
        size, what = " x ".join(map(str, field.event_shape)), {"label": "labels", "values": "numbers"}
        described = f"pictures, {size}" if field.is_image else f"{size} {what.get(field.kind, field.kind)}"
        parts.append(f"{html.escape(name)} ({described})")
    return (
        f"<h1>{html.escape(model.name)}</h1><p>{html.escape(model.kind)} of {' and '.join(parts)}{trained}; z has "
        f"{model.model.latent_size} entries. Everything is computed on this machine, and nothing leaves it.</p>"
    )
