"""Errors of server calls, and retries of calls that failed for temporary reasons.

Every signature is a pure function of its inputs, so a call may be repeated.
"""

import random
import re
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np
import tensorflow as tf

T = TypeVar("T")

FOREIGN = "FOREIGN"  # code of a CallError if the server that answered is not TF Serving

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0  # seconds
_LAST_MOMENT = 1e-3  # smallest timeout in seconds, which must be positive
_BUSY = re.compile("batch scheduling queue|HTTP 503")  # "The batch scheduling queue to which this task was .. is full"
_OWN_SIZE = "larger than max"  # gRPC's message size limits, which use the same code
_OTHER_SHAPES = "from different tasks have different shapes"  # message of batching_session.cc
_DECODER = re.compile("Decode(Image|Jpeg)")  # the op that could not decode a file
_IMAGES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM")  # first bytes of the formats that every TensorFlow decodes


class CallError(Exception):
    """Error of a transport: gRPC's name of the status code, and the message of the server or the network."""

    def __init__(self, code: str, details: str):
        super().__init__(code, details)  # both, so that the error can be unpickled
        self.code, self.details = code, details

    def __str__(self) -> str:
        return f"{self.code}: {self.details}"


def answer(call: Callable[[float], T], timeout: float, is_passing: Callable[[CallError], bool]) -> T:
    """Returns `call(seconds_left)`, and retries until the timeout while `is_passing(error)` holds.

    Pauses double from about 20 ms to one second, each shortened at random by up to a half, so that callers that were
    refused together do not retry together. If no time is left for another pause, the last refusal is raised.
    """
    end, longest, refusal = time.monotonic() + timeout, _FIRST_PAUSE, None
    while True:
        try:
            return call(max(end - time.monotonic(), _LAST_MOMENT))
        except CallError as error:
            if refusal is not None and error.code == "DEADLINE_EXCEEDED":
                raise refusal from None  # the refusal is more informative
            pause = longest * random.uniform(0.5, 1.0)
            if not is_passing(error) or time.monotonic() + pause >= end:
                raise
            refusal = error
        time.sleep(pause)
        longest = min(2 * longest, _LONGEST_PAUSE)


def is_busy(error: CallError) -> bool:
    """Returns whether the server, or a proxy in front of it, refused the request because it was overloaded."""
    if error.code == "UNAVAILABLE":  # also the code of an unreachable server
        return bool(_BUSY.search(error.details))
    return error.code == "RESOURCE_EXHAUSTED" and _OWN_SIZE not in error.details


def is_spoiled(error: CallError, inputs: Mapping[str, np.ndarray]) -> bool:
    """Returns whether a valid request failed because of another request in the same server batch.

    The other request had another shape, or held a file that is not an image while all files of this one can be decoded.
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
