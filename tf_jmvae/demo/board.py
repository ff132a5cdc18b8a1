"""A board to draw on with mouse, pen, finger or keys; Gradio's own editor does not draw until a tool is chosen."""

import base64

import gradio as gr

from tf_jmvae.demo.drawings import PictureError

__all__ = ["board", "drawing"]

_LARGEST = 500_000  # characters; the board's own drawings have a few thousand
_PREFIX = "data:image/png;base64,"

_TEMPLATE = """
<div class="paper">
  <canvas width="280" height="280" tabindex="0" role="application" aria-label="Drawing board. Draw with mouse, pen or
 finger; or with the arrow keys, where the space bar puts the pen down or lifts it."></canvas>
  <span class="pen" aria-hidden="true"></span>
</div>
<button type="button" class="clear">Clear the board</button>
"""

_STYLE = """
.paper { position: relative; width: min(280px, 100%); margin: 0 auto; }
canvas { display: block; width: 100%; background: white; border: 1px solid #71717a; border-radius: 6px;
  touch-action: none; cursor: crosshair; }
.pen { display: none; position: absolute; width: 18px; height: 18px; margin: -9px; border: 2px solid #2563eb;
  border-radius: 50%; pointer-events: none; }
canvas:focus-visible + .pen { display: block; }
.clear { display: block; margin: 10px auto 0; padding: 0.35em 1em; border-radius: 6px; cursor: pointer;
  background: var(--button-secondary-background-fill); color: var(--button-secondary-text-color); }
"""

_SCRIPT = """
const canvas = element.querySelector("canvas"), pen = element.querySelector(".pen");
const context = canvas.getContext("2d");
let last = null, keys = {x: 140, y: 70, down: false};

function line(from, to) {
  context.lineWidth = 20;
  context.lineCap = context.lineJoin = "round";
  context.beginPath();
  context.moveTo(from.x, from.y);
  context.lineTo(to.x + 0.01, to.y);  // a point has no caps
  context.stroke();
}
function place(event) {
  const box = canvas.getBoundingClientRect();
  return {x: (event.clientX - box.left) * canvas.width / box.width,
          y: (event.clientY - box.top) * canvas.height / box.height};
}
function send() {
  props.value = canvas.toDataURL("image/png");
  trigger("change");
}
function show() {
  pen.style.left = 100 * keys.x / canvas.width + "%";
  pen.style.top = 100 * keys.y / canvas.height + "%";
  pen.style.background = keys.down ? "#2563eb" : "transparent";
}
canvas.addEventListener("pointerdown", event => {
  canvas.setPointerCapture(event.pointerId);
  last = place(event);
  line(last, last);
});
canvas.addEventListener("pointermove", event => {
  if (!last) return;
  const next = place(event);
  line(last, next);
  last = next;
});
for (const name of ["pointerup", "pointercancel"])
  canvas.addEventListener(name, () => { if (last) { last = null; send(); } });
canvas.addEventListener("keydown", event => {
  const step = {ArrowLeft: [-7, 0], ArrowRight: [7, 0], ArrowUp: [0, -7], ArrowDown: [0, 7]}[event.key];
  if (!step && event.key !== " ") return;
  event.preventDefault();
  if (step) {
    const next = {x: Math.min(270, Math.max(10, keys.x + step[0])), y: Math.min(270, Math.max(10, keys.y + step[1]))};
    if (keys.down) { line(keys, next); send(); }
    Object.assign(keys, next);
  } else {
    keys.down = !keys.down;
    if (keys.down) { line(keys, keys); send(); }
  }
  show();
});
element.querySelector(".clear").addEventListener("click", () => {
  context.clearRect(0, 0, canvas.width, canvas.height);
  keys.down = false;
  show();
  send();
});
show();
"""


def board(label: str) -> gr.HTML:
    """The board; handlers get its drawing as text, for `drawing` to decode."""
    return gr.HTML(
        value="",
        label=label,
        show_label=True,
        container=True,
        padding=True,
        html_template=_TEMPLATE,
        css_template=_STYLE,
        js_on_load=_SCRIPT,
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
