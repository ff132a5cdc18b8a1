"""`tf-jmvae generate`: generates modalities from any others."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from tf_jmvae._utils.files import replace_atomically
from tf_jmvae._utils.pretrained import default_model
from tf_jmvae._utils.tables import lines
from tf_jmvae.cli import given
from tf_jmvae.cli.common import AnyModel, Common, default, load_tensorflow, note, require_at_least
from tf_jmvae.specs import ModalitySpec

_FORMATS = {".png": "png", ".npz": "npz"}
_LISTED = 10  # number of classes in a list
_SHOWN = 112  # size in pixels to which small images are enlarged, so that viewers do not blur them


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Turn any modalities into any others; with nothing given, sample all of them from the prior.

    Images are written to a PNG, with a row for each example and a column for each sample. Labels and attributes are
    printed as a table of their means over the samples, texts as a table of how often each was generated. An npz file
    holds everything as arrays [examples, samples, ...]. For a model of a table, numbers are in the table's units, both
    those given and those generated.

    If --given repeats a name, the repetition belongs to the next example. Attributes that are not named are absent.
    Images are cropped, resized and scaled as in the training data.

    Examples:
      tf-jmvae generate --given w=3 w=5 --num-samples 8 --output digits.png
      tf-jmvae generate runs/mnist-jmvae-kl --given x=photo.png --target w
      tf-jmvae generate runs/celeba-jmvae-kl --given Smiling=1 Male=-1 --output faces.png
      tf-jmvae generate runs/mnist-jmvae --given w=3 --num-steps 100 --output arrays.npz
      tf-jmvae generate emoji --given name="smiling cat"
      tf-jmvae generate emoji --given file=photo.png gender=woman --target name
      tf-jmvae generate --num-samples 16
      tf-jmvae generate runs/mnist-jmvae-kl --num-samples 16 --prior fitted
    """

    model: AnyModel = None
    """The folder of a run, a model.keras, an exported SavedModel, or the address of a served one."""
    given: Annotated[tuple[str, ...], default("nothing")] = ()
    """What is observed: a class, w=3 or its name; an image, x=a.jpg; a text; attributes, Smiling=1; numbers, v=1,2."""
    target: Annotated[tuple[str, ...], default("whatever is not given")] = ()
    """Modalities to generate."""
    num_samples: int = 8
    """Samples for each example."""
    num_steps: Annotated[int | None, default("the run's")] = None
    """Steps of iterated sampling, for models that need it."""
    latent: Literal["sample", "mean"] = "sample"
    """Draw z for each sample, or use its mean."""
    prior: Literal["standard", "fitted"] = "standard"
    """With nothing given: the model's own prior, or the mixture that was fitted after training."""
    seed: int = 0
    """Seed of the samples."""
    output: Annotated[Path | None, default("generated.png or generated.npz")] = None
    """File for the images or arrays."""
    format: Annotated[Literal["png", "npz"] | None, default("by its suffix")] = None
    """Format of that file."""


def run(options: Options) -> None:
    """Generates modalities, writes the images or arrays, and prints the rest."""
    kind, output = _output(options)
    require_at_least(1, num_samples=options.num_samples, num_steps=options.num_steps)
    handle = str(default_model()) if options.model is None else options.model
    load_tensorflow(debug=options.debug)
    from tf_jmvae.serving.opening import open_model

    note("Loading the model ...")
    model = open_model(handle, iterated_sampling=options.num_steps)
    texts, size = given.parse(options.given, model.modalities)
    targets = _targets(options, model, list(texts))
    if kind == "png" and options.output and not any(model.modalities[name].is_image for name in targets):
        raise ValueError(
            f"--output: {', '.join(targets)} is printed as a table, so {output} would hold no image. Leave out "
            "--output, or name an .npz file for the arrays."
        )
    note("Generating ...")
    found = _generated(model, given.read(texts, size, model.modalities), targets, options, pixels=kind == "png")

    written = _write_arrays(output, found) if kind == "npz" else _write_images(output, found, model)
    headings = [_heading(texts, number, model.modalities) for number in range(size)]
    for name, values in found.items():
        described = model.modalities[name]
        if described.kind == "text" and described.columns:
            print(_counted(name, values, headings))
        elif not described.is_image:
            print(_described(name, values, described, headings))
    for line in written:
        print(line)


