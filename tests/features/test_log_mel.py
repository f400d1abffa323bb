import pickle
import subprocess
import sys
import tracemalloc
from typing import Any

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmir.errors import AudioError, UsageError
from kmir.features.base import feature_from_config
from kmir.features.framing import hann
from kmir.features.log_mel import LogMel


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(samples, dtype=np.float32) * np.float32(0.1)


def reference(feature: LogMel, samples: np.ndarray) -> np.ndarray:
    """What librosa computes for a feature in dB or log1p."""
    mel = librosa.feature.melspectrogram(
        y=samples,
        sr=feature.sample_rate,
        n_fft=feature.n_fft,
        hop_length=feature.hop_length,
        n_mels=feature.n_mels,
        fmin=feature.f_min,
        fmax=feature.f_max,
        power=feature.power,
        htk=feature.htk,
        norm=feature.norm,
        center=True,
        pad_mode="constant",
    )
    if feature.scale == "log1p":
        return np.log1p(feature.gain * mel).T
    factor = feature.decibels_per_decade / 10
    top_db = None if feature.top_db is None else feature.top_db / factor
    return factor * librosa.power_to_db(mel, ref=1.0, amin=feature.amin, top_db=top_db).T


SWEEP = [
    LogMel(),
    LogMel(top_db=None),
    LogMel(decibels_per_decade=20.0, amin=1e-5),
    LogMel(power=1.0),
    LogMel(power=1.5, top_db=30.0),
    LogMel(scale="log1p"),
    LogMel(scale="log1p", gain=10.0, power=1.0),
    LogMel(htk=True, norm=None),
    LogMel(f_min=30.0, f_max=4000.0, n_mels=64),
    LogMel(amin=1e-3, top_db=None),
    LogMel(sample_rate=16000, n_fft=512, hop_length=160, n_mels=40),
    LogMel(sample_rate=22050, n_fft=2048, hop_length=512, n_mels=128),
    LogMel(sample_rate=22050, n_fft=1024, hop_length=441, n_mels=80, f_min=30.0, f_max=10000.0),
    LogMel(sample_rate=44100, n_fft=600, hop_length=600, n_mels=8),
]


@pytest.mark.filterwarnings("ignore:n_fft=.* is too large")
@pytest.mark.parametrize("feature", SWEEP)
@pytest.mark.parametrize("samples", [1, 100, 12000, 100001])
def test_equals_librosa(feature: LogMel, samples: int) -> None:
    audio = noise(samples)
    ours, theirs = feature(audio), reference(feature, audio)
    assert ours.dtype == np.float32
    assert ours.shape == (1 + samples // feature.hop_length, *feature.shape)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-3)


def test_equals_librosa_where_most_of_it_is_silent() -> None:
    click = np.zeros(20000, np.float32)
    click[5000] = 1.0
    for feature in (LogMel(), LogMel(top_db=None), LogMel(scale="log1p")):
        np.testing.assert_allclose(feature(click), reference(feature, click), rtol=1e-4, atol=1e-3)


def test_a_full_scale_sine_has_its_golden_level() -> None:
    # Power of a full-scale sine in a Hann window of 512: (512 / 4) ** 2 at its bin, 42.14 dB;
    # without norms the band that is centred on the bin has weight 1 there and hardly less beside.
    feature = LogMel(n_fft=512, n_mels=40, htk=True, norm=None)
    sine = np.sin(2 * np.pi * 3000 * np.arange(12000) / 12000).astype(np.float32)
    loudest = feature(sine)[10:-10].max()
    assert 42.1 < loudest < 44.0


@settings(deadline=None, max_examples=40)
@given(
    samples=st.integers(1, 80000),
    cuts=st.lists(st.integers(0, 80000), max_size=20),
    known=st.sampled_from(["right", "none", "too few", "too many"]),
)
def test_blocks_give_the_same_bits_as_the_whole(samples: int, cuts: list[int], known: str) -> None:
    audio = noise(samples)
    feature = LogMel(n_fft=256, hop_length=200, n_mels=20)
    blocks = np.split(audio, sorted(min(cut, samples) for cut in cuts))
    said = {"right": samples, "none": None, "too few": samples // 3, "too many": 2 * samples}
    joined = feature.from_blocks(iter(blocks), said[known])
    np.testing.assert_array_equal(joined, feature(audio))
    assert joined.base is None  # nothing behind it is kept alive


def test_blocks_of_one_sample_and_empty_ones() -> None:
    audio = noise(3000)
    blocks = [part for sample in audio for part in (audio[:0], np.array([sample]))]
    np.testing.assert_array_equal(LogMel().from_blocks(blocks), LogMel()(audio))


@given(
    sample_rate=st.sampled_from([8000, 11025, 12000, 16000, 22050, 44100, 48000]),
    hop_length=st.integers(1, 512),
    samples=st.integers(1, 10**9),
)
def test_frames_counts_what_a_recording_of_that_length_gives(
    sample_rate: int, hop_length: int, samples: int
) -> None:
    feature = LogMel(sample_rate=sample_rate, hop_length=hop_length)
    assert feature.frames(samples / sample_rate) == 1 + samples // hop_length


@pytest.mark.parametrize("samples", [1, 255, 256, 257, 511, 512, 32767, 32768, 32769, 349440])
def test_frames_agrees_with_call(samples: int) -> None:
    assert len(LogMel()(noise(samples))) == LogMel().frames(samples / 12000)


def test_frames_of_the_published_tagger() -> None:
    # Choi et al. 2016: 29.12 s at 12 kHz, hop 256, give 96 x 1366.
    assert LogMel().frames(29.12) == 1366
    assert LogMel().frame_rate == 46.875
    assert LogMel().shape == (96,)


@pytest.mark.parametrize(
    ("feature", "value"),
    [
        (LogMel(), -100.0),
        (LogMel(top_db=None), -100.0),
        (LogMel(decibels_per_decade=20.0, amin=1e-5), -100.0),
        (LogMel(amin=1e-7), -70.0),
        (LogMel(scale="log1p"), 0.0),
    ],
)
def test_silence_is_the_value_of_digital_silence(feature: LogMel, value: float) -> None:
    assert feature.silence == pytest.approx(value, abs=1e-12)
    assert (feature(np.zeros(40000, np.float32)) == np.float32(feature.silence)).all()


def test_relative_floor_looks_at_the_whole_recording() -> None:
    audio = np.concatenate([1e-6 * noise(60000), noise(60000)])
    values = LogMel(top_db=60.0)(audio)
    assert values.min() == np.float32(values.max() - 60.0)
    assert (values[:200] == values.min()).all()


def test_a_known_length_takes_the_memory_of_the_result_once() -> None:
    # Half an hour; a 3-hour file is the same six times over.
    feature = LogMel()
    samples, block = 12000 * 1800, noise(12000 * 30)
    feature(block)
    tracemalloc.start()
    try:
        values = feature.from_blocks((block for _ in range(60)), samples)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert values.shape == (1 + samples // 256, 96)
    assert peak < values.nbytes * 1.05 + 5e6


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(0, np.float32), "Expected audio with at least one sample. Received: none"),
        (np.array([0, 0, np.nan], np.float32), "Received: nan at sample 2"),
        (np.array([0, np.inf, 0], np.float32), "Received: inf at sample 1"),
        (np.zeros((10, 2), np.float32), r"Expected mono float samples.*shape \(10, 2\)"),
        (np.zeros(10, np.int16), "Received: int16 of shape .*from_array"),
    ],
)
def test_unusable_samples(samples: np.ndarray, message: str) -> None:
    with pytest.raises(AudioError, match=message):
        LogMel()(samples)


