"""The report of the MNIST study: Markdown from its record, with the paper's numbers beside ours."""

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["TITLES", "mnist"]

TITLES = {
    "cvae": "CVAE, x completed by iterated sampling",
    "cvae-prior": "CVAE, z ~ p(z)",
    "cmma": "CMMA",
    "jmvae": "JMVAE",
    "jmvae-kl": "JMVAE-kl",
    "jmvae-kl-0.1": "JMVAE-kl, alpha 0.1",
    "hierarchical-jmvae": "hierarchical JMVAE",
}
_COLUMNS = {
    "x-given-w": "log p(x \\| w)",
    "w-given-x": "log p(w \\| x)",
    "x-given-xw": "log p(x \\| w, x)",
    "w-given-xw": "log p(w \\| w, x)",
}
# Table 1 of Suzuki and Matsuo.
_PAPER = {
    "cvae": (-448.8, -5.293, -70.42, -5.304),
    "cmma": (-451.1, -0.2971, -69.89, -0.002574),
    "jmvae": (-747.1, -0.2286, -69.57, -0.2026),
    "jmvae-kl": (-422.35, -0.2628, -76.94, -0.1874),
    "hierarchical-jmvae": (-475.5, -2.640, -196.9, -0.4456),
}
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
        f"modalities by iterated sampling, {scale['num_steps']} steps. The paper's value follows in brackets.",
        _table_1(measured),
        _compared(measured),
        _why(record),
        "## Importance estimates of the marginal log-likelihoods",
        f"{scale['importance_samples']} samples; ESS is the effective sample size. In brackets the values of arXiv "
        "1611.01891, the earlier English version of the paper.",
        _importance(measured),
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
        _figure_5_sentence(measured),
        "## Coherence",
        "The share of generated modalities that a classifier finds to be of the class that they should be; images from "
        "labels and from the prior are judged by a convolutional network that is right on "
        f"{measured['coherence/classifier']['mean']:.1%} of the real test images.",
        _coherence(measured),
        "## Trainings",
        "Networks of section 4.2.1, Adam at 1e-3 with cosine decay, batches of 128; the KL to the prior warms up over "
        "the first tenth of the epochs, the paper's share. The paper trains for 2000 epochs, the models here for the "
        "fewer that the table says, and for unlike numbers of them; what the paper's schedule would give was not "
        "tried. The times are of two CPU cores, which other work shared at times.",
        _trainings(record["trainings"]),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _data(scale: Mapping[str, Any]) -> str:
    if scale["dataset"] != "mnist":
        return "**In miniature, on scikit-learn's digits: these numbers mean nothing.**"
    return (
        "MNIST: 60,000 training images, binarised afresh in every epoch, and "
        f"{scale['test_size']:,} test images, binarised once."
    )


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    header = list(header)
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _value(measured: Mapping[str, Any] | None, digits: int) -> str:
    return "" if measured is None else f"{measured['mean']:.{digits}f} ± {measured['standard_error']:.{digits}f}"


def _table_1(measured: Mapping[str, Any]) -> str:
    rows = []
    for row, title in TITLES.items():
        cells = []
        for index, column in enumerate(_COLUMNS):
            value = _value(measured.get(f"table-1/{row}/{column}"), 4 if column.startswith("w") else 2)
            cells.append(f"{value} ({_PAPER[row][index]})" if row in _PAPER and value else value or "as above")
        rows.append([title, *cells])
    return _table(["", *_COLUMNS.values()], rows)


def _compared(measured: Mapping[str, Any]) -> str:
    """A sentence for every cell that is below the paper's, and one on the order of the models in every column."""
    lines = []
    for row, paper in _PAPER.items():
        for value, column in zip(paper, _COLUMNS, strict=True):
            ours = measured[f"table-1/{row}/{column}"]
            if ours["mean"] < value:
                lines.append(
                    f"- {TITLES[row]}, {_COLUMNS[column]}: {value - ours['mean']:.4g} nats below the paper's {value}."
                )
    for index, column in enumerate(_COLUMNS):
        theirs = sorted(_PAPER, key=lambda row: -_PAPER[row][index])
        ours = sorted(_PAPER, key=lambda row: -measured[f"table-1/{row}/{column}"]["mean"])
        same = "as in the paper" if ours == theirs else f"in the paper: {_order(theirs)}"
        lines.append(f"- Order in {_COLUMNS[column]}: {_order(ours)}; {same}.")
    return "\n".join(["Where our numbers differ from the paper's; every other cell reaches its value:\n", *lines])


