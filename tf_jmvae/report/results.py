"""The report of the MNIST study: Markdown from its record, with the paper's numbers beside ours."""

from collections.abc import Mapping
from typing import Any

from tf_jmvae.report import markdown
from tf_jmvae.report.comparison import PAPER, compared, ordered
from tf_jmvae.report.titles import COLUMN_TITLES, TITLES

__all__ = ["TITLES", "mnist"]

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
# The models that the figures compare.
_COMPARED = ("jmvae", "hierarchical-jmvae", "jmvae-kl")


def mnist(record: Mapping[str, Any]) -> str:
    """The report, as Markdown.

    Args:
      record: what the study wrote to `results/mnist.json`.
    """
    scale, measured = record["scale"], record["measurements"]
    sections = [
        "# Results",
        f"Made by `tf-jmvae reproduce mnist`; every number is in [mnist.json](results/mnist.json). {_data(scale)} "
        f"Nats per test example, more is better; after ± the standard error over the test set. Seed {record['seed']}.",
        "## Table 1: conditional log-likelihoods",
        f"The bound of Eq. (11) with N = {scale['num_samples']} samples of z and, where a model completes missing "
        f"modalities by iterated sampling, {scale['num_steps']} steps in one chain, whose end all "
        f"{scale['num_samples']} samples share. The paper's value follows in brackets.",
        _table_1(measured),
        compared(record),
        _why(record),
        "## Importance estimates of the marginal log-likelihoods",
        f"{scale['importance_samples']} samples; ESS is the effective sample size. In brackets the values of arXiv "
        "1611.01891, the earlier English version of the paper.",
        _importance(record),
        "## Figure 3: images from labels",
        "Rows: steps of iterated sampling; JMVAE-kl needs none, so each of its rows is a new sample.",
        "![Images generated from each label](images/mnist-figure-3.png)",
        _coherence_sentence(measured),
        "## Figure 4: single conditional log-likelihood",
        f"The bound on the first {scale['figure_4_size']} test images; bands are two standard errors.",
        "![Log-likelihood over steps](images/mnist-figure-4.png)",
        _figure_4_sentence(measured),
        "## Figure 5: a two-dimensional z",
        "![Latent spaces](images/mnist-figure-5.png)",
        _figure_5_sentence(record),
        "## Coherence",
        "The share of generated modalities that a classifier finds to be of the class that they should be; images from "
        "labels and from the prior are judged by a convolutional network. It was trained on grey images and is right "
        f"on {_share(measured['coherence/classifier'])} of the real test images, which are binarised.",
        _coherence(measured),
        "## Trainings",
        "Networks of section 4.2.1, Adam at 1e-3 with cosine decay, batches of 128; the KL to the prior warms up over "
        "the first tenth of the epochs, the paper's share. The paper trains for 2000 epochs, the models here for the "
        "fewer that the table says, and for unlike numbers of them; what the paper's schedule would give was not "
        "tried. The times are of two CPU cores, which other work shared at times.",
        markdown.trainings(record["trainings"]),
        _provenance(record),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _data(scale: Mapping[str, Any]) -> str:
    if scale["dataset"] != "mnist":
        return "**In miniature, on scikit-learn's digits: these numbers mean nothing.**"
    return (
        "MNIST: 60,000 training images, binarised afresh in every epoch, and "
        f"{scale['test_size']:,} test images, binarised once."
    )


def _table_1(measured: Mapping[str, Any]) -> str:
    rows = []
    for row, title in TITLES.items():
        cells = []
        for index, column in enumerate(COLUMN_TITLES):
            value = markdown.value(measured.get(f"table-1/{row}/{column}"), 4 if column.startswith("w") else 2)
            cells.append(f"{value} ({PAPER[row][index]})" if row in PAPER and value else value or "as above")
        rows.append([title, *cells])
    return markdown.table(["", *COLUMN_TITLES.values()], rows)


def _why(record: Mapping[str, Any]) -> str:
    """What the cells above mean for one another; the numbers in it are the record's."""
    measured, trainings = record["measurements"], record["trainings"]

    carried = {name: trainings[name]["metrics"]["kl_prior"] for name in ("cvae-w", "cmma-w")}
    usual = {row: "cvae-prior" if row == "cvae" else row for row in PAPER}
    order = ordered({row: measured[f"table-1/{name}/x-given-w"] for row, name in usual.items()})
    return (
        "JMVAE-kl in the paper's row has alpha = 1, as Eq. (10) is printed; alpha weighs answers from a single "
        "modality against reconstruction. The paper completes the missing input of a CVAE by iterated sampling, which "
        "starts from an image of zeros here; z ~ p(z), which is p(z | w) in that model, is the usual choice. With it "
        f"the order in log p(x \\| w) is {order}. From images to labels z carries {carried['cvae-w']:.2g} nats in the "
        f"CVAE and {carried['cmma-w']:.2g} in the CMMA, so that showing them the label changes their answer little or "
        "not at all."
    )


def _importance(record: Mapping[str, Any]) -> str:
    measured = record["measurements"]
    epochs = {name: training["training"]["epochs"] for name, training in record["trainings"].items()}
    rows, sentences, shorter = [], [], {}
    for name, (model, quantity, proposal, paper) in _IMPORTANCE.items():
        ours = measured[f"importance/{name}"]
        beside = "" if paper is None else f" ({paper})"
        rows.append(
            [model, quantity, proposal, markdown.value(ours, 2) + beside, f"{ours['effective_sample_size']:.1f}"]
        )
        if paper is not None and ours["mean"] < paper:
            sentences.append(f"- {model}, {quantity} with {proposal}: {paper - ours['mean']:.2f} nats below {paper}.")
            trained = name.split("/")[0]
            if epochs[trained] < epochs["jmvae-kl-0.1"]:
                shorter[model] = epochs[trained]
    if shorter:
        counts = " and ".join(f"{count} epochs for {model}" for model, count in shorter.items())
        sentences.append(
            f"- Likely for the shorter training: {counts}, against {epochs['jmvae-kl-0.1']} for JMVAE-kl, alpha 0.1, "
            f"which has {measured['importance/jmvae-kl-0.1/joint']['mean']:.2f}."
        )
    table = markdown.table(["model", "quantity", "proposal", "estimate", "ESS"], rows)
    return "\n\n".join(part for part in (table, "\n".join(sentences)) if part)


def _share(value: Mapping[str, Any]) -> str:
    return f"{value['mean']:.1%} ± {value['standard_error']:.1%}"


def _coherence_sentence(measured: Mapping[str, Any]) -> str:
    shares = {row: _share(measured[f"coherence/{row}/x-from-w"]) for row in _COMPARED}
    return (
        f"The classifier recognises the label in {shares['jmvae']} of JMVAE's images (chance is 10%), in "
        f"{shares['hierarchical-jmvae']} of the hierarchical model's and in {shares['jmvae-kl']} of JMVAE-kl's."
    )


def _figure_4_sentence(measured: Mapping[str, Any]) -> str:
    def ends(model: str) -> str:
        steps = sorted(
            int(name.rsplit("/", 1)[-1]) for name in measured if name.startswith(f"figure-4/{model}/x-given-w/")
        )
        first, last = (
            markdown.value(measured[f"figure-4/{model}/x-given-w/{step}"], 1) for step in (steps[0], steps[-1])
        )
        return f"{first} after {steps[0]} step to {last} after {steps[-1]}"

    kl = next(value for name, value in measured.items() if name.startswith("figure-4/jmvae-kl/x-given-w/"))
    return (
        f"log p(x | w) goes from {ends('jmvae')} for JMVAE, and from {ends('hierarchical-jmvae')} for the hierarchical "
        f"model; JMVAE-kl has {markdown.value(kl, 1)} at once."
    )


def _figure_5_sentence(record: Mapping[str, Any]) -> str:
    shares = {row: record["measurements"][f"figure-5/{row}-2d"]["mean"] for row in _COMPARED}
    metrics = record["trainings"]["hierarchical-jmvae-2d"]["metrics"]
    text = (
        f"z from w alone covers {shares['jmvae']:.1%} of the area that z from all modalities covers for JMVAE, "
        f"{shares['hierarchical-jmvae']:.1%} for the hierarchical model (its top layer) and "
        f"{shares['jmvae-kl']:.1%} for JMVAE-kl."
    )
    if shares["jmvae"] < 0.5:
        text += " JMVAE's shrinks: to a small cluster for each label, some of which touch."
    named, carried = metrics["accuracy_w_from_x"], metrics["kl_prior_2"]
    if named < 0.2:  # chance is 0.1
        text += (
            " From w alone the hierarchical model's top layer shows no structure of labels: it carries "
            f"{carried:.2f} nats of both modalities together, and w is named from x in {named:.1%} of the test images "
            "(chance is 10%)."
        )
    return text


def _provenance(record: Mapping[str, Any]) -> str:
    """Which commits the numbers are of, and what is to be said of them."""
    found = {**record["trainings"], **record["measurements"]}
    commits = sorted({one["commit"][:10] for one in record["measurements"].values() if one.get("commit")})
    lines = []
    if commits:
        lines.append(f"Measured at commit {', '.join(commits)}.")
    if any(one.get("dirty") for one in found.values()):
        lines.append("Some of this was made from a working tree that differed from its commit; mnist.json says what.")
    return "\n\n".join([*lines, *record.get("notes", ())])


def _coherence(measured: Mapping[str, Any]) -> str:
    def share(name: str) -> str:
        value = measured.get(name)
        return "" if value is None else f"{value['mean']:.2%} ± {value['standard_error']:.2%}"

    names = ("x-from-w", "w-from-x", "joint")
    rows = [[title, *(share(f"coherence/{row}/{name}") for name in names)] for row, title in TITLES.items()]
    return markdown.table(["", "images from labels", "labels from images", "both from the prior"], rows)
