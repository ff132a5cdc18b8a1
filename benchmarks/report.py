"""Writes docs/performance.md, its appendix and pictures from the results alone: nothing need be measured for it.

python benchmarks/report.py [--results benchmarks/results] [--docs docs]
"""

import argparse
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import harness
import report_plots
import report_quality
import report_scale
import report_sections
import report_summary
from report_names import processor_name, side

from tf_jmvae._utils.files import replace_atomically
from tf_jmvae._utils.tables import markdown as table

NAMES = (
    "training",
    "importance_sampling",
    "iterated_sampling",
    "calls",
    "serving",
    "memory",
    "quality",
    "products",
    "curves",
    "workers",
    "start",
    "scale",
    "celeba_input",
    "table_input",
    "incomplete",
)
Results = dict[str, dict[str, Any]]  # of one processor, by benchmark
PROFILE = harness.HERE / "profile.md"
APPENDIX = "performance-appendix.md"
_CAPTIONS = {
    "performance-batch-size.png": "Training MNIST's JMVAE-kl: examples per second by batch size.",
    "performance-latent-dim.png": "Training MNIST's JMVAE-kl, batch 128: examples per second by the size of z.",
    "performance-samples.png": "The joint importance bound: seconds per image by the number of samples.",
    "performance-modalities.png": "Training JMVAE-kl with K modalities of 14x14 binary pixels (D256R-D256R, batch "
    "128), by the number of modalities and the kind of subset encoders.",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=pathlib.Path, default=harness.RESULTS, help="with a folder per processor")
    parser.add_argument("--docs", type=pathlib.Path, default=harness.HERE.parent / "docs")
    arguments = parser.parse_args()
    results = load_all(arguments.results)
    if not results:
        raise SystemExit(f"There are no results in {arguments.results}; make bench measures them.")
    profile = PROFILE.read_text() if PROFILE.is_file() else None
    write(results, arguments.docs, profile)
    for found in results:
        print(f"{arguments.docs / 'performance.md'} has of {processor_name(found)}: {', '.join(found)}.")
    return 0


def load_all(folder: pathlib.Path) -> list[Results]:
    """The finished results of each processor, by name; first of the one of which most was measured."""
    found = [load(own) for own in (folder, *sorted(path for path in folder.iterdir() if path.is_dir()))]
    return sorted(filter(None, found), key=len, reverse=True)


def load(folder: pathlib.Path) -> Results:
    """The finished results of a folder, by name."""
    found = {name: harness.read(name, folder) for name in NAMES}
    return {name: result for name, result in found.items() if result is not None}


def write(results: Sequence[Results], docs: pathlib.Path, profile: str | None) -> None:
    """Writes the page, its appendix and its pictures, from the results of each processor."""
    (docs / "images").mkdir(parents=True, exist_ok=True)
    pictures = _draw(results[0], docs / "images")
    for name, text in (("performance.md", page(results, pictures, profile)), (APPENDIX, appendix(results))):
        replace_atomically(docs / name, lambda path, text=text: pathlib.Path(path).write_text(text))


def page(results: Sequence[Results], pictures: Mapping[str, list[str]], profile: str | None) -> str:
    """The page's text: the summary of all processors, and of the first tables, where the time goes, how cost grows."""
    found, first = report_sections, results[0]
    sections = {
        "Summary": report_summary.summary(results),
        "Training throughput": found.training(first),
        "Rows that lack modalities": found.incomplete(first),
        "Evaluation and iterated sampling": found.evaluation(first),
        "Everyday calls": found.calls(first),
        "Generation": found.generation(first),
        "Peak memory": found.memory(first),
        "Startup time": report_scale.start(first),
        "Many rows and large images": report_scale.scale(first),
        "Time to quality": _with_picture(
            report_quality.quality(first), pictures.get("quality"), "The joint bound on the test set."
        ),
        "Where the time goes": profile and profile.strip(),
        "How cost grows": _growth(first, pictures),
        "How this was measured": _provenance(first),
    }
    return "\n\n".join(["# Performance", _introduction(results), *_titled(sections, "##")]) + "\n"


def appendix(results: Sequence[Results]) -> str:
    """The appendix's text: what arithmetic allows on the first processor, and the tables of all others."""
    found = report_sections
    parts = ["# Performance: more tables", "The tables that [Performance](performance.md) leaves out."]
    parts += _titled({f"What arithmetic allows: {processor_name(results[0])}": found.limits(results[0])}, "##")
    for other in results[1:]:
        sections = {
            "Speed-up": report_summary.ratios(other),
            "Training": found.training(other),
            "Rows that lack modalities, on this processor": found.incomplete(other),
            "Importance and iterated sampling": found.evaluation(other),
            "Calls": found.calls(other),
            "Exported calls": found.generation(other),
            "Memory": found.memory(other),
            "Start": report_scale.start(other),
            "Scale": report_scale.scale(other),
            "Products": found.limits(other),
            "Origin": _provenance(other),
        }
        # A level lower, as all of it is of one processor.
        own = [part.replace("\n### ", "\n#### ") for part in _titled(sections, "###")]
        parts += [f"## {processor_name(other)}", *own]
    return "\n\n".join(parts) + "\n"


def _titled(sections: Mapping[str, str | None], marks: str) -> list[str]:
    return [f"{marks} {title}\n\n{text}" for title, text in sections.items() if text]


