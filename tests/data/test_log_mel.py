"""Log-mel spectrograms of sounds that are known, and sounds of spectrograms."""

import numpy as np
import pytest
from scipy import signal

from tf_jmvae.data.log_mel import RATE, SHAPE, frequencies, log_mel, waveform

TIME = np.arange(5120) / RATE


def _tone(hertz, size=5120):
    return np.sin(2 * np.pi * hertz * TIME[:size])


def _chirp():
    return signal.chirp(TIME, 300, TIME[-1], 3000) * np.hanning(len(TIME))


@pytest.mark.parametrize("band", range(32))
def test_a_tone_is_loudest_in_the_band_about_its_frequency(band):
    hertz = frequencies()[band + 1]
    found = log_mel(_tone(hertz))
    assert (found.shape, found.dtype) == (SHAPE, np.float32)
    assert set(found[..., 0].argmax(axis=0)) == {31 - band}  # the highest band first


def test_bands_are_of_equal_width_in_mel_up_to_half_the_rate():
    edges = frequencies()
    assert edges[[0, -1]] == pytest.approx([0, RATE / 2])
    mel = 1127 * np.log(1 + edges / 700)  # the natural logarithm's form of the scale
    np.testing.assert_allclose(np.diff(mel), mel[-1] / 33, rtol=1e-3)


def test_it_is_the_power_of_scipys_spectra_in_the_bands():
    sound = np.random.default_rng(0).standard_normal(5120)
    settings = {"window": "hann", "nperseg": 400, "noverlap": 240, "detrend": False, "mode": "magnitude"}
    # Frame i is about the middle of its own 20 ms, sample 160 i + 80.
    at, _, magnitude = signal.spectrogram(np.pad(sound, 120), RATE, **settings)
    edges = frequencies()
    expected = [
        np.interp(at, [low, middle, high], [0, 1, 0]) @ magnitude**2
        for low, middle, high in zip(edges[:-2], edges[1:-1], edges[2:], strict=True)
    ]
    decibels = 10 * np.log10(np.array(expected) / np.max(expected))
    np.testing.assert_allclose(log_mel(sound)[::-1, :, 0], np.clip(1 + decibels / 60, 0, 1), atol=1e-5)


def test_time_runs_over_the_frames_and_short_sounds_end_in_silence():
    found = log_mel(_tone(1000, 1600))  # 0.2 s, 10 frames
    heard = found[..., 0].max(axis=0)
    assert heard[:9].min() > 0.95
    assert heard[12:].max() == 0


def test_loudness_does_not_matter_and_what_is_late_is_left_out():
    sound = np.random.default_rng(0).standard_normal(6000)
    np.testing.assert_allclose(log_mel(sound), log_mel(1000 * sound[:5120]), atol=1e-6)


def test_sixty_decibels_below_the_loudest_is_nothing():
    def at(decibels):
        both = _tone(500) + 10 ** (-decibels / 20) * _tone(3000)
        return log_mel(both * np.hanning(5120))[:8, 16].max()  # the bands around 3 kHz

    assert at(0) == pytest.approx(1, abs=0.15)  # bands are wider up there, and so sum more
    assert at(30) == pytest.approx(at(0) - 0.5, abs=0.02)
    assert at(70) == 0


@pytest.mark.parametrize("sound", [np.zeros(5120), np.zeros(10), np.zeros(0), np.r_[np.zeros(5120), np.ones(10)]])
def test_silence_has_no_loudest_entry(sound):
    with pytest.raises(ValueError, match=r"Silence in the first 0\.64 s"):
        log_mel(sound)


@pytest.mark.parametrize("sound", [_chirp(), np.random.default_rng(0).standard_normal(3000)])
def test_the_sound_of_a_spectrogram_has_that_spectrogram(sound):
    wanted = log_mel(sound)
    made = waveform(wanted)
    assert made.shape == (5120,)
    assert np.abs(made).max() == pytest.approx(1)
    found = log_mel(made)
    assert 60 * np.abs(found - wanted).mean() < 1  # dB
    np.testing.assert_array_equal(made, waveform(wanted))


def test_a_tone_comes_back_at_its_pitch():
    spectrum = np.abs(np.fft.rfft(waveform(log_mel(_tone(frequencies()[10])))))
    assert spectrum.argmax() * RATE / 5120 == pytest.approx(frequencies()[10], rel=0.1)


def test_what_a_decoder_may_make_gives_a_sound_too():
    for values in (np.zeros(SHAPE), np.full(SHAPE, 1.5), np.full(SHAPE, -0.5)):
        assert np.isfinite(waveform(values)).all()
    assert not waveform(np.zeros(SHAPE)).any()
