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
