"""Checks of users' arguments and data, with errors that name the mistake.

Names, shapes and dtypes of data are always checked, also while TensorFlow traces, where they are static and cost
nothing at run time. Values are checked whenever they are known: NumPy arrays and eager tensors, a few MiB at a time.
"""

import difflib
import math
import numbers
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from tf_jmvae._utils import cells, gaps

if TYPE_CHECKING:
    from tf_jmvae.heads import Head
    from tf_jmvae.modality import Modality
    from tf_jmvae.models import MultimodalVAE

_CHUNK = 2**20  # number of entries to check at once
_MAY_LACK = " If rows may lack the modality, say Modality(..., optional=True)."
_LARGE = 30.0  # root mean square above which real values count as unscaled


def to_tensors(modalities: Mapping[str, "Modality"], batch: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    """Checks a batch and converts it to float32 tensors `[B, *event_shape]`, in the model's order of modalities.

    The batch maps any non-empty subset of the modalities to arrays or tensors. Raises `ValueError` for unknown or no
    modalities, a wrong shape, NaN or infinity, values outside the likelihood's support, or modalities of different
    lengths; `TypeError` if the batch is not a dict or its values are not numbers.
    """
    return {
        name: tf.cast(tf.ensure_shape(array, (None, *modalities[name].event_shape)), tf.float32)
        for name, array in to_arrays(modalities, batch).items()
    }


def to_arrays(
    modalities: Mapping[str, "Modality"],
    batch: Mapping[str, Any],
    *,
    required: Iterable[str] | None = None,
    first_row: int | None = None,
) -> dict[str, np.ndarray | tf.Tensor]:
    """Checks a batch and returns it; only values that are neither NumPy arrays nor tensors are converted.

    Errors are those of `to_tensors`, and `ValueError` if one of `required` is missing. `first_row`, the number of a
    batch's first row in a pipeline, locates errors in messages.
    """
    batch, _ = cells.encoded(modalities, batch)
    check_names(modalities, batch, required)
    arrays = {name: _checked(name, modalities[name], batch[name]) for name in modalities if name in batch}
    for name, array in arrays.items():
        if isinstance(array, np.ndarray) or tf.executing_eagerly():
            values = array if isinstance(array, np.ndarray) else array.numpy()
            check_values(name, modalities[name].head, values, optional=modalities[name].optional, first_row=first_row)
    sizes = {name: tf.TensorShape(array.shape).with_rank_at_least(1)[0] for name, array in arrays.items()}
    if len(set(sizes.values()) - {None}) > 1:
        raise ValueError(f"All modalities of a batch must have the same number of examples; got {sizes}.")
    return arrays


def check_names(modalities: Mapping[str, "Modality"], names: Any, required: Iterable[str] | None = None) -> None:
    """Raises an error unless the dict `names` has only known modalities, at least one, and all `required` ones."""
    if not isinstance(names, Mapping):
        raise TypeError(
            f"Expected a dict of modalities such as {{{listed(modalities)}: ...}}; got {type(names).__name__}."
        )
    if unknown := [name for name in names if name not in modalities]:
        raise ValueError(f"Unknown modality {listed(unknown)}. This model has {listed(modalities)}.")
    if not names:
        raise ValueError(f"No modality was given. Pass at least one of {listed(modalities)}.")
    missing = [name for name in required or () if name not in names]
    if missing:
        raise ValueError(f"Modality {listed(missing)} is missing: expected {listed(modalities)}, got {listed(names)}.")


def names_of(names: str | Iterable[str]) -> list[str]:
    """Returns the list of an argument that is a name or several."""
    return [names] if isinstance(names, str) else list(names)


def check_ends(data: Any, steps: str = "") -> None:
    """Raises `ValueError` if data are known to be infinite; `steps` is the option that limits them."""
    if isinstance(data, tf.data.Dataset):
        endless = data.cardinality() == tf.data.INFINITE_CARDINALITY
    else:
        endless = isinstance(data, keras.utils.PyDataset) and data.num_batches is None
    if endless:
        option = f", or {steps}=n" if steps else ""
        raise ValueError(f"The dataset never ends: pass dataset.take(n), with the number of batches to read{option}.")


def check_no_targets(targets: Any) -> None:
    """Raises `ValueError` unless there are no targets: None, an empty container, or an array of no columns `[N, 0]`."""
    if isinstance(targets, Mapping | list | tuple) and not targets:
        return
    if targets is not None and (getattr(targets, "shape", None) or (1,))[-1] != 0:
        raise ValueError("A multimodal VAE has no separate targets: pass every modality in one dict as x, and no y.")


def check_conditions(model: "MultimodalVAE", observed: Iterable[str]) -> None:
    """Raises `ValueError` unless all conditions of the model are observed."""
    if missing := [name for name in model.conditions if name not in observed]:
        kind, conditions, targets = type(model).__name__, listed(model.conditions), listed(model.targets)
        raise ValueError(
            f"This {kind} goes from {conditions} to {targets} only, but {listed(missing)} was not given. For another "
            f"direction train a {kind} with another target, or a JMVAEKL, which has every direction."
        )


def check_targets(model: "MultimodalVAE", targets: Iterable[str]) -> None:
    """Raises `ValueError` unless the model generates every one of `targets`."""
    check_names(model.modalities, dict.fromkeys(targets))
    if given := [name for name in targets if name not in model.targets]:
        raise ValueError(
            f"This {type(model).__name__} takes {listed(given)} as given; it generates {listed(model.targets)} only."
        )


def listed(names: Iterable[Any]) -> str:
    """Formats names or other values as a list for messages."""
    return ", ".join(map(repr, names)) or "nothing"


def check_option(name: str, value: Any, allowed: Iterable[Any]) -> None:
    """Raises `ValueError` unless the value is in `allowed`."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {listed(allowed)}; got {value!r}.")


def entry_index(name: str, entry_names: Sequence[str]) -> int:
    """Returns the index of the entry with a name; raises `ValueError`, with similar names, if there is none."""
    if name in entry_names:
        return entry_names.index(name)
    by_lower = {known.lower(): known for known in entry_names}
    close = [by_lower[match] for match in difflib.get_close_matches(name.lower(), by_lower, n=3)]
    hint = f"Did you mean {' or '.join(close)}?" if close else f"The attributes are {', '.join(entry_names)}."
    raise ValueError(f"Unknown attribute {name!r}. {hint}")


def positive_integer(name: str, value: Any) -> int:
    """Returns the value as an int; raises `ValueError` unless it is a whole number of 1 or more."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < 1:
        raise ValueError(f"{name} must be a whole number of 1 or more; got {value!r}.")
    return value.__index__()


def non_negative_number(name: str, value: Any) -> float:
    """Returns the value as a float; raises `ValueError` unless it is a finite number of 0 or more."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= value < float("inf"):
        raise ValueError(f"{name} must be a finite number of 0 or more; got {value!r}.")
    return float(value)


def unmasked(what: str, value: Any, advice: str = "") -> Any:
    """Converts an array of `numpy.ma` to a plain array; raises `ValueError` if an entry is masked."""
    if not isinstance(value, np.ma.MaskedArray):
        return value
    if masked := int(np.ma.count_masked(value)):
        raise ValueError(
            f"{what}: {masked} of its {value.size} entries are masked, and models would read what lies under the mask. "
            f"Leave those examples out, or fill the entries: value.filled(...).{advice}"
        )
    return value.data


def sample_weights(value: Any, size: int, *, first_row: int = 0) -> np.ndarray:
    """Returns weights of `size` examples, `[N]`; raises `ValueError` unless they are finite and non-negative."""
    value = unmasked("sample_weight", value)
    try:
        weights = np.asarray(value)
    except ValueError:  # rows of different lengths
        weights = np.asarray(value, object)
    if weights.dtype.kind not in "fiub" or weights.shape not in ((size,), (size, 1)):
        raise ValueError(
            f"sample_weight must be one number for each of the {size} examples, of shape [{size}]; got "
            f"{type(value).__name__} of shape {list(weights.shape)} and type {weights.dtype}."
        )
    with np.errstate(over="ignore"):  # values that overflow float32 become infinite, and are reported
        weights = weights.reshape(size).astype(np.float32, copy=False)
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"sample_weight holds {weights[row]} at index {first_row + row} ({int(wrong.sum())} such in all). "
            "Expected finite numbers of 0 or more."
        )
    return weights


def warn_of_scale(name: str, modality: "Modality", values: np.ndarray) -> None:
    """Warns of unscaled real values, which a network could reach only with very large weights."""
    from tf_jmvae import heads

    if not isinstance(modality.head, heads.Gaussian | heads.Laplace) or modality.standardized or not len(values):
        return
    there = ~np.isnan(values) if modality.optional else np.ones(values.shape, bool)
    squares = np.square(np.where(there, values, 0), dtype=np.float64).sum(axis=0)
    scale = float(np.sqrt(squares / np.maximum(there.sum(axis=0), 1)).max())
    if scale > _LARGE:
        warnings.warn(
            f"Modality {name!r} has the scale {scale:.3g} (root mean square of its largest entry), and its likelihood "
            f"{modality.likelihood!r} expects about 1: the loss may explode. Standardise it: subtract the "
            "mean of each entry over the training data, and divide by its standard deviation.",
            stacklevel=2,
        )


def check_values(
    name: str, head: "Head", values: np.ndarray, *, optional: bool | str = False, first_row: int | None = None
) -> None:
    """Raises `ValueError` for NaN, infinity, or values `[B, *event_shape]` outside the likelihood's support.

    NaN is allowed if the modality is `optional`. A memory-mapped array is read chunk by chunk. `first_row` is as for
    `to_arrays`.
    """
    wrong: dict[bool, list[tuple[Any, tuple[int, ...], int]]] = {
        True: [],
        False: [],
    }  # keyed by whether they are not finite
    rows = max(_CHUNK // max(math.prod(values.shape[1:]), 1), 1)
    for start in range(0, len(values), rows):
        with np.errstate(over="ignore"):  # values that overflow float32 become infinite, and are reported
            chunk = np.asarray(values[start : start + rows], np.float32)
        finite, there = np.isfinite(chunk), np.ones((), bool)
        if optional and not finite.all():
            there = ~np.isnan(chunk)
            if optional is True:  # rows must be complete or missing as a whole
                there |= there.any(axis=tuple(range(1, chunk.ndim)), keepdims=True)
            finite |= ~there
            chunk = np.where(there, chunk, np.float32(0))
        not_finite = not finite.all()
        good = finite if not_finite else head.in_support(chunk) | ~there
        if not good.all():
            # A mask of size 1 along the last axis refers to whole rows.
            row, *rest = map(int, np.argwhere(~good)[0][: None if good.shape == chunk.shape else -1])
            place = (int(start + row + (first_row or 0)), *rest)
            wrong[not_finite].append((chunk[row, *rest], place, int((~good).sum())))
    found = wrong[True] or wrong[False]
    if not found:
        return
    value, index, _ = found[0]
    message = f"Modality {name!r} holds {value} at index {index} ({sum(number for *_, number in found)} such in all)"
    if wrong[True]:
        message += f". Expected {head.support}; remove or replace such values."
        if np.isnan(value) and not optional:
            message += _MAY_LACK
        elif np.isnan(value):
            message += " A row holds an optional modality whole or not at all, unless it is optional='entries'."
    else:
        likelihood = head.likelihood or type(head).__name__
        message += f", which its likelihood {likelihood!r} cannot score. Expected {head.support}."
    if first_row is not None:
        message += f" This occurred in the batch of rows {first_row} to {first_row + len(values) - 1}."
    raise ValueError(message)


def _checked(name: str, modality: "Modality", value: Any) -> np.ndarray | tf.Tensor:
    """Converts a value to a NumPy array or tensor, and checks its dtype and static shape."""
    expected = f"numbers of shape [batch, {', '.join(map(str, modality.event_shape))}]"
    value = gaps.stacked(value)
    value = gaps.filled(value) if modality.optional else unmasked(f"Modality {name!r}", value, _MAY_LACK)
    if modality.optional or hasattr(value, "to_numpy"):
        value = gaps.as_numbers(value)
    if isinstance(value, np.ndarray) and value.ndim == 1 and modality.event_shape == (1,):
        value = value[:, None]  # a column
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub":
        try:
            value = tf.convert_to_tensor(value)
        except (TypeError, ValueError) as error:
            raise TypeError(f"Modality {name!r}: expected {expected}; got {type(value).__name__}.") from error
        if not (value.dtype.is_floating or value.dtype.is_integer or value.dtype.is_bool):
            raise TypeError(f"Modality {name!r}: expected {expected}; got dtype {value.dtype.name}.")
    shape = tf.TensorShape(value.shape)
    if shape.rank is not None and not (shape.rank and shape[1:].is_compatible_with(modality.event_shape)):
        hint = ""
        if tuple(shape) == modality.event_shape:
            hint = " Add the batch axis: value[None]."
        elif modality.spec.kind == "label" and shape.rank == 1:
            hint = f" Make class numbers one-hot: keras.utils.to_categorical(value, {modality.event_shape[-1]})."
        raise ValueError(f"Modality {name!r}: expected {expected}; got shape {tuple(shape)}.{hint}")
    return value
