"""What some tests need and not every machine has: without it they are skipped, or fail where it is required.

`TF_JMVAE_REQUIRE=mnist,celeba,emoji,fsdd,nginx,tfserving,browser` names what must be there, any of these; `.ci/run`
sets it.
"""

import os

import pytest

KNOWN = ("browser", "celeba", "emoji", "fsdd", "mnist", "nginx", "tfserving")


def required() -> set[str]:
    """What must be there, by $TF_JMVAE_REQUIRE."""
    named = {name.strip() for name in os.environ.get("TF_JMVAE_REQUIRE", "").split(",")} - {""}
    if unknown := named - set(KNOWN):
        raise ValueError(f"$TF_JMVAE_REQUIRE knows {', '.join(KNOWN)}; got {', '.join(sorted(unknown))}.")
    return named


def skip(name: str, reason: str) -> None:
    """Skips the test that lacks `name`, one of `KNOWN`, or fails it if that is required."""
    assert name in KNOWN
    if name in required():
        pytest.fail(f"$TF_JMVAE_REQUIRE has {name!r}, but {reason}")
    pytest.skip(reason)
