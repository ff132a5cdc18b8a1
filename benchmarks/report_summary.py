"""The page's first section: how many times faster, where slower, memory, and time to quality."""

from collections.abc import Mapping, Sequence
from typing import Any

from report_names import batch_name, processor_name, side, work_name
from report_ratios import OURS, Ratio, against

from tf_jmvae._utils.tables import markdown as table

Found = Mapping[str, Any]
PEERS = ("MultiVae", "Pixyz", "PyTorch", "PyTorch, best", "ONNX Runtime")
_HEADER = [
    "",
    "MultiVae",
    "Pixyz",
    "hand-written PyTorch, float32",
    "hand-written PyTorch, best precision of each",
    "ONNX Runtime",
]


def comparisons(results: Mapping[str, Found]) -> dict[str, dict[str, Ratio]]:
    """Every comparison that was measured, by task, then by peer: how many times faster ours is."""
    found = {}
    for key, measured in results.get("training", {}).get("examples_per_second", {}).items():
        found[f"Training, {batch_name(key)}"] = against(measured, rates=True)
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


def summary(results: Sequence[Mapping[str, Found]]) -> str:
    """Ratios of every task over all processors, then in words where ours is slower, memory, and quality."""
    of_each = [comparisons(found) for found in results]
    tasks = dict.fromkeys(task for found in of_each for task in found)
    rows = [[task, *(_over([found.get(task, {}).get(peer) for found in of_each]) for peer in PEERS)] for task in tasks]
    text = (
        "The speed-up of tf_jmvae over each peer: 2.00 means half the time, and values below 1 mean slower. "
        + (
            "Ranges are over the processors; single values were measured on one processor only. "
            if len(results) > 1
            else "Parentheses give the smallest and the largest round. "
        )
        + "tf_jmvae runs in float32 except in the column of the best precision. For hand-written PyTorch, the faster "
        "of eager and compiled counts."
    )
    parts = [text, table(_HEADER, rows)]
    slower = {processor_name(found): _slower(own) for found, own in zip(results, of_each, strict=True)}
    for processor, tasks_there in slower.items():
        if tasks_there:
            where = f" on {processor}" if len(results) > 1 else ""
            parts.append(f"Slower than a peer{where}: " + "; ".join(tasks_there) + ".")
    return "\n\n".join([*parts, *_memory_summary(results[0]), *_quality_summary(results[0])])


def ratios(results: Mapping[str, Found]) -> str | None:
    """The table of ratios of one processor, with the smallest and largest of the rounds."""
    rows = [[task, *(str(own.get(peer, "")) for peer in PEERS)] for task, own in comparisons(results).items()]
    return table(_HEADER, rows) if rows else None


def _over(measured: Sequence[Ratio | None]) -> str:
    """A ratio over processors; of one of them its rounds."""
    there = [ratio for ratio in measured if ratio is not None]
    if not there:
        return ""
    if len(measured) == 1:
        return str(there[0])
    low, high = min(ratio.value for ratio in there), max(ratio.value for ratio in there)
    return f"{low:.2f} to {high:.2f}" if len(there) > 1 else f"{low:.2f}"


def _slower(found: Mapping[str, Mapping[str, Ratio]]) -> list[str]:
    return [
        f"{task} ({peer.replace(', best', ' in its best precision')}: {ratio.value:.2f})"
        for task, ratios in found.items()
        for peer, ratio in ratios.items()
        if ratio.value < 1
    ]


def _memory_summary(results: Mapping[str, Found]) -> list[str]:
    measured = results.get("memory", {}).get("mebibytes", {})
    lines = []
    for work, values in measured.items():
        ours = min(value for name, value in values.items() if name.startswith(OURS))
        peers = ", ".join(f"{side(name)} {value:.0f}" for name, value in values.items() if not name.startswith(OURS))
        lines.append(f"{work_name(work)}: {ours:.0f} MiB ({peers})")
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
                f"{goal:g} nats after {minutes[ours]:.1f} minutes ({ours}) against {minutes[theirs]:.1f} minutes "
                f"({side(theirs)}), {ratio:.2f} times as fast"
            )
    return ["Time to quality, MNIST with alpha 0.1: " + "; ".join(lines) + "."] if lines else []
