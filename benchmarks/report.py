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
    "performance-batch-size.png": "Training, MNIST's JMVAE-kl: examples per second by the size of the batch.",
    "performance-latent-dim.png": "Training, MNIST's JMVAE-kl, batch 128: examples per second by the size of z.",
    "performance-samples.png": "The joint importance bound: seconds for an image by the number of samples.",
    "performance-modalities.png": "Training JMVAE-kl with K modalities of 14x14 binary pixels (D256R-D256R, batch "
    "128), by their number and the kind of encoders of subsets.",
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
        "From the start": report_scale.start(first),
        "Many rows, and large images": report_scale.scale(first),
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
    parts = ["# Performance: more tables", "What [Performance](performance.md) leaves out."]
    parts += _titled({f"What arithmetic allows: {processor_name(results[0])}": found.limits(results[0])}, "##")
    for other in results[1:]:
        sections = {
            "How many times faster": report_summary.ratios(other),
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
        "**These are the numbers of a quick run, which shows that everything works and measures nothing.**\n\n"
        if any(result["quick"] for result in every)
        else ""
    )
    cores = next(iter(results[0].values()))["processor"]["cores"]
    processors = "; ".join(map(processor_name, results))
    of_several = (
        f"{cores} cores of each of these processors: {processors}. The summary is of all of them, the tables are of "
        f"the first, and those of the others are in [the appendix]({APPENDIX})"
        if len(results) > 1
        else f"{cores} cores of this processor: {processors}. Long tables are in [an appendix]({APPENDIX})"
    )
    return (
        f"{quick}What tf_jmvae costs, beside libraries that do the same and a careful PyTorch loop by hand, with "
        f"TensorFlow {versions['tensorflow']}, Keras {versions['keras']}"
        + (f", {beside}" if beside else "")
        + f". It was measured, with nothing else to do, on {of_several}. `make bench` measures it again and writes "
        "this page; no test asserts a time."
    )


def _growth(results: Mapping[str, Any], pictures: Mapping[str, list[str]]) -> str | None:
    parts = [f"{_CAPTIONS[file]}\n\n![{_CAPTIONS[file]}](images/{file})" for file in pictures.get("curves", ())]
    if "curves" in results:
        parts.append(_modalities(results["curves"]))
    if "workers" in pictures:
        caption = "Training with several worker processes: examples per second of all together."
        parts.append(f"{caption}\n\n![{caption}](images/{pictures['workers'][0]})")
    if not parts:
        return None
    return "\n\n".join(["Bars reach from the smallest to the largest of the rounds.", *parts])


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
    return table(["modalities", "subsets", "parameters", "MFLOP for each example", "examples / s", "GFLOP / s"], rows)


def _provenance(results: Mapping[str, Any]) -> str:
    text = (
        "The sides take turns in one run, ours in one process and the peer in another, which sleeps while the other "
        "works: each measurement once in every round, and each round begins with another one. Tables give the median "
        "of the rounds and, in brackets, the smallest and the largest. Peers live in an environment of their own "
        "(`benchmarks/peers/requirements.txt`); their code is in `benchmarks/peers`, the results with every round "
        "are in `benchmarks/results`, a folder for each processor."
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
            "Data are random and in memory, so that the input does not count. It keeps ahead also of real "
            f"photographs: `{celeba['preset']}` reads {rates['input']['median']:,.0f} images a second from a prepared "
            f"copy and trains on {rates['training']['median']:,.0f}.",
        )
    if of_table := results.get("table_input"):
        parts.insert(2 if "celeba_input" in results else 1, _of_table(of_table))
    return "\n\n".join(parts)


def _of_table(found: Mapping[str, Any]) -> str:
    rates, seconds = found["images_per_second"], found["seconds_to_read"]
    read = (
        f"they are read in {seconds['first']:.0f} s, and again in {seconds['again']:.0f} s from the copy that is kept"
    )
    same = rates["training on one batch"]["median"]
    return (
        f"A table of one's own may have {found['pictures']:,} pictures of {found['side']}x{found['side']} as files on "
        f"the disk: {read}; batches come at {rates['input']['median']:,.0f} pictures a second, and a model of them "
        f"trains on {rates['training']['median']:,.0f} a second, on one batch that is in memory already on "
        f"{same:,.0f}. The process takes {found['peak_memory_mebibytes']:,.0f} MiB at most, the pages of the copy that "
        "the system keeps in memory among them."
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
