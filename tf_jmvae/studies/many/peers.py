"""MultiVae's models, each trained and run in a process of a Python with MultiVae.

They are trained on the same files as our models, with the same missing rows as the corresponding training of ours.
"""

import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tf_jmvae import data
from tf_jmvae._utils.files import RunError, replace_atomically, write_json
from tf_jmvae._utils.gaps import missing_rows
from tf_jmvae.studies.many.plan import VIEWS, PeerTraining
from tf_jmvae.training.config import Config

Images = Mapping[str, np.ndarray]
_SCRIPT = Path(__file__).with_name("peer") / "multivae_models.py"  # not part of a package


class Peers:
    """Trains MultiVae's models, each in its own folder, and generates images with them.

    Args:
      python: path of a Python with MultiVae.
      source: `Source` of the dataset five-digits, memory-mapped.
      like: dict of the configurations of our trainings by name, of which the peers have the epochs, batch size,
        learning rate and number of latents.
      folder: folder of the study.
    """

    def __init__(self, python: Path, source: data.Source, like: Mapping[str, Config], folder: Path):
        self._python, self._source, self._like, self._folder = python, source, like, folder

    def train(self, name: str, training: PeerTraining) -> dict[str, Any]:
        """Trains a model unless it is trained; returns a dict of versions, seconds and parameters.

        Raises:
          RunError: if MultiVae's process failed; its output says why.
        """
        done = self._folder / name / "trained.json"
        if not done.is_file():
            done.parent.mkdir(parents=True, exist_ok=True)
            self._run(name, training, {"verb": "train"})
        return json.loads(done.read_text())

    def images(
        self, name: str, training: PeerTraining, rows: int, given: Sequence[Sequence[str]], seed: int
    ) -> Iterator[tuple[str, Images]]:
        """Yields images of the first test rows given each subset (named by `+`-joined views), and from both priors."""
        self.train(name, training)
        with tempfile.TemporaryDirectory(dir=self._folder) as output:
            asked = {"verb": "generate", "rows": rows, "given": given, "seed": seed, "output": output}
            self._run(name, training, asked)
            for path in Path(output).iterdir():
                yield path.stem, dict(np.load(path))

    def _run(self, name: str, training: PeerTraining, asked: Mapping[str, Any]) -> None:
        like = self._like[training.missing or next(iter(self._like))]
        options = {
            "train_size": like.data.train_size or len(self._source.train[VIEWS[0]]),
            "batch_size": like.data.batch_size,
            "epochs": like.training.epochs,
            "learning_rate": like.training.learning_rate,
            "latent_dim": like.model.latent_dim,
            "seed": like.seed,
        }
        request = {
            "folder": str(self._folder / name),
            "kind": training.kind,
            "options": options,
            "train": self._files(self._source.train),
            "test": self._files(self._source.test),
            "held": str(self._held(training.missing, like)) if training.missing else None,
            **asked,
        }
        path = self._folder / name / "request.json"
        write_json(path, request)
        if subprocess.run([self._python, _SCRIPT, path], check=False).returncode:
            raise RunError(f"{name}: MultiVae's process failed; it says why above. {self._python} must have MultiVae.")

    def _files(self, part: Images) -> dict[str, str]:
        return {view: str(part[view].filename) for view in VIEWS}

    def _held(self, name: str, like: Config) -> Path:
        """Writes the masks of the rows that hold each view in one of our trainings, and returns the file."""
        path = self._folder / f"{name}-held.npz"
        if not path.is_file():
            train = like.data.load(VIEWS).train
            held = {view: ~missing_rows(train[view]) for view in VIEWS}
            replace_atomically(path, lambda temporary: np.savez(temporary, **held))
        return path
