"""The report of the CelebA study: Markdown from its record, with the paper's numbers beside ours."""

from collections.abc import Mapping
from typing import Any

from tf_jmvae.report import markdown
from tf_jmvae.report.comparison import TABLE_2, over_steps
from tf_jmvae.report.titles import TITLES

__all__ = ["celeba"]

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


def celeba(record: Mapping[str, Any], findings: str | None = None) -> str:
    """The report, as Markdown.

    Args:
      record: what the study wrote to `results/celeba.json`.
      findings: the page that says what the numbers mean, to link to.
    """
    scale, measured = record["scale"], record["measurements"]
    sections = [
        "# Results on CelebA",
        f"Made by `tf-jmvae reproduce celeba{_option(scale)}`; every number is in "
        f"[celeba.json](results/celeba.json). {_data(record)} Nats per test example, more is better; after ± "
        f"the standard error over the test set. Seed {record['seed']}.",
        markdown.findings(findings),
        "## Table 2: conditional log-likelihoods",
        f"The bound of Eq. (11) with N = {scale['num_samples']} samples of z, all from the end of one chain where a "
        f"model completes missing modalities by iterated sampling, {scale['num_steps']} steps. Images: the sum over "
        "all 12,288 pixels and channels; in brackets a third of it beside the paper's value, because the authors' code "
        "averaged over the three channels. Attributes: in brackets the paper's value.",
        TABLE_2.values(measured),
        TABLE_2.compared(measured),
        "## Attributes named from images",
        "The share of the 40 attributes whose sign is right, on average.",
        _attributes(measured),
        "## Attributes recognised in generated images",
        "The area under the ROC curve of an independent classifier, trained on real images, for images generated from "
        "the attributes of the test examples with z at the mean of q(z | w), or after so many steps.",
        _judge(measured),
        "## With and without a GAN",
        "Images generated from the attributes of the test examples, z ~ q(z | w): the mean length of the brightness "
        "gradient in grey levels per pixel, and the Fréchet distance to real images between Gaussians fitted to the "
        "256 features of the last hidden layer of the classifier above.",
        _sharpness(measured),
        "![The same faces and attributes with and without a GAN](images/celeba-gan.png)",
        "## Figure 6: images from attributes",
        "Top: the face whose attributes are given. Rows: steps of iterated sampling; JMVAE-kl needs none, so each of "
        "its rows is a new sample.",
        "![Faces from attributes](images/celeba-figure-6.png)",
        "## Figure 7: single conditional log-likelihood",
        f"The bound on the first {scale['figure_7_size']} test images.",
        "![Log-likelihood over steps](images/celeba-figure-7.png)",
        f"{over_steps(measured, 'figure-7', 0)} The mean image, which knows nothing of w, has "
        f"{markdown.value(measured['figure-7/mean-image'], 0)}.",
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
        markdown.trainings(record["trainings"]),
        markdown.measured_at(record),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


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


def _attributes(measured: Mapping[str, Any]) -> str:
    titles = {**TITLES, "jmvae-kl-gan": _JUDGED["jmvae-kl-gan"], "jmvae-unweighted": _JUDGED["jmvae-unweighted"]}
    titles["majority"] = "majority of the training images"
    rows = [
        [title, markdown.share(measured[f"attributes/{name}"])]
        for name, title in titles.items()
        if f"attributes/{name}" in measured
    ]
    return markdown.table(["", "right"], rows)


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
    rows = []
    for name in ("real", "jmvae-kl", "jmvae-kl-gan"):
        found = measured[f"sharpness/{name}"]
        rows.append([_JUDGED[name], markdown.value(found, 2), f"{found['frechet_distance']:.1f}"])
    return markdown.table(["", "gradient", "Fréchet distance"], rows)


def _settings(record: Mapping[str, Any]) -> str:
    one = next(iter(record["trainings"].values()))
    return (
        f"Presets `celeba-*{record['scale']['suffix']}`: their files say where they depart from the paper. Adam with "
        f"batches of {one['batch_size']}, {one['training']['decay']} learning rate, {one['training']['precision']}. "
        "Warm-up is in epochs. With GAN the rates are those of the encoders, the image decoder and the discriminator, "
        "Adam's beta_1 is 0.5, and the mean of pixels has no tanh."
    )
