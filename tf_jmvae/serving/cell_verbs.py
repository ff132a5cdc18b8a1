"""`CellVerbs`: methods of `InferenceModel` that read and return the cells of a table."""

import unicodedata
from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_jmvae._utils import checks, names
from tf_jmvae._utils.checks import listed
from tf_jmvae.serving import request
from tf_jmvae.serving.request import SignatureLookup

_DECODE, _SPREAD = ("decode" + names.CELLS, "spread" + names.CELLS)


class CellVerbs(SignatureLookup):
    """Base class of `InferenceModel` with methods on table cells, by signatures that end in `_as_cells`."""

    @property
    def has_cells(self) -> bool:
        """Whether the model reads and returns table cells."""
        return _DECODE in self.signatures

    def latents_of_cells(self, cells: Mapping[str, Any], noise: np.ndarray) -> np.ndarray:
        """Samples z given the known cells of table rows.

        Args:
          cells: dict by modality of a value for each of B rows: strings for classes and texts, encoded images as bytes,
            and arrays `[B, *event_shape]` for other modalities, numbers in their unit and attributes as 1 and 0.
            Missing values are None, "", b"" or NaN, and unknown classes count as missing; modalities that no row holds
            may be left out.
          noise: float array `[B, D]`, as for `latents`.

        Returns:
          `[B, D]`.

        Raises:
          ValueError: if the model has no posterior given these cells, or reads no cells.
        """
        inputs = self._cell_inputs(cells)
        given = [name for name in self.modalities if name in cells]
        self._prepare(given)
        noise = np.asarray(noise, np.float32)
        name = "latents_from_prior" if not given else names.of_given("latents", given) + names.CELLS
        if name not in self.signatures and given:
            name = "latents" + names.CELLS  # reads rows with any missing cells
            inputs = self._with_gaps(inputs, len(noise))
        takes = self._signature(name).inputs
        seeds = {"seed": request.row_seeds(0, len(noise))} if "seed" in takes else {}
        return self._call(name, {**inputs, "noise": noise, **seeds})["z"]

    def decode_to_cells(self, z: np.ndarray, *, conditions: Mapping[str, Any] | None = None) -> dict[str, np.ndarray]:
        """Decodes z to the cells of the means of p(m | z).

        Args:
          z: float array `[B, D]`.
          conditions: cells of the conditions of a conditional model, as for `latents_of_cells`; by default none.

        Returns:
          Dict by modality of probabilities of classes and attributes, numbers in their unit, or PNG images; by
          `"NAME_text"` of the most probable class or text, strings `[B]`; and by `"NAME_spread"` of the stddev of
          numbers and counts under p(m | z), in their unit.

        Raises:
          ValueError: if the model returns no cells, or conditions are missing.
        """
        inputs = {"z": np.asarray(z, np.float32), **self._cell_inputs(conditions or {})}
        found = self._call(_DECODE, inputs)
        if _SPREAD in self.signatures:
            found |= {f"{name}_spread": values for name, values in self._call(_SPREAD, inputs).items()}
        return found

    def generate_cells(
        self,
        cells: Mapping[str, Any],
        *,
        num_samples: int = 1,
        prior: str = "standard",
        latent: str = "sample",
        seed: int | None = None,
    ) -> dict[str, np.ndarray]:
        """Generates the cells of the means of p(m | z), with z from q(z | cells).

        Args:
          cells: known cells of B rows, as for `latents_of_cells`; if empty, one row is generated from the prior.
          num_samples: number of samples for each row, S; by default 1.
          prior: prior without known cells, as for `sample`; by default `"standard"`. With `"fitted"` there are no
            spreads.
          latent: `"sample"`, the default, samples z; `"mean"` takes the mean of q(z | cells).
          seed: integer seed, as for `generate`.

        Returns:
          Dict of arrays `[B, S, ...]`, named as by `decode_to_cells`.

        Raises:
          ValueError: if the model has no posterior given these cells, returns no cells, or an option is invalid.
        """
        checks.check_option("latent", latent, ("sample", "mean"))
        num_samples = checks.positive_integer("num_samples", num_samples)
        sampling = self._sampling_from(prior)
        if prior != "standard":
            if cells:
                raise ValueError(f"Of rows with known cells z is not from a prior: leave out prior={prior!r}.")
            found = self._call(sampling + names.CELLS, {"seed": request.row_seeds(seed, num_samples)})
            return {name: values[None] for name, values in found.items()}
        rows = len(next(iter(cells.values()))) if cells else 1
        repeated = {name: [value for value in values for _ in range(num_samples)] for name, values in cells.items()}
        noise = self._noise(request.row_seeds(seed, rows * num_samples))
        z = self.latents_of_cells(repeated, noise if latent == "sample" else np.zeros_like(noise))
        made = self.decode_to_cells(z, conditions={name: repeated[name] for name in self.spec.conditions})
        return {name: values.reshape(rows, num_samples, *values.shape[1:]) for name, values in made.items()}

    def fill_cells(self, cells: Mapping[str, Any], *, seed: int | np.ndarray = 0) -> dict[str, np.ndarray]:
        """Computes the expected value of every cell given the known cells of its row, as `tables.fill` does.

        Args:
          cells: known cells of B rows, as for `latents_of_cells`.
          seed: integer seed, by default 0, or an int32 array `[B, 2]` of a seed for each row.

        Returns:
          Dict by modality of probabilities of classes and attributes, numbers in their unit, or PNG images; by
          `"NAME_text"` of classes and texts, by `"NAME_spread"` of the stddev of numbers and counts, and by
          `"NAME_probability"` of the probability of texts.

        Raises:
          ValueError: if the model cannot fill cells: it has other modalities than table columns, does not learn from
            incomplete rows, or was exported by an older version.
        """
        if names.FILL not in self.signatures:
            raise ValueError(
                f"This {self.kind} cannot fill in cells: that needs a JMVAEKL, or its GAN, all of whose modalities are "
                "a table's columns. If it is one, export it anew."
            )
        inputs = self._cell_inputs(cells)
        return self._call(names.FILL, self._with_gaps_and_seeds(inputs, seed))

    def encode_cells(self, cells: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Computes the mean and stddev of q(z | row) for table rows.

        Args:
          cells: known cells of B rows, as for `latents_of_cells`.

        Returns:
          Dict `{"mean": [B, D], "standard_deviation": [B, D]}`; 0 and 1 for rows without a known cell.

        Raises:
          ValueError: if the model reads no cells, or a shape is wrong.
        """
        inputs = self._cell_inputs(cells)
        return self._call("encode" + names.CELLS, self._with_gaps(inputs, request.rows_of(inputs)))

    def log_likelihood_of_cells(self, cells: Mapping[str, Any], *, seed: int | np.ndarray = 0) -> np.ndarray:
        """Estimates the log-likelihood of the known cells of each table row, as `log_likelihood` does.

        Args:
          cells: known cells of B rows, as for `latents_of_cells`.
          seed: integer seed, by default 0, or an int32 array `[B, 2]` of a seed for each row.

        Returns:
          Float array `[B]`, in nats; 0 for rows without a known cell.

        Raises:
          ValueError: if the model reads no cells, or a shape is wrong.
        """
        inputs = self._with_gaps_and_seeds(self._cell_inputs(cells), seed)
        return self._call("log_likelihood" + names.CELLS, inputs)["log_likelihood"]

    def _noise(self, row_seeds: np.ndarray) -> np.ndarray:
        """Samples standard normal noise `[B, D]` from a seed for each row."""
        raise NotImplementedError(f"{type(self).__name__} must define _noise()")

    def _cell_inputs(self, cells: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Converts cells to arrays by the names of inputs."""
        inputs = {}
        for name, values in cells.items():
            if isinstance(values, str | bytes):
                raise TypeError(f"{name!r}: expected a list of cells, one for each row; got a single {values!r:.40}.")
            tensor = self._tensor(name)
            told = tensor != name  # strings or encoded images
            inputs[tensor] = np.array([_encoded(value) for value in values], object) if told else np.asarray(values)
        return inputs

    def _with_gaps(self, inputs: Mapping[str, np.ndarray], rows: int) -> dict[str, np.ndarray]:
        """Returns inputs of all modalities, with missing values for those not in `inputs`."""
        return {self._tensor(name): self._gaps(name, rows) for name in self.modalities} | inputs

    def _with_gaps_and_seeds(self, inputs: Mapping[str, np.ndarray], seed: int | np.ndarray) -> dict[str, np.ndarray]:
        rows = request.rows_of(inputs)
        row_seeds = seed if isinstance(seed, np.ndarray) and seed.ndim else request.row_seeds(seed, rows)
        return {**self._with_gaps(inputs, rows), "seed": row_seeds}

    def _tensor(self, name: str) -> str:
        """Returns the name of a modality's input in a signature of cells."""
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
    """Encodes a text or image as bytes, b"" if missing; other values are returned, and refused later."""
    if cell is None or cell != cell:
        return b""
    return unicodedata.normalize("NFC", cell).encode() if isinstance(cell, str) else cell
