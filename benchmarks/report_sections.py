"""The page's sections: each reads what one benchmark found and gives Markdown."""

import statistics
from collections.abc import Mapping
from typing import Any

from report_ratios import OURS, Ratio, Summary, against, best, side, speed

from tf_jmvae.report.markdown import table

Found = Mapping[str, Any]
PEERS = ("MultiVae", "Pixyz", "PyTorch", "PyTorch, best")
_WORK = {"mnist": "MNIST", "celeba": "CelebA"}


def comparisons(results: Mapping[str, Found]) -> dict[str, dict[str, Ratio]]:
    """Every comparison that was measured, by task, then by peer: how many times faster ours is."""
    found = {}
    for key, measured in results.get("training", {}).get("examples_per_second", {}).items():
        found[f"Training, {_batch(key)}"] = against(measured, rates=True)
    if scored := results.get("importance_sampling"):
        found[f"Joint importance bound, {scored['samples']} samples"] = against(
            scored["seconds_per_example"], rates=False
        )
    if sampled := results.get("iterated_sampling"):
        for rows, measured in sampled["seconds"].items():
            found[f"Iterated sampling, {sampled['steps']} steps, {rows} chains"] = against(measured, rates=False)
    served = results.get("serving", {}).get("milliseconds", {})
    for key, task in (("1", "Generation, latency of one row"), ("256", "Generation, 256 rows")):
        for name, direction in (
            ("generate_x_from_w", "images from labels"),
            ("generate_w_from_x", "labels from images"),
        ):
            if measured := served.get(f"{name}/{key}"):
                exported = {by: at for by, at in measured.items() if by != "tf_jmvae, generate"}
                found[f"{task}, {direction}"] = against(exported, rates=False)
    return found


def summary(results: Mapping[str, Found]) -> str:
    """Ratios of every task, then in words where ours is slower, memory, and quality."""
    found = comparisons(results)
    rows = [[task, *(str(ratios.get(peer, "")) for peer in PEERS)] for task, ratios in found.items()]
    header = ["", "MultiVae", "Pixyz", "PyTorch by hand, float32", "PyTorch by hand, best precision of both"]
    slower = [
        f"{task} ({peer.replace(', best', ' in its best precision')}: {ratio.value:.2f})"
        for task, ratios in found.items()
        for peer, ratio in ratios.items()
        if ratio.value < 1
    ]
    text = (
        "How many times faster tf_jmvae is than each peer: 2.00 is half the time, and what is below 1 is slower. In "
        "brackets, the smallest and the largest of the rounds. Beside MultiVae and Pixyz, which know one precision, "
        "and in the third column, ours is float32. PyTorch by hand counts as the faster of eager and compiled."
    )
    parts = [text, table(header, rows)]
    if slower:
        parts.append("Slower than a peer: " + "; ".join(slower) + ".")
    return "\n\n".join([*parts, *_memory_summary(results), *_quality_summary(results)])


def _memory_summary(results: Mapping[str, Found]) -> list[str]:
    measured = results.get("memory", {}).get("mebibytes", {})
    lines = []
    for work, values in measured.items():
        ours = min(value for name, value in values.items() if name.startswith(OURS))
        peers = ", ".join(f"{side(name)} {value:.0f}" for name, value in values.items() if not name.startswith(OURS))
        lines.append(f"{_work(work)}: {ours:.0f} MiB ({peers})")
    return ["Peak memory: " + "; ".join(lines) + "."] if lines else []


def _quality_summary(results: Mapping[str, Found]) -> list[str]:
    runs = results.get("quality", {}).get("runs", {})
    lines = []
    for goal in results.get("quality", {}).get("settings", {}).get("goals", ()):
        minutes = {n: run["passed"][f"{goal:g}"] for n, run in runs.items() if run.get("passed", {}).get(f"{goal:g}")}
        ours = [name for name in minutes if name.startswith(OURS)]
        theirs = [name for name in minutes if not name.startswith(OURS)]
        if ours and theirs:
            ours, theirs = min(ours, key=minutes.get), min(theirs, key=minutes.get)
            ratio = minutes[theirs] / minutes[ours]
            lines.append(
                f"{goal:g} nats after {minutes[ours]:.1f} minutes ({ours}), PyTorch after {minutes[theirs]:.1f} "
                f"({side(theirs)}): {ratio:.2f} times as fast"
            )
    return ["Time to quality, MNIST with alpha 0.1: " + "; ".join(lines) + "."] if lines else []


