"""Our side of the benchmarks: models trained as `train.py` trains them, and their weights as peers take them."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from harness import SEED

import tf_jmvae as tj
from tf_jmvae.data import pipeline
from tf_jmvae.distributions import kl_divergence
from tf_jmvae.optimizers import FusedAdam
from tf_jmvae.training import presets
from tf_jmvae.training.build import steps_in_one_call

PRESETS = {"mnist": "mnist-jmvae-kl", "celeba": "celeba-jmvae-kl"}


def make(preset: str, precision: str = "float32", seed: int = SEED, **overrides: Any) -> tj.models.MultimodalVAE:
    """A preset's model, untrained; equal calls give equal weights."""
    return seeded(lambda: tj.from_preset(preset, **overrides), precision, seed)


def seeded(build: Callable[[], tj.models.MultimodalVAE], precision: str, seed: int = SEED) -> tj.models.MultimodalVAE:
    """What is built, in a precision; equal calls give equal weights."""
    keras.utils.set_random_seed(seed)
    keras.config.set_dtype_policy(precision)
    try:
        return build()
    finally:
        keras.config.set_dtype_policy("float32")


def random_arrays(model: tj.models.MultimodalVAE, examples: int) -> dict[str, np.ndarray]:
    """Random data of each modality's kind; images of a Bernoulli are probabilities, to be made binary."""
    random = np.random.default_rng(SEED)
    arrays = {}
    for name, modality in model.modalities.items():
        shape = (examples, *modality.event_shape)
        if modality.likelihood == "categorical":
            arrays[name] = np.eye(shape[-1], dtype=np.float32)[random.integers(0, shape[-1], examples)]
        elif modality.likelihood == "bernoulli":
            arrays[name] = random.random(shape, np.float32)
        elif modality.standardized:
            arrays[name] = random.integers(0, 256, shape, np.uint8)
        else:
            arrays[name] = random.standard_normal(shape, np.float32)
    return arrays


def random_batch(model: tj.models.MultimodalVAE, examples: int) -> dict[str, np.ndarray]:
    """As `random_arrays`, with binary images."""
    arrays = random_arrays(model, examples)
    return {
        name: np.round(values) if model.modalities[name].likelihood == "bernoulli" else values
        for name, values in arrays.items()
    }


class Training:
    """A `fit` that goes on, on random data in memory, with what the preset says of training."""

    def __init__(
        self,
        model: tj.models.MultimodalVAE,
        batch: int,
        examples: int,
        preset: str = "mnist-jmvae-kl",
        missing: Mapping[str, float] | None = None,
    ):
        training = presets.load(preset).training
        self._model, self._batch, self._steps = model, batch, examples // batch
        per_execution = steps_in_one_call(self._steps)  # as train.py does
        model.compile(
            FusedAdam(training.learning_rate), jit_compile=training.jit_compile, steps_per_execution=per_execution
        )
        binary = [name for name, m in model.modalities.items() if m.likelihood == "bernoulli"]
        arrays = tj.data.without(random_arrays(model, examples), missing or {})
        model.adapt(arrays)
        self._data = pipeline.from_arrays(
            arrays,
            batch_size=batch,
            shuffle=True,
            seed=SEED,
            binarize=binary,
            epochs=range(10**6),
            complete_rows=0.0,
        )
        self._timer = _Timer()
        self.fit(1)

    def examples_per_second(self, seconds: float) -> float:
        """Over whole epochs, until so many seconds have passed."""
        self._timer.stop_after = seconds
        self.fit(10**6)
        return self._timer.epochs * self._steps * self._batch / self._timer.seconds

    def fit(self, epochs: int) -> None:
        self._model.fit(self._data, epochs=epochs, steps_per_epoch=self._steps, verbose=0, callbacks=[self._timer])


class _Timer(keras.callbacks.Callback):
    """The time of the epochs after the first, in which Keras starts its input."""

    stop_after = 0.0

    def on_train_begin(self, logs=None):
        self.seconds, self.epochs = 0.0, 0

    def on_epoch_begin(self, epoch, logs=None):
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        if epoch:
            self.seconds += time.perf_counter() - self._start
            self.epochs += 1
            self.model.stop_training = self.seconds >= self.stop_after


def bound_at_mean(model: tj.models.MultimodalVAE, batch: dict[str, np.ndarray]) -> float:
    """The mean of Eq. (10) over a batch with z at the mean of q(z | x, w): what all sides can compute alike."""
    q = model.posterior(batch)
    likelihoods = model.likelihoods(q.mean())
    bound = sum(likelihoods[name].log_prob(values) for name, values in batch.items())
    bound -= kl_divergence(q, model.prior())
    for name, values in batch.items():
        bound -= model.alpha * kl_divergence(q, model.posterior({name: values}))
    return float(tf.reduce_mean(bound))


def parameters(model: tj.models.MultimodalVAE) -> int:
    """How many numbers an optimizer moves."""
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


def arrays(model: tj.models.MultimodalVAE) -> dict[str, np.ndarray]:
    """A model's weights by part and number, as `peers/networks.py` reads them."""
    return {key: layer.get_weights()[index] for key, (layer, index) in _places(model).items()}


def set_arrays(model: tj.models.MultimodalVAE, found: dict[str, np.ndarray]) -> None:
    """The reverse of `arrays`."""
    weights: dict[int, tuple[keras.layers.Layer, list[np.ndarray]]] = {}
    for key, (layer, _) in _places(model).items():
        weights.setdefault(id(layer), (layer, []))[1].append(found[key])
    for layer, values in weights.values():
        layer.set_weights(values)


def _places(model: tj.models.MultimodalVAE) -> dict[str, tuple[keras.layers.Layer, int]]:
    parts = {"joint": model.encoder}
    parts |= {f"encoder/{name}": encoder for name, encoder in getattr(model, "subset_encoders", {}).items()}
    layers = {
        part: [*encoder.towers.towers.values(), *([encoder.towers.trunk] if encoder.towers.trunk else []), encoder.head]
        for part, encoder in parts.items()
    }
    layers |= {f"decoder/{name}": [decoder.network, decoder.head] for name, decoder in model.decoders.items()}
    found = {}
    for part, pieces in layers.items():
        places = [(layer, index) for layer in pieces for index in range(len(layer.weights))]
        found |= {f"{part}/{number}": place for number, place in enumerate(places)}
    return found


def for_peer(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A batch as PyTorch has it: images with channels first, one-channel images as vectors."""
    found = {}
    for name, values in batch.items():
        if values.ndim == 4 and values.shape[-1] > 1:
            found[f"batch/{name}"] = np.ascontiguousarray(values.transpose(0, 3, 1, 2))
        else:
            found[f"batch/{name}"] = values.reshape(len(values), -1)
    return found
