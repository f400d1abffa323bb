"""ChromaCQT against librosa, and on chords whose pitch classes are known."""

import json

import librosa
import numpy as np
import pytest

from kmir.errors import AudioError, UsageError
from kmir.features import constant_q
from kmir.features.base import feature_from_config
from kmir.features.chroma_cqt import NORMS, ChromaCQT

RATE = 22050


def chord(*midi: float, seconds: float = 3.0) -> np.ndarray:
    """Notes with four harmonics, and a little noise."""
    time = np.arange(round(seconds * RATE)) / RATE
    noise = 1e-3 * np.random.default_rng(0).standard_normal(len(time))
    tones = [
        np.sin(2 * np.pi * harmonic * 440 * 2 ** ((note - 69) / 12) * time) / harmonic
        for note in midi
        for harmonic in range(1, 5)
    ]
    return (0.1 * sum(tones) + noise).astype(np.float32)


@pytest.mark.parametrize("norm", ["max", "l1", "l2", None])
@pytest.mark.parametrize(
    "values", [{}, {"tuning": 0.0, "hop_length": 441}, {"bins_per_octave": 12, "n_octaves": 6}]
)
def test_equal_to_librosa(norm, values):
    feature = ChromaCQT(norm=norm, **values)
    samples = np.concatenate([chord(48, 64, 67, seconds=1), chord(45, 60, 64, 69, seconds=2)])
    expected = librosa.feature.chroma_cqt(
        y=samples,
        sr=RATE,
        hop_length=feature.hop_length,
        n_octaves=feature.n_octaves,
        bins_per_octave=feature.bins_per_octave,
        tuning=feature.tuning,
        norm=NORMS[norm],
    ).T
    frames = feature(samples)
    assert frames.dtype == np.float32
    assert frames.shape == (feature.frames(3), *feature.shape)
    np.testing.assert_allclose(frames, expected, atol=1e-5)


@pytest.mark.parametrize("root", range(12))
def test_bin_0_is_c(root):
    frame = ChromaCQT(norm="max")(chord(48 + root, 52 + root, 55 + root))[60]
    # The harmonics of a major triad are its notes and B, D, G# over C: weaker than its notes.
    assert set(np.argsort(-frame)[:3]) == {root, (root + 4) % 12, (root + 7) % 12}
    assert ChromaCQT.first_pitch_class == 0


def test_higher_by_a_semitone_is_a_rotation():
    low, high = (ChromaCQT(tuning=0.0)(chord(50 + k, 57 + k, 65 + k))[60] for k in (0, 1))
    # Harmonics that nearly meet beat against each other, at another moment for other notes.
    np.testing.assert_allclose(np.roll(low, 1), high, atol=0.05)


@pytest.mark.parametrize("span", [1.0, 3.3])
def test_spans_join_to_the_whole(monkeypatch, span):
    samples = np.concatenate([chord(48 + k, 55 + k, 64 + k, seconds=2) for k in range(10)])
    feature = ChromaCQT(tuning=0.1)
    whole = feature(samples)
    monkeypatch.setattr(constant_q, "SPAN_SECONDS", span)
    np.testing.assert_allclose(feature.from_blocks(np.split(samples, 7)), whole, atol=1e-5)


def test_silence_is_zero_and_not_nan():
    frames = ChromaCQT()(np.concatenate([np.zeros(5 * RATE, np.float32), chord(60, seconds=1)]))
    assert ChromaCQT().silence == 0.0
    assert (frames[:40] == 0).all()
    assert frames[-20].max() == 1


def test_goes_to_json_and_back():
    feature = ChromaCQT(norm=None, tuning=0)
    assert feature_from_config(json.loads(json.dumps(feature.config))) == feature


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"n_octaves": 0}, "Expected n_octaves above 0. Received: 0."),
        ({"n_octaves": 9}, "Expected bins up to half the sample rate, 11025 Hz."),
        ({"bins_per_octave": 16}, "Expected bins_per_octave as a multiple of 12. Received: 16."),
        ({"norm": "inf"}, r"Expected norm as one of \('max', 'l2', 'l1', None\). Received: 'inf'."),
        ({"hop_length": -1}, "Expected hop_length above 0. Received: -1."),
    ],
)
def test_values_out_of_range(values, message):
    with pytest.raises(UsageError, match=message):
        ChromaCQT(**values)


def test_no_samples():
    with pytest.raises(AudioError, match="at least one sample"):
        ChromaCQT()(np.zeros(0, np.float32))
