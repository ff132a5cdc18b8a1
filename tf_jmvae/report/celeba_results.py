"""The report of the CelebA study: Markdown from its record, with the paper's numbers beside ours."""

from collections.abc import Mapping
from typing import Any

from tf_jmvae.report import markdown
from tf_jmvae.report.titles import COLUMN_TITLES, TITLES

__all__ = ["celeba"]

# Table 2 of Suzuki and Matsuo. The authors' code averaged the image's log-likelihood over the 3 channels.
_PAPER = {
    "cvae": (-6825, -44.28, -4031, -44.28),
    "cmma": (-6920, -44.57, -4026, -38.74),
    "jmvae": (-48763, -43.97, -4026, -43.43),
    "jmvae-kl": (-6852, -44.13, -4089, -43.83),
    "hierarchical-jmvae": (-7355, -47.61, -4901, -47.32),
}
_JUDGED = {
    "real": "real images",
    "jmvae-kl": "JMVAE-kl",
    "jmvae-kl-gan": "JMVAE-kl + GAN",
    "cmma-x": "CMMA",
    "cvae-x": "CVAE, z at the mean of p(z)",
    "jmvae": "JMVAE",
    "jmvae-unweighted": "JMVAE, attributes not weighted",
    "hierarchical-jmvae": "hierarchical JMVAE",
}
_ITERATED = ("jmvae", "jmvae-unweighted", "hierarchical-jmvae")
_ALL = 202_599
_NAMED = ("Male", "Smiling", "Eyeglasses", "Bald", "Blond_Hair")


def celeba(record: Mapping[str, Any]) -> str:
    """The report, as Markdown.

    Args:
      record: what the study wrote to `results/celeba.json`.
    """
    scale, measured = record["scale"], record["measurements"]
    sections = [
        "# Results on CelebA",
        f"Made by `tf-jmvae reproduce celeba{_option(scale)}`; every number is in "
        f"[celeba.json](results/celeba.json). {_data(record)} Nats per test example, more is better; after ± "
        f"the standard error over the test set. Seed {record['seed']}.",
        "## Table 2: conditional log-likelihoods",
        f"The bound of Eq. (11) with N = {scale['num_samples']} samples of z, all from the end of one chain where a "
        f"model completes missing modalities by iterated sampling, {scale['num_steps']} steps. Images: the sum over "
        "all 12,288 pixels and channels; in brackets a third of it beside the paper's value, because the authors' code "
        "averaged over the three channels. Attributes: in brackets the paper's value.",
        _table_2(measured),
        _why(record),
        _reasons(record),
        "## Attributes named from images",
        _attributes(measured),
        "## Attributes recognised in generated images",
        "The area under the ROC curve of an independent classifier, trained on real images, for images generated from "
        "the attributes of the test examples with z at the mean of q(z | w), or after so many steps.",
        _judge(measured),
        "## With and without a GAN",
        _sharpness(measured),
        "![The same faces and attributes with and without a GAN](images/celeba-gan.png)",
        "## Figure 6: images from attributes",
        "Top: the face whose attributes are given. Rows: steps of iterated sampling; JMVAE-kl needs none, so each of "
        "its rows is a new sample.",
        "![Faces from attributes](images/celeba-figure-6.png)",
        "## Figure 7: single conditional log-likelihood",
        f"The bound on the first {scale['figure_7_size']} test images.",
        "![Log-likelihood over steps](images/celeba-figure-7.png)",
        _figure_7_sentence(measured),
        "## Figure 8: variations of a face",
        "JMVAE-kl with GAN. Base: the attributes of a held-out man; below, one attribute set to 2 or -2. Random faces: "
        "z = z_mean + sigma * epsilon with epsilon ~ N(0, 0.6), the same epsilon in each column.",
        "![Mean faces, random faces and their z](images/celeba-figure-8.png)",
        "## Figure 9: edits of unseen portraits",
        "JMVAE-kl with GAN. The model names the attributes of the portrait; one of them is turned round, to 2 or -2, "
        "and the difference of the two mean faces is added to the portrait.",
        "![Portraits with single attributes changed](images/celeba-figure-9.png)",
        "## Trainings",
        _settings(record),
        _trainings(record),
        _measured_at(record),
    ]
    return "\n\n".join(sections) + "\n"


def _option(scale: Mapping[str, Any]) -> str:
    return "" if scale["name"] == "full" else f" --{scale['name']}"


