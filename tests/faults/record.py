"""What `make reliability` measures goes into docs/results/reliability.json and the table of docs/reliability.md."""

import json
import os
import pathlib
import platform
import re

from tf_jmvae._utils.files import locked, replace_atomically, write_json
from tf_jmvae._utils.provenance import environment

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE, RECORD = ROOT / "docs/reliability.md", ROOT / "docs/results/reliability.json"
WRITES = "RELIABILITY_KILLS" in os.environ  # which only `make reliability` sets
KILLS = int(os.environ.get("RELIABILITY_KILLS", 0))
SEED = int(os.environ.get("RELIABILITY_SEED", 0))
_MADE = environment()  # before anything is written
_HEAD = "| fault | times | what was checked | outcome | commit | seed |\n|---|---|---|---|---|---|\n"
_TABLE = re.compile(r"(?<=<!-- measured -->\n).*?(?=<!-- end -->)", re.DOTALL)


def record(fault, times, checked, outcome="held"):
    """A row of the table, in place of that of the same fault, if this is `make reliability`."""
    if not WRITES:
        return
    commit = f"{_MADE['commit'][:10]}{' with changes' if _MADE['dirty'] else ''}" if _MADE["commit"] else "none"
    row = {
        "times": times,
        "checked": checked,
        "outcome": outcome,
        "commit": commit,
        "seed": SEED,
        "processor": _processor(),
    }
    with locked(ROOT):  # several parts may be measured at once
        rows = json.loads(RECORD.read_text()) if RECORD.exists() else {}
        rows[fault] = row
        write_json(RECORD, dict(sorted(rows.items())))
        replace_atomically(PAGE, lambda path: pathlib.Path(path).write_text(_page(PAGE.read_text(), rows)))


def _page(text, rows):
    lines = [
        f"| {fault} | {row['times']:,} | {row['checked']} | {row['outcome']} | {row['commit']} | {row['seed']} |\n"
        for fault, row in sorted(rows.items())
    ]
    machines = " and ".join(sorted({row["processor"] for row in rows.values()}))
    return _TABLE.sub(lambda _: f"\n{_HEAD}{''.join(lines)}\nMeasured on {machines}.\n\n", text)


def _processor():
    names = re.findall(r"^model name\s*:\s*(.+)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return f"{len(os.sched_getaffinity(0))} x {names[0] if names else platform.processor()}"
