"""What the benchmarks share: options, peers in processes of their own, turns, statistics, and the origin of a result.

A benchmark is a function from `Options` to a dict; `run` gives it a command line and writes what it found to
`benchmarks/results/PROCESSOR/NAME.json`, whole or not at all. A result that is there is not measured again without
`--again`.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tf_jmvae._utils.files import write_json
from tf_jmvae._utils.provenance import environment

SEED = 0
HERE = pathlib.Path(__file__).resolve().parent
RESULTS = HERE / "results"  # with a folder for each processor
QUICK_RESULTS = HERE.parent / "build" / "benchmarks-quick"
PEERS_PYTHON = HERE.parent / ".venv-peers" / "bin" / "python"
PAUSE = 0.1  # seconds before a turn, in which the threads of the side before fall asleep


@dataclasses.dataclass(frozen=True)
class Options:
    """How to measure: `quick` shows that everything works and measures nothing."""

    quick: bool = False
    again: bool = False
    peer_python: pathlib.Path = PEERS_PYTHON
    results: pathlib.Path = RESULTS
    data_dir: pathlib.Path | None = None
    celeba_dir: pathlib.Path | None = None

    def rounds(self, number: int) -> int:
        return 2 if self.quick else number

    def seconds(self, number: float) -> float:
        return min(0.1, number) if self.quick else number


def parse(description: str, arguments: Sequence[str] | None = None, *, by_processor: bool = True) -> Options:
    """Options from a command line, equal for all benchmarks; results that hold no times need not be `by_processor`."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny measurements, to see that everything works")
    parser.add_argument("--again", action="store_true", help="measure also what has a result")
    parser.add_argument("--peer-python", type=pathlib.Path, default=PEERS_PYTHON, help="a Python that has the peers")
    parser.add_argument("--results", type=pathlib.Path, help="folder of the results (that of this processor)")
    parser.add_argument("--data-dir", type=pathlib.Path, help="folder with MNIST's four files, where it is needed")
    parser.add_argument("--celeba-dir", type=pathlib.Path, help="folder with CelebA, where it is needed")
    options = vars(parser.parse_args(arguments))
    kept = RESULTS / folder_of(processor()) if by_processor else RESULTS
    options["results"] = options["results"] or (QUICK_RESULTS if options["quick"] else kept)
    return Options(**options)


def run(name: str, description: str, measure: Callable[[Options], dict[str, Any]], *, by_processor: bool = True) -> int:
    """The command of a benchmark: measures, unless that is done, and writes the result."""
    options = parse(description, by_processor=by_processor)
    if read(name, options.results) is not None and not options.again:
        print(f"{name}: measured before; --again measures anew.")
        return 0
    start = time.monotonic()
    found = measure(options)
    record(name, {**found, "minutes": (time.monotonic() - start) / 60}, options)
    print(f"{name}: {time.monotonic() - start:.0f} s", flush=True)
    return 0


def record(name: str, found: Mapping[str, Any], options: Options) -> None:
    """Writes a result with its origin."""
    options.results.mkdir(parents=True, exist_ok=True)
    origin = {"seed": SEED, "quick": options.quick, "processor": processor(), **environment("benchmarks/results")}
    write_json(options.results / f"{name}.json", {**found, **origin})


def read(name: str, results: pathlib.Path) -> dict[str, Any] | None:
    """A finished result, or None."""
    path = results / f"{name}.json"
    found = json.loads(path.read_text()) if path.is_file() else None
    return found if found is not None and "processor" in found else None


def processor() -> dict[str, Any]:
    """The processor's name, how many cores this process may use, and its instructions for matrices."""
    lines = pathlib.Path("/proc/cpuinfo")
    facts = {}
    if lines.is_file():
        pairs = (line.partition(":") for line in lines.read_text().splitlines())
        facts = {key.strip(): value.strip() for key, _, value in pairs if value}
    flags = facts.get("flags", "").split()
    return {
        "name": facts.get("model name", "unknown"),
        "cores": len(os.sched_getaffinity(0)),
        "instructions": [flag for flag in flags if flag in ("avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16")],
    }


def folder_of(facts: Mapping[str, Any]) -> str:
    """What the folder of a processor's results is called: its name, and the newest of its instructions."""
    words = [facts["name"], *facts["instructions"][-1:]]
    return re.sub(r"[^a-z0-9_]+", "-", " ".join(words).lower()).strip("-")


class Peer:
    """A program of `benchmarks/peers`, in a process and an environment of its own; it waits while we measure ours.

    Args:
      options: say which Python runs it.
      script: its name in `benchmarks/peers`.
    """

    def __init__(self, options: Options, script: str):
        if not options.peer_python.is_file():
            raise SystemExit(
                f"There is no {options.peer_python}, the Python of the peers. Run make bench, which sets it up, or "
                "name one with --peer-python that has what benchmarks/peers/requirements.txt lists."
            )
        self._script = script
        # Its own compiled kernels: a benchmark that was killed leaves broken ones in the shared cache.
        self._cache = tempfile.TemporaryDirectory()
        self._process = subprocess.Popen(
            [options.peer_python, HERE / "peers" / f"{script}.py"],
            env={**os.environ, "TORCHINDUCTOR_CACHE_DIR": self._cache.name},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.versions: dict[str, str] = self._answer()

    def ask(self, verb: str, **arguments: Any) -> Any:
        """What the peer answers to a request; its time is in the answer, not that of the call."""
        with contextlib.suppress(BrokenPipeError):  # there is then no answer, which is said
            self._process.stdin.write(json.dumps({"verb": verb, **arguments}) + "\n")
            self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"benchmarks/peers/{self._script}.py ended; it says why above.")
        return json.loads(line)

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: Any) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()
        self._cache.cleanup()


def alternate(
    measures: Mapping[str, Callable[[], float]], rounds: int, pause: float = PAUSE
) -> dict[str, dict[str, Any]]:
    """Each measurement once in every round, one after the other; each round begins with another one.

    Whatever slows the machine for a while then meets all of them.
    """
    names = list(measures)
    found: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            time.sleep(pause)
            found[name].append(measures[name]())
    return {name: summary(values) for name, values in found.items()}


def seconds_of(call: Callable[[], Any]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def repeat(call: Callable[[], Any], seconds: float) -> float:
    """Seconds of a call, over calls that go on for so long."""
    calls, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        call()
        calls += 1
    return (time.perf_counter() - start) / calls


def repeat_cpu(call: Callable[[], Any], seconds: float) -> float:
    """Seconds of this process's processor time, in its own code, of a call, over calls that go on for so long."""
    calls, start, before = 0, time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_utime
    while time.perf_counter() - start < seconds:
        call()
        calls += 1
    return (resource.getrusage(resource.RUSAGE_SELF).ru_utime - before) / calls


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Median, smallest and largest of several measurements, and themselves."""
    return {"median": statistics.median(values), "low": min(values), "high": max(values), "rounds": list(values)}


def show(title: str, found: Mapping[str, Mapping[str, Any]], unit: str) -> None:
    """Prints summaries."""
    for name, values in found.items():
        low, median, high = values["low"], values["median"], values["high"]
        print(f"{title:28} {name:42} {median:12.5g} {unit}  ({low:.5g} to {high:.5g})", flush=True)


def child(script: str, *arguments: str) -> Any:
    """What another of our scripts prints as JSON in its last line, in a process of its own."""
    command = [sys.executable, HERE / f"{script}.py", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])
