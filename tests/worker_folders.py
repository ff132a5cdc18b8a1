"""What the worker processes of one run of the tests have in common."""

import os
import pathlib


def shared_folder(tmp_path_factory, name) -> pathlib.Path:
    """A folder of this run of the tests that its workers have in common."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    folder.mkdir(exist_ok=True)
    return folder
