"""What setup.py tells setuptools."""

import pathlib
import runpy
from unittest import mock


def read():
    """The arguments of its call of `setup`."""
    root = pathlib.Path(__file__).parent.parent
    with mock.patch("setuptools.setup") as setup, mock.patch("setuptools.find_packages", return_value=[]):
        runpy.run_path(str(root / "setup.py"))
    return setup.call_args.kwargs