def training(results: Mapping[str, Found]) -> str | None:
    """Examples per second of all contestants, and their share of what arithmetic allows."""
    found = results.get("training")
    if found is None:
        return None
    limits = results.get("products", {}).get("examples_per_second", {})
    parts = [
        "Examples per second, median of the rounds; random data in memory, so that no disk is measured. The share is "
        "of the rate at which the matrix products of a step alone would run (see below), in the contestant's "
        "precision."
    ]
    for key, measured in found["examples_per_second"].items():
        limit = limits.get(f"training/{key}")
        rows = [
            [
                side(name),
                _spread(at, "{:,.0f}"),
                _share(at["median"], limit, name),
                _beside(measured, name, rates=True),
            ]
            for name, at in measured.items()
        ]
        parts += [f"### {_batch(key)}", table(["", "examples / s", "share of the limit", "ours: times as fast"], rows)]
    checks = found["checks"]
    parts.append(
        "Before they are timed, all sides must have as many parameters and, with the same weights, the same bound at "
        "the mean of q(z | x, w): "
        + "; ".join(
            f"{_WORK[work]} {check['tf_jmvae']['parameters']:,} parameters, "
            + ", ".join(f"{check[name]['bound']:.3f} ({side(name)})" for name in check if name != "flops_per_example")
            for work, check in checks.items()
        )
        + " nats."
    )
    return "\n\n".join(parts)


def evaluation(results: Mapping[str, Found]) -> str | None:
    """Importance sampling and iterated sampling."""
    parts = []
    limits = results.get("products", {}).get("examples_per_second", {})
    if found := results.get("importance_sampling"):
        measured, samples = found["seconds_per_example"], found["samples"]
        rows = [
            [
                side(name),
                _spread({key: _milli(at[key]) for key in ("median", "low", "high")}, "{:.2f}", " ms"),
                _share(samples / at["median"], limits.get("importance_sampling"), name),
                _beside(measured, name, rates=False),
            ]
            for name, at in measured.items()
        ]
        means = ", ".join(f"{side(name)} {mean:.2f}" for name, mean in found["mean_log_likelihood"].items())
        parts += [
            f"The joint importance bound of {samples} samples, MNIST's networks, {found['examples']} images "
            f"(MultiVae's `compute_joint_nll`). With the same weights and images both estimate the same: {means} nats.",
            table(["", "for each image", "share of the limit", "ours: times as fast"], rows),
        ]
    if found := results.get("iterated_sampling"):
        steps, rows = found["steps"], []
        for chains, measured in found["seconds"].items():
            limit = limits.get(f"iterated_sampling/{chains}")
            rows += [
                [
                    chains,
                    side(name),
                    _spread({key: _milli(at[key]) for key in ("median", "low", "high")}, "{:.0f}", " ms"),
                    _share(int(chains) * steps / at["median"], limit, name),
                    _beside(measured, name, rates=False),
                ]
                for name, at in measured.items()
            ]
        parts += [
            f"Iterated sampling, Eq. (6): {steps} steps of a JMVAE from labels to images, `model.generate` beside a "
            "loop by hand that encodes the label once.",
            table(["chains", "", "time", "share of the limit", "ours: times as fast"], rows),
        ]
    return "\n\n".join(parts) or None


def generation(results: Mapping[str, Found]) -> str | None:
    """The exported model and `model.generate` beside PyTorch."""
    found = results.get("serving")
    if found is None:
        return None
    limits = results.get("products", {}).get("examples_per_second", {})
    rows = []
    for key, measured in found["milliseconds"].items():
        name, _, number = key.rpartition("/")
        exported, own = measured["tf_jmvae, exported"], measured["pytorch"]
        rows.append(
            [
                f"`{name}`",
                number,
                *(
                    _spread(measured[by], "{:.2f}") if by in measured else ""
                    for by in ("tf_jmvae, exported", "tf_jmvae, generate", "pytorch")
                ),
                str(speed(exported, own, rates=False)),
                *(
                    _share(1e3 * int(number) / at["median"], limits.get(f"generation/{key}"), "float32")
                    for at in (exported, own)
                ),
            ]
        )
    header = [
        "",
        "rows",
        "exported, ms",
        "`model.generate`, ms",
        "PyTorch, ms",
        "exported: times as fast",
        "its share of the limit",
        "PyTorch's",
    ]
    return "\n\n".join(
        [
            "Milliseconds of a call in one process, without a server's transport: the exported model's signatures, "
            "the method of the Keras model, and a PyTorch module under `torch.inference_mode`, with the same "
            f"networks and weights. An export takes {found['export_seconds']:.1f} s, loading it "
            f"{found['load_seconds']:.1f} s.",
            table(header, rows),
        ]
    )


