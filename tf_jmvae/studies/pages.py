"""The reports of the studies: Markdown from their records, with the paper's numbers beside ours."""

from collections.abc import Mapping
from typing import Any

from tf_jmvae.studies import markdown
from tf_jmvae.studies.comparison import TABLE_1, TABLE_2, TITLES, over_steps

__all__ = ["celeba", "mnist"]

# arXiv 1611.01891 for log p(x, w); for log p(x) that paper's value as MultiVae's documentation compares with it.
_IMPORTANCE = {
    "jmvae/joint": ("JMVAE", "log p(x, w)", "q(z \\| x, w)", -86.96),
    "jmvae/x-joint": ("JMVAE", "log p(x)", "q(z \\| x, w)", None),
    "jmvae-kl/joint": ("JMVAE-kl, alpha 1", "log p(x, w)", "q(z \\| x, w)", -89.28),
    "jmvae-kl/x-own": ("JMVAE-kl, alpha 1", "log p(x)", "q(z \\| x)", None),
    "jmvae-kl-0.1/joint": ("JMVAE-kl, alpha 0.1", "log p(x, w)", "q(z \\| x, w)", -86.93),
    "jmvae-kl-0.1/x-joint": ("JMVAE-kl, alpha 0.1", "log p(x)", "q(z \\| x, w)", -86.86),
    "jmvae-kl-0.1/x-own": ("JMVAE-kl, alpha 0.1", "log p(x)", "q(z \\| x)", -86.86),
    "jmvae-kl-0.1/x-given-w": ("JMVAE-kl, alpha 0.1", "log p(x \\| w)", "q(z \\| x, w)", None),
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


def mnist(record: Mapping[str, Any], findings: str | None = None) -> str:
    """The report of the MNIST study, from `results/mnist.json`, with a link to findings, what the numbers mean."""
    measured = record["measurements"]
    return markdown.page(
        "mnist.md",
        record,
        findings,
        table=TABLE_1,
        over_steps=over_steps,
        data=_data(record["scale"]),
        importance=_importance(measured),
        area=lambda model: f"{measured[f'figure-5/{model}-2d']['mean']:.1%}",
        coherence=_coherence(measured),
    )


def _data(scale: Mapping[str, Any]) -> str:
    if scale["dataset"] != "mnist":
        return "**In miniature, on scikit-learn's digits: these numbers mean nothing.**"
    return (
        "MNIST: 60,000 training images, binarised afresh in every epoch, and "
        f"{scale['test_size']:,} test images, binarised once."
    )


def _importance(measured: Mapping[str, Any]) -> str:
    rows, below = [], []
    for name, (model, quantity, proposal, paper) in _IMPORTANCE.items():
        ours = measured[f"importance/{name}"]
        beside = "" if paper is None else f" ({paper})"
        rows.append(
            [model, quantity, proposal, markdown.value(ours, 2) + beside, f"{ours['effective_sample_size']:.1f}"]
        )
        if paper is not None and ours["mean"] < paper:
            below.append(f"- {model}, {quantity} with {proposal}: {paper - ours['mean']:.2f} nats below {paper}.")
    table = markdown.table(["model", "quantity", "proposal", "estimate", "ESS"], rows)
    return "\n\n".join(part for part in (table, "\n".join(below)) if part)


def _coherence(measured: Mapping[str, Any]) -> str:
    names = ("x-from-w", "w-from-x", "joint")
    rows = [
        [title, *(markdown.share(measured.get(f"coherence/{row}/{name}")) for name in names)]
        for row, title in TITLES.items()
    ]
    return markdown.table(["", "images from labels", "labels from images", "both from the prior"], rows)


def celeba(record: Mapping[str, Any], findings: str | None = None) -> str:
    """The report of the CelebA study, from `results/celeba.json`, likewise."""
    scale, measured = record["scale"], record["measurements"]
    return markdown.page(
        "celeba.md",
        record,
        findings,
        table=TABLE_2,
        over_steps=over_steps,
        option="" if scale["name"] == "full" else f" --{scale['name']}",
        data=_faces(record),
        attributes=_attributes(measured),
        judge=_judge(measured),
        sharpness=_sharpness(measured),
        one=next(iter(record["trainings"].values())),
    )


def _faces(record: Mapping[str, Any]) -> str:
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
