"""The fused Adam makes the steps of Keras's own."""

import keras
import numpy as np
import pytest
from small_models import set_seeds

from tf_jmvae.optimizers import FusedAdam

OPTIONS = [
    {},
    {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3},
    {"global_clipnorm": 0.1},
    {"weight_decay": 0.01},
    {"learning_rate": keras.optimizers.schedules.CosineDecay(1e-2, 20)},
]

EVERYTHING = {name: value for options in OPTIONS for name, value in options.items()}


def _trained(optimizer, **compile_options):
    set_seeds(0)
    random = np.random.default_rng(0)
    x, y = random.normal(size=(64, 5)).astype(np.float32), random.normal(size=(64, 3)).astype(np.float32)
    model = keras.Sequential([keras.layers.Dense(7, activation="tanh"), keras.layers.Dense(3)])
    model.compile(optimizer, loss="mse", **compile_options)
    model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0)
    return model


@pytest.mark.parametrize(
    ("options", "jit_compile"),
    [*((options, False) for options in OPTIONS), (EVERYTHING, True)],
    ids=lambda value: (
        {True: "xla", False: "graph"}[value] if isinstance(value, bool) else ",".join(value) or "defaults"
    ),
)
def test_steps_are_those_of_keras(options, jit_compile):
    options = {"learning_rate": 1e-2, **options}
    fused, plain = (
        _trained(optimizer(**options), jit_compile=compiled)
        for optimizer, compiled in ((FusedAdam, jit_compile), (keras.optimizers.Adam, False))
    )
    for left, right in zip(fused.optimizer.variables, plain.optimizer.variables, strict=True):
        np.testing.assert_allclose(left.numpy(), right.numpy(), rtol=1e-4, atol=1e-6)
    for left, right in zip(fused.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"clipnorm": 0.1}, {"global_clipnorm": 0.1}, {"clipvalue": 0.01}], ids=str)
def test_an_embedding_trains_as_a_dense_layer_of_one_hot_vectors_does_with_keras(options):
    """The gradient of a token that occurs several times is the sum of its parts, before it is clipped or squared."""
    tokens = np.array([[0, 0, 1], [2, 2, 2], [0, 1, 2], [3, 3, 0]])
    results = []
    for first, optimizer, x in (
        (keras.layers.Embedding(5, 4), FusedAdam, tokens),
        (keras.layers.Dense(4, use_bias=False), keras.optimizers.Adam, np.eye(5)[tokens]),
    ):
        model = keras.Sequential([first, keras.layers.Flatten(), keras.layers.Dense(1)])
        model.build(x.shape)
        random = np.random.default_rng(0)
        model.set_weights([random.normal(size=weight.shape) for weight in model.get_weights()])
        model.compile(optimizer(1e-2, **options), loss="mse")
        model.fit(x, np.arange(4.0), epochs=5, shuffle=False, verbose=0)
        results.append(model.get_weights())
    for embedded, dense in zip(*results, strict=True):
        np.testing.assert_allclose(embedded, dense, rtol=1e-4, atol=1e-5)


def test_amsgrad_is_refused():
    with pytest.raises(ValueError, match="amsgrad=True"):
        FusedAdam(amsgrad=True)
