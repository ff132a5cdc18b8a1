"""Short recordings of 8 kHz as log-mel spectrograms of 32x32, and sounds again of them.

The first 0.64 s, padded with silence, in 32 frames every 20 ms: the power under a Hann window of 50 ms, summed in 32
overlapping triangular bands of equal width in mel, in decibels below the loudest entry of the recording. The phase is
lost, and with it what sounds apart from the spectrum; `waveform` makes one up that fits, by Griffin and Lim's algorithm
[1] as [2] made it fast.

References:
  [1] Griffin and Lim, Signal estimation from modified short-time Fourier transform, 1984.
  [2] Perraudin, Balazs and Sondergaard, A fast Griffin-Lim algorithm, 2013.
"""

import numpy as np

RATE = 8000
"""Samples per second."""
SHAPE = (32, 32, 1)
"""Bands, frames, and one value in each."""

_BANDS, _FRAMES, _ = SHAPE
_HOP, _WINDOW = 160, 400  # samples
_LENGTH = _FRAMES * _HOP  # samples of a recording that are used, or padded
_MARGIN = (_WINDOW - _HOP) // 2  # of silence around them, so that frames are about their own 20 ms
_RANGE = 60.0  # decibels from the loudest entry down to 0
SETTINGS = (RATE, *SHAPE, _HOP, _WINDOW, _RANGE)
"""All that a spectrogram depends on besides the recording."""

_HANN = np.hanning(_WINDOW + 1)[:-1]
_SPREADS = 20  # of the power in a band over its frequencies
_ROUNDS = 30  # of Griffin and Lim's
_MOMENTUM = 0.99  # of [2]


def frequencies() -> np.ndarray:
    """The 34 edges of the bands in Hz: band i rises from edge i to i + 1, and falls to i + 2."""
    top = 2595 * np.log10(1 + RATE / 2 / 700)  # mel
    return 700 * (10 ** (np.linspace(0, top, _BANDS + 2) / 2595) - 1)


def log_mel(samples: np.ndarray) -> np.ndarray:
    """A recording's log-mel spectrogram.

    Args:
      samples: `[T]` of 8 kHz, in any unit.

    Returns:
      Float32 `[32, 32, 1]` in [0, 1]: bands, the highest first, as spectrograms are drawn, by frames. 1 is the loudest
      entry, 0 whatever is 60 dB below it or more.

    Raises:
      ValueError: what is used of the recording is silent.
    """
    sound = np.zeros(_LENGTH)
    sound[: len(samples)] = samples[:_LENGTH]
    bands = np.abs(_stft(sound)) ** 2 @ _filters()
    if not bands.any():
        raise ValueError(f"Silence in the first {_LENGTH / RATE} s: a log-mel spectrogram needs a loudest entry.")
    decibels = 10 * np.log10(np.maximum(bands / bands.max(), 1e-30))
    return np.clip(1 + decibels / _RANGE, 0, 1).T[::-1, :, None].astype(np.float32)


def waveform(spectrogram: np.ndarray) -> np.ndarray:
    """A sound that has this log-mel spectrogram, nearly: 0.64 s of 8 kHz.

    Args:
      spectrogram: `[32, 32, 1]`, as `log_mel` gives it.

    Returns:
      Float64 `[5120]`, its largest magnitude 1; equal spectrograms give equal sounds.
    """
    values = np.clip(np.asarray(spectrogram, np.float64)[::-1, :, 0].T, 0, 1)
    bands = np.where(values > 0, 10 ** ((values - 1) * _RANGE / 10), 0)
    magnitude = np.sqrt(_power(bands))
    phase = np.exp(2j * np.pi * np.random.default_rng(0).random(magnitude.shape))
    before = np.zeros_like(phase)
    for _ in range(_ROUNDS):
        consistent = _stft(_istft(magnitude * phase))
        ahead = consistent + _MOMENTUM * (consistent - before)
        before, phase = consistent, ahead / np.maximum(np.abs(ahead), 1e-12)
    sound = _istft(magnitude * phase)
    return sound / max(np.abs(sound).max(), 1e-12)


def _filters() -> np.ndarray:
    """How much of the power at each frequency of a frame is in each band, `[201, 32]`."""
    edges, at = frequencies(), np.fft.rfftfreq(_WINDOW, 1 / RATE)[:, None]
    rising = (at - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - at) / (edges[2:] - edges[1:-1])
    return np.maximum(np.minimum(rising, falling), 0)


def _power(bands: np.ndarray) -> np.ndarray:
    """Power `[32, 201]` whose sums in the bands are `[32, 32]`: Richardson and Lucy's algorithm keeps it positive."""
    filters = _filters()
    total = np.maximum(filters.sum(axis=1), 1e-12)
    power = np.ones((len(bands), len(filters)))
    for _ in range(_SPREADS):
        power *= bands / np.maximum(power @ filters, 1e-30) @ filters.T / total
    return power


def _stft(sound: np.ndarray) -> np.ndarray:
    """Spectra of the frames, `[32, 201]`."""
    padded = np.pad(sound, _MARGIN)
    return np.fft.rfft(np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP] * _HANN)


def _istft(spectra: np.ndarray) -> np.ndarray:
    """The sound whose frames' spectra are closest to these, by least squares, `[5120]`: Eq. (6) of [1]."""
    total, weight = np.zeros((2, _LENGTH + 2 * _MARGIN))
    for start, frame in zip(range(0, _LENGTH, _HOP), np.fft.irfft(spectra, _WINDOW), strict=True):
        total[start : start + _WINDOW] += frame * _HANN
        weight[start : start + _WINDOW] += _HANN**2
    return (total / np.maximum(weight, 1e-12))[_MARGIN:-_MARGIN]
