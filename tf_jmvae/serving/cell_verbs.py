"""What one can ask of a model of a table's columns in the table's own terms, wherever it runs."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_jmvae._utils import checks
from tf_jmvae._utils.checks import listed
from tf_jmvae.serving import names, request
from tf_jmvae.serving.request import SignatureLookup

_DECODE, _SPREAD = "decode" + names.CELLS, "spread" + names.CELLS


class CellVerbs(SignatureLookup):
    """Base of `InferenceModel`: z of cells, cells of z, and cells of cells, by signatures that end in `_as_cells`."""

    @property
    def has_cells(self) -> bool:
        """Whether the model reads and gives a table's cells."""
        return _DECODE in self.signatures

    def latents_of_cells(self, cells: Mapping[str, Any], noise: np.ndarray) -> np.ndarray:
        """Samples z given what is known of the rows of a table.

        Args:
          cells: By modality a value for each of B rows: names of classes and texts as strings, pictures as encoded
            images in bytes, and anything else as arrays `[B, *event_shape]`, numbers in their unit. Gaps are "", b""
            and NaN; a modality that no row holds may be left out.
          noise: Array `[B, D]`, as for `latents`.

        Returns:
          `[B, D]`.

        Raises:
          ValueError: the model does not start from what is known, or reads no cells.
        """
        inputs = {}
        for name, values in cells.items():
            texts = [value.encode() if isinstance(value, str) else value for value in values]
            encoded = any(isinstance(text, bytes) for text in texts)
            inputs[self._tensor(name)] = np.array(texts, object) if encoded else np.asarray(values)
        given = [name for name in self.modalities if name in cells]
        self._prepare(given)
        noise = np.asarray(noise, np.float32)
        name = "latents_from_prior" if not given else names.of_given("latents", given) + names.CELLS
        if name not in self.signatures and given:
            name = "latents" + names.CELLS  # of rows that hold anything
            rows = len(noise)
            inputs = {self._tensor(one): self._gaps(one, rows) for one in self.modalities} | inputs
        takes = self._signature(name).inputs
        seeds = {"seed": request.row_seeds(0, len(noise))} if "seed" in takes else {}
        return self._call(name, {**inputs, "noise": noise, **seeds})["z"]

    def decode_to_cells(self, z: np.ndarray) -> dict[str, np.ndarray]:
        """Gives the cells that the means of p(m | z) say.

        Args:
          z: Array `[B, D]`.

        Returns:
          By modality probabilities of classes and attributes, numbers in their unit, or PNG of pictures; as
          `"NAME_text"` the most probable class or text, string `[B]`; and as `"NAME_spread"` the standard deviation of
          numbers and counts under p(m | z), in their unit.

        Raises:
          ValueError: the model gives no cells, or has conditions.
        """
        z = np.asarray(z, np.float32)
        found = self._call(_DECODE, {"z": z})
        if _SPREAD in self.signatures:
            found |= {f"{name}_spread": values for name, values in self._call(_SPREAD, {"z": z}).items()}
        return found

    def generate_cells(
        self, cells: Mapping[str, Any], *, num_samples: int = 1, latent: str = "sample", seed: int | None = None
    ) -> dict[str, np.ndarray]:
        """Generates cells given others: those that the mean of p(m | z) says, z from q(z | cells).

        Args:
          cells: What is known of B rows, as for `latents_of_cells`; of nothing, one row from the prior.
          num_samples: Number of samples for each row, S; by default 1.
          latent: `"sample"`, the default, samples z, `"mean"` takes its mean.
          seed: Integer seed, as for `generate`.

        Returns:
          Arrays `[B, S, ...]` as `decode_to_cells` names them.

        Raises:
          ValueError: the model does not start from what is known, gives no cells, or an option is wrong.
        """
        checks.check_option("latent", latent, ("sample", "mean"))
        num_samples = checks.positive_integer("num_samples", num_samples)
        rows = len(next(iter(cells.values()))) if cells else 1
        repeated = {name: [value for value in values for _ in range(num_samples)] for name, values in cells.items()}
        noise = self._noise(request.row_seeds(seed, rows * num_samples))
        z = self.latents_of_cells(repeated, noise if latent == "sample" else np.zeros_like(noise))
        return {name: v.reshape(rows, num_samples, *v.shape[1:]) for name, v in self.decode_to_cells(z).items()}

    def _noise(self, row_seeds: np.ndarray) -> np.ndarray:
        """Standard normal noise `[B, D]` of seeds for each row."""
        raise NotImplementedError(f"{type(self).__name__} must define _noise()")

    def _tensor(self, name: str) -> str:
        """What a modality is called in a signature of cells."""
        if name not in self.modalities:
            raise ValueError(f"The model has the modalities {listed(self.modalities)}; got {name!r}.")
        known = self._signature("latents" + names.CELLS).inputs
        return next(tensor for tensor in (name, names.text(name), names.encoded(name)) if tensor in known)

    def _gaps(self, name: str, rows: int) -> np.ndarray:
        info = self._signature("latents" + names.CELLS).inputs[self._tensor(name)]
        if info.dtype == "string":
            return np.full(rows, b"", object)
        return np.full((rows, *info.shape[1:]), np.nan, np.float32)