@pytest.mark.parametrize("blocks", [[], [np.zeros(0, np.float32)] * 3])
def test_no_samples_in_any_block(blocks: list[np.ndarray]) -> None:
    with pytest.raises(AudioError, match="at least one sample"):
        LogMel().from_blocks(blocks)


def test_blocks_of_two_channels() -> None:
    with pytest.raises(AudioError, match=r"Expected mono audio.*shape \(5, 2\)"):
        LogMel().from_blocks([np.zeros((5, 2), np.float32)])


def test_not_a_number_is_placed_in_the_recording() -> None:
    bad = noise(1000)
    bad[7] = np.nan
    with pytest.raises(AudioError, match="nan at sample 5007"):
        LogMel().from_blocks([noise(5000), bad])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sample_rate": 0}, "Expected sample_rate above 0 Hz. Received: 0."),
        ({"sample_rate": 12000.5}, "Expected sample_rate as int. Received: 12000.5."),
        ({"sample_rate": None}, "Expected sample_rate as int. Received: None."),
        ({"n_fft": 511}, "Expected n_fft even and above 0. Received: 511."),
        ({"hop_length": 513}, r"Expected hop_length from 1 to n_fft \(512\). Received: 513."),
        ({"hop_length": 0}, "Expected hop_length from 1"),
        ({"n_mels": 0}, "Expected n_mels at least 1. Received: 0."),
        ({"f_min": -1}, r"Expected f_min from 0 to below f_max \(6000 Hz\). Received: -1.0."),
        ({"f_min": 500, "f_max": 400}, r"below f_max \(400 Hz\). Received: 500.0."),
        ({"f_max": 7000}, "f_max at most half the sample rate, 6000 Hz. Received: 7000.0"),
        ({"f_max": float("nan")}, "Received: "),
        ({"power": 0}, "Expected power above 0. Received: 0.0."),
        ({"power": "loud"}, "Expected power as float. Received: 'loud'."),
        ({"scale": "decibel"}, r"Expected scale as one of \('db', 'log1p'\). Received: 'decibel'."),
        ({"decibels_per_decade": -10}, "Expected decibels_per_decade above 0"),
        ({"amin": 0}, "Expected amin above 0. Received: 0.0."),
        ({"top_db": -80}, "Expected top_db above 0, or None. Received: -80.0."),
        ({"gain": 0}, "Expected gain above 0"),
        ({"norm": "l2"}, r"Expected norm as one of \('slaney', None\). Received: 'l2'."),
    ],
)
def test_values_out_of_range(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        LogMel(**values)


@pytest.mark.parametrize("feature", SWEEP)
def test_config_and_pickle_bring_back_an_equal_feature(feature: LogMel) -> None:
    for copy in (feature_from_config(feature.config), pickle.loads(pickle.dumps(feature))):
        assert copy == feature
        assert copy.fingerprint == feature.fingerprint


def test_equal_numbers_have_one_fingerprint() -> None:
    bands: Any = np.int64(96)
    assert LogMel(f_min=0, power=2, n_mels=bands).fingerprint == LogMel().fingerprint
    assert LogMel(n_mels=95).fingerprint != LogMel().fingerprint


def test_shared_tables_can_not_be_written() -> None:
    with pytest.raises(ValueError, match="read-only"):
        hann(512)[0] = 1.0


def test_import_is_light() -> None:
    code = (
        "import sys, kmir.features.log_mel; "
        "print([m for m in ('scipy.signal', 'librosa', 'tensorflow') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
