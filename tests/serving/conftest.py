"""Models that several files of tests share, exported once."""

import functools

import exported
import pytest


@pytest.fixture(scope="session")
def exports(tmp_path_factory):
    """The version's folder of a kind, `KIND/1`, exported when a test first asks for it."""
    folder = tmp_path_factory.mktemp("exports")

    @functools.cache
    def version(kind):
        with exported.optimizers(kind in exported.OPTIMIZED):
            return exported.make(kind).export(folder / kind, **exported.KINDS[kind][-1])

    return version
