"""`Endpoint`, a signature before export: its function and the specs of inputs and outputs."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import tensorflow as tf

from tf_jmvae.serving.functions import Tensors

Specs = Mapping[str, tf.TensorSpec]


@dataclass(frozen=True)
class Endpoint:
    """Signature before export: its function, and the specs of its inputs and outputs by name.

    Endpoints with the same outputs in another format call the same function, so that the graph holds it once:
    TensorFlow reads all functions of the graph for each signature that a server runs for the first time.
    """

    function: Callable[[Tensors], Tensors]
    inputs: Specs
    outputs: Specs

    @classmethod
    def of(cls, function: Callable[[Tensors], Tensors], inputs: Specs, outputs: Specs) -> "Endpoint":
        """Makes the endpoint of a Python function, which is traced when it is first called or exported."""
        # TensorFlow counts traces per code object and warns of many; a partial for each function avoids that.
        own = functools.partial(function)
        traced = tf.function(own, input_signature=[dict(inputs)], autograph=False)
        return cls(traced, dict(inputs), dict(outputs))
