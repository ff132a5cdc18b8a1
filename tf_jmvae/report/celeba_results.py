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
    return markdown.page(
        "celeba.md",
        record,
        findings,
        table=TABLE_2,
        over_steps=over_steps,
        option="" if scale["name"] == "full" else f" --{scale['name']}",
        data=_data(record),
        attributes=_attributes(measured),
        judge=_judge(measured),
        sharpness=_sharpness(measured),
        one=next(iter(record["trainings"].values())),
    )


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
