"""Tables of many files filled, or scored, by Apache Beam, on whatever Beam runs on.

    python -m tf_jmvae.tables.beam fill 'tables/*.csv' --model served/pets/1 --output filled --runner DirectRunner

Each file becomes one of its name in the folder `--output`, just as `tf-jmvae fill` and `tf-jmvae score` write it; what
the arguments do not know is for Beam. All workers must see the files and the model by the same paths, and have this
package with the extras `beam` and `tables`.
"""

import argparse
import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tf_jmvae._utils.extras import extra
from tf_jmvae.columns import read_table
from tf_jmvae.columns.base import is_gap
from tf_jmvae.serving.opening import open_model
from tf_jmvae.tables import writing
from tf_jmvae.tables.answers import filled, scored
from tf_jmvae.tables.askable import Exported

with extra("beam", "A pipeline of Apache Beam"):
    import apache_beam as beam
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.ml.inference.base import KeyedModelHandler, ModelHandler, RunInference
    from apache_beam.options.pipeline_options import PipelineOptions

with extra("tables", "A table"):
    import pandas as pd

VERBS = ("fill", "score")


class Place(NamedTuple):
    """Where a row stands: the file and its number in it."""

    file: str
    number: int


class Row(NamedTuple):
    """A row of a table, with the folder of the files that its cells name."""

    cells: dict[str, Any]
    folder: str


class TableHandler(ModelHandler[Row, Any, Exported]):
    """Beam's handler of an exported model that fills or scores rows.

    A row's answer depends on the row and the seed alone, not on the batch or the worker that it comes to.

    Args:
      verb: `"fill"`, of which the predictions are dicts of what stands in a row's gaps, or `"score"`, of which they are
        log-likelihoods in nats.
      model: Path or address of the model, as for `open_model`.
      batch_size: Largest number of rows that are asked at once; by default 256.
      seed: Integer seed; by default 0.
    """

    def __init__(self, verb: str, model: str, *, batch_size: int = 256, seed: int = 0):
        self._verb, self._model, self._seed = verb, model, seed
        super().__init__(max_batch_size=batch_size)

    def load_model(self) -> Exported:
        return Exported(open_model(self._model))

    def run_inference(
        self, batch: Sequence[Row], model: Exported, inference_args: Mapping[str, Any] | None = None
    ) -> Iterable[Any]:
        rows, seeds = self._table(batch, model), np.array([self._seed_of(row) for row in batch], np.int32)
        if self._verb == "score":
            return model.scores(rows, "", seeds).tolist()
        columns = [column for kind in model.kinds.values() for column in kind.columns.names]
        gaps = {column: is_gap(rows[column]) for column in columns}
        found = model.fill(rows, "", seeds)
        return [
            {key: own[number] for key, own in found.items() if gaps[key if isinstance(key, str) else key[0]][number]}
            for number in range(len(batch))
        ]

    def _table(self, batch: Sequence[Row], model: Exported) -> pd.DataFrame:
        """The rows as a table whose cells name files by whole paths."""
        rows = pd.DataFrame([row.cells for row in batch], dtype=object)
        for kind in model.kinds.values():
            if kind.columns.kind in ("image", "array"):
                (column,) = kind.columns.names
                cells = zip(rows[column], is_gap(rows[column]), batch, strict=True)
                rows[column] = [None if gap else str(Path(row.folder) / cell) for cell, gap, row in cells]
        return rows

    def _seed_of(self, row: Row) -> list[int]:
        digest = hashlib.blake2b(repr((self._seed, sorted(row.cells.items()))).encode(), digest_size=8).digest()
        return np.frombuffer(digest, np.int32).tolist()


class WriteTables(beam.DoFn):
    """Writes each file of answers `(file, [(number, answer), ...])`, and gives its path.

    Args:
      verb: As of the handler.
      columns: Names of the model's columns.
      output: Folder.
      reading: Options of `data.read_table`.
    """

    def __init__(self, verb: str, columns: Sequence[str], output: str, reading: Mapping[str, Any]):
        self._verb, self._columns, self._output, self._reading = verb, columns, output, reading

    def process(self, element: tuple[str, Iterable[tuple[int, Any]]]) -> Iterator[str]:
        file, answers = element
        table, answers = read_table(file, **self._reading), [answer for _, answer in sorted(answers, key=_number)]
        if self._verb == "score":
            table = scored(table, np.array(answers))
        else:
            keys = dict.fromkeys(key for answer in answers for key in answer)
            table = filled(table, self._columns, {key: _column(answers, key) for key in keys})
        path = Path(self._output) / Path(file).name
        path.parent.mkdir(parents=True, exist_ok=True)
        writing.write(table, path)
        yield str(path)


def answers(
    files: beam.PCollection[str], verb: str, model: str, columns: Sequence[str], output: str, **options: Any
) -> beam.PCollection[str]:
    """Fills or scores tables in a pipeline.

    Args:
      files: Paths of tables.
      verb: `"fill"` or `"score"`.
      model: Path or address of an exported model.
      columns: Names of the model's columns.
      output: Folder of the tables that are written.
      **options: `folder` of files that cells name, by default that of each table; `seed` and `batch_size` of the
        handler; any other is one of `data.read_table`.

    Returns:
      The paths of the tables that were written.
    """
    folder, handler = options.pop("folder", None), {k: options.pop(k) for k in ("seed", "batch_size") if k in options}
    return (
        files
        | "Share the files" >> beam.Reshuffle()
        | "Read rows" >> beam.FlatMap(_rows, folder, options)
        | "Share the rows" >> beam.Reshuffle()
        | "Ask the model" >> RunInference(KeyedModelHandler(TableHandler(verb, model, **handler)))
        | "By file" >> beam.MapTuple(lambda place, answer: (place.file, (place.number, answer)))
        | "Rows of a file" >> beam.GroupByKey()
        | "Write" >> beam.ParDo(WriteTables(verb, columns, output, options))
    )


def main(words: Sequence[str] | None = None) -> int:
    """Runs the pipeline that the command's words describe, and prints which tables were written."""
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
    if len({Path(file).name for file in files}) < len(files):
        parser.error("tables of several folders have one name; each is written by its name, so rename some")
    kinds = Exported(open_model(options.model)).kinds
    columns = [column for kind in kinds.values() for column in kind.columns.names]
    more = {key: getattr(options, key) for key in ("folder", "seed", "delimiter", "decimal", "encoding")}
    with beam.Pipeline(options=PipelineOptions(others)) as pipeline:
        paths = pipeline | beam.Create(files)
        answers(paths, options.verb, options.model, columns, options.output, **more) | beam.Map(print)
    return 0


def _rows(file: str, folder: str | None, reading: Mapping[str, Any]) -> Iterator[tuple[Place, Row]]:
    table = read_table(file, **reading)
    of_files = str(Path(file).parent) if folder is None else folder
    for number, cells in enumerate(table.to_dict("records")):
        yield Place(file, number), Row(cells, of_files)


def _number(numbered: tuple[int, Any]) -> int:
    return numbered[0]


def _column(answers: Sequence[Mapping[Any, Any]], key: Any) -> np.ndarray:
    """What the rows of a table are answered for a column, `[N]`; NaN or None where there was no gap."""
    found = [answer.get(key) for answer in answers]
    if all(own is None or (np.ndim(own) == 0 and not isinstance(own, str)) for own in found):
        return np.array(found, np.float64)
    objects = np.empty(len(found), object)
    objects[:] = found
    return objects


if __name__ == "__main__":
    from tf_jmvae.tables.beam import main as run  # workers find the classes by the module's name

    sys.exit(run())
