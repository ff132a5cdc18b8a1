"""What verbs about a table have in common: the table, the model that answers, and how both are opened."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from tf_jmvae.cli.common import Common, default, load_tensorflow, metavar, note, watched

if TYPE_CHECKING:
    from tf_jmvae.tables.askable import Model


@dataclass(frozen=True, kw_only=True)
class OfTable(Common):
    """The table and the model."""

    table: Annotated[Path, tyro.conf.Positional, metavar("TABLE")]
    """A CSV or Parquet file with the columns that the run was trained on."""
    run: str
    """The folder of a finished run of tf-jmvae train --data, an exported SavedModel, or the address of a served one."""
    folder: Annotated[Path | None, default("as in training, seen from the table")] = None
    """Folder of the files that cells name."""


def opened(options: OfTable, output: Path, *suffixes: str) -> tuple["Model", dict[str, Any]]:
    """The model, and options of functions about a table.

    Raises `ValueError` unless the output is a table by its suffix, or has one of the others.
    """
    load_tensorflow(debug=options.debug)
    from tf_jmvae.serving.opening import open_model
    from tf_jmvae.tables import writing
    from tf_jmvae.training.run_folder import load_model, read_config

    writing.check_name(output, *suffixes)
    note("Loading the model ...")
    common, run = {"verbose": int(watched())}, Path(options.run)
    if not (run / "config.json").is_file():
        return open_model(options.run), {"folder": options.folder or options.table.parent, **common}
    model = load_model(run / "model.keras")
    data = read_config(run, "Name the folder of a run of tf-jmvae train --data.").data
    reading = {key: getattr(data, key) for key in ("delimiter", "decimal", "encoding") if getattr(data, key)}
    folder = options.folder or folder_of_files(options.table, trained_on=data.table, files=data.data_dir)
    return model, {"folder": folder, **common, **reading}


def folder_of_files(table: Path, *, trained_on: Path | None, files: Path | None) -> Path:
    """The folder that lies to a table as in training the `files` did to theirs; if there is none, that of the table."""
    if trained_on is None or files is None:  # of a run on another dataset, whose model says that it has no columns
        return table.parent
    found = table.resolve().parent / os.path.relpath(files, trained_on.parent)
    return found if found.is_dir() else table.parent