def _output(options: Options) -> tuple[str, Path]:
    """Returns the format and the path of the output."""
    kind = options.format or _FORMATS.get(options.output.suffix.lower() if options.output else ".png")
    if kind is None:
        raise ValueError(f"--output must end in .png or .npz, or --format must say which it is; got {options.output}.")
    output = options.output or Path(f"generated.{kind}")
    if output.is_dir():
        raise ValueError(f"--output must be a file; {output} is a folder.")
    return kind, output


def _targets(options: Options, model: Any, observed: list[str]) -> list[str]:
    made = model.spec.targets
    if wrong := [name for name in options.target if name not in made]:
        raise ValueError(f"--target: the model generates {', '.join(made)}; got {', '.join(wrong)}.")
    if missing := [name for name in model.spec.conditions if name not in observed]:
        raise ValueError(
            f"A {model.kind} generates {', '.join(made)} given {', '.join(missing)} only: add --given {missing[0]}=...."
        )
    targets = list(options.target) or [name for name in made if name not in observed]
    if not targets:
        raise ValueError("Every modality is given. To reconstruct some, name them: --target " + " ".join(made) + ".")
    return targets


def _generated(
    model: Any, observed: Mapping[str, object], targets: list[str], options: Options, *, pixels: bool
) -> dict[str, np.ndarray]:
    """Generates arrays `[examples, samples, *event_shape]` by target; `[examples, samples]` for texts of a table."""
    if observed and options.prior != "standard":
        raise ValueError("--prior fitted cannot be combined with --given: z then follows from what is given.")
    if not observed and options.latent == "mean":
        raise ValueError("--latent mean needs --given: the mean of the prior is a single point.")
    if model.has_cells:
        return _of_cells(model, observed, targets, options)
    drawn_images = [name for name in targets if pixels and model.modalities[name].is_image]
    common = {"num_samples": options.num_samples, "seed": options.seed, "images": "uint8" if drawn_images else "float"}
    if observed:
        found = model.generate(observed, targets=targets, latent=options.latent, **common)
    else:
        drawn = model.sample(prior=options.prior, **common)
        found = {name: drawn[name][None] for name in targets}
    return {**found, **model.words({n: values for n, values in found.items() if model.modalities[n].kind == "text"})}


def _of_cells(
    model: Any, observed: Mapping[str, object], targets: list[str], options: Options
) -> dict[str, np.ndarray]:
    """Generates the same for a table: numbers in their units, pixel values and texts."""
    import tensorflow as tf

    labels = {name: value for name, value in observed.items() if model.modalities[name].kind == "label"}
    cells = {**observed, **model.words(labels)}
    how = {"num_samples": options.num_samples, "prior": options.prior, "latent": options.latent, "seed": options.seed}
    found = model.generate_cells(cells, **how)
    made = {}
    for name in targets:
        if model.modalities[name].is_image:
            pictures = [tf.io.decode_image(png).numpy() for png in found[name].ravel()]
            made[name] = np.stack(pictures).reshape(*found[name].shape, *model.modalities[name].event_shape)
        elif model.modalities[name].kind == "text":
            made[name] = np.vectorize(bytes.decode, otypes=[str])(found[f"{name}_text"])
        else:
            made[name] = found[name]
    return made


