"""Tables of many files filled, or scored, by Apache Beam, on whatever Beam runs on.

    python -m tf_jmvae.tables.beam fill 'tables/*.csv' --model served/pets/1 --output filled --runner DirectRunner

Each file is written under its name to the folder `--output`, as `tf-jmvae fill` and `tf-jmvae score` write it; unknown
arguments are passed to Beam. All workers must see the files and the model at the same paths, and have this package with
the extras `beam` and `tables`.
"""

import argparse
import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tf_jmvae._utils.checks import check_option
from tf_jmvae._utils.extras import extra
from tf_jmvae.columns import read_table
from tf_jmvae.columns.base import is_gap
from tf_jmvae.data.table import check_columns
from tf_jmvae.serving.opening import open_model
from tf_jmvae.specs import Columns
from tf_jmvae.tables import writing
from tf_jmvae.tables.merging import check_scored, filled, scored
from tf_jmvae.tables.table_model import Exported, kinds_of, naming_files

with extra("beam", "A pipeline of Apache Beam"):
    import apache_beam as beam
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.ml.inference.base import KeyedModelHandler, ModelHandler, RunInference
    from apache_beam.options.pipeline_options import PipelineOptions

with extra("tables", "A table"):
    import pandas as pd

VERBS = ("fill", "score")


class Place(NamedTuple):
    """Position of a row: its file and its number in the file."""

    file: str
    number: int


class Row(NamedTuple):
    """Row of a table: its position, its cells by column, and the folder of the files that they name."""

    place: Place
    cells: dict[str, Any]
    folder: str


class TableHandler(ModelHandler[Row, Any, Exported]):
    """Beam model handler that fills or scores rows with an exported model.

    The results of a row depend only on the seed and on the cells that the model reads, not on its batch or worker.

    Args:
      verb: `"fill"`, whose predictions are dicts of a row's filled cells, or `"score"`, whose predictions are
        log-likelihoods in nats.
      model: path or address of the model, as for `open_model`.
      batch_size: largest number of rows in a batch; by default 256.
      seed: integer seed; by default 0.

    Raises:
      ValueError: if `verb` is unknown; in a pipeline, if a cell is not of its column's kind, with the file and the row.
    """

    def __init__(self, verb: str, model: str, *, batch_size: int = 256, seed: int = 0):
        check_option("verb", verb, VERBS)
        self._verb, self._model, self._seed = verb, model, seed
        super().__init__(max_batch_size=batch_size)

    def load_model(self) -> Exported:
        return Exported(open_model(self._model))

    def run_inference(
        self, batch: Sequence[Row], model: Exported, inference_args: Mapping[str, Any] | None = None
    ) -> Iterable[Any]:
        try:
            return self._answers(batch, model)
        except ValueError as error:
            if len(batch) == 1:
                file, number = batch[0].place
                raise ValueError(f"{file}, row {number + 1:,}: {error}") from error
            for row in batch:  # raises for the wrong row
                self.run_inference([row], model)
            raise

    def _answers(self, batch: Sequence[Row], model: Exported) -> list[Any]:
        rows, seeds = _table(batch, model), np.array([self._seed_of(row, model.columns) for row in batch], np.int32)
        if self._verb == "score":
            return model.scores(rows, "", seeds).tolist()
        gaps = {column: is_gap(rows[column]) for column in model.columns}
        found = model.fill(rows, "", seeds)
        return [
            {key: own[number] for key, own in found.items() if gaps[key if isinstance(key, str) else key[0]][number]}
            for number in range(len(batch))
        ]

    def _seed_of(self, row: Row, columns: Iterable[str]) -> list[int]:
        read = repr((self._seed, [row.cells[column] for column in columns]))
        return np.frombuffer(hashlib.blake2b(read.encode(), digest_size=8).digest(), np.int32).tolist()


class WriteTables(beam.DoFn):
    """Writes each file of results `(file, [(number, answer), ...])`, and yields its path.

    Args:
      verb: `"fill"` or `"score"`, as for the handler.
      columns: dict of the model's `Columns` by modality.
      output: folder of the written tables.
      folder: folder of the files that cells name, or None for the folder of each table.
      reading: dict of options of `data.read_table`.
    """

    def __init__(
        self, verb: str, columns: Mapping[str, Columns], output: str, folder: str | None, reading: Mapping[str, Any]
    ):
        self._verb, self._columns, self._output, self._reading = verb, dict(columns), output, reading
        self._folder = folder

    def process(self, element: tuple[str, Iterable[tuple[int, Any]]]) -> Iterator[str]:
        file, answers = element
        table, answers = read_table(file, **self._reading), [answer for _, answer in sorted(answers, key=itemgetter(0))]
        if len(table) != len(answers):
            raise ValueError(
                f"{file} had {len(answers):,} rows and has {len(table):,}: it was changed in the meantime."
            )
        kinds = kinds_of(self._columns)
        if self._verb == "score":
            table = scored(table, np.array(answers))
        else:
            keys = dict.fromkeys(key for answer in answers for key in answer)
            table = filled(table, kinds, {key: _column(answers, key) for key in keys})
        path = Path(self._output) / Path(file).name
        path.parent.mkdir(parents=True, exist_ok=True)
        writing.write(writing.moved(table, naming_files(kinds), _folder_of(file, self._folder), path), path)
        yield str(path)


