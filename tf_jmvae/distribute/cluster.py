"""The workers that `TF_CONFIG` names: TensorFlow's own description of a cluster, the same on each but for `task`."""

import json
import os
from typing import NamedTuple

__all__ = ["Cluster"]

_EXAMPLE = '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'


class Cluster(NamedTuple):
    """All workers, the chief first, and which of them this process is.

    Attributes:
      workers: `host:port` of each.
      index: of this process.
    """

    workers: tuple[str, ...]
    index: int

    @classmethod
    def from_environment(cls) -> "Cluster | None":
        """What `TF_CONFIG` says; None if it is not set.

        Raises:
          ValueError: it is set to something else than a cluster of workers and a place in it.
        """
        text = os.environ.get("TF_CONFIG", "").strip()
        if not text or text == "{}":
            return None
        try:
            config = json.loads(text)
            jobs, kind, index = config["cluster"], config["task"]["type"], int(config["task"]["index"])
            chief, workers = list(jobs.get("chief", ())), list(jobs.get("worker", ()))
            place = {"chief": index, "worker": len(chief) + index}[kind]
            if not 0 <= index < len(jobs[kind]) or set(jobs) - {"chief", "worker"}:
                raise ValueError(f"there is no {kind} {index} in a cluster of workers")
            if len({*chief, *workers}) < len(chief) + len(workers):
                raise ValueError("two workers have one address")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"TF_CONFIG must name every worker and which one this is, such as {_EXAMPLE}; got {text} ({error!r})."
            ) from error
        return cls((*chief, *workers), place)
