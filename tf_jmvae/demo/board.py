"""A board to draw on with mouse, pen, finger or keys; Gradio's own editor does not draw until a tool is chosen."""

import base64

import gradio as gr

from tf_jmvae.demo.drawings import PictureError
from tf_jmvae.demo.theme import static

__all__ = ["board", "drawing"]

_LARGEST = 500_000  # characters; the board's own drawings have a few thousand
_PREFIX = "data:image/png;base64,"


def board(label: str) -> gr.HTML:
    """The board; handlers get its drawing as text, for `drawing` to decode."""
    return gr.HTML(
        value="",
        label=label,
        show_label=True,
        container=True,
        padding=True,
        html_template=static("board.html"),
        css_template=static("board.css"),
        js_on_load=static("board.js"),
        elem_classes="board",
    )


def drawing(text: str | None) -> bytes | None:
    """The drawing as an encoded image, transparent where there is no ink; None if the board was not touched.

    Raises:
      PictureError: it is nothing that the board has sent.
    """
    if not text:
        return None
    try:
        if not text.startswith(_PREFIX) or len(text) > _LARGEST:
            raise ValueError("no drawing")
        return base64.b64decode(text[len(_PREFIX) :], validate=True)
    except ValueError as error:
        raise PictureError("That is no drawing of the board's.") from error
