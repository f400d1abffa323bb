"""ConstantQ against librosa, and what its spans join to."""

import json

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmir.errors import AudioError, UsageError
from kmir.features import constant_q
from kmir.features.base import feature_from_config
from kmir.features.constant_q import C1, ConstantQ

RATE = 22050


def music(seconds: float) -> np.ndarray:
    """A new note every 0.4 s over a little noise."""
    time = np.arange(round(seconds * RATE)) / RATE
    midi = 48 + (7 * (time // 0.4)) % 24
    tone = np.sin(2 * np.pi * 440 * 2 ** ((midi - 69) / 12) * time)
    noise = np.random.default_rng(0).standard_normal(len(time))
    return (0.3 * tone + 0.01 * noise).astype(np.float32)


def reference(feature: ConstantQ, samples: np.ndarray) -> np.ndarray:
    magnitudes = np.abs(
        librosa.cqt(
            samples,
            sr=feature.sample_rate,
            hop_length=feature.hop_length,
            fmin=feature.f_min,
            n_bins=feature.n_bins,
            bins_per_octave=feature.bins_per_octave,
            tuning=feature.tuning,
        )
    )
    if feature.scale == "db":
        top_db = feature.top_db
        return librosa.amplitude_to_db(magnitudes, ref=1.0, amin=feature.amin, top_db=top_db).T
    return (
        np.log1p(feature.gain * magnitudes) if feature.scale == "log1p" else magnitudes
    ).T.astype(np.float32)


@pytest.mark.parametrize(
    "feature",
    [
        ConstantQ(),
        ConstantQ(top_db=None, tuning=0.2),
        ConstantQ(scale="log1p", gain=10, tuning=0),
        ConstantQ(scale="magnitude", hop_length=441, n_bins=60, f_min=55),
        ConstantQ(n_bins=216, bins_per_octave=36, tuning=-0.3),
    ],
)
def test_equal_to_librosa(feature):
    samples = music(3)
    frames = feature(samples)
    assert frames.dtype == np.float32
    assert frames.shape == (feature.frames(3), *feature.shape)
    np.testing.assert_allclose(frames, reference(feature, samples), rtol=1e-5, atol=5e-5)


def test_a_tone_stands_in_the_bin_of_its_note():
    time = np.arange(3 * RATE) / RATE
    feature = ConstantQ(tuning=0.0, scale="magnitude")
    # 45 semitones from C1 to A4; the magnitude is sqrt(length of the filter) / 2 for amplitude 1:
    # sqrt(22050 / (440 * 0.0577)) / 2 = 14.7.
    frame = feature(np.sin(2 * np.pi * 440 * time).astype(np.float32))[60]
    assert frame.argmax() == 45
    assert frame[45] == pytest.approx(14.74, abs=0.01)


def test_tuning_is_estimated_where_it_is_not_given():
    tone = np.sin(2 * np.pi * 440 * 2 ** (0.3 / 12) * np.arange(3 * RATE) / RATE)
    samples = tone.astype(np.float32)
    estimated = ConstantQ(scale="magnitude")(samples)
    given_ = ConstantQ(scale="magnitude", tuning=0.3)(samples)
    np.testing.assert_allclose(estimated[60], given_[60], atol=0.15)
    assert estimated[60, 45] > 14.5 > ConstantQ(scale="magnitude", tuning=0.0)(samples)[60, 45]


@settings(max_examples=10)
@given(
    span=st.sampled_from([0.5, 2.0, 4.1]),
    hop_length=st.sampled_from([441, 512, 2048]),
    cuts=st.lists(st.integers(0, 12 * RATE), max_size=6),
)
def test_spans_and_blocks_join_to_the_whole(span, hop_length, cuts):
    samples = music(12)
    feature = ConstantQ(hop_length=hop_length, tuning=0.1, scale="magnitude")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constant_q, "SPAN_SECONDS", span)
        joined = feature.from_blocks(np.split(samples, sorted(cuts)))
    np.testing.assert_allclose(joined, reference(feature, samples), atol=1e-5)


@pytest.mark.parametrize("samples", [1, 511, 512, 513])
def test_the_shortest_recordings(samples):
    feature = ConstantQ()
    assert feature(music(1)[:samples]).shape == (1 + samples // 512, 84)
    # librosa itself refuses one sample here: it halves the rate first.
    low = ConstantQ(hop_length=4096, n_bins=24)
    assert low(music(1)[:samples]).shape == (1, 24)


@pytest.mark.parametrize(("scale", "value"), [("db", -100.0), ("log1p", 0.0), ("magnitude", 0.0)])
def test_digital_silence_is_the_value_of_silence(scale, value):
    feature = ConstantQ(scale=scale)
    assert feature.silence == value
    assert (feature(np.zeros(5000, np.float32)) == value).all()


def test_the_floor_is_that_of_the_whole_recording(monkeypatch):
    monkeypatch.setattr(constant_q, "SPAN_SECONDS", 2.0)
    samples = np.concatenate([music(8), np.zeros(12 * RATE, np.float32)])
    frames = ConstantQ(top_db=40)(samples)
    assert frames.min() == pytest.approx(frames.max() - 40, abs=1e-4)


def test_half_precision():
    frames = ConstantQ().from_blocks([music(1)], dtype=np.float16)
    assert frames.dtype == np.float16
    np.testing.assert_allclose(frames, ConstantQ()(music(1)), atol=0.05)


def test_goes_to_json_and_back():
    feature = ConstantQ(f_min=33, tuning=0)
    assert feature_from_config(json.loads(json.dumps(feature.config))) == feature
    assert feature.fingerprint == ConstantQ(f_min=33.0, tuning=0.0).fingerprint
    assert feature.fingerprint != ConstantQ().fingerprint
    assert pytest.approx(librosa.note_to_hz("C1")) == C1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sample_rate": 0}, "Expected sample_rate above 0 Hz. Received: 0."),
        ({"hop_length": 0}, "Expected hop_length above 0. Received: 0."),
        ({"hop_length": 5.5}, "Expected hop_length as int. Received: 5.5."),
        ({"n_bins": 0}, "Expected n_bins above 0. Received: 0."),
        ({"bins_per_octave": 0}, "Expected bins_per_octave above 0. Received: 0."),
        ({"f_min": 0}, "Expected f_min above 0 Hz. Received: 0.0."),
        ({"f_min": "C1"}, "Expected f_min as float. Received: 'C1'."),
        ({"tuning": 5}, "Expected tuning from -1 to 1, or None. Received: 5.0."),
        ({"scale": "dB"}, r"Expected scale as one of .* Received: 'dB'."),
        ({"amin": 0}, "Expected amin above 0. Received: 0.0."),
        ({"top_db": -1}, "Expected top_db above 0, or None. Received: -1.0."),
        ({"gain": float("nan")}, "Expected gain above 0. Received: nan."),
        ({"n_bins": 102}, "half the sample rate, 11025 Hz. Received: the highest reaches"),
    ],
)
def test_values_out_of_range(values, message):
    with pytest.raises(UsageError, match=message):
        ConstantQ(**values)


def test_the_highest_bin_that_librosa_takes_is_taken():
    samples = music(0.5)
    highest = max(n for n in range(90, 110) if _fits(n))
    ConstantQ(n_bins=highest, tuning=0.0)(samples)
    with pytest.raises(librosa.ParameterError):
        librosa.cqt(samples, sr=RATE, n_bins=highest + 1, tuning=0.0)


def _fits(n_bins: int) -> bool:
    try:
        ConstantQ(n_bins=n_bins)
    except UsageError:
        return False
    return True


def test_recordings_that_can_not_be_read():
    with pytest.raises(AudioError, match="at least one sample"):
        ConstantQ().from_blocks([])
    broken = music(1)
    broken[700] = np.nan
    with pytest.raises(AudioError, match="nan at sample 700"):
        ConstantQ().from_blocks(np.split(broken, [600]))
