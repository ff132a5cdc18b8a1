"""Log-mel spectrograms of size 32x32 of short recordings at 8 kHz, and their inversion to sounds.

The first 0.64 s, padded with silence, are split into 32 frames every 20 ms: the power under a Hann window of 50 ms,
summed in 32 overlapping triangular bands of equal width in mel, in decibels below the loudest entry of the recording.
The phase is lost; `waveform` estimates one that fits, by the algorithm of Griffin and Lim [1] as accelerated in [2].

References:
  [1] Griffin and Lim, Signal estimation from modified short-time Fourier transform, 1984.
  [2] Perraudin, Balazs and Sondergaard, A fast Griffin-Lim algorithm, 2013.
"""

import numpy as np

RATE = 8000
"""Sampling rate in Hz."""
SHAPE = (32, 32, 1)
"""Shape of a spectrogram: bands, frames, one channel."""

_BANDS, _FRAMES, _ = SHAPE
_HOP, _WINDOW = 160, 400  # samples
_LENGTH = _FRAMES * _HOP  # number of samples of a recording that are used, after padding
_MARGIN = (_WINDOW - _HOP) // 2  # samples of silence on each side, so that windows are centered on their 20 ms
_RANGE = 60.0  # decibels from the loudest entry down to 0
SETTINGS = (RATE, *SHAPE, _HOP, _WINDOW, _RANGE)
"""All settings that a spectrogram depends on."""

_HANN = np.hanning(_WINDOW + 1)[:-1]
_SPREADS = 20  # iterations of Richardson-Lucy
_ROUNDS = 30  # iterations of Griffin-Lim
_MOMENTUM = 0.99  # momentum of [2]


def frequencies() -> np.ndarray:
    """Returns the 34 edges of the bands in Hz: band i rises from edge i to i + 1, and falls to edge i + 2."""
    top = 2595 * np.log10(1 + RATE / 2 / 700)  # mel
    return 700 * (10 ** (np.linspace(0, top, _BANDS + 2) / 2595) - 1)


def log_mel(samples: np.ndarray) -> np.ndarray:
    """Computes the log-mel spectrogram of a recording.

    Args:
      samples: array `[T]` of samples at 8 kHz, in any unit.

    Returns:
      Float32 array `[32, 32, 1]` in [0, 1]: bands, the highest first as spectrograms are drawn, by frames. 1 is the
      loudest entry, and 0 an entry at least 60 dB below it.

    Raises:
      ValueError: if the first 0.64 s of the recording are silent.
    """
    sound = np.zeros(_LENGTH)
    sound[: len(samples)] = samples[:_LENGTH]
    bands = np.abs(_stft(sound)) ** 2 @ _filters()
    if not bands.any():
        raise ValueError(
            f"Silence in the first {_LENGTH / RATE} s: a log-mel spectrogram is scaled by its loudest entry."
        )
    decibels = 10 * np.log10(np.maximum(bands / bands.max(), 1e-30))
    return np.clip(1 + decibels / _RANGE, 0, 1).T[::-1, :, None].astype(np.float32)


def waveform(spectrogram: np.ndarray) -> np.ndarray:
    """Estimates a sound of 0.64 s at 8 kHz with this log-mel spectrogram.

    Args:
      spectrogram: float array `[32, 32, 1]`, as `log_mel` returns it.

    Returns:
      Float64 array `[5120]` with largest magnitude 1; equal spectrograms give equal sounds.
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
    """Returns the weight of each frequency in each band, `[201, 32]`."""
    edges, at = frequencies(), np.fft.rfftfreq(_WINDOW, 1 / RATE)[:, None]
    rising = (at - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - at) / (edges[2:] - edges[1:-1])
    return np.maximum(np.minimum(rising, falling), 0)


def _power(bands: np.ndarray) -> np.ndarray:
    """Estimates non-negative power `[32, 201]` from its sums in bands, `[32, 32]`, by Richardson-Lucy."""
    filters = _filters()
    total = np.maximum(filters.sum(axis=1), 1e-12)
    power = np.ones((len(bands), len(filters)))
    for _ in range(_SPREADS):
        power *= bands / np.maximum(power @ filters, 1e-30) @ filters.T / total
    return power


def _stft(sound: np.ndarray) -> np.ndarray:
    """Computes the spectra of the frames, `[32, 201]`."""
    padded = np.pad(sound, _MARGIN)
    return np.fft.rfft(np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP] * _HANN)


def _istft(spectra: np.ndarray) -> np.ndarray:
    """Computes the sound, `[5120]`, whose frames' spectra are closest by least squares: Eq. (6) of [1]."""
    total, weight = np.zeros((2, _LENGTH + 2 * _MARGIN))
    for start, frame in zip(range(0, _LENGTH, _HOP), np.fft.irfft(spectra, _WINDOW), strict=True):
        total[start : start + _WINDOW] += frame * _HANN
        weight[start : start + _WINDOW] += _HANN**2
    return (total / np.maximum(weight, 1e-12))[_MARGIN:-_MARGIN]
