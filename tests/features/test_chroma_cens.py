"""ChromaCENS against librosa."""

import json

import librosa
import numpy as np
import pytest

from kmir.errors import UsageError
from kmir.features import constant_q
from kmir.features.base import feature_class, feature_from_config
from kmir.features.chroma_cens import ChromaCENS

RATE = 22050


def scale(seconds: float, step: float = 0.5) -> np.ndarray:
    """A note and its fifth, another every `step` seconds."""
    time = np.arange(round(seconds * RATE)) / RATE
    base = 130.8 * 2 ** (((time // step) * 5 % 12) / 12)
    tones = np.sin(2 * np.pi * base * time) + 0.6 * np.sin(3 * np.pi * base * time)
    return (0.2 * tones).astype(np.float32)


@pytest.mark.parametrize("smoothing", [0, 9, 41])
@pytest.mark.parametrize("tuning", [None, 0.0])
def test_equal_to_librosa(smoothing, tuning):
    feature = ChromaCENS(smoothing=smoothing, tuning=tuning)
    expected = librosa.feature.chroma_cens(
        y=scale(4), sr=RATE, win_len_smooth=smoothing or None, tuning=tuning
    )
    frames = feature(scale(4))
    assert frames.dtype == np.float32
    assert frames.shape == (feature.frames(4), 12)
    np.testing.assert_allclose(frames, expected.T, atol=1e-5)


def test_frames_are_of_length_1():
    np.testing.assert_allclose(np.linalg.norm(ChromaCENS()(scale(3)), axis=1), 1, atol=1e-6)


def test_loudness_does_not_matter():
    np.testing.assert_allclose(ChromaCENS()(scale(3)), ChromaCENS()(scale(3) / 8), atol=1e-6)


def test_spans_join_to_the_whole(monkeypatch):
    feature = ChromaCENS(tuning=0.0)
    whole = feature(scale(15))
    monkeypatch.setattr(constant_q, "SPAN_SECONDS", 2.0)
    joined = feature.from_blocks(np.split(scale(15), 5))
    # The steps of the quantisation make a rare difference of 1e-7 one of 0.01.
    assert np.mean(np.abs(joined - whole) < 1e-6) > 0.99
    np.testing.assert_allclose(joined, whole, atol=0.05)


def test_silence_is_zero_and_not_nan():
    assert ChromaCENS().silence == 0.0
    assert (ChromaCENS()(np.zeros(9000, np.float32)) == 0).all()


def test_is_found_by_name_and_goes_to_json_and_back():
    assert feature_class("chroma_cens") is ChromaCENS
    feature = ChromaCENS(smoothing=21, norm=None)
    assert feature_from_config(json.loads(json.dumps(feature.config))) == feature
    assert feature.first_pitch_class == 0


def test_values_out_of_range():
    with pytest.raises(UsageError, match=r"from 0\. Received: -1\."):
        ChromaCENS(smoothing=-1)
    with pytest.raises(UsageError, match=r"as int\. Received: None\."):
        ChromaCENS(smoothing=None)
    with pytest.raises(UsageError, match="Expected norm as one of"):
        ChromaCENS(norm="L2")
