"""How the page looks: the system's own fonts, light and dark, down to the width of a telephone."""

import gradio as gr

__all__ = ["CSS", "theme"]

CSS = """
.gradio-container { max-width: 1120px !important; margin: 0 auto !important; }
#top { flex-wrap: wrap; }
#heading { flex: 1 1 14em; min-width: 0 !important; }
#heading h1 { margin: 0.2em 0; }
#heading p { margin: 0.2em 0; color: var(--body-text-color-subdued); }
.status p { margin: 0; padding: 0.55em 0.8em; border-radius: var(--radius-md);
  border-left: 4px solid var(--primary-600);
  background: var(--background-fill-secondary); color: var(--body-text-color); min-height: 1.4em; }
.note { color: var(--body-text-color-subdued); font-size: var(--text-sm); }
/* Gradio lays labels and captions over the pictures. */
.block.pixels, .block.answers, .block.board { padding-top: 2.2em !important; }
.block.answers > .html-container, .block.board > .html-container { padding-top: 0; }
.plane .icon-button-wrapper.top-panel { top: -2.1em; }
.pixels .grid-wrap { max-height: none !important; min-height: 0 !important; overflow: visible !important; }
.pixels .grid-container { padding-top: 0 !important; margin-top: 0 !important;
  grid-template-columns: repeat(var(--grid-cols), minmax(0, 1fr)) !important; grid-template-rows: none !important;
  grid-auto-rows: auto !important; }
.pixels .thumbnail-item { height: auto; aspect-ratio: auto; }
.pixels .thumbnail-item img { height: auto; }
.pixels .caption-label { position: static; max-width: none; width: 100%; border: 0; box-shadow: none;
  text-align: center; }
.choices .wrap { max-height: 17em; overflow-y: auto; }
.pixels img { image-rendering: pixelated; }
.pixels .image-frame img { width: 100%; height: 100%; object-fit: contain; }
.bars { list-style: none; margin: 0; padding: 0; display: grid; column-gap: 0.6em;
  grid-template-columns: minmax(1.5em, max-content) 1fr 4em; }
.bars li { display: grid; grid-column: 1 / -1; grid-template-columns: subgrid; align-items: center;
  padding: 0.12em 0; color: var(--body-text-color); }
.bars .track { height: 0.7em; border-radius: 0.35em; background: var(--border-color-primary); overflow: hidden; }
.bars .track span { display: block; height: 100%; background: var(--primary-600); }
.bars .value { text-align: right; font-variant-numeric: tabular-nums; }
:focus-visible { outline: 3px solid var(--primary-500) !important; outline-offset: 1px; }
@media (max-width: 640px) {
  .gradio-container > .main { padding: 12px !important; }
  .strip .grid-container { --grid-cols: 3 !important; }
}
"""


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
