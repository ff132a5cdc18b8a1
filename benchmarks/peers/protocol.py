"""The peers' half of `harness.Peer`: a request per line of JSON comes in, an answer per line goes out.

While it waits for a line this process is idle, so that the other side can be timed.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

Handler = Callable[..., Any]


def serve(handlers: Mapping[str, Handler], packages: tuple[str, ...] = ("torch",)) -> None:
    """Answers each request `{"verb": .., **arguments}` by its handler until there are no more.

    What libraries print goes to stderr, and leaves the answers alone. "memory" is answered here.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    versions = {name: metadata.version(name) for name in packages}
    print(json.dumps(versions), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        verb = request.pop("verb")
        answer = peak_memory() if verb == "memory" else handlers[verb](**request)
        print(json.dumps(answer), file=answers, flush=True)


def peak_memory() -> float:
    """The most memory that this process has held, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def repeat(call: Callable[[], Any], seconds: float) -> float:
    """Seconds of a call, over calls that go on for so long."""
    calls, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        call()
        calls += 1
    return (time.perf_counter() - start) / calls
