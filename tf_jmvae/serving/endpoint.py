"""A signature before it is exported: its function, and what goes in and comes out."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import tensorflow as tf

from tf_jmvae.serving.functions import Tensors

Specs = Mapping[str, tf.TensorSpec]


@dataclass(frozen=True)
class Endpoint:
    """A signature: its function, and the specs of its inputs and outputs by name.

    Endpoints that give the same in another form call the function, so that the graph holds everything once: for each
    signature that a server runs for the first time, TensorFlow reads all functions of the graph.
    """

    function: Callable[[Tensors], Tensors]
    inputs: Specs
    outputs: Specs

    @classmethod
    def of(cls, function: Callable[[Tensors], Tensors], inputs: Specs, outputs: Specs) -> "Endpoint":
        """The endpoint of a plain function, which is traced when it is first called or exported."""
        # TensorFlow counts traces by code and warns of many; these are of different functions.
        apart = functools.partial(function)
        traced = tf.function(apart, input_signature=[dict(inputs)], autograph=False)
        return cls(traced, dict(inputs), dict(outputs))
