import dataclasses
import json
import pickle
import tracemalloc
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from kmir.config import override
from kmir.errors import AudioError, UsageError
from kmir.features.base import feature_from_config
from kmir.features.log_frequency import LogFrequency
from kmir.features.log_mel import LogMel


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(samples, dtype=np.float32) * np.float32(0.1)


def bands(feature: LogFrequency, n_fft: int) -> tuple[list[float], list[dict[int, float]]]:
    """Centres of the bands of the grid, and their weights by bin, from the definition."""
    per_octave, step = feature.bands_per_octave, feature.sample_rate / n_fft
    notes = [
        k
        for k in range(-20 * per_octave, 20 * per_octave)
        if feature.f_min <= 440 * 2 ** (k / per_octave) <= feature.f_max
    ]
    centres, filters = [], []
    for k in notes:
        low, centre, high = (440 * 2 ** ((k + i) / per_octave) for i in (-1, 0, 1))
        weights = {}
        for b in range(n_fft // 2 + 1):
            if low < b * step <= centre:
                weights[b] = (b * step - low) / (centre - low)
            elif centre < b * step < high:
                weights[b] = (high - b * step) / (high - centre)
        weights = weights or {max(1, round(centre / step)): 1.0}
        centres.append(centre)
        filters.append({b: w / sum(weights.values()) for b, w in weights.items()})
    return centres, filters


def reference(feature: LogFrequency, samples: np.ndarray) -> np.ndarray:
    """The feature from its equations, in float64, frame by frame."""
    _, widest = bands(feature, max(feature.n_ffts))
    kept = [i for i, band in enumerate(widest) if i == 0 or band != widest[i - 1]]
    levels, rises = [], []
    for n_fft in feature.n_ffts:
        _, filters = bands(feature, n_fft)
        window = np.array([0.5 - 0.5 * np.cos(2 * np.pi * i / n_fft) for i in range(n_fft)])
        padded = np.pad(samples.astype(np.float64), n_fft // 2)
        frames = []
        for start in range(0, len(samples) + 1, feature.hop_length):
            spectrum = np.abs(np.fft.rfft(padded[start : start + n_fft] * window))
            magnitude = spectrum / (window.sum() / 2)
            read = [sum(w * magnitude[b] for b, w in filters[i].items()) for i in kept]
            frames.append([np.log10(1 + feature.gain * value) for value in read])
        level = np.array(frames)
        lag = max(1, round(n_fft / 4 / feature.hop_length))
        rise = np.zeros_like(level)
        rise[lag:] = np.maximum(level[lag:] - level[:-lag], 0)
        levels.append(level)
        rises.append(rise)
    return np.stack(levels + rises * feature.difference, axis=-1)


SWEEP = [
    LogFrequency(),
    LogFrequency(n_ffts=(1024, 2048)),
    LogFrequency(n_ffts=(4096, 1024, 2048), gain=20.0),
    LogFrequency(difference=False, bands_per_octave=24, f_min=27.5, f_max=11025.0),
    LogFrequency(sample_rate=44100, n_ffts=(2048,), bands_per_octave=3, hop_length=100),
    LogFrequency(sample_rate=8000, n_ffts=(256, 100), hop_length=80, f_max=4000.0),
]


@pytest.mark.parametrize("feature", SWEEP)
@pytest.mark.parametrize("samples", [1, 100, 20001])
def test_equals_the_equations(feature: LogFrequency, samples: int) -> None:
    audio = noise(samples)
    ours, theirs = feature(audio), reference(feature, audio)
    assert ours.dtype == np.float32
    assert ours.shape == (1 + samples // feature.hop_length, *feature.shape) == theirs.shape
    np.testing.assert_allclose(ours, theirs, atol=2e-5)


def test_equals_sums_over_the_spectrogram_of_librosa() -> None:
    feature, audio = LogFrequency(), noise(50000)
    stft = librosa.stft(audio, n_fft=2048, hop_length=441, pad_mode="constant")
    centres, filters = bands(feature, 2048)
    at = [int(np.argmin(np.abs(np.array(centres) - f))) for f in feature.frequencies]
    magnitude = np.abs(stft) / 512  # the window's sum is 1024
    read = [sum(w * magnitude[b] for b, w in filters[i].items()) for i in at]
    np.testing.assert_allclose(
        feature(audio)[..., 0], np.log10(1 + 1000 * np.array(read)).T, atol=2e-5
    )


def test_a_sine_has_its_amplitude() -> None:
    # 64 bins of 44100 / 4096 Hz; with 100 bands an octave the band there is of that bin alone.
    feature = LogFrequency(
        sample_rate=44100, n_ffts=(4096,), bands_per_octave=100, gain=1e3, difference=False
    )
    frequency = 64 * 44100 / 4096
    sine = 0.25 * np.sin(2 * np.pi * frequency * np.arange(44100) / 44100).astype(np.float32)
    loudest = feature(sine)[10:-10, :, 0].max(axis=1)
    np.testing.assert_allclose(loudest, np.log10(1 + 250), atol=1e-3)


def test_the_bands_are_notes_without_duplicates() -> None:
    feature = LogFrequency()
    # Bins are 10.77 Hz apart: below 200 Hz that is more than a semitone, so B0 (30.9 Hz) is
    # followed by D#1, then by G1.
    np.testing.assert_allclose(feature.frequencies[:3], [30.87, 38.89, 49.0], atol=0.01)
    assert np.isclose(feature.frequencies, 440).any()
    notes = 69 + 12 * np.log2(feature.frequencies / 440)
    np.testing.assert_allclose(notes, np.rint(notes), atol=1e-9)
    assert notes[-1] == pytest.approx(123)  # D#9, 9956 Hz
    assert (np.diff(notes[-60:]) == pytest.approx(1)) and feature.shape == (86, 2)


def test_the_limits_of_the_bands_count_in() -> None:
    feature = LogFrequency(f_min=440.0, f_max=880.0)
    assert feature.frequencies[[0, -1]].tolist() == [440.0, 880.0]
    assert len(feature.frequencies) == 13


def test_noise_is_level_over_the_bands() -> None:
    magnitude = (10 ** LogFrequency(gain=1e5)(noise(22050 * 20))[..., 0] - 1).mean(axis=0)
    assert magnitude.max() / magnitude.min() < 1.2  # one bin at 50 Hz, 60 bins at 10 kHz


def test_a_click_rises_once_in_every_band() -> None:
    click = np.zeros(22050, np.float32)
    click[441 * 20] = 1.0
    feature = LogFrequency(n_ffts=(1024, 2048))
    values = feature(click)
    rises = values[..., 2:]
    assert (rises >= 0).all()
    # The longer window sees it two frames ahead (1024 samples are 2.3 hops), the shorter one.
    assert np.flatnonzero(rises[..., 0].any(axis=1)).tolist() == [19, 20]
    assert np.flatnonzero(rises[..., 1].any(axis=1)).tolist() == [18, 19, 20]
    assert (np.argmax(values[:, 0, :2], axis=0) == 20).all()


@pytest.mark.parametrize(("n_fft", "lag"), [(512, 1), (2048, 1), (4096, 2), (8192, 5)])
def test_the_first_frames_rise_from_nothing(n_fft: int, lag: int) -> None:
    values = LogFrequency(n_ffts=(n_fft,))(noise(441 * 30))
    assert (values[:lag, :, 1] == 0).all() and values[lag, :, 1].any()
    rises = np.maximum(values[lag:, :, 0] - values[:-lag, :, 0], 0)
    np.testing.assert_array_equal(values[lag:, :, 1], rises)


@settings(deadline=None, max_examples=40)
@given(
    samples=st.integers(1, 60000),
    cuts=st.lists(st.integers(0, 60000), max_size=20),
    known=st.sampled_from(["right", "none", "too few", "too many"]),
)
def test_blocks_give_the_same_bits_as_the_whole(samples: int, cuts: list[int], known: str) -> None:
    audio = noise(samples)
    feature = LogFrequency(n_ffts=(256, 1024), hop_length=150)
    blocks = np.split(audio, sorted(min(cut, samples) for cut in cuts))
    said = {"right": samples, "none": None, "too few": samples // 3, "too many": 2 * samples}
    joined = feature.from_blocks(iter(blocks), said[known])
    np.testing.assert_array_equal(joined, feature(audio))
    assert joined.base is None  # nothing behind it is kept alive


def test_a_resolution_is_the_same_beside_others() -> None:
    audio = noise(30000)
    alone = LogFrequency(n_ffts=(2048,))(audio)
    beside = LogFrequency(n_ffts=(512, 2048))(audio)
    np.testing.assert_array_equal(beside[..., [1, 3]], alone)


@pytest.mark.parametrize("feature", SWEEP)
def test_silence_is_zero(feature: LogFrequency) -> None:
    assert feature.silence == 0
    assert (feature(np.zeros(30000, np.float32)) == 0).all()


def test_a_silent_file_has_features(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros(22050), 22050)
    features = LogFrequency().from_file(tmp_path / "silent.wav", np.float16)
    assert features.shape == (51, 86, 2) and features.dtype == np.float16 and not features.any()
    with pytest.raises(AudioError, match=r"in which something sounds\. Received: .*silent\.wav"):
        LogMel().from_file(tmp_path / "silent.wav")


def test_memory_of_a_long_recording_is_that_of_the_result() -> None:
    feature, block = LogFrequency(), noise(22050 * 10)
    feature(block)
    tracemalloc.start()
    result = feature.from_blocks((block for _ in range(60)), 22050 * 600, np.float16)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert result.shape == (30001, 86, 2)
    assert peak < result.nbytes + 12e6


def test_the_config_survives_json() -> None:
    feature = LogFrequency(n_ffts=(1024, 2048))
    config = json.loads(json.dumps(feature.config))
    assert config == feature.config
    again = feature_from_config(config)
    assert again == feature and again.n_ffts == (1024, 2048)
    assert (
        again.fingerprint == feature.fingerprint == pickle.loads(pickle.dumps(feature)).fingerprint
    )
    assert feature.fingerprint != LogFrequency(n_ffts=(2048, 1024)).fingerprint


def test_settings_of_one_value_are_one_feature() -> None:
    listed = LogFrequency(n_ffts=[np.int64(2048)], f_min=30)  # type: ignore[arg-type]
    assert listed == LogFrequency() and hash(listed) == hash(LogFrequency())
    assert listed.fingerprint == LogFrequency().fingerprint


def test_the_command_line_sets_windows() -> None:
    feature = override(LogFrequency(), {"n_ffts": "1024,2048", "difference": "false"}, "feature")
    assert feature == LogFrequency(n_ffts=(1024, 2048), difference=False)
    assert override(feature, {"n_ffts": "4096"}, "feature").shape == (95, 1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sample_rate": 0}, "Expected sample_rate above 0 Hz. Received: 0."),
        ({"n_ffts": ()}, r"Expected n_ffts as one to three even numbers above 0. Received: \(\)."),
        ({"n_ffts": (512, 1023)}, r"even numbers above 0. Received: \(512, 1023\)."),
        ({"n_ffts": (512, 512)}, r"as numbers that differ. Received: \(512, 512\)."),
        ({"n_ffts": 2048}, r"Expected n_ffts as tuple\[int, ...\]. Received: 2048."),
        ({"n_ffts": ("2048",)}, r"Expected n_ffts as tuple\[int, ...\]. Received: \('2048',\)."),
        ({"hop_length": 2049}, "Expected hop_length from 1 to 2048, the window. Received: 2049."),
        ({"bands_per_octave": 0}, "Expected bands_per_octave at least 1. Received: 0."),
        ({"f_min": 0}, r"Expected f_min above 0 and below f_max \(10000 Hz\). Received: 0.0."),
        ({"f_max": 12000}, "Expected f_max at most half the sample rate, 11025 Hz."),
        (
            {"f_min": 450, "f_max": 460},
            "Expected f_max so that a band lies from 450 Hz to it. Received: 460.0.",
        ),
        ({"gain": -1}, "Expected gain above 0. Received: -1.0."),
    ],
)
def test_refuses_settings_out_of_range(values: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        dataclasses.replace(LogFrequency(), **values)  # type: ignore[arg-type]
