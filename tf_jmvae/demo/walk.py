"""The tab "Walk": a grid of pictures over a plane in z, and the picture at any point of it."""

import gradio as gr
import numpy as np
from PIL import Image, ImageDraw

from tf_jmvae.demo import components, interface
from tf_jmvae.demo.interface import DemoModel
from tf_jmvae.images.preprocessing import as_picture, grid

TITLE = "Walk"
_REACH = 2.5  # default extent in stddevs of the prior
_MARGIN = 1.15  # factor of the extent beyond the outermost label
_STEP = 0.05
_MARK = (234, 88, 12)


def can(model: DemoModel) -> bool:
    """Returns whether the model generates pictures from z alone."""
    return model.picture is not None and not model.conditions


class Plane:
    """Plane in z: `centre + a * across + b * up` for a and b from -1 to 1.

    The plane is z itself if it has two entries. Otherwise it spans the first two principal directions of the means of
    q(z | w) of every label or single attribute w, so that it passes near the named points; without such means it spans
    two random directions.

    Attributes:
      words: text that says which of these it is.
      cells: number of cells along each side of the grid.
    """

    def __init__(self, model: DemoModel):
        self.model = model
        size = model.model.latent_size
        self.centre = np.zeros(size)
        if size == 2:
            self.across, self.up = _REACH * np.eye(2)
            self.words = "Across and up: the two entries of z"
        elif model.goes(model.meaning, model.picture):
            self.centre, self.across, self.up = _principal(model)
            what = "labels" if model.label else "attributes"
            self.words = f"Across and up: the two directions in which the posterior means of all {what} differ most"
        else:
            directions = np.linalg.qr(model.noise(0, 2).T.astype(np.float64))[0].T
            self.across, self.up = _REACH * np.sqrt(size / 2) * directions
            self.words = "Across and up: two directions drawn at random"
        self.cells = 9 if max(model.fields[model.picture].event_shape[:2]) <= 32 else 7
        self.coordinates = np.linspace(-1, 1, self.cells)  # columns from left to right, rows from bottom to top
        z = np.stack([self.z(a, b) for b in self.coordinates[::-1] for a in self.coordinates])
        pixels = model.decode(z)[model.picture]
        cells = pixels.reshape(self.cells, self.cells, *pixels.shape[1:])
        self._grid = as_picture(grid(cells, factor=max(1, round(540 / (self.cells * pixels.shape[2]))))).convert("RGB")

    def z(self, a: float, b: float) -> np.ndarray:
        """Returns the point `[D]` with coordinate a from left to right and b upwards."""
        return (self.centre + a * self.across + b * self.up).astype(np.float32)

    def place(self, x: int, y: int) -> tuple[float, float]:
        """Returns the coordinates of the cell at a pixel of the grid."""
        column, row = np.clip(np.multiply([x, y], self.cells) // self._grid.size, 0, self.cells - 1)
        return float(self.coordinates[column]), float(self.coordinates[::-1][row])

    def grid(self, a: float, b: float) -> Image.Image:
        """Draws all cells, with the point marked."""
        image = self._grid.copy()
        step, draw = np.array(image.size) / self.cells, ImageDraw.Draw(image)
        middle = (np.array([a, -b]) + 1) / 2 * (self.cells - 1) * step
        draw.rectangle([*middle, *(middle + step - 1)], outline=_MARK, width=3)
        return image


def _principal(model: DemoModel) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the center of the means of z given each choice, and two principal directions scaled to their extent."""
    choices = model.names if model.label else [[], *([name] for name in model.names)]
    rows = [model.observed(choice)[model.meaning] for choice in choices]
    points = model.model.latents({model.meaning: np.concatenate(rows)}).astype(np.float64)
    centre = points.mean(axis=0)
    directions = np.linalg.svd(points - centre, full_matrices=False)[2][:2]
    if len(directions) < 2:  # a single point
        directions = np.eye(len(centre))[:2]
    reach = np.abs((points - centre) @ directions.T).max(axis=0)
    return centre, *(np.where(reach > 1e-6, _MARGIN * reach, _REACH)[:, None] * directions)


def _answer(plane: Plane, a: float, b: float) -> tuple:
    model = plane.model
    outputs = model.decode(plane.z(a, b)[None])
    text, bars = f"Position {a:+.2f} across, {b:+.2f} up.", None
    if model.meaning:
        said = model.probabilities(outputs[model.meaning][0])
        bars = interface.shown(said)
    if model.label:
        best = max(said, key=said.get)
        text = f"{text} Here the label is {best}, with probability {said[best]:.1%}."
    return text, plane.grid(a, b), interface.enlarged(outputs[model.picture][0]), bars


def build(model: DemoModel) -> None:
    """Builds the tab within a Gradio context, with a first answer."""
    plane = Plane(model)
    first = _answer(plane, 0.0, 0.0)
    options = {"format": "png", "interactive": False, "elem_classes": ["pixels", "plane"]}
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=290):
            grid = gr.Image(
                first[1], label="The plane: click a position or use the sliders",
                buttons=["download", "fullscreen"], alt_text="A grid of pictures over the plane", **options,
            )  # fmt: skip
        with gr.Column(scale=2, min_width=290):
            status = components.status(first[0])
            a = gr.Slider(-1, 1, 0, step=_STEP, label="Across")
            b = gr.Slider(-1, 1, 0, step=_STEP, label="Up")
            picture = gr.Image(
                first[2], label="The picture at this position", height=200, buttons=["download"],
                alt_text="The picture at the chosen position", **options,
            )  # fmt: skip
            bars = components.bars(first[3], most=5)
            gr.HTML(f"<p class='note'>{plane.words}.</p>")

    def place(event: gr.SelectData):
        return plane.place(*event.index)

    grid.select(place, outputs=[a, b], **components.QUICK)
    doing, newest = "Decoding position {0:+.2f}, {1:+.2f} ...", (a.change, b.change)
    outputs = [status, grid, picture, bars]
    components.answers(doing, lambda *at: _answer(plane, *at), [a, b], outputs, (), newest, components.QUICK)
