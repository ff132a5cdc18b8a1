"""Bound on the number of z that go through a model's networks at once."""

from collections.abc import Iterable

import tensorflow as tf

from tf_jmvae.models import MultimodalVAE
from tf_jmvae.random import seeds

__all__ = ["max_rows"]

# Numbers in the largest tensor of a chunk: 32 MiB of float32.
_CHUNK_ELEMENTS = 2**23
# A prime, so that a tensor with an entry for every row is known by its size.
_TRACED_ROWS = 7919


def max_rows(model: MultimodalVAE, decoded: Iterable[str], *, encodes: bool = False) -> int:
    """The most z for which no tensor exceeds 32 MiB: z, modalities, and the networks' hidden layers.

    Networks are traced, not run, so that layers of any kind count with what they give: the decoders of `decoded`, and
    the encoders if every z is encoded again, as in iterated sampling.
    """
    decoded = list(decoded)

    @tf.function(autograph=False)
    def networks():
        conditions = {name: tf.zeros((1, *model.modalities[name].event_shape)) for name in model.conditions}
        prior = model.prior(conditions)
        z = prior.sample(_TRACED_ROWS, seed=seeds.to_tensor(0))
        z = z[None] if prior.batch_shape.rank == 0 else tf.transpose(z, (1, 0, 2))
        for name, likelihood in model.likelihoods(z, conditions=conditions, names=decoded).items():
            likelihood.log_prob(tf.zeros((1, 1, *model.modalities[name].event_shape)))
        if encodes:
            shapes = {name: modality.event_shape for name, modality in model.modalities.items()}
            model.posterior({name: tf.zeros((_TRACED_ROWS, *shape)) for name, shape in shapes.items()})

    operations = networks.get_concrete_function().graph.get_operations()
    sizes = [output.shape.num_elements() or 0 for operation in operations for output in operation.outputs]
    largest = max(size for size in sizes if size % _TRACED_ROWS == 0) // _TRACED_ROWS
    return max(_CHUNK_ELEMENTS // largest, 1)