def _write_images(output: Path, found: Mapping[str, np.ndarray], model: Any) -> list[str]:
    """Writes a PNG for each image modality, named after it if there are several; returns their descriptions."""
    from tf_jmvae.images.preprocessing import as_picture

    images = {name: values for name, values in found.items() if model.modalities[name].is_image}
    written = []
    for name, values in images.items():
        path = output if len(images) == 1 else output.with_name(f"{output.stem}-{name}{output.suffix}")
        image = as_picture(sheet(values))
        replace_atomically(path, lambda temporary, image=image: image.save(temporary, format="PNG"))
        rows, columns = values.shape[:2]
        shape = f"{rows} row{'s' * (rows > 1)} of {columns} image{'s' * (columns > 1)}"
        written.append(f"{path}: {shape} of {name}, {values.shape[2]} x {values.shape[3]} pixels each.")
    return written


def sheet(images: np.ndarray) -> np.ndarray:
    """Tiles uint8 `[rows, columns, H, W, C]` to one image, `[.., .., C]`, with gaps; enlarges small images."""
    from tf_jmvae.images.preprocessing import grid

    return grid(images, factor=max(_SHOWN // max(images.shape[2:4]), 1), gap=2)


def _write_arrays(output: Path, found: Mapping[str, np.ndarray]) -> list[str]:
    def write(path: str) -> None:
        with Path(path).open("wb") as file:  # NumPy would append .npz to other names
            np.savez_compressed(file, **found)

    replace_atomically(output, write)
    return [f"{output}: {', '.join(f'{name} {list(values.shape)}' for name, values in found.items())}."]


def _heading(texts: given.Texts, number: int, modalities: Mapping[str, ModalitySpec]) -> str:
    """Describes what is given for an example, pictures by the names of their files."""
    found = []
    for modality, values in texts.items():
        for entry, of_examples in values.items():
            text = of_examples[number % len(of_examples)]
            found.append(f"{entry or modality}={Path(text).name if modalities[modality].is_image else text}")
    return " ".join(found)


def _counted(name: str, texts: np.ndarray, headings: list[str]) -> str:
    """Formats a table of the texts of each example, `[examples, samples]`, with their number of samples."""
    counts = [Counter(own).most_common() for own in texts]
    rows = [[h, text, str(n)] for h, own in zip(headings, counts, strict=True) for text, n in own]
    return f"{name}: texts of {texts.shape[1]} samples\n{lines(['', 'text', 'samples'], rows, left=range(2))}\n"


def _described(name: str, values: np.ndarray, described: ModalitySpec, headings: list[str]) -> str:
    """Formats a table of labels, attributes or numbers: a row for each entry, a column for each example."""
    if headings == [""]:  # from the prior, each sample is a separate example
        values, headings = values[0][:, None], [f"sample {number}" for number in range(1, values.shape[1] + 1)]
    means = values.mean(axis=1).reshape(len(values), -1)
    names = described.names() if len(described.event_shape) == 1 else tuple(map(str, range(means.shape[1])))
    is_label, probable = described.kind == "label", described.kind == "label" or described.likelihood == "bernoulli"
    if is_label and len(means) > 4:  # for many examples, only the likeliest class
        best = zip(headings, means, means.argmax(axis=1), strict=True)
        rows = [[heading, names[entry], f"{row[entry]:.3f}"] for heading, row, entry in best]
        return f"{name}: likeliest class\n{lines(['', 'class', 'probability'], rows, left=range(2))}\n"
    order = np.arange(means.shape[1])
    in_units = described.columns is not None and not probable  # values in different units are not sorted
    if (len(means) == 1) if is_label else described.entry_names and not in_units:
        # Sorted by the values of the first example, largest first.
        order = np.argsort(-means[0], kind="stable")[: _LISTED if is_label else None]
    what = "probability of each class" if is_label else "probability of 1" if probable else "mean"
    form = ".3f" if probable else ".6g" if in_units else "+.3f"
    rows = [[names[entry], *(f"{row[entry]:{form}}" for row in means)] for entry in order]
    return f"{name}: {what}\n{lines(['class' if is_label else '', *headings], rows)}\n"