def _introduction(results: Sequence[Results]) -> str:
    versions = next(iter(results[0].values()))["versions"]
    every = [result for found in results for result in found.values()]
    peers = {name: version for result in every for name, version in result.get("peers", {}).items()}
    beside = ", ".join(f"{side(name)} {version}" for name, version in sorted(peers.items()))
    quick = (
        "**These numbers are from a quick run, which checks that everything works and measures nothing.**\n\n"
        if any(result["quick"] for result in every)
        else ""
    )
    cores = next(iter(results[0].values()))["processor"]["cores"]
    processors = "; ".join(map(processor_name, results))
    of_several = (
        f"{cores} cores of each of these processors: {processors}. The summary covers all of them, the tables below "
        f"the first one; the tables of the others are in [the appendix]({APPENDIX})"
        if len(results) > 1
        else f"{cores} cores of this processor: {processors}. Long tables are in [an appendix]({APPENDIX})"
    )
    return (
        f"{quick}The speed and memory use of tf_jmvae, compared with libraries for the same task and with careful "
        f"hand-written PyTorch. Versions: TensorFlow {versions['tensorflow']}, Keras {versions['keras']}"
        + (f", {beside}" if beside else "")
        + f". All measurements were taken on an otherwise idle machine, on {of_several}. `make bench` repeats the "
        "measurements and writes this page; no test asserts a time."
    )


def _growth(results: Mapping[str, Any], pictures: Mapping[str, list[str]]) -> str | None:
    parts = [f"{_CAPTIONS[file]}\n\n![{_CAPTIONS[file]}](images/{file})" for file in pictures.get("curves", ())]
    if "curves" in results:
        parts.append(_modalities(results["curves"]))
    if "workers" in pictures:
        caption = "Training with several worker processes: examples per second of all workers together."
        parts.append(f"{caption}\n\n![{caption}](images/{pictures['workers'][0]})")
    if not parts:
        return None
    return "\n\n".join(["Error bars span the smallest to the largest round.", *parts])


def _modalities(curves: Mapping[str, Any]) -> str:
    rows = [
        [
            k,
            f'`"{mode}"`',
            f"{at['parameters']:,}",
            f"{at['flops_per_example'] / 1e6:.1f}",
            f"{at['median']:,.0f}",
            f"{at['median'] * at['flops_per_example'] / 1e9:.0f}",
        ]
        for mode, points in curves["modalities"].items()
        for k, at in points.items()
    ]
    return table(["modalities", "subsets", "parameters", "MFLOP per example", "examples / s", "GFLOP / s"], rows)


def _provenance(results: Mapping[str, Any]) -> str:
    text = (
        "tf_jmvae and the peer run in separate processes and take turns, one sleeping while the other works. Every "
        "round takes each measurement once, starting with a different one. Tables give the median of the rounds and, "
        "in parentheses, the smallest and the largest. Peers are installed in a separate environment "
        "(`benchmarks/peers/requirements.txt`) and their code is in `benchmarks/peers`; the results, with every "
        "round, are in `benchmarks/results`, in one folder per processor."
    )
    rows = [
        [
            f"`{name}`",
            f"{result['minutes']:.1f}" if "minutes" in result else "",
            (result["commit"] or "")[:10] + (" and changes" if result["dirty"] else ""),
        ]
        for name, result in results.items()
    ]
    parts = [text, table(["benchmark", "minutes", "commit"], rows)]
    if celeba := results.get("celeba_input"):
        rates = celeba["images_per_second"]
        parts.insert(
            1,
            "The data are random and in memory, so input is not measured. The input pipeline also keeps up with real "
            f"photographs: `{celeba['preset']}` reads {rates['input']['median']:,.0f} images per second from a "
            f"prepared copy and trains on {rates['training']['median']:,.0f}.",
        )
    if of_table := results.get("table_input"):
        parts.insert(2 if "celeba_input" in results else 1, _of_table(of_table))
    return "\n\n".join(parts)


def _of_table(found: Mapping[str, Any]) -> str:
    rates, seconds = found["images_per_second"], found["seconds_to_read"]
    read = (
        f"reading them takes {seconds['first']:.0f} s the first time and {seconds['again']:.0f} s from the cached copy"
    )
    same = rates["training on one batch"]["median"]
    return (
        f"A user's table with {found['pictures']:,} pictures of {found['side']}x{found['side']} as files on disk: "
        f"{read}. The pipeline delivers {rates['input']['median']:,.0f} pictures per second; a model trains on "
        f"{rates['training']['median']:,.0f} per second, and on {same:,.0f} with a single batch that is already in "
        f"memory. The process takes at most {found['peak_memory_mebibytes']:,.0f} MiB, including the pages of the copy "
        "that the operating system keeps in memory."
    )


def _draw(results: Mapping[str, Any], folder: pathlib.Path) -> dict[str, list[str]]:
    pictures = {}
    if "curves" in results:
        pictures["curves"] = report_plots.curves(results["curves"], folder)
    if series := _workers(results.get("workers")):
        pictures["workers"] = [report_plots.workers(series, folder)]
    if "quality" in results and any(run["points"] for run in results["quality"]["runs"].values()):
        quality = results["quality"]
        pictures["quality"] = [report_plots.quality(quality["runs"], quality["settings"]["goals"], folder)]
    return pictures


def _workers(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Summaries by the number of workers, of one series or of several by name."""
    measured = (found or {}).get("examples_per_second")
    if not measured:
        return None
    return {"tf_jmvae": measured} if all(key.isdigit() for key in measured) else dict(measured)


def _with_picture(text: str | None, files: list[str] | None, caption: str) -> str | None:
    return text if text is None or not files else f"{text}\n\n![{caption}](images/{files[0]})"


if __name__ == "__main__":
    sys.exit(main())