def _data(record: Mapping[str, Any]) -> str:
    train, test, there = record["data"]["train"], record["data"]["test"], record["data"]["report"]["prepared"]
    text = f"{train:,} training and {test:,} held-out images of {there:,}, centre crop, 64x64."
    if there < _ALL:
        text += (
            f" **This is a part of CelebA, {there / _ALL:.1%} of its {_ALL:,} images**: the paper's numbers, from "
            "about 172,000 training images cropped to the face that OpenCV found, are for orientation only."
        )
    return text


def _table_2(measured: Mapping[str, Any]) -> str:
    rows = []
    for row, title in TITLES.items():
        if f"table-2/{row}/x-given-w" not in measured:
            continue
        cells = []
        for index, column in enumerate(COLUMN_TITLES):
            ours = measured.get(f"table-2/{row}/{column}")
            if ours is None:
                cells.append("as above")
                continue
            paper = _PAPER.get(row, ())[index : index + 1]
            image = column.startswith("x")
            beside = [f"{ours['mean'] / 3:.0f}"] if image else []
            if paper:
                beside.append(f"paper {paper[0]}")
            cells.append(markdown.value(ours, 1 if image else 3) + (f" ({'; '.join(beside)})" if beside else ""))
        rows.append([title, *cells])
    return markdown.table(["", *COLUMN_TITLES.values()], rows)


def _why(record: Mapping[str, Any]) -> str:
    """Which cells and orders differ from the paper's."""
    measured = record["measurements"]
    lines = []
    for index, (column, title) in enumerate(COLUMN_TITLES.items()):
        share = 3 if column.startswith("x") else 1
        below = [
            f"{_short(row)} by {paper[index] - measured[f'table-2/{row}/{column}']['mean'] / share:.4g}"
            for row, paper in _PAPER.items()
            if measured[f"table-2/{row}/{column}"]["mean"] / share < paper[index]
        ]
        theirs = _order({row: paper[index] for row, paper in _PAPER.items()})
        ours = _order({row: measured[f"table-2/{row}/{column}"]["mean"] for row in _PAPER})
        order = "as in the paper" if ours == theirs else f"in the paper {theirs}"
        lines.append(
            f"- {title}: {'below the paper: ' + ', '.join(below) if below else 'every model reaches the paper'}. "
            f"Order {ours}; {order}."
        )
    return "\n".join(["Compared with the paper (images by the third):\n", *lines])


def _reasons(record: Mapping[str, Any]) -> str:
    measured = record["measurements"]
    first, last = _ends(measured, "jmvae")
    named, majority = (measured[f"attributes/{name}"]["mean"] for name in ("jmvae", "majority"))
    kept = " and z keeps the attributes, whose log-likelihood counts 30 times in the loss" if _is_small(record) else ""
    unweighted = ""
    if "attributes/jmvae-unweighted" in measured:
        one, most = _ends(measured, "jmvae-unweighted")
        unweighted = f" Trained without that weight, as in the paper, it has {one:.3f} and {most:.3f}; 0.5 is chance."
    return (
        "Why, as far as is known: reconstructions are likely below the paper's because the centre crop has more "
        "background than a crop of the face, and, at this size, because of fewer images, smaller networks and fewer "
        "epochs, which likely hold for log p(w | x) as well. Plain JMVAE starts from the mean image, which is zero "
        f"after standardisation{kept}: the mean AUC of the attributes in its images, blurred as they are, is "
        f"{first:.3f} after one step, {last:.3f} after the most.{unweighted} From images it names {named:.1%} of "
        f"the attributes rightly, where the majority guess has {majority:.1%}. Figure 6 shows the collapse."
    )


def _is_small(record: Mapping[str, Any]) -> bool:
    return record["scale"]["suffix"] == "-small"


def _ends(measured: Mapping[str, Any], model: str) -> tuple[float, float]:
    """The mean AUC in a model's images after the fewest and after the most steps."""
    names = [name for name in measured if name.startswith(f"judge/{model}/")]
    by_steps = sorted(names, key=lambda name: int(name.rsplit("/", 1)[-1]))
    return measured[by_steps[0]]["mean"], measured[by_steps[-1]]["mean"]


def _order(scores: Mapping[str, float]) -> str:
    return " > ".join(_short(row) for row in sorted(scores, key=scores.get, reverse=True))


def _short(row: str) -> str:
    return TITLES[row].split(",")[0]


