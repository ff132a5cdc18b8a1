"""Coherence of generated modalities: the fraction with the right class or attributes.

    conditional   target ~ p(target | given): the fraction whose class is the example's own
    joint         all modalities from the prior: the fraction on whose class all classifiers agree
    attributes    mean of p(target | z) at the mean of q(z | given): the fraction of right attributes

References:
  [1] Shi et al., Variational mixture-of-experts autoencoders for multi-modal deep generative
      models, 2019: the measure, there for MNIST-SVHN.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_jmvae._utils import checks, gaps
from tf_jmvae.evaluation import samples
from tf_jmvae.evaluation.estimate import Estimate, Fingerprint, whole_seed
from tf_jmvae.evaluation.scored_rows import scored
from tf_jmvae.models import IteratedSampling, MultimodalVAE
from tf_jmvae.models.iterated_sampling import iteration_of
from tf_jmvae.random import seeds

Classifier = Callable[[np.ndarray], Any] | keras.Model
_BATCH = 500


def conditional_coherence(
    model: MultimodalVAE,
    data: Mapping[str, Any],
    *,
    target: str,
    given: str | Iterable[str],
    classifier: Classifier | None = None,
    labels: Any = None,
    num_samples: int = 1,
    latent: str = "sample",
    iterated_sampling: IteratedSampling | int | None = None,
    seed: int = 0,
    verbose: int = 1,
) -> Estimate:
    """Estimates the fraction of generated targets that have the class of their example.

    Args:
      model: `MultimodalVAE` with a posterior given `given`.
      data: dict of arrays `[N, *event_shape]` by name.
      target: name of the modality to generate; its mean under p(target | z) is classified.
      given: name of the modality to generate it from, or a list of names.
      classifier: Keras model or function from `[n, *event_shape]` to class numbers `[n]` or scores `[n, C]` of C >= 2
        classes. None, the default, for a categorical target, whose class is the most probable one.
      labels: class numbers `[N]`; by default those of the one categorical modality in `data`.
      num_samples: number of generated targets for each example; by default 1. They are decoded in chunks that keep
        every tensor within 32 MiB.
      latent: `"sample"`, the default, samples z; `"mean"` takes the mean of q(z | given).
      iterated_sampling: an `IteratedSampling` or a number of steps; by default the model's own options.
      seed: integer seed of all samples; by default 0.
      verbose: 1, the default, shows a progress bar; 0 shows nothing.

    Returns:
      `Estimate` whose values are the fraction of each example, `[N]`.

    Raises:
      ValueError: if a classifier or labels are needed but missing, the classifier returns another shape, the data hold
        no example, or the model does not have this direction.
    """
    given = checks.names_of(given)
    if not isinstance(target, str):
        raise ValueError(f"target must be the name of one modality, such as 'x'; got {target!r}.")
    classify = _classifier(model, target, classifier)
    num_samples = checks.positive_integer("num_samples", num_samples)
    seed, iteration = whole_seed(seed), iteration_of(model, iterated_sampling)
    labels, known = known_labels(model, data, given, labels)
    observed, kept, left_out = scored(model, data, [given], known)
    labels = labels[kept]
    gaps.check_rows(model, observed)

    iterates = model.iterates(observed, iteration)
    completed = [name for name in model.targets if iterates and name not in observed]
    rows = samples.max_rows(model, {target, *completed}, encodes=iterates)
    chunks = [min(rows, num_samples - start) for start in range(0, num_samples, rows)]  # numbers of samples per chunk
    options = {"latent": latent, "iterated_sampling": iteration, "seed": seed, "verbose": verbose}
    hits = np.zeros(len(labels))
    for batch, generated in _generated(model, observed, target, max(rows // num_samples, 1), chunks, **options):
        classes = classify(generated.reshape(-1, *generated.shape[2:])).reshape(generated.shape[:2])
        hits[batch] += (classes == labels[batch, None]).sum(axis=1)
    settings = {"latent": latent, **(iteration.settings() if iterates else {}), **left_out}
    quantity = f"{target} from {', '.join(given)} is of its class"
    examples = Fingerprint(observed).hexdigests()
    return Estimate(quantity, "conditional coherence", hits / num_samples, num_samples, seed, None, settings, examples)


def joint_coherence(
    model: MultimodalVAE,
    *,
    classifiers: Mapping[str, Classifier] | None = None,
    prior: str = "standard",
    num_samples: int = 10_000,
    seed: int = 0,
    verbose: int = 1,
) -> Estimate:
    """Estimates the fraction of samples from the prior whose modalities all have the same class.

    Args:
      model: `MultimodalVAE` of a joint distribution; not a CVAE or CMMA.
      classifiers: dict of classifiers by modality, as for `conditional_coherence`. Categorical modalities need none;
        other modalities without one are ignored.
      prior: `"standard"`, the default, samples from the model's own prior; `"fitted"` from the prior of `fit_prior`.
      num_samples: number of samples, N; by default 10,000.
      seed: integer seed of all samples; by default 0.
      verbose: 1, the default, shows a progress bar; 0 shows nothing.

    Returns:
      `Estimate` whose values are 1 or 0 for each sample, `[N]`.

    Raises:
      ValueError: if fewer than two modalities can be classified, or the model is conditional.
    """
    classifiers = dict(classifiers or {})
    checks.check_names(model.modalities, dict.fromkeys(classifiers) or model.modalities)
    names = [name for name in model.modalities if name in classifiers or _is_label(model, name)]
    if len(names) < 2:
        raise ValueError(
            f"Joint coherence compares the classes of two modalities or more; only {names} can be classified. Pass "
            "classifiers={name: function, ...} for modalities that are not categorical."
        )
    num_samples, seed = checks.positive_integer("num_samples", num_samples), whole_seed(seed)
    starts, base_seed, agree = range(0, num_samples, _BATCH), seeds.to_tensor(seed), []
    progress = keras.utils.Progbar(len(starts), verbose=verbose, unit_name="batch")
    for number, start in enumerate(starts):
        batch_seed = tf.random.fold_in(base_seed, number)
        drawn = model.sample(min(_BATCH, num_samples - start), prior=prior, seed=batch_seed)
        classes = [_classifier(model, name, classifiers.get(name))(drawn[name].numpy()) for name in names]
        agree.append(np.all([other == classes[0] for other in classes[1:]], axis=0))
        progress.update(number + 1)
    quantity = f"{' and '.join(names)} from the prior are of one class"
    settings = {} if prior == "standard" else {"prior": prior}
    return Estimate(quantity, "joint coherence", np.concatenate(agree).astype(np.float64), 1, seed, settings=settings)


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
    """Estimates the accuracy of predicted attributes in {-1, 1}, or in {0, 1} with a Bernoulli likelihood.

    An attribute is predicted by its mean under p(target | z) at the mean of q(z | given): it is present if the mean is
    above 0, or with a Bernoulli likelihood above 0.5.

    Args:
      model: `MultimodalVAE` with a posterior given `given`.
      data: dict of arrays `[N, *event_shape]` by name, with the true attributes `[N, A]`.
      target: name of the modality of the attributes; by default the only one with named attributes.
      given: name of the modality to generate them from, or a list of names; by default all others.
      iterated_sampling: an `IteratedSampling` or a number of steps; by default the model's own options.
      seed: integer seed of iterated sampling; by default 0.
      verbose: 1, the default, shows a progress bar; 0 shows nothing.

    Returns:
      `Estimate` whose values are the fraction of right attributes of each example, `[N]`.

    Raises:
      ValueError: if the model does not have this direction, `target` is needed but missing, or true attributes have
        other values.
    """
    if target is None:
        named = [name for name in model.modalities if model.modalities[name].spec.kind == "attributes"]
        if len(named) != 1:
            raise ValueError(f"Pass target=...: the model has {len(named)} modalities of named attributes.")
        (target,) = named
    given = [name for name in model.modalities if name != target] if given is None else given
    given = checks.names_of(given)
    data, _, left_out = scored(model, data, [[target], given])
    gaps.check_rows(model, {name: data[name] for name in given})
    truth = data[target]
    threshold = model.modalities[target].spec.threshold
    values = (0, 1) if threshold else (-1, 1)
    if not (np.isin(truth, values) | np.isnan(truth)).all():
        raise ValueError(f"Attributes must be {values[0]} or 1; modality {target!r} holds other values.")
    seed, iteration = whole_seed(seed), iteration_of(model, iterated_sampling)
    options = {"latent": "mean", "iterated_sampling": iteration, "seed": seed, "verbose": verbose}
    fractions = np.zeros(len(truth))
    for rows, means in _generated(model, {name: data[name] for name in given}, target, _BATCH, **options):
        right = np.where(np.isnan(truth[rows]), np.nan, (means > threshold) == (truth[rows] > threshold))
        fractions[rows] = np.nanmean(right.reshape(len(means), -1), axis=1)
    settings = {**(iteration.settings() if model.iterates(given, iteration) else {}), **left_out}
    quantity = f"{target} from {', '.join(given)} {'is named right' if threshold else 'has the right sign'}"
    examples = Fingerprint({name: data[name] for name in [*given, target]}).hexdigests()
    return Estimate(quantity, "attribute accuracy", fractions, 1, seed, None, settings, examples)


def _generated(
    model: MultimodalVAE,
    observed: Mapping[str, Any],
    target: str,
    batch_size: int,
    chunks: Sequence[int | None] = (None,),
    *,
    seed: int,
    verbose: int,
    **options: Any,
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yields slices of rows and their generated targets, for each batch and each number of samples in `chunks`."""
    starts, base_seed = range(0, len(next(iter(observed.values()))), min(batch_size, _BATCH)), seeds.to_tensor(seed)
    progress = keras.utils.Progbar(len(starts), verbose=verbose, unit_name="batch")
    for index, (start, num_samples) in enumerate(itertools.product(starts, chunks)):
        rows = slice(start, start + starts.step)
        batch = model.read({name: values[rows] for name, values in observed.items()})
        options |= {"num_samples": num_samples, "seed": tf.random.fold_in(base_seed, index)}
        yield rows, model.generate(batch, targets=[target], **options)[target].numpy()
        progress.update((index + 1) // len(chunks))


def _classifier(model: MultimodalVAE, name: str, classifier: Classifier | None) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a function from values to class numbers `[n]`."""
    checks.check_targets(model, [name])
    if classifier is None and not _is_label(model, name):
        raise ValueError(f"Modality {name!r} is not categorical, so its class needs a classifier.")

    def classify(values: np.ndarray) -> np.ndarray:
        if classifier is None:
            scores = values
        elif isinstance(classifier, keras.Model):
            scores = classifier.predict(values, batch_size=_BATCH, verbose=0)
        else:
            scores = np.asarray(classifier(values))
        classes = scores.argmax(-1) if scores.ndim > 1 else scores
        single = classifier is not None and scores.ndim > 1 and scores.shape[-1] < 2
        if classes.shape != values.shape[:1] or single:
            hint = " Of one column take class numbers: (scores[:, 0] > 0.5).astype(int)." if single else ""
            raise ValueError(
                f"The classifier of {name!r} must give class numbers [n], or scores [n, C] of C = 2 classes or more, "
                f"for {len(values)} values; got shape {list(scores.shape)}.{hint}"
            )
        return classes

    return classify


def known_labels(
    model: MultimodalVAE, data: Mapping[str, Any], given: Sequence[str], labels: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """Returns class numbers `[N]`, by default of the only categorical modality in `data`, and which rows have one."""
    checks.check_names(model.modalities, dict.fromkeys(given))
    checks.check_names(model.modalities, data, required=given)
    size = len(data[given[0]])
    known = np.ones(size, bool)
    if labels is None:
        names = [name for name in model.modalities if _is_label(model, name) and name in data]
        if len(names) != 1:
            raise ValueError(f"Pass labels=[...], class numbers: the data have {len(names)} categorical modalities.")
        values = np.asarray(checks.to_arrays(model.modalities, {names[0]: data[names[0]]})[names[0]])
        labels, known = values.argmax(-1), ~gaps.missing_rows(values)
    labels = np.asarray(checks.unmasked("labels", labels))
    if labels.shape != (size,):
        raise ValueError(f"labels must be class numbers of shape [{size}]; got shape {list(labels.shape)}.")
    return labels, known


def _is_label(model: MultimodalVAE, name: str) -> bool:
    return model.modalities[name].spec.kind == "label"
