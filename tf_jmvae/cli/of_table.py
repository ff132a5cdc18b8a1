"""Common parts of verbs on tables: the options of the table and the model, and their opening."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from tf_jmvae.cli.common import Common, default, load_tensorflow, metavar, note, watched

if TYPE_CHECKING:
    import pandas as pd

    from tf_jmvae.tables.table_model import Model


@dataclass(frozen=True, kw_only=True)
class OfTable(Common):
    """Options of the table and the model."""

    table: Annotated[Path, tyro.conf.Positional, metavar("TABLE")]
    """A CSV or Parquet file with the columns that the run was trained on."""
    run: str
    """The folder of a finished run of tf-jmvae train --data, an exported SavedModel, or the address of a served one."""
    folder: Annotated[Path | None, default("as in training, relative to the table")] = None
    """Folder with the files that cells name."""
    delimiter: Annotated[str | None, default("as in training, or the one that fits")] = None
    """Character between the cells of a CSV file."""
    decimal: Annotated[str | None, default("as in training, or a point")] = None
    """Decimal point of a CSV file."""
    encoding: Annotated[str | None, default("as in training, or UTF-8")] = None
    """Encoding of a CSV file."""


def opened(options: OfTable, output: Path, *suffixes: str) -> tuple["Model", "pd.DataFrame", dict[str, Any]]:
    """Opens the model and reads the table, and returns them with the options of functions on tables.

    Raises `ValueError` unless the suffix of the output is that of a table or in `suffixes`.
    """
    load_tensorflow(debug=options.debug)
    from tf_jmvae.data import read_table
    from tf_jmvae.serving.opening import keras_file, open_model
    from tf_jmvae.tables import writing
    from tf_jmvae.training.run_folder import load_model, read_config

    writing.check_name(output, *suffixes)
    note("Loading the model ...")
    run = Path(options.run)
    if (file := keras_file(run)) is None:
        model, data = open_model(options.run), None
    else:
        model = load_model(file)
        known = (file.parent / "config.json").is_file()
        data = read_config(file.parent, "Name the folder of a run of tf-jmvae train --data.").data if known else None
    reading = {key: getattr(options, key) or getattr(data, key, None) for key in ("delimiter", "decimal", "encoding")}
    trained_on, files = getattr(data, "table", None), getattr(data, "data_dir", None)
    folder = options.folder or folder_of_files(options.table, trained_on=trained_on, files=files)
    table = read_table(options.table, **{key: value for key, value in reading.items() if value})
    return model, table, {"folder": folder, "verbose": int(watched())}


def folder_of_files(table: Path, *, trained_on: Path | None, files: Path | None) -> Path:
    """Returns the folder at the same relative path to a table as `files` in training, or else that of the table."""
    if trained_on is None or files is None:  # a run on another dataset, whose model raises that it has no columns
        return table.parent
    found = table.resolve().parent / os.path.relpath(files, trained_on.parent)
    return found if found.is_dir() else table.parent
