"""Theme and static files of the page: the system's own fonts, light and dark, down to the width of a telephone."""

from importlib import resources

import gradio as gr

__all__ = ["static", "theme"]


def static(name: str) -> str:
    """The text of one of the page's own files: markup, styles and scripts."""
    return (resources.files("tf_jmvae.demo") / "static" / name).read_text(encoding="utf-8")


def theme() -> gr.themes.Base:
    """Gradio's default theme without fonts from elsewhere."""
    return gr.themes.Default(
        primary_hue=gr.themes.colors.blue,
        font=["ui-sans-serif", "system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(
        # The default's grey is too faint to read.
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
    )
