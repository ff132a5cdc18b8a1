"""`tf-jmvae edit`: changes attributes of a portrait and keeps the rest."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from tf_jmvae._utils.files import replace_atomically
from tf_jmvae.cli import given
from tf_jmvae.cli.common import Common, load_tensorflow, metavar, note


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Change attributes of a portrait, but keep the person.

    The model infers the attributes of the portrait; the difference that the changes make to the model's mean face is
    added to the portrait.

    Examples:
      tf-jmvae edit runs/celeba-jmvae-kl-gan me.jpg
      tf-jmvae edit runs/celeba-jmvae-kl-gan/model.keras me.jpg --set Smiling=1 Eyeglasses=-1 --crop face
    """

    model: Annotated[str, tyro.conf.Positional, metavar("MODEL")]
    """The folder of a run with CelebA, its model.keras, or an exported SavedModel."""
    portrait: Annotated[Path, tyro.conf.Positional, metavar("PORTRAIT")]
    """Any photograph; if the face does not fill it as in the training images, use --crop face."""
    set: tuple[str, ...] = ()
    """Changes, as NAME=VALUE with 1 or -1; 2 or -2 exaggerate. Without changes, the attributes are only listed."""
    output: Path = Path("edited.png")
    """File for the edited portrait, a PNG of the model's image size."""
    crop: Literal["training", "none", "center", "face"] = "training"
    """Part of the photograph to use: the same as of the training pictures, the whole middle, the middle as in CelebA's
    aligned pictures, or that part around the face that OpenCV finds."""


def run(options: Options) -> None:
    """Edits the portrait and prints its attributes."""
    changes: dict[str, float] = {}
    for text in options.set:
        name, _, value = text.partition("=")
        changes[name] = given.number(value)
        if not math.isfinite(changes[name]):
            raise ValueError(f"--set takes NAME=VALUE, such as Smiling=1; got {text!r}.")
    if options.output.suffix.lower() != ".png" or options.output.is_dir():
        raise ValueError(f"--output must be the name of a .png file; got {options.output}.")
    load_tensorflow(debug=options.debug)
    from PIL import Image

    from tf_jmvae import editing
    from tf_jmvae.serving.opening import open_model

    note("Loading the model ...")
    model = open_model(options.model)
    edited, inferred = editing.edited(model, options.portrait, changes, options.crop)
    for name, value in sorted(inferred.items(), key=lambda item: -item[1]):
        print(f"  {name:<20} {value:+.2f}" + (f" -> {changes[name]:+g}" if name in changes else ""))
    if changes:
        replace_atomically(options.output, lambda path: Image.fromarray(edited).save(path, format="PNG"))
        print(f"The edited portrait is {options.output}.")
