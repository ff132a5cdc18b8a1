"""The page's section of time to quality, and of what precision and the fused updates change."""

import statistics
from collections.abc import Mapping
from typing import Any

from report_names import side
from report_ratios import share

from tf_jmvae._utils.tables import markdown as table

Found = Mapping[str, Any]


def quality(results: Mapping[str, Found]) -> str | None:
    """Time to quality, and what precision and the fused updates change."""
    found = results.get("quality")
    if found is None:
        return None
    settings, goals = found["settings"], [f"{goal:g}" for goal in found["settings"]["goals"]]
    limit = results.get("products", {}).get("examples_per_second", {}).get(f"training/mnist/{settings['batch']}")
    rows = [
        [
            side(name),
            *(_minutes(run.get("passed", {}).get(goal)) for goal in goals),
            f"{_epoch(run):.1f} s",
            share(settings["examples"] / _epoch(run), limit, name),
            f"{run['points'][-1]['mean']:.2f} ± {run['points'][-1]['standard_error']:.2f}" if run["points"] else "",
        ]
        for name, run in found["runs"].items()
        if run["epoch_seconds"]
    ]
    header = ["", *(f"{goal} nats" for goal in goals), "time per epoch", "share of the limit", "last bound"]
    parts = [
        f"MNIST's JMVAE-kl with alpha {settings['alpha']}, Adam at {settings['rate']:g} with cosine decay over "
        f"{settings['epochs']} epochs, {settings['warm_up']} epochs of KL warm-up, batches of {settings['batch']}, and "
        "the same initial weights for all. The estimator of tf_jmvae scores all "
        f"{'test images' if not settings['quick'] else 'images'} with {settings['samples']} importance samples, "
        "whichever library trained the model; the times include compilation but not this scoring. Training ends when "
        "the last goal is reached.",
        table(header, rows),
    ]
    if found.get("variants"):
        first, *_ = found["variants"]
        rows = [
            [
                name,
                f"{at['mean']:.2f} ± {at['standard_error']:.2f}",
                _difference(found.get("differences", {}).get(name)),
                f"{at['minutes']:.1f}",
            ]
            for name, at in found["variants"].items()
        ]
        parts += [
            "Faster training must not give worse models. The table shows the joint bound on the test set after "
            f"{settings['variant_epochs']} epochs of the same schedule, and its difference from that of {first} with "
            "the standard error of the difference; another seed shows the variation by chance.",
            table(["", "bound, nats", f"difference from {first}", "minutes"], rows),
        ]
        parts.append(_verdict(found))
    return "\n\n".join(parts)


def _epoch(run: Found) -> float:
    """The median seconds of an epoch: the first has the compilation in it."""
    return statistics.median(run["epoch_seconds"])


def _verdict(found: Found) -> str:
    first, *_ = found["variants"].values()
    changes = {name: at for name, at in found.get("differences", {}).items() if name != "another seed"}
    beyond = [name for name, at in changes.items() if abs(at["mean"]) >= first["standard_error"]]
    if not changes:
        return ""
    if not beyond:
        return "All of these differences are smaller than the standard error of the bound itself."
    return f"Larger than the standard error of the bound itself: {', '.join(beyond)}."


def _minutes(value: float | None) -> str:
    return "not reached" if value is None else f"{value:.1f} min"


def _difference(at: Found | None) -> str:
    return "" if at is None else f"{at['mean']:+.3f} ± {at['standard_error']:.3f}"
