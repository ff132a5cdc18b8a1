"""Spoken digits: MNIST images, recordings of the Free Spoken Digit Dataset [1], and labels.

Images and recordings come from different people and are paired by their label. So they are independent given the label,
which is all that a model can learn of one from the other.

References:
  [1] Jackson and others, Free Spoken Digit Dataset, https://github.com/Jakobovski/free-spoken-digit-dataset.
"""

import hashlib
import os
import pathlib
import re
import wave
from collections.abc import Mapping

import numpy as np

from tf_jmvae.data import digits
from tf_jmvae.data.log_mel import RATE, SETTINGS, SHAPE, log_mel
from tf_jmvae.data.prepared import cache_folder, load_or_prepare
from tf_jmvae.data.sources import Source
from tf_jmvae.registry import DATASETS

_NAME = re.compile(r"(\d)_([^_]+)_(\d+)")
_TEST_TAKES = 5  # the first takes of each speaker and digit, as in [1]
_WANTED = (
    "a folder with the recordings of the Free Spoken Digit Dataset "
    "(https://github.com/Jakobovski/free-spoken-digit-dataset), called DIGIT_SPEAKER_TAKE.wav"
)
_LISTED = 5


@DATASETS.register("spoken-digits")
def spoken_digits(data_dir: str | os.PathLike | None = None, seed: int = 0) -> Source:
    """Loads images `[N, 28, 28, 1]`, log-mel spectrograms sound `[N, 32, 32, 1]` in [0, 1], and labels w.

    The rows are those of MNIST. Takes 0 to 4 of each speaker and digit are the test set, as defined by the recordings'
    authors. 2,700 of the 3,000 recordings are assigned to the 60,000 training rows, paired anew with images of their
    digit in every epoch, and 300 to the 10,000 test rows, in fixed pairs: standard errors that treat these rows as
    independent are too small for quantities that depend on the sound. The spectrograms, see `log_mel`, are computed
    once and cached in `prepared.cache_folder()`.

    Args:
      data_dir: folder with the recordings, at any depth, and MNIST's files, in it or in its folder `mnist`, as for
        `digits.read`; MNIST is downloaded if there are none.
      seed: integer seed of the test pairs and of the initial training pairs; 0 by default.

    Raises:
      FileNotFoundError: if there are no recordings, or none of a digit in one of the splits, or MNIST lacks a file.
      OSError: if a file is damaged, as for `digits.read`, or the cached copy cannot be written.
      ValueError: if `data_dir` is None, or if a recording has an unexpected name, occurs twice, is silent, or is not
        mono, 16 bits and 8 kHz.
    """
    if data_dir is None:
        raise ValueError(
            f"The dataset spoken-digits needs a data dir: {_WANTED}; and MNIST's files, in it or in mnist."
        )
    data_dir = pathlib.Path(data_dir)
    recordings = {key: _samples(path) for key, path in _found(data_dir).items()}
    content = hashlib.blake2b(f"{SETTINGS}".encode(), digest_size=8)
    for key, samples in recordings.items():
        content.update(f"{key} {len(samples)} ".encode() + samples.tobytes())

    def prepare(temporary: pathlib.Path) -> None:
        np.save(temporary / "sound.npy", np.stack([_spectrogram(key, each) for key, each in recordings.items()]))

    def load(place: pathlib.Path) -> np.ndarray:
        sound = np.load(place / "sound.npy")
        if sound.shape != (len(recordings), *SHAPE):
            raise ValueError(f"{place} is damaged.")
        return sound

    sound = load_or_prepare(cache_folder() / f"spoken_digits-{content.hexdigest()}", prepare, load)
    spoken, is_test = np.array([(digit, take < _TEST_TAKES) for digit, _, take in recordings]).T
    mnist = digits.mnist(next((place for place in (data_dir, data_dir / "mnist") if digits.is_in(place)), None))
    parts, randoms = [], np.random.default_rng(seed).spawn(2)
    for split, images, random in zip((0, 1), (mnist.train, mnist.test), randoms, strict=True):
        rows = np.flatnonzero(is_test == split)
        labels = images["w"].argmax(axis=-1)
        paired = rows[_paired(labels, spoken[rows], random)]
        parts.append({"image": images["x"], "sound": sound[paired], "w": images["w"]})
    redraw = {"sound": parts[0]["w"].argmax(axis=-1)}
    return Source(*parts, binarize=("image",), redraw=redraw, class_names=mnist.class_names)