def memory(results: Mapping[str, Found]) -> str | None:
    """Peak memory."""
    found = results.get("memory")
    if found is None:
        return None
    rows = [
        [_work(work), side(name), f"{mebibytes:,.0f}"]
        for work, at in found["mebibytes"].items()
        for name, mebibytes in at.items()
    ]
    scored = found["scored"]
    return "\n\n".join(
        [
            "The most memory that a process held which did nothing else, interpreter and libraries included; the "
            f"joint importance bound is of {scored['samples']} samples for each of {scored['examples']} images.",
            table(["", "", "MiB"], rows),
        ]
    )


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
            _share(settings["examples"] / _epoch(run), limit, name),
            f"{run['points'][-1]['mean']:.2f} ± {run['points'][-1]['standard_error']:.2f}" if run["points"] else "",
        ]
        for name, run in found["runs"].items()
        if run["epoch_seconds"]
    ]
    header = ["", *(f"{goal} nats" for goal in goals), "an epoch", "share of the limit", "last bound"]
    parts = [
        f"MNIST's JMVAE-kl with alpha {settings['alpha']}, Adam at {settings['rate']:g} with cosine decay over "
        f"{settings['epochs']} epochs, {settings['warm_up']} of KL warm-up, batches of {settings['batch']}; equal "
        f"first weights. Our estimator scores all {'test images' if not settings['quick'] else 'images'} with "
        f"{settings['samples']} importance samples, whoever trained; that time is not counted, compilation is.",
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
            "What makes a training faster must not make it worse. The joint bound on the test set after "
            f"{settings['variant_epochs']} epochs of the same schedule, and how far it is from that of {first}, with "
            "the standard error of the difference; another seed shows what chance does.",
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


def limits(results: Mapping[str, Found]) -> str | None:
    """What the machine's matrix products allow."""
    found = results.get("products")
    if found is None:
        return None
    rows = [
        [
            _limit_name(name),
            f"{at['flops_per_example'] / 1e6:,.2f}",
            *("" if at[dtype] is None else f"{at[dtype]:,.0f}" for dtype in ("float32", "bfloat16")),
        ]
        for name, at in found["examples_per_second"].items()
    ]
    shapes = found["gflops_per_second"]["float32"]
    rates = [
        [
            shape.replace("x", " x "),
            *(
                f"{found['gflops_per_second'][dtype][shape][library]['median']:,.0f}"
                for dtype in ("float32", "bfloat16")
                for library in ("tensorflow", "torch")
            ),
        ]
        for shape in sorted(shapes, key=lambda shape: [int(size) for size in shape.split("x")])
    ]
    return "\n\n".join(
        [
            "The operations of a workload are counted from the shapes of its layers. Each matrix product of these "
            "shapes (of a convolution, that of its patches) is timed alone, in both libraries, and the faster "
            "counts; if nothing else took time, so many examples per second would be possible. Products that run "
            "side by side may pass it.",
            table(["", "MFLOP for each", "float32: each second", "bfloat16: each second"], rows),
            "<details><summary>Rates of the products, GFLOP/s</summary>",
            table(
                ["product", "TensorFlow, float32", "PyTorch, float32", "TensorFlow, bfloat16", "PyTorch, bfloat16"],
                rates,
            ),
            "</details>",
        ]
    )


def _batch(key: str) -> str:
    work, _, batch = key.partition("/")
    return f"{_WORK[work]}, batch {batch}"


def _work(key: str) -> str:
    work, _, rest = key.partition("/")
    return f"training, {_batch(rest)}" if work == "training" else "joint importance bound"


def _limit_name(key: str) -> str:
    work, _, rest = key.partition("/")
    return {
        "training": f"training, {_batch(rest)}" if work == "training" else "",
        "importance_sampling": "importance sampling, a sample",
        "iterated_sampling": f"iterated sampling, {rest} chains, a step of one",
        "generation": f"`{rest.rpartition('/')[0]}`, {rest.rpartition('/')[2]} rows",
    }[work]


def _spread(at: Summary, form: str, unit: str = "") -> str:
    return f"{form.format(at['median'])}{unit} ({form.format(at['low'])} to {form.format(at['high'])})"


def _milli(seconds: float) -> float:
    return 1e3 * seconds


def _share(rate: float, limit: Found | None, name: str) -> str:
    allowed = (limit or {}).get("bfloat16" if "bfloat16" in name else "float32")
    return f"{rate / allowed:.0%}" if allowed else ""


def _beside(measured: Mapping[str, Summary], name: str, *, rates: bool) -> str:
    """Ours beside a peer in the same precision; nothing for our own rows."""
    if name.startswith(OURS):
        return ""
    low = "bfloat16" in name
    ours = best({key: at for key, at in measured.items() if ("bfloat16" in key) == low}, OURS, rates=rates)
    return str(speed(measured[ours], measured[name], rates=rates)) if ours else ""


def _minutes(value: float | None) -> str:
    return "not reached" if value is None else f"{value:.1f} min"


def _difference(at: Found | None) -> str:
    return "" if at is None else f"{at['mean']:+.3f} ± {at['standard_error']:.3f}"
