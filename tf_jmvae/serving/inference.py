"""`InferenceModel`, one interface to live and exported models in this process and to models behind TF Serving."""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tf_jmvae._utils import checks, gaps, names
from tf_jmvae._utils.checks import listed
from tf_jmvae.columns import kind_of
from tf_jmvae.random import seeds
from tf_jmvae.serving import request
from tf_jmvae.serving.cell_verbs import CellVerbs
from tf_jmvae.serving.request import FORMATS, Signature
from tf_jmvae.specs import ModalitySpec, ModelSpec


class InferenceModel(CellVerbs):
    """Interface to a model, wherever it runs; `tf_jmvae.open_model` returns one.

    `observed` maps modalities to arrays `[B, *event_shape]` in the model's own values. Images may also be uint8 arrays
    of that shape, from black, 0, to white, 255, or lists of B encoded images (PNG or JPEG, as bytes) of any size, which
    the model crops, resizes and scales like its training images. For a model of table columns, lists of B strings may
    give texts and classes by name. All methods return NumPy arrays; `words` converts texts and classes among them to
    strings.

    Every method calls a signature that `export` writes; a live model runs the same functions. Names, shapes and types
    are checked before anything runs; values only if the model is in this process. A server computes with NaN.
    """

    @property
    def spec(self) -> ModelSpec:
        """`ModelSpec` of the model: its class, its modalities and its training."""
        raise NotImplementedError(f"{type(self).__name__} must define spec")

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """Signatures of the model by name."""
        raise NotImplementedError(f"{type(self).__name__} must define signatures")

    @property
    def kind(self) -> str:
        """Name of the model's class."""
        return self.spec.kind

    @property
    def modalities(self) -> Mapping[str, ModalitySpec]:
        """Specs of the modalities by name, in the model's order."""
        return self.spec.modalities

    @property
    def latent_size(self) -> int:
        """Number of entries of z, over all layers of a hierarchy."""
        return self._signature("decode").inputs["z"].shape[-1]

    def starts_from(self, observed: Iterable[str]) -> bool:
        """Returns whether the model has a posterior q(z | observed) for exactly these modalities.

        Args:
          observed: names of the modalities.

        Returns:
          True or False; nothing is computed.
        """
        observed = set(observed)
        return self._has_encoder(observed) or (self._reads_gaps and bool(observed) and observed <= set(self.modalities))

    def encode(self, observed: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Computes the mean and stddev of q(z | observed).

        Args:
          observed: dict of arrays or encoded images by name.

        Returns:
          Dict of float arrays `{"mean": [B, D], "standard_deviation": [B, D]}`.

        Raises:
          ValueError: if the model has no encoder for these modalities, or a shape is wrong.
        """
        inputs = self._with_encoder(self._as_inputs(observed))
        return self._call(self._find("encode", inputs, f"encode {listed(observed)}"), inputs)

    def latents(
        self, observed: Mapping[str, Any], noise: np.ndarray | None = None, *, seed: int | None = 0
    ) -> np.ndarray:
        """Samples z as for generation: in a hierarchy from the top layer downwards.

        Args:
          observed: dict of arrays or encoded images by name; if empty, z is sampled from the prior.
          noise: float array `[B, D]` in units of the stddev: standard normal numbers give samples, zeros the mean.
            None, the default, is zeros; it is required if nothing is observed.
          seed: integer seed of iterated sampling, for models that need it; by default 0. The chains are those of
            `generate` with this seed. Without noise it is ignored: z is what `generate(latent="mean")` decodes.

        Returns:
          `[B, D]`.

        Raises:
          ValueError: if the model has no posterior for these modalities, or a shape is wrong.
        """
        inputs = self._with_encoder(self._as_inputs(observed or {}))
        if not inputs and noise is None:
            raise ValueError("With nothing observed, noise sets the number of z: pass noise of shape [B, D].")
        if noise is None:
            return self._latents(inputs)
        row_seeds = request.row_seeds(seed, request.rows_of(inputs) if inputs else len(noise))
        return self._latents(inputs, np.asarray(noise, np.float32), row_seeds)

    def generate(
        self,
        observed: Mapping[str, Any],
        *,
        targets: Iterable[str] | None = None,
        num_samples: int | None = None,
        latent: str = "sample",
        images: str = "float",
        seed: int | None = None,
    ) -> dict[str, np.ndarray]:
        """Generates modalities: the mean of p(target | z), with z from q(z | observed).

        Args:
          observed: dict of arrays or encoded images by name.
          targets: names of the modalities to generate; by default all that are not observed or have missing rows or
            entries.
          num_samples: number of samples for each example, S; None, the default, for one without a sample axis.
          latent: `"sample"`, the default, samples z; `"mean"` takes the mean of q(z | observed), and needs no seed.
          images: format of images: `"float"`, the default, for the model's own values, `"uint8"` for pixel values,
            `"png"` for encoded images as bytes. Other modalities are always returned as values.
          seed: integer seed; equal seeds give equal results, row by row. None, the default, draws a new seed at every
            call.

        Returns:
          Dict of arrays by target, `[B, *event_shape]`, or `[B, S, *event_shape]`.

        Raises:
          ValueError: if the model does not have this direction, or an option or a shape is wrong.
        """
        checks.check_option("latent", latent, ("sample", "mean"))
        checks.check_option("images", images, FORMATS)
        held = self._as_inputs(observed)
        inputs = self._with_encoder(held)
        if targets is None and (len(inputs) > len(held) or any(map(gaps.has_any, held.values()))):
            there = {name for name, value in held.items() if not gaps.has_any(value)}
            targets = [name for name in self.spec.targets if name not in map(names.modality, there)]
        elif targets is None:
            targets = self._targets_from(inputs, observed)
        elif isinstance(targets, str):
            raise TypeError(f"targets must be a list of modalities, such as [{targets!r}]; got a string.")
        else:
            targets = list(targets)
        if num_samples is not None:
            num_samples = checks.positive_integer("num_samples", num_samples)
        copies = 1 if num_samples is None else num_samples
        row_seeds = request.row_seeds(seed, request.rows_of(inputs) * copies) if latent == "sample" else None
        if set(targets) & set(map(names.modality, inputs)):
            outputs = self._by_way_of_z(inputs, targets, copies, row_seeds, images)
        else:
            verb, outputs = "generate", {}
            if row_seeds is not None:
                verb, inputs["seed"] = "sample", row_seeds
            for target in targets:
                wish = f"generate {target!r} from {listed(observed)}"
                name = self._find(f"{verb}_{target}", inputs, wish, target)
                outputs |= self._call(self._in_format(name, images), inputs, copies)
        if num_samples is not None:
            outputs = {name: value.reshape(-1, num_samples, *value.shape[1:]) for name, value in outputs.items()}
        return outputs

    def reconstruct(self, observed: Mapping[str, Any], *, images: str = "float") -> dict[str, np.ndarray]:
        """Reconstructs the observed modalities from the mean of q(z | observed).

        Args:
          observed: dict of arrays or encoded images by name.
          images: format of images, as for `generate`.

        Returns:
          Dict of arrays `[B, *event_shape]` by observed target.

        Raises:
          ValueError: if the model has no posterior for these modalities, generates none of them, or a shape is wrong.
        """
        inputs = self._as_inputs(observed)
        whole = self.signatures.get("reconstruct")
        if whole is None or set(map(names.modality, inputs)) == set(map(names.modality, whole.inputs)):
            name = self._find("reconstruct", inputs, f"reconstruct from {listed(observed)}")
            return self._call(self._in_format(name, images), inputs)
        if not (targets := [name for name in self.spec.targets if name in observed]):
            raise ValueError(f"There is no target among {listed(observed)}, so there is nothing to reconstruct.")
        return self.generate(observed, targets=targets, latent="mean", images=images)

    def decode(
        self, z: np.ndarray, conditions: Mapping[str, Any] | None = None, *, images: str = "float"
    ) -> dict[str, np.ndarray]:
        """Computes the mean of p(m | z) for every modality that the model generates.

        Args:
          z: float array `[B, D]`.
          conditions: dict of arrays or encoded images by name, for conditional models; by default none.
          images: format of images, as for `generate`.

        Returns:
          Dict of arrays `[B, *event_shape]` by target.
        """
        inputs = {"z": np.asarray(z), **self._as_inputs(conditions or {})}
        name = self._find("decode", inputs, f"decode z given {listed(conditions or {})}")
        return self._call(self._in_format(name, images), inputs)

    def sample(
        self, num_samples: int, *, prior: str = "standard", images: str = "float", seed: int | None = None
    ) -> dict[str, np.ndarray]:
        """Samples all modalities jointly from the prior.

        Args:
          num_samples: number of samples, N.
          prior: `"standard"`, the default, for the model's own prior; `"fitted"` for the prior of `fit_prior`.
          images: format of images, as for `generate`.
          seed: integer seed, as for `generate`.

        Returns:
          Dict of arrays `[N, *event_shape]` by modality.

        Raises:
          ValueError: if an option is unknown, or the model was exported without a fitted prior.
        """
        num_samples = checks.positive_integer("num_samples", num_samples)
        name = self._sampling_from(prior)
        return self._call(self._in_format(name, images), {"seed": request.row_seeds(seed, num_samples)})

    def log_likelihood(self, observed: Mapping[str, Any], *, seed: int | None = 0) -> np.ndarray:
        """Estimates log p(all modalities) of each example by importance sampling.

        Conditional models estimate log p(targets | conditions). The number of importance samples is fixed at export.

        Args:
          observed: dict of arrays or encoded images by name, of all modalities.
          seed: integer seed, as for `generate`; by default 0.

        Returns:
          Float array `[B]`, in nats.
        """
        inputs = self._as_inputs(observed)
        inputs["seed"] = request.row_seeds(seed, request.rows_of(inputs))
        name = self._find("log_likelihood", inputs, f"give the log-likelihood of {listed(observed)}")
        return self._call(name, inputs)["log_likelihood"]

    def words(self, values: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Converts values of a table's texts and classes to strings.

        Args:
          values: dict of arrays `[..., *event_shape]` by name, as `generate` returns them; probabilities for classes.

        Returns:
          Dict of arrays `[...]` of `str`, for the modalities that are made of a table's texts or classes; the most
          probable class for classes.
        """
        found = {}
        for name, array in values.items():
            spec = self.modalities[name]
            if spec.columns and (kind := kind_of(spec.columns)).is_text:
                array = np.asarray(array)
                axes = array.shape[: array.ndim - len(spec.event_shape)]
                (cells,) = kind.decode(array.reshape(-1, *spec.event_shape)).values()
                found[name] = cells.reshape(axes)
        return found

    def edit(
        self,
        image: Any,
        changes: Mapping[str, float],
        *,
        attributes: str | None = None,
        photograph: str | None = None,
        images: str = "uint8",
    ) -> tuple[np.ndarray, dict[str, float]]:
        """Edits attributes of an image and keeps the rest: see `tf_jmvae.edit`.

        Args:
          image: encoded image as bytes, or array `[H, W, C]` of uint8 pixel values or of the model's own values.
          changes: dict of new values by attribute; 2 or -2 exaggerates.
          attributes: name of the modality of the attributes; by default the only one with named attributes.
          photograph: name of the modality of the image; by default the only image modality.
          images: format of images, as for `generate`.

        Returns:
          The edited image, and a dict of the attributes predicted from the original, by name.

        Raises:
          ValueError: if an attribute is unknown (the message suggests similar names), or the model cannot edit.
        """
        photograph, attributes = self.editable(photograph, attributes)
        entries = self.modalities[attributes].entry_names
        new, kept = np.zeros((1, len(entries)), np.float32), np.ones((1, len(entries)), np.float32)
        for name, value in changes.items():
            index = checks.entry_index(name, entries)
            new[0, index], kept[0, index] = value, 0.0
        inputs = self._as_inputs({photograph: [image] if isinstance(image, bytes) else np.asarray(image)[None]})
        inputs |= zip(names.edit_inputs(attributes), (new, kept), strict=True)
        name = self._find(names.edit(photograph, attributes), inputs, f"edit {photograph!r} by {attributes!r}")
        outputs = self._call(self._in_format(name, images), inputs)
        return outputs[photograph][0], dict(zip(entries, map(float, outputs[attributes][0]), strict=True))

    def editable(self, photograph: str | None, attributes: str | None) -> tuple[str, str]:
        """Returns the modalities of the image and the attributes for editing, finding those not given.

        Args:
          photograph: name of the modality of the image, or None for the only one.
          attributes: name of the modality of the attributes, or None for the only one.

        Returns:
          Tuple of both names.

        Raises:
          ValueError: if there is no such pair, or more than one.
        """
        plain = set(map(names.plain, self.signatures))
        kinds = {name: spec.kind for name, spec in self.modalities.items()}
        asked = itertools.product(*([name] if name else kinds for name in (photograph, attributes)))
        pairs = [pair for pair in asked if names.edit(*pair) in plain]
        if len(pairs) != 1:
            raise ValueError(
                f"Editing needs an image and attributes with entry_names that follow from each other; this {self.kind} "
                f"has {', '.join(f'{image!r} by {other!r}' for image, other in pairs) or 'none'} for photograph="
                f"{photograph!r} and attributes={attributes!r} among "
                f"{', '.join(f'{name!r} ({kind})' for name, kind in kinds.items())}."
            )
        return pairs[0]

    def _latents(
        self, inputs: Mapping[str, np.ndarray], noise: np.ndarray | None = None, row_seeds: np.ndarray | None = None
    ) -> np.ndarray:
        """Computes z from noise and row seeds; without them the mean, with seeds of zeros, as in `generate`."""
        if noise is None:
            rows = request.rows_of(inputs)
            noise, row_seeds = np.zeros((rows, self.latent_size), np.float32), np.zeros((rows, 2), np.int32)
        wish = f"draw z from {listed(map(names.modality, inputs))}"
        if "latents" not in self.signatures:
            # Exported without signatures of z, which follows from q(z | observed), except in a hierarchy.
            if "Hierarchical" in self.kind:
                raise ValueError(f"This model cannot {wish}, as it was exported by version 0.1.0. Export it anew.")
            encode = self._find("encode", inputs, wish) if inputs else None
            q = self._call(encode, inputs) if encode else {"mean": 0, "standard_deviation": 1}
            return q["mean"] + q["standard_deviation"] * noise
        name = self._find("latents", inputs, wish, optional=("noise", "seed")) if inputs else "latents_from_prior"
        seeded = {"seed": _split_seeds(row_seeds)[0]} if "seed" in self._signature(name).inputs else {}
        return self._call(name, {**inputs, "noise": noise, **seeded})["z"]

    def _noise(self, row_seeds: np.ndarray) -> np.ndarray:
        """Samples the noise from which the model's own `generate` computes z."""
        latent_seeds = _split_seeds(row_seeds)[1]
        if "latent_noise" in self.signatures:
            return self._call("latent_noise", {"seed": latent_seeds})["noise"]
        return seeds.normal(tf.constant(latent_seeds), self.latent_size).numpy()  # exported by version 0.1.0

    def _by_way_of_z(
        self, inputs: dict[str, np.ndarray], targets: list[str], copies: int, row_seeds: np.ndarray | None, images: str
    ) -> dict[str, np.ndarray]:
        """Generates targets, some of them observed, by z, because there is no signature for them."""
        if wrong := [name for name in targets if name not in self.spec.targets]:
            raise ValueError(f"The model generates {listed(self.spec.targets)}; got {listed(wrong)}.")
        inputs = {key: np.repeat(value, copies, axis=0) for key, value in inputs.items()}
        z = self._latents(inputs, None if row_seeds is None else self._noise(row_seeds), row_seeds)
        given = {names.modality(key): value for key, value in inputs.items()}
        outputs = self.decode(z, {k: value for k, value in given.items() if k in self.spec.conditions}, images=images)
        return {target: outputs[target] for target in targets}


def _split_seeds(row_seeds: np.ndarray) -> list[np.ndarray]:
    """Derives the seeds of iterated sampling and of z, as the model's own `generate` does."""
    return [part.numpy() for part in seeds.split(tf.constant(row_seeds), 3)[:2]]
