"""Columns of pictures: names of files, which are read, cropped and resized."""

import os
import pathlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tensorflow as tf

from tf_jmvae._utils import checks
from tf_jmvae._utils.gaps import missing_rows
from tf_jmvae.columns.base import Kind, is_gap, one_column
from tf_jmvae.columns.files import reported
from tf_jmvae.images.preprocessing import open_rgb, prepared
from tf_jmvae.registry import COLUMNS
from tf_jmvae.specs import Columns, Preprocessing

_LARGE = 32  # smallest side in pixels for a third convolution


@COLUMNS.register("image")
class Image(Kind):
    """Column of pictures of any size and format, given as file names, bytes or arrays of pixel values."""

    averages = False
    names_files = True

    @classmethod
    def adapt(cls, table, names, folder=".", *, size=(32, 32), channels=3):
        name = one_column("image", names)
        sides = (size, size) if isinstance(size, int) else tuple(size)
        if len(sides) != 2:
            raise ValueError(f"Column {name!r}: size must be a height and a width, such as [32, 32]; got {size!r}.")
        height, width = (checks.positive_integer(f"size of column {name!r}", side) for side in sides)
        if height % 4 or width % 4 or channels not in (1, 3):
            raise ValueError(
                f"Column {name!r}: images need a height and a width that are multiples of 4, and 1 channel (grey) or 3 "
                f"(RGB); got {height} x {width}, {channels} channels."
            )
        return Columns("image", (name,), (height, width, channels))

    @property
    def settings(self) -> dict[str, Any]:
        large = min(self.columns.shape[:2]) >= _LARGE and not any(size % 8 for size in self.columns.shape[:2])
        return {
            "event_shape": self.columns.shape,
            "likelihood": "gaussian",
            "standardized": True,
            "variance": 1.0,
            "optional": True,
            "encoder": {"filters": (32, 64, 128)[: 2 + large], "units": (128,)},
            "decoder": {"filters": (128, 64)[1 - large :]},
        }

    def encode(self, table, folder="."):
        (name,) = self.columns.names
        gaps, cells = is_gap(table[name]), table[name].to_numpy(object)
        values = np.zeros((len(cells), *self.columns.shape), np.uint8)
        problems: dict[int, str] = {}

        def read(row: int) -> None:
            source = cells[row]
            if isinstance(source, str | os.PathLike):
                source = pathlib.Path(folder) / source
            try:
                values[row] = prepared(open_rgb(source), self.columns.shape, Preprocessing())
            except (OSError, ValueError, TypeError) as error:
                problems[row] = str(error) or type(error).__name__

        with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow releases the GIL to decode
            list(pool.map(read, np.flatnonzero(~gaps)))
        gaps = gaps | reported(table[name], "picture", problems, ~gaps)
        if not gaps.any():
            return values
        values = values.astype(np.float32)
        values[gaps] = np.nan
        return values

    def requested(self, table, folder="."):
        values = self.encode(table, folder)
        gaps = missing_rows(values)
        pixels = np.nan_to_num(values).astype(np.uint8)
        return np.array(
            [b"" if gap else tf.io.encode_png(one).numpy() for gap, one in zip(gaps, pixels, strict=True)], object
        )

    def decode(self, values):
        (name,) = self.columns.names
        pixels = np.clip(np.rint(np.nan_to_num(np.asarray(values))), 0, 255).astype(np.uint8)
        found = np.empty(len(pixels), object)
        found[:] = list(pixels)
        return {name: found}
