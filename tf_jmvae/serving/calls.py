"""Calls of a server: how they fail, and how those are made again that the caller did nothing wrong in.

Every signature is a pure function of its inputs, so a call may be made twice.
"""

import random
import re
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np
import tensorflow as tf

T = TypeVar("T")

FOREIGN = "FOREIGN"  # the code of a CallError where something answered that is no TF Serving

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0  # seconds
_LAST_MOMENT = 1e-3  # a timeout must be more than 0
_BUSY = re.compile("batch scheduling queue|HTTP 503")  # "The batch scheduling queue to which this task was .. is full"
_OWN_SIZE = "larger than max"  # gRPC's own limits, which use the same code
_OTHER_SHAPES = "from different tasks have different shapes"  # by batching_session.cc
_DECODER = re.compile("Decode(Image|Jpeg)")  # the op that could not decode a file
_IMAGES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM")  # how files start that every TensorFlow decodes


class CallError(Exception):
    """What a transport raises: gRPC's name of the code, and what the server or the network said."""

    def __init__(self, code: str, details: str):
        super().__init__(code, details)  # both, or it could not be unpickled
        self.code, self.details = code, details

    def __str__(self) -> str:
        return f"{self.code}: {self.details}"


def answer(call: Callable[[float], T], timeout: float, is_passing: Callable[[CallError], bool]) -> T:
    """What `call` returns, which gets the seconds that are left, and is called again while its errors are passing.

    Pauses double from some 20 ms to a second, each by chance up to a half shorter, so that callers who were refused
    together do not come back together. When there is no time for another pause, the last refusal is raised.
    """
    end, longest, refusal = time.monotonic() + timeout, _FIRST_PAUSE, None
    while True:
        try:
            return call(max(end - time.monotonic(), _LAST_MOMENT))
        except CallError as error:
            if refusal is not None and error.code == "DEADLINE_EXCEEDED":
                raise refusal from None  # which says more
            pause = longest * random.uniform(0.5, 1.0)
            if not is_passing(error) or time.monotonic() + pause >= end:
                raise
            refusal = error
        time.sleep(pause)
        longest = min(2 * longest, _LONGEST_PAUSE)


def is_busy(error: CallError) -> bool:
    """Whether the server, or a proxy in front of it, took no more requests when this one came."""
    if error.code == "UNAVAILABLE":  # of a server that is not there, too
        return bool(_BUSY.search(error.details))
    return error.code == "RESOURCE_EXHAUSTED" and _OWN_SIZE not in error.details


def is_spoiled(error: CallError, inputs: Mapping[str, np.ndarray]) -> bool:
    """Whether a request whose inputs fit its signature failed because of another one that the server joined it with.

    That one had another shape, or held a file that is no image while all files of this one can be decoded.
    """
    if error.code not in ("INVALID_ARGUMENT", "FAILED_PRECONDITION"):
        return False
    if _OTHER_SHAPES in error.details:
        return True
    files = [file for value in inputs.values() if value.dtype == object for file in value]
    return bool(files and _DECODER.search(error.details) and all(map(_is_image, files)))


def _is_image(file: bytes) -> bool:
    if not file.startswith(_IMAGES):
        return False
    try:
        tf.io.decode_image(file, channels=3, expand_animations=False)
    except tf.errors.OpError:
        return False
    return True
