"""Accuracy of attributes that a model generates from other modalities."""

from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_jmvae._utils import checks
from tf_jmvae.evaluation.estimate import Estimate, Fingerprint, whole_seed
from tf_jmvae.models import IteratedSampling, MultimodalVAE
from tf_jmvae.models.iterated_sampling import iteration_of
from tf_jmvae.random import seeds

__all__ = ["attribute_accuracy"]

_BATCH = 500


def attribute_accuracy(
    model: MultimodalVAE,
    data: Mapping[str, Any],
    *,
    target: str | None = None,
    given: str | Iterable[str] | None = None,
    iterated_sampling: IteratedSampling | int | None = None,
    seed: int = 0,
    verbose: int = 1,
) -> Estimate:
    """Fraction of attributes in {-1, 1} whose sign the model gets right.

    An attribute is named by the sign of its mean under p(target | z) at the mean of q(z | given).

    Args:
      model: Any model that has this direction.
      data: Arrays `[N, *event_shape]` by name, with the true attributes `[N, A]`.
      target: Name of the modality of the attributes; by default the only one whose entries have names.
      given: Names of the modalities to generate them from; by default all others.
      iterated_sampling: Options of iterated sampling, or its number of steps; by default the model's own.
      seed: Integer seed of iterated sampling; by default 0.
      verbose: 1, the default, shows a progress bar, 0 does not.

    Returns:
      An `Estimate` whose values are each example's fraction of right attributes, `[N]`.

    Raises:
      ValueError: a direction that the model does not have, no target where there is no single one, or true attributes
        other than -1 and 1.
    """
    if target is None:
        named = [name for name in model.modalities if model.modalities[name].spec.kind == "attributes"]
        if len(named) != 1:
            raise ValueError(f"Pass target=...: the model has {len(named)} modalities of named attributes.")
        (target,) = named
    given = [name for name in model.modalities if name != target] if given is None else given
    given = [given] if isinstance(given, str) else list(given)
    checks.check_names(model.modalities, data, required=[target, *given])
    data = checks.to_arrays(model.modalities, {name: data[name] for name in {target, *given}})
    truth = np.asarray(data[target])
    if not np.isin(truth, (-1, 1)).all():
        raise ValueError(f"Attributes must be -1 or 1; modality {target!r} holds other values.")
    progress = keras.utils.Progbar(-(-len(truth) // _BATCH), verbose=verbose, unit_name="batch")
    seed, iteration = whole_seed(seed), iteration_of(model, iterated_sampling)
    base_seed = seeds.to_tensor(seed)
    fractions = []
    for number, start in enumerate(range(0, len(truth), _BATCH)):
        rows = slice(start, start + _BATCH)
        means = model.generate(
            model.read({name: data[name][rows] for name in given}),
            targets=[target],
            latent="mean",
            iterated_sampling=iteration,
            seed=tf.random.fold_in(base_seed, number),
        )[target].numpy()
        fractions.append(((means > 0) == (truth[rows] > 0)).reshape(len(means), -1).mean(axis=1))
        progress.update(number + 1)
    settings = iteration.settings() if model.iterates(given, iteration) else {}
    quantity = f"{target} from {', '.join(given)} has the right sign"
    examples = Fingerprint({name: data[name] for name in [*given, target]}).hexdigests()
    return Estimate(quantity, "attribute accuracy", np.concatenate(fractions), 1, seed, None, settings, examples)
