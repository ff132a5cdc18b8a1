"""The report of the MNIST study: Markdown from its record, with the paper's numbers beside ours."""

from collections.abc import Mapping
from typing import Any

from tf_jmvae.report import markdown
from tf_jmvae.report.comparison import TABLE_1, over_steps
from tf_jmvae.report.titles import TITLES

__all__ = ["mnist"]

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


def mnist(record: Mapping[str, Any], findings: str | None = None) -> str:
    """The report, as Markdown.

    Args:
      record: what the study wrote to `results/mnist.json`.
      findings: the page that says what the numbers mean, to link to.
    """
    scale, measured = record["scale"], record["measurements"]
    sections = [
        "# Results",
        f"Made by `tf-jmvae reproduce mnist`; every number is in [mnist.json](results/mnist.json). {_data(scale)} "
        f"Nats per test example, more is better; after ± the standard error over the test set. Seed {record['seed']}.",
        markdown.findings(findings),
        "## Table 1: conditional log-likelihoods",
        f"The bound of Eq. (11) with N = {scale['num_samples']} samples of z and, where a model completes missing "
        f"modalities by iterated sampling, {scale['num_steps']} steps in one chain, whose end all "
        f"{scale['num_samples']} samples share. The paper's value follows in brackets. JMVAE-kl in the paper's row has "
        "alpha = 1, as Eq. (10) is printed. The paper completes the missing input of a CVAE by iterated sampling, "
        "which starts from an image of zeros here; z ~ p(z), which is p(z | w) in that model, is the usual choice.",
        TABLE_1.values(measured),
        TABLE_1.compared(measured),
        "## Importance estimates of the marginal log-likelihoods",
        f"{scale['importance_samples']} samples; ESS is the effective sample size. In brackets the values of arXiv "
        "1611.01891, the earlier English version of the paper.",
        _importance(measured),
        "## Figure 3: images from labels",
        "Rows: steps of iterated sampling; JMVAE-kl needs none, so each of its rows is a new sample.",
        "![Images generated from each label](images/mnist-figure-3.png)",
        "## Figure 4: single conditional log-likelihood",
        f"The bound on the first {scale['figure_4_size']} test images; bands are two standard errors.",
        "![Log-likelihood over steps](images/mnist-figure-4.png)",
        over_steps(measured, "figure-4", 1),
        "## Figure 5: a two-dimensional z",
        "![Latent spaces](images/mnist-figure-5.png)",
        _figure_5(measured),
        "## Coherence",
        "The share of generated modalities that a classifier finds to be of the class that they should be; images from "
        "labels and from the prior are judged by a convolutional network. It was trained on grey images and is right "
        f"on {markdown.share(measured['coherence/classifier'])} of the real test images, which are binarised.",
        _coherence(measured),
        "## Trainings",
        "Networks of section 4.2.1, Adam with cosine decay, batches of 128; the KL to the prior warms up over the "
        "first tenth of the epochs, the paper's share. The paper trains for 2000 epochs.",
        markdown.trainings(record["trainings"]),
        markdown.measured_at(record),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


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


def _figure_5(measured: Mapping[str, Any]) -> str:
    jmvae, hierarchy, kl = (
        f"{measured[f'figure-5/{model}-2d']['mean']:.1%}" for model in ("jmvae", "hierarchical-jmvae", "jmvae-kl")
    )
    return (
        f"z from w alone covers {jmvae} of the area that z from all modalities covers for JMVAE, {hierarchy} for the "
        f"hierarchical model (its top layer) and {kl} for JMVAE-kl."
    )


def _coherence(measured: Mapping[str, Any]) -> str:
    names = ("x-from-w", "w-from-x", "joint")
    rows = [
        [title, *(markdown.share(measured.get(f"coherence/{row}/{name}")) for name in names)]
        for row, title in TITLES.items()
    ]
    return markdown.table(["", "images from labels", "labels from images", "both from the prior"], rows)
