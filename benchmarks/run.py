"""Every benchmark in turn, each in a process of its own, then the page: what `make bench` runs.

    python benchmarks/run.py [--quick] [--again] [--peer-python PYTHON] [--data-dir MNIST] [--celeba-dir CELEBA]

What has a result is not measured again without --again, so a run that was stopped goes on. The machine must have
nothing else to do. The time to quality takes an hour and has a command of its own, `make bench-quality`; so has
celeba_input, which runs here if --celeba-dir names the photographs.
"""

import subprocess
import sys

import harness

NAMES = (
    "products",
    "training",
    "incomplete",
    "importance_sampling",
    "iterated_sampling",
    "calls",
    "serving",
    "memory",
    "op_profile",
    "curves",
    "workers",
    "start",
    "scale",
    "table_input",
    "celeba_input",
)


def main() -> int:
    options = harness.parse(__doc__)
    for name in NAMES:
        if name == "celeba_input" and options.celeba_dir is None:
            continue
        done = subprocess.run([sys.executable, harness.HERE / f"{name}.py", *sys.argv[1:]], check=False)
        if done.returncode:
            return done.returncode
    return subprocess.run([sys.executable, harness.HERE / "report.py", *_where(options)], check=False).returncode


def _where(options: harness.Options) -> list[str]:
    """A quick run must leave the page alone."""
    return ["--results", str(options.results), "--docs", str(options.results)] if options.quick else []


if __name__ == "__main__":
    sys.exit(main())