def _attributes(measured: Mapping[str, Any]) -> str:
    titles = {**TITLES, "jmvae-kl-gan": _JUDGED["jmvae-kl-gan"], "jmvae-unweighted": _JUDGED["jmvae-unweighted"]}
    titles["majority"] = "majority of the training images"
    rows = [
        [titles[name], f"{found['mean']:.2%} ± {found['standard_error']:.2%}"]
        for name in titles
        if (found := measured.get(f"attributes/{name}"))
    ]
    return "The share of the 40 attributes whose sign is right, on average.\n\n" + markdown.table(["", "right"], rows)


def _judge(measured: Mapping[str, Any]) -> str:
    rows = []
    for name, found in measured.items():
        if name.startswith("judge/"):
            _, model, *steps = name.split("/")
            by_name = found["by_attribute"]
            cells = [f"{by_name[attribute]:.3f}" if attribute in by_name else "" for attribute in _NAMED]
            title = _JUDGED[model]
            if model in _ITERATED:
                title += f", {steps[0]} step" + ("s" if steps[0] != "1" else "")
            rows.append([title, *cells, f"{found['mean']:.3f}"])
    return markdown.table(["images of", *(name.replace("_", " ") for name in _NAMED), "mean of 40"], rows)


def _sharpness(measured: Mapping[str, Any]) -> str:
    titles = {"real": "real images", "jmvae-kl": "JMVAE-kl", "jmvae-kl-gan": "JMVAE-kl + GAN"}
    rows = [
        [
            title,
            markdown.value(measured[f"sharpness/{name}"], 2),
            f"{measured[f'sharpness/{name}']['frechet_distance']:.1f}",
        ]
        for name, title in titles.items()
    ]
    return (
        "Images generated from the attributes of the test examples, z ~ q(z | w): the mean length of the brightness "
        "gradient in grey levels per pixel, and the Fréchet distance to real images between Gaussians fitted to the "
        "256 features of the last hidden layer of the classifier above.\n\n"
        + markdown.table(["", "gradient", "Fréchet distance"], rows)
    )


def _figure_7_sentence(measured: Mapping[str, Any]) -> str:
    def ends(model: str) -> str:
        prefix = f"figure-7/{model}/x-given-w/"
        steps = sorted(int(name.removeprefix(prefix)) for name in measured if name.startswith(prefix))
        first, last = (markdown.value(measured[f"{prefix}{step}"], 0) for step in (steps[0], steps[-1]))
        return f"{first} after {steps[0]} step to {last} after {steps[-1]}"

    kl = next(found for name, found in measured.items() if name.startswith("figure-7/jmvae-kl/"))
    return (
        f"log p(x | w) goes from {ends('jmvae')} for JMVAE, and from {ends('hierarchical-jmvae')} for the hierarchical "
        f"model; JMVAE-kl has {markdown.value(kl, 0)} at once. The mean image, which knows nothing of w, "
        f"has {markdown.value(measured['figure-7/mean-image'], 0)}: JMVAE is no better after one step, and worse with "
        "more. A blurred image near the mean may still lean towards its attributes, as the AUC above shows."
    )


def _settings(record: Mapping[str, Any]) -> str:
    one = next(iter(record["trainings"].values()))
    cores = " The times are of two CPU cores, which other work shared." if record["scale"]["name"] == "small" else ""
    return (
        f"Presets `celeba-*{record['scale']['suffix']}`: their files say where they depart from the paper. Adam with "
        f"batches of {one['batch_size']}, {one['training']['decay']} learning rate, {one['training']['precision']}. "
        "Warm-up is in epochs. With GAN the rates are those of the encoders, the image decoder and the discriminator, "
        f"Adam's beta_1 is 0.5, and the mean of pixels has no tanh.{cores}"
    )


def _trainings(record: Mapping[str, Any]) -> str:
    rows = []
    for name, training in record["trainings"].items():
        settings = training["training"]
        rates = [settings.get(key) for key in ("learning_rate", "decoder_learning_rate", "discriminator_learning_rate")]
        rows.append(
            [
                name,
                str(settings["epochs"]),
                str(settings["kl_warm_up"]),
                ", ".join(f"{rate:g}" for rate in rates if rate is not None),
                f"{training['seconds'] / 60:.1f} min",
                str(training["seed"]),
                (training["commit"] or "")[:10],
            ]
        )
    return markdown.table(["training", "epochs", "warm-up", "learning rate", "time", "seed", "commit"], rows)


def _measured_at(record: Mapping[str, Any]) -> str:
    commits = sorted({found["commit"][:10] for found in record["measurements"].values() if found.get("commit")})
    return f"Measured at commit {' and '.join(commits)}." if commits else ""