def answer_tables(
    files: beam.PCollection[str],
    verb: str,
    model: str,
    columns: Mapping[str, Columns],
    output: str,
    **options: Any,
) -> beam.PCollection[str]:
    """Fills or scores tables in a pipeline.

    Args:
      files: PCollection of paths of tables.
      verb: `"fill"` or `"score"`.
      model: path or address of an exported model.
      columns: dict of the model's `Columns` by modality, such as those of `open_model(model).modalities`.
      output: folder of the written tables.
      **options: `folder` of the files that cells name, by default that of each table; `seed` and `batch_size` of the
        handler; all others are options of `data.read_table`.

    Returns:
      PCollection of the paths of the written tables.

    Raises:
      ValueError: if the scores would replace a column that the model reads.
    """
    if verb == "score":
        check_scored(column for own in columns.values() for column in own.names)
    folder, handler = options.pop("folder", None), {k: options.pop(k) for k in ("seed", "batch_size") if k in options}
    return (
        files
        | "Share the files" >> beam.Reshuffle()
        | "Read rows" >> beam.FlatMap(_rows, dict(columns), folder, options)
        | "Share the rows" >> beam.Reshuffle()
        | "Ask the model" >> RunInference(KeyedModelHandler(TableHandler(verb, model, **handler)))
        | "By file" >> beam.MapTuple(lambda place, answer: (place.file, (place.number, answer)))
        | "Rows of a file" >> beam.GroupByKey()
        | "Write" >> beam.ParDo(WriteTables(verb, columns, output, folder, options))
    )


def main(words: Sequence[str] | None = None) -> int:
    """Runs the pipeline with command-line arguments, and prints the paths of the written tables."""
    parser = argparse.ArgumentParser(prog="python -m tf_jmvae.tables.beam", description=__doc__.split("\n")[0])
    parser.add_argument("verb", choices=VERBS)
    parser.add_argument("tables", nargs="+", help="CSV or Parquet files, or patterns of their names")
    parser.add_argument("--model", required=True, help="an exported SavedModel, or the address of a served one")
    parser.add_argument("--output", required=True, help="folder of the tables that are written")
    parser.add_argument("--folder", help="of the files that cells name (that of each table)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--delimiter")
    parser.add_argument("--decimal", default=".")
    parser.add_argument("--encoding", default="utf-8")
    options, others = parser.parse_known_args(words)
    matches = FileSystems.match(options.tables)
    files = sorted({found.path for match in matches for found in match.metadata_list})
    if not files:
        parser.error(f"there is no table called {' or '.join(options.tables)}")
    if len({Path(file).stem for file in files}) < len(files):
        parser.error("several tables have one name but for folder and suffix; each is written by its name: rename some")
    if any(Path(file).resolve().parent == Path(options.output).resolve() for file in files):
        parser.error("--output is the folder of the tables, which would be overwritten; name another")
    try:
        columns = {name: modality.columns for name, modality in open_model(options.model).modalities.items()}
        kinds_of(columns)  # raises for models without table columns
    except (OSError, ValueError) as error:
        parser.error(f"--model: {error}")
    more = {key: getattr(options, key) for key in ("folder", "seed", "delimiter", "decimal", "encoding")}
    with beam.Pipeline(options=PipelineOptions(others)) as pipeline:
        paths = pipeline | beam.Create(files)
        answer_tables(paths, options.verb, options.model, columns, options.output, **more) | beam.Map(print)
    return 0


def _rows(
    file: str, columns: Mapping[str, Columns], folder: str | None, reading: Mapping[str, Any]
) -> Iterator[tuple[Place, Row]]:
    table = read_table(file, **reading)
    for name, own in columns.items():
        check_columns(table, own.names, f"{file}: {name}")
    of_files = str(_folder_of(file, folder))
    for number, cells in enumerate(table.to_dict("records")):
        place = Place(file, number)
        yield place, Row(place, cells, of_files)


def _table(batch: Sequence[Row], model: Exported) -> pd.DataFrame:
    """Makes a table of the rows, with full paths in cells that name files."""
    rows = pd.DataFrame([row.cells for row in batch], dtype=object)
    for column in naming_files(model.kinds):
        rows[column] = [
            str(Path(row.folder) / row.cells[column]) if isinstance(row.cells[column], str) else row.cells[column]
            for row in batch
        ]
    return rows


def _folder_of(file: str, folder: str | None) -> Path:
    """Returns the folder of the files that a table's cells name."""
    return Path(file).parent if folder is None else Path(folder)


def _column(answers: Sequence[Mapping[Any, Any]], key: Any) -> np.ndarray:
    """Collects the results of a column, `[N]`; NaN or None for cells that were not missing."""
    found = [answer.get(key) for answer in answers]
    if all(own is None or (np.ndim(own) == 0 and not isinstance(own, str)) for own in found):
        return np.array(found, np.float64)
    objects = np.empty(len(found), object)
    objects[:] = found
    return objects


if __name__ == "__main__":
    from tf_jmvae.tables.beam import main as run  # workers import the classes by the module's name

    sys.exit(run())
