"""TensorBoard's event files: what a training that goes on keeps of them."""

from pathlib import Path

import tensorflow as tf
from tensorflow.core.util import event_pb2

from tf_jmvae._utils.files import replace_atomically

__all__ = ["event_files", "keep_before"]


def event_files(log_dir: Path) -> list[Path]:
    """Those of the runs that the callback writes below a folder, oldest first; other folders are somebody else's."""
    return [file for run in ("train", "validation") for file in sorted((log_dir / run).glob("events.out.tfevents.*"))]


def keep_before(step: int, files: list[Path]) -> None:
    """Drops what was logged of this step and later ones, and graphs, which are written anew.

    A file that was cut off in the middle of a record, by a kill, ends before it.
    """
    for file in files:
        kept = []
        try:
            for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
                event = event_pb2.Event.FromString(record)
                if event.HasField("file_version") or (event.step < step and not event.HasField("graph_def")):
                    kept.append(record)
        except tf.errors.DataLossError:
            pass
        if len(kept) > 1:  # besides the file's version
            replace_atomically(file, lambda path, kept=kept: _write(path, kept))
        else:
            file.unlink()


def _write(path: str, records: list[bytes]) -> None:
    with tf.io.TFRecordWriter(path) as writer:
        for record in records:
            writer.write(record)
