"""What one can ask of a model of a table's columns in the table's own terms, wherever it runs."""

import unicodedata
from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_jmvae._utils import checks
from tf_jmvae._utils.checks import listed
from tf_jmvae.serving import names, request
from tf_jmvae.serving.request import SignatureLookup

_DECODE, _SPREAD = ("decode" + names.CELLS, "spread" + names.CELLS)


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
            images in bytes, and anything else as arrays `[B, *event_shape]`, numbers in their unit and attributes as 1
            and 0. Gaps are None, "", b"" and NaN, and so is a class that the model does not know; a modality that no
            row holds may be left out.
          noise: Array `[B, D]`, as for `latents`.

        Returns:
          `[B, D]`.

        Raises:
          ValueError: the model does not start from what is known, or reads no cells.
        """
        inputs = self._cell_inputs(cells)
        given = [name for name in self.modalities if name in cells]
        self._prepare(given)
        noise = np.asarray(noise, np.float32)
        name = "latents_from_prior" if not given else names.of_given("latents", given) + names.CELLS
        if name not in self.signatures and given:
            name = "latents" + names.CELLS  # of rows that hold anything
            inputs = self._with_gaps(inputs, len(noise))
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

    def fill_cells(self, cells: Mapping[str, Any], *, seed: int | np.ndarray = 0) -> dict[str, np.ndarray]:
        """Gives what is expected in every cell of rows given what they hold, as `tables.fill` does.

        Args:
          cells: What is known of B rows, as for `latents_of_cells`.
          seed: Integer seed, by default 0, or seeds of the rows, int32 `[B, 2]`.

        Returns:
          By modality probabilities of classes and attributes, numbers in their unit, or PNG of pictures; as
          `"NAME_text"` classes and texts, as `"NAME_spread"` the standard deviation of numbers and counts, and as
          `"NAME_probability"` that of texts.

        Raises:
          ValueError: the model fills in no cells: it has others than a table's columns, does not learn from rows that
            lack modalities, or was exported before it could.
        """
        if names.FILL not in self.signatures:
            raise ValueError(
                f"This {self.kind} fills no cells in: that needs a JMVAEKL, or its GAN, all of whose modalities are a "
                "table's columns. If it is one, export it anew."
            )
        inputs = self._cell_inputs(cells)
        return self._call(names.FILL, self._with_gaps_and_seeds(inputs, seed))

    def encode_cells(self, cells: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Mean and stddev of q(z | row), of rows of a table.

        Args:
          cells: What is known of B rows, as for `latents_of_cells`.

        Returns:
          `{"mean": [B, D], "standard_deviation": [B, D]}`; 0 and 1 of a row that holds nothing.

        Raises:
          ValueError: the model reads no cells, or a shape is wrong.
        """
        inputs = self._cell_inputs(cells)
        return self._call("encode" + names.CELLS, self._with_gaps(inputs, request.rows_of(inputs)))

    def log_likelihood_of_cells(self, cells: Mapping[str, Any], *, seed: int | np.ndarray = 0) -> np.ndarray:
        """Log-likelihood of what each row of a table holds, as `log_likelihood` gives it.

        Args:
          cells: What is known of B rows, as for `latents_of_cells`.
          seed: Integer seed, by default 0, or seeds of the rows, int32 `[B, 2]`.

        Returns:
          `[B]`, in nats; 0 of a row that holds nothing.

        Raises:
          ValueError: the model reads no cells, or a shape is wrong.
        """
        inputs = self._with_gaps_and_seeds(self._cell_inputs(cells), seed)
        return self._call("log_likelihood" + names.CELLS, inputs)["log_likelihood"]

    def _noise(self, row_seeds: np.ndarray) -> np.ndarray:
        """Standard normal noise `[B, D]` of seeds for each row."""
        raise NotImplementedError(f"{type(self).__name__} must define _noise()")

    def _cell_inputs(self, cells: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Arrays by the names of inputs."""
        inputs = {}
        for name, values in cells.items():
            if isinstance(values, str | bytes):
                raise TypeError(f"{name!r}: expected a list of cells, one for each row; got a single {values!r:.40}.")
            tensor = self._tensor(name)
            told = tensor != name  # in texts or encoded pictures
            inputs[tensor] = np.array([_encoded(value) for value in values], object) if told else np.asarray(values)
        return inputs

    def _with_gaps(self, inputs: Mapping[str, np.ndarray], rows: int) -> dict[str, np.ndarray]:
        """Inputs of all modalities, of which those that are not known are gaps."""
        return {self._tensor(name): self._gaps(name, rows) for name in self.modalities} | inputs

    def _with_gaps_and_seeds(self, inputs: Mapping[str, np.ndarray], seed: int | np.ndarray) -> dict[str, np.ndarray]:
        rows = request.rows_of(inputs)
        row_seeds = seed if isinstance(seed, np.ndarray) and seed.ndim else request.row_seeds(seed, rows)
        return {**self._with_gaps(inputs, rows), "seed": row_seeds}

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


def _encoded(cell: Any) -> Any:
    """A text or an encoded picture as bytes, b"" of what says nothing; anything else as it is, which is refused."""
    if cell is None or cell != cell:
        return b""
    return unicodedata.normalize("NFC", cell).encode() if isinstance(cell, str) else cell
