"""A folder as that of the Free Spoken Digit Dataset, with tones in place of words: of each digit one of its own."""

import wave

import numpy as np

from tf_jmvae.data.log_mel import frequencies

SPEAKERS, TAKES = ("ann", "bob"), (0, 4, 5, 6, 20)


def write(path, samples, rate=8000, channels=1, width=2):
    """Writes a WAV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", None))
        file.writeframes(np.asarray(samples, "<i2" if width == 2 else np.uint8).tobytes())


def tone(digit, speaker, take):
    """Of each digit a frequency of its own, of each speaker a loudness, of each take a length: samples, int16."""
    time = np.arange(1600 + 100 * take) / 8000
    loudness = {"ann": 900, "bob": 20_000}[speaker]
    return np.int16(loudness * np.sin(2 * np.pi * frequencies()[3 * digit + 1] * time))


def write_all(folder):
    """Writes every take of every speaker and digit, in a folder for each speaker."""
    for digit in range(10):
        for speaker in SPEAKERS:
            for take in TAKES:
                write(folder / speaker / f"{digit}_{speaker}_{take}.wav", tone(digit, speaker, take))