def _found(folder: pathlib.Path) -> Mapping[tuple[int, str, int], pathlib.Path]:
    """Finds the recordings, sorted by digit, speaker and take."""
    paths = sorted(folder.rglob("*.wav"))
    if not paths:
        raise FileNotFoundError(f"No recordings in {folder}. Expected {_WANTED}.")
    if wrong := [path.name for path in paths if not _NAME.fullmatch(path.stem)]:
        more = f" and {len(wrong) - _LISTED} more" if len(wrong) > _LISTED else ""
        raise ValueError(
            f"Recordings in {folder} must be named DIGIT_SPEAKER_TAKE.wav, such as 7_jackson_32.wav; got "
            f"{', '.join(wrong[:_LISTED])}{more}. Rename them, or move them elsewhere."
        )
    found: dict[tuple[int, str, int], pathlib.Path] = {}
    for path in paths:
        digit, speaker, take = _NAME.fullmatch(path.stem).groups()
        if (other := found.setdefault((int(digit), speaker, int(take)), path)) != path:
            raise ValueError(f"The same recording is present twice: {other} and {path}. Move one of them elsewhere.")
    for split, takes in (("test", f"0 to {_TEST_TAKES - 1}"), ("training", f"{_TEST_TAKES} and above")):
        there = {digit for digit, _, take in found if (take < _TEST_TAKES) == (split == "test")}
        if lacking := sorted(set(range(10)) - there):
            lacked = ", ".join(map(str, lacking))
            raise FileNotFoundError(
                f"{folder} has no takes {takes}, which are the {split} set, of the digits {lacked}."
            )
    return dict(sorted(found.items()))


def _samples(path: pathlib.Path) -> np.ndarray:
    """Reads the samples of a recording, int16 `[T]`."""
    try:
        with wave.open(str(path)) as file:
            form = (file.getframerate(), file.getsampwidth(), file.getnchannels())
            size, content = file.getnframes(), file.readframes(file.getnframes())
    except (EOFError, wave.Error) as error:
        raise OSError(f"{path} is damaged, or not a PCM WAV file ({str(error) or 'it ends too early'}).") from error
    if form != (RATE, 2, 1):
        raise ValueError(
            f"{path}: expected {RATE} samples per second of 16 bits, mono; got {form[0]} of {8 * form[1]} bits, "
            f"{form[2]} channel{'s' if form[2] > 1 else ''}."
        )
    if not size:
        raise OSError(f"{path} has no samples. Fetch it again.")
    if len(content) != 2 * size:
        raise OSError(f"{path} should have {size} samples, but has {len(content) // 2}. Fetch it again.")
    return np.frombuffer(content, "<i2")


def _spectrogram(key: tuple[int, str, int], samples: np.ndarray) -> np.ndarray:
    try:
        return log_mel(samples)
    except ValueError as error:
        raise ValueError(f"The recording {'_'.join(map(str, key))}.wav cannot be used. {error}") from error


def _paired(labels: np.ndarray, spoken: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Assigns each image a recording of its digit, `[N]`, each equally often up to rounding."""
    pairs = np.empty(len(labels), int)
    for digit in np.unique(labels):
        images, recordings = np.flatnonzero(labels == digit), np.flatnonzero(spoken == digit)
        pairs[images] = recordings[random.permutation(len(images)) % len(recordings)]
    return pairs