def _why(record: Mapping[str, Any]) -> str:
    """What the cells above mean for one another; the numbers in it are the record's."""
    measured, trainings = record["measurements"], record["trainings"]

    def score(row: str) -> float:
        usual = row == "cvae"
        return measured[f"table-1/{'cvae-prior' if usual else row}/x-given-w"]["mean"]

    carried = {name: trainings[name]["metrics"]["kl_prior"] for name in ("cvae-w", "cmma-w")}
    order = _order(sorted(_PAPER, key=score, reverse=True))
    return (
        "JMVAE-kl in the paper's row has alpha = 1, as Eq. (10) is printed; alpha weighs answers from a single "
        "modality against reconstruction. The paper completes the missing input of a CVAE by iterated sampling, which "
        "starts from an image of zeros here; z ~ p(z), which is p(z | w) in that model, is the usual choice. With it "
        f"the order in log p(x \\| w) is {order}. From images to labels z carries {carried['cvae-w']:.2g} nats in the "
        f"CVAE and {carried['cmma-w']:.2g} in the CMMA, so that showing them the label changes their answer little or "
        "not at all."
    )


def _order(rows: Iterable[str]) -> str:
    return " > ".join(TITLES[row].split(",")[0] for row in rows)


def _importance(measured: Mapping[str, Any]) -> str:
    rows, sentences = [], []
    for name, (model, quantity, proposal, paper) in _IMPORTANCE.items():
        ours = measured[f"importance/{name}"]
        beside = "" if paper is None else f" ({paper})"
        rows.append([model, quantity, proposal, _value(ours, 2) + beside, f"{ours['effective_sample_size']:.1f}"])
        if paper is not None and ours["mean"] < paper:
            sentences.append(f"- {model}, {quantity} with {proposal}: {paper - ours['mean']:.2f} nats below {paper}.")
    table = _table(["model", "quantity", "proposal", "estimate", "ESS"], rows)
    return "\n\n".join(part for part in (table, "\n".join(sentences)) if part)


def _coherence_sentence(measured: Mapping[str, Any]) -> str:
    shares = {row: measured[f"coherence/{row}/x-from-w"]["mean"] for row in ("jmvae", "hierarchical-jmvae", "jmvae-kl")}
    return (
        f"The classifier recognises the label in {shares['jmvae']:.1%} of JMVAE's images (chance is 10%), in "
        f"{shares['hierarchical-jmvae']:.1%} of the hierarchical model's and in {shares['jmvae-kl']:.1%} of JMVAE-kl's."
    )


def _figure_4_sentence(measured: Mapping[str, Any]) -> str:
    def ends(model: str) -> str:
        steps = sorted(
            int(name.rsplit("/", 1)[-1]) for name in measured if name.startswith(f"figure-4/{model}/x-given-w/")
        )
        first, last = (measured[f"figure-4/{model}/x-given-w/{step}"]["mean"] for step in (steps[0], steps[-1]))
        return f"{first:.1f} after {steps[0]} step to {last:.1f} after {steps[-1]}"

    kl = next(value["mean"] for name, value in measured.items() if name.startswith("figure-4/jmvae-kl/x-given-w/"))
    return (
        f"log p(x | w) goes from {ends('jmvae')} for JMVAE, and from {ends('hierarchical-jmvae')} for the hierarchical "
        f"model; JMVAE-kl has {kl:.1f} at once."
    )


def _figure_5_sentence(measured: Mapping[str, Any]) -> str:
    shares = {row: measured[f"figure-5/{row}-2d"]["mean"] for row in ("jmvae", "hierarchical-jmvae", "jmvae-kl")}
    return (
        f"z from w alone covers {shares['jmvae']:.1%} of the area that z from all modalities covers for JMVAE, "
        f"{shares['hierarchical-jmvae']:.1%} for the hierarchical model (its top layer) and "
        f"{shares['jmvae-kl']:.1%} for JMVAE-kl."
    )


def _coherence(measured: Mapping[str, Any]) -> str:
    def share(name: str) -> str:
        value = measured.get(name)
        return "" if value is None else f"{value['mean']:.2%} ± {value['standard_error']:.2%}"

    names = ("x-from-w", "w-from-x", "joint")
    rows = [[title, *(share(f"coherence/{row}/{name}") for name in names)] for row, title in TITLES.items()]
    return _table(["", "images from labels", "labels from images", "both from the prior"], rows)


def _trainings(trainings: Mapping[str, Any]) -> str:
    rows = [
        [
            name,
            str(training["training"]["epochs"]),
            f"{training['seconds'] / 60:.1f} min",
            str(training["seed"]),
            (training["commit"] or "")[:10],
        ]
        for name, training in trainings.items()
    ]
    return _table(["training", "epochs", "time", "seed", "commit"], rows)
