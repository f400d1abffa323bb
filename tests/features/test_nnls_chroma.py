import math
import pickle
import subprocess
import sys
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from kmir.errors import AudioError, UsageError
from kmir.features import nnls_chroma
from kmir.features.base import feature_from_config
from kmir.features.nnls_chroma import NNLSChroma, tuning
from kmir.features.note_activation import NonNegativeLeastSquares, dictionary, sounding, whiten

# Everything small, for the properties that hold at any size.
SMALL = NNLSChroma(sample_rate=8000, n_fft=2048, hop_length=500)


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(samples, dtype=np.float32) * np.float32(0.1)


def tone(pitch: float, seconds: float = 1.0, concert: float = 440.0, partials: int = 6) -> Any:
    """Harmonic tone of a MIDI pitch, float64 at 44.1 kHz."""
    time = np.arange(round(seconds * 44100)) / 44100
    frequency = concert * 2 ** ((pitch - 69) / 12)
    return sum(0.6**h * np.sin(2 * np.pi * frequency * (h + 1) * time) for h in range(partials))


def chord(*pitches: int, concert: float = 440.0) -> np.ndarray:
    samples: np.ndarray = 0.1 * sum(tone(pitch, concert=concert) for pitch in pitches)
    return samples.astype(np.float32)


def progression() -> np.ndarray:
    """Am, F, G7, a second each, at a concert pitch of 443 Hz, then a second of silence."""
    chords = [(45, 60, 64, 69), (41, 60, 65, 69), (43, 59, 62, 67, 77)]
    sounds = [chord(*pitches, concert=443.0) for pitches in chords]
    return np.concatenate([*sounds, np.zeros(44100, np.float32)])


# ---------------------------------------------------------------- the plug-in


# NNLS Chroma of the Vamp plug-in nnls-chroma, output "bothchroma" with its default parameters, on
# 8192 zeros and `progression()`: the host puts its first window at the first sample.
GOLDEN = {
    0: """1.6555 0.0218 0.0068 0 0 0.0008 0.0042 0 0 0 0 0.0862
          4.0257 0.0195 0.0204 2.4267 0.1621 0.0018 0.0116 2.3383 0 0 0 0.1426""",
    10: """1.8635 0.0057 0.0022 0 0 0 0 0 0 0 0 0.0019
           4.1843 0.0054 0.1158 2.6544 0.1632 0 0 2.2747 0 0 0 0.1201""",
    32: """0 0 0.0011 0 0 0 0 0.0264 2.4165 0.0186 0 0
           2.5874 0 0.0002 1.7897 0.1473 0 0 0.4336 3.9302 0.0102 0 0""",
    54: """0 0 0.0022 0 0 0 0 0 0 0 2.2570 0
           0.0963 0 2.4679 0.1342 0 1.7945 0 0 1.8987 0 3.5930 0""",
    80: "0 " * 24,
}
# The same with whitening=0.5 and s=0.5.
GOLDEN_OTHER = """0 0 0.0001 0 0 0 0 2.1673 141.2167 2.4751 0 0
                  89.4488 0 0 100.6208 0.8177 0 0 4.4798 190.497 1.3597 0 0"""


def values(text: str) -> np.ndarray:
    return np.array(text.split(), np.float64)


def test_equals_the_plugin() -> None:
    chroma = NNLSChroma()(progression())
    for frame, golden in GOLDEN.items():
        np.testing.assert_allclose(chroma[frame], values(golden), atol=3e-4)


def test_equals_the_plugin_with_other_parameters() -> None:
    chroma = NNLSChroma(whitening=0.5, spectral_shape=0.5)(progression())
    np.testing.assert_allclose(chroma[32], values(GOLDEN_OTHER), rtol=1e-4, atol=1e-3)


# ---------------------------------------------------------------- the equations, one by one


def reference_kernel(sample_rate: int, n_fft: int, row: int) -> np.ndarray:
    """Weights of the bins of the transform in one log-frequency bin, point by point."""
    spacing = sample_rate / n_fft
    weights = np.zeros(n_fft // 2 + 2)
    lowest, highest = (440 * 2 ** ((20 + b / 3 - 69) / 12) for b in (row - 1, row + 1))
    for point in range(math.ceil(lowest / spacing * 80), math.ceil(highest / spacing * 80)):
        frequency = point / 80 * spacing
        distance = 3 * (69 + 12 * math.log2(frequency / 440) - 20) - row
        height = (0.5 + 0.5 * math.cos(math.pi * distance)) / (frequency * math.log(2) / 36)
        for k in (point // 80, point // 80 + 1):
            weights[k] += height * (0.5 + 0.5 * math.cos(math.pi * (point / 80 - k)))
    return weights[: n_fft // 2 + 1]


def reference_average(row: np.ndarray) -> np.ndarray:
    window = np.hamming(19)
    out = np.zeros(256)
    for b in range(9, 247):
        for j in range(19):
            out[b] += row[b - 9 + j] * window[j] / window.sum()
    out[:9], out[247:] = out[9], out[246]
    return out


def reference_whitened(row: np.ndarray, exponent: float) -> np.ndarray:
    above = row - reference_average(row)
    deviation = np.sqrt(reference_average(above**2))
    return np.array([max(a, 0) / d**exponent for a, d in zip(above, deviation, strict=True)])


def reference_activations(row: np.ndarray, columns: np.ndarray) -> np.ndarray:
    possible = [k for k in range(84) if row[3 * k + 2 : 3 * k + 5].any()]
    activations = np.zeros(84)
    activations[possible] = nnls(columns[:, possible], row)[0]
    return activations


def reference(feature: NNLSChroma, samples: np.ndarray) -> np.ndarray:
    """Chroma by the equations, in float64, a frame and a bin at a time."""
    n_fft, hop = feature.n_fft, feature.hop_length
    kernel = np.array([reference_kernel(feature.sample_rate, n_fft, b) for b in range(256)])
    window = [0.5 - 0.5 * math.cos(2 * math.pi * i / n_fft) for i in range(n_fft)]
    padded = np.pad(samples.astype(np.float64), n_fft // 2)
    spectra = []
    for t in range(1 + len(samples) // hop):
        magnitudes = np.abs(np.fft.rfft(padded[t * hop : t * hop + n_fft] * window))
        spectra.append(kernel @ magnitudes if magnitudes.max() >= 2 else np.zeros(256))
    total = np.sum(spectra, axis=0)[:162]
    turns = sum(total[b] * np.exp(2j * np.pi * b / 3) for b in range(162))
    distance = 3 * np.angle(turns) / (2 * np.pi)
    columns = dictionary(feature.spectral_shape)
    chroma = np.zeros((len(spectra), 24))
    for t, spectrum in enumerate(spectra):
        tuned = np.interp(np.arange(256) + distance, np.arange(256), spectrum)
        tuned[[0, 1, 253, 254, 255]] = 0
        row = reference_whitened(tuned, feature.whitening)
        for k, activation in enumerate(reference_activations(row, columns)):
            bass = math.sin(math.pi * (3 * k + 1.5) / 112) ** 2 if 3 * k + 1.5 < 112 else 0
            chroma[t, k % 12] += activation * bass
            chroma[t, 12 + k % 12] += activation * math.sin(math.pi * (k + 0.5) / 84) ** 2
    return chroma


@pytest.mark.parametrize(("whitening", "spectral_shape"), [(1.0, 0.7), (0.4, 0.8), (0.0, 0.5)])
def test_equals_the_equations(whitening: float, spectral_shape: float) -> None:
    feature = NNLSChroma(
        sample_rate=8000,
        n_fft=2048,
        hop_length=500,
        whitening=whitening,
        spectral_shape=spectral_shape,
    )
    samples = (progression()[::4][8000:20000] + noise(12000, seed=2)).astype(np.float32)
    ours, theirs = feature(samples), reference(feature, samples)
    assert ours.dtype == np.float32
    assert ours.shape == (25, 24)
    assert theirs.max() > 1
    np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=1e-3 * theirs.max())


@pytest.mark.parametrize("row", [0, 1, 77, 150, 255])
@pytest.mark.parametrize(("sample_rate", "n_fft"), [(44100, 16384), (8000, 4096)])
def test_kernel(sample_rate: int, n_fft: int, row: int) -> None:
    first, kernel = nnls_chroma._kernel(sample_rate, n_fft)
    dense = np.zeros(n_fft // 2 + 1)
    dense[first : first + kernel.shape[1]] = kernel.toarray()[row]
    np.testing.assert_allclose(dense, reference_kernel(sample_rate, n_fft, row), atol=2e-5)


def test_every_bin_collects_the_same_weight() -> None:
    # 80 points a bin of the transform, each weighted by Hz: the magnitude of a flat spectrum.
    _, kernel = nnls_chroma._kernel(44100, 16384)
    np.testing.assert_allclose(kernel.sum(axis=1), 80 / (44100 / 16384), rtol=3e-5)


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_whitening(exponent: float) -> None:
    rows = np.random.default_rng(1).random((5, 256)).astype(np.float32)
    expected = [reference_whitened(row.astype(np.float64), exponent) for row in rows]
    np.testing.assert_allclose(whiten(rows, exponent), expected, atol=2e-5)


def test_whitening_of_nothing_is_nothing() -> None:
    rows = np.zeros((2, 256), np.float32)
    rows[0, 100] = 1.0
    for exponent in (0.0, 0.5, 1.0):
        whitened = whiten(rows, exponent)
        assert np.flatnonzero(whitened[0]).tolist() == [100]
        assert not whitened[1].any()


@pytest.mark.parametrize("spectral_shape", [0.5, 0.7, 0.9])
def test_dictionary(spectral_shape: float) -> None:
    columns = dictionary(spectral_shape)
    assert columns.shape == (256, 84)
    for k in (0, 20, 83):
        column = np.zeros(256)
        for partial in range(1, 21):
            for b in range(256):
                distance = b - (3 * k + 3 + 36 * math.log2(partial))
                if abs(distance) < 1.5:
                    height = spectral_shape ** (partial - 1)
                    column[b] += height * (0.5 + 0.5 * math.cos(math.pi * distance / 1.5))
        np.testing.assert_allclose(columns[:, k], column, atol=1e-12)
    # The fundamental and the octave of A4, 48 semitones above A0.
    assert columns[[147, 183], 48] == pytest.approx([1.0, spectral_shape], abs=0.05)


@settings(deadline=None, max_examples=30)
@given(
    spectral_shape=st.sampled_from([0.5, 0.6, 0.7, 0.8, 0.9]),
    density=st.floats(0.02, 1.0),
    seed=st.integers(0, 10**6),
)
def test_activations_are_the_least_squares(
    spectral_shape: float, density: float, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    rows = generator.exponential(size=(4, 256)) * (generator.random((4, 256)) < density)
    columns = dictionary(spectral_shape)
    solve = NonNegativeLeastSquares(columns)
    candidates = sounding(rows)
    ours = solve(rows.astype(np.float32), candidates)
    assert (ours >= 0).all()
    assert not ours[~candidates].any()
    for row, activations in zip(rows, ours, strict=True):
        if sounding(row[np.newaxis]).any():
            expected = reference_activations(row, columns)
            np.testing.assert_allclose(activations, expected, atol=1e-3 * max(1, expected.max()))


def test_a_note_of_the_dictionary_is_itself() -> None:
    columns = dictionary(0.7)
    rows = 3 * columns.T.astype(np.float32)
    activations = NonNegativeLeastSquares(columns)(rows, np.ones((84, 84), bool))
    np.testing.assert_allclose(activations, 3 * np.eye(84), atol=1e-3)


def test_profiles() -> None:
    profiles = nnls_chroma._profiles()
    assert profiles.shape == (84, 24)
    assert profiles[:37, :12].sum(axis=1).min() > 0
    assert not profiles[37:, :12].any()  # no bass above A3, MIDI 57
    bass, treble = profiles[:, :12].sum(axis=1), profiles[:, 12:].sum(axis=1)
    # Measured on the plug-in: notes A0, B♭0, G2, A3 and A0, D4, E♭4, A♭7.
    assert bass[[0, 1, 22, 36]] == pytest.approx([0.001769, 0.015848, 0.899505, 0.004909], abs=2e-6)
    assert treble[[0, 41, 42, 83]] == pytest.approx([0.00035, 0.99965, 0.99965, 0.00035], abs=2e-6)


# ---------------------------------------------------------------- what it hears


@pytest.mark.parametrize("pitch", range(33, 45))
def test_a_low_tone_is_bass(pitch: int) -> None:
    frame = NNLSChroma()(tone(pitch).astype(np.float32))[10]
    assert frame[:12].argmax() == (pitch - 33) % 12  # from A
    assert frame[(pitch - 33) % 12] > 0.8 * frame[:12].sum()
    assert frame[12:].argmax() == (pitch - 33) % 12  # the treble profile hears low notes faintly


@pytest.mark.parametrize("pitch", range(60, 72))
def test_a_higher_tone_is_treble(pitch: int) -> None:
    frame = NNLSChroma()(tone(pitch).astype(np.float32))[10]
    assert frame[12:].argmax() == (pitch - 57) % 12
    assert frame[12:].max() > 3 * frame[:12].max()  # whitening lifts what leaks to lower bins


def test_a_chord_over_a_bass() -> None:
    # C major over E: E2, G4, C5, E5.
    frame = NNLSChroma()(chord(40, 67, 72, 76))[10]
    assert np.flatnonzero(frame[:12] > 0.3).tolist() == [7]  # A B♭ B C C# D E♭ E
    assert sorted(np.argsort(frame[12:])[-3:]) == [3, 7, 10]  # C, E, G


@pytest.mark.parametrize("concert", [430.0, 435.0, 445.0, 450.0])
def test_tuning_is_corrected(concert: float) -> None:
    pitches = (45, 60, 64, 67)
    straight, detuned = (NNLSChroma()(chord(*pitches, concert=c))[10] for c in (440.0, concert))
    cosine = straight @ detuned / np.linalg.norm(straight) / np.linalg.norm(detuned)
    assert cosine > 0.99


@pytest.mark.parametrize("concert", [430.0, 440.0, 450.0])
def test_tuning_of_a_chord(concert: float) -> None:
    feature = NNLSChroma()
    middle = chord(60, 64, 67, 69, concert=concert)[np.newaxis, :16384]
    heard = tuning(feature._log_frequency(middle)[0])
    assert heard == pytest.approx(36 * math.log2(concert / 440), abs=0.1)


def test_tuning_of_silence() -> None:
    assert tuning(np.zeros(256)) == 0.0


def test_loudness_does_not_matter() -> None:
    samples = chord(45, 60, 64, 67)
    np.testing.assert_allclose(NNLSChroma()(0.1 * samples), NNLSChroma()(samples), atol=1e-3)


def test_a_semitone_up_is_a_bin_up() -> None:
    low = NNLSChroma()(chord(40, 60, 64, 67))[10, 12:]
    high = NNLSChroma()(chord(41, 61, 65, 68))[10, 12:]
    rolled = np.roll(low, 1)
    assert rolled @ high / np.linalg.norm(low) / np.linalg.norm(high) > 0.98


def test_frames_are_centred() -> None:
    # A chord from 1 s to 2 s is heard in as many frames before its middle as after.
    silence = np.zeros(44100, np.float32)
    chroma = NNLSChroma()(np.concatenate([silence, chord(60, 64, 67), silence]))
    assert len(chroma) == 1 + 3 * 44100 // 2048
    heard = np.flatnonzero(chroma.any(axis=1))
    assert heard.mean() == pytest.approx(1.5 * 44100 / 2048, abs=0.6)


# ---------------------------------------------------------------- silence, blocks, memory


def test_digital_silence() -> None:
    assert NNLSChroma().silence == 0.0
    assert not NNLSChroma()(np.zeros(50000, np.float32)).any()


def sine(frequency: float, magnitude: float) -> np.ndarray:
    """Sine with this magnitude in the spectrum of a window of 16384."""
    time = np.arange(44100) / 44100
    wave: np.ndarray = magnitude / 4096 * np.sin(2 * np.pi * frequency * time)
    return wave.astype(np.float32)


def test_gate() -> None:
    exact = 163 * 44100 / 16384  # the middle of a bin
    assert not NNLSChroma()(sine(exact, 1.9))[10].any()
    assert NNLSChroma()(sine(exact, 2.1))[10].any()
    # What is too high to be heard as a note opens the gate as well.
    assert NNLSChroma()(sine(exact, 1.0) + sine(12000, 2.5))[10, 12:].argmax() == 0


@settings(deadline=None, max_examples=15)
@given(
    samples=st.integers(1, 80000),
    cuts=st.lists(st.integers(0, 80000), max_size=20),
    known=st.sampled_from(["right", "none", "too few", "too many"]),
)
def test_blocks_give_the_same_bits_as_the_whole(samples: int, cuts: list[int], known: str) -> None:
    audio = noise(samples)
    blocks = np.split(audio, sorted(min(cut, samples) for cut in cuts))
    said = {"right": samples, "none": None, "too few": samples // 3, "too many": 2 * samples}
    joined = SMALL.from_blocks(iter(blocks), said[known])
    whole = SMALL(audio)
    assert whole.shape == (1 + samples // 500, 24) == (SMALL.frames(samples / 8000), 24)
    assert np.isfinite(whole).all()
    np.testing.assert_array_equal(joined, whole)


def test_half_precision() -> None:
    audio = noise(20000)
    half = SMALL.from_blocks([audio], dtype=np.float16)
    assert half.dtype == np.float16
    np.testing.assert_array_equal(half, SMALL(audio).astype(np.float16))


def test_memory_is_a_kibibyte_a_frame() -> None:
    feature = NNLSChroma()
    block = noise(44100 * 15)
    feature(block[:44100])
    tracemalloc.start()
    try:
        chroma = feature.from_blocks((block for _ in range(4)), 4 * len(block))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < len(chroma) * (1024 + 24 * 4) + 16e6


# ---------------------------------------------------------------- the contract


def test_geometry() -> None:
    feature = NNLSChroma()
    assert feature.shape == (24,)
    assert feature.first_pitch_class == 9
    assert feature.frame_rate == pytest.approx(21.533203125)
    assert feature.frames(240.0) == 5168


@pytest.mark.parametrize("feature", [NNLSChroma(), SMALL, NNLSChroma(whitening=0.5)])
def test_config_and_pickle_bring_back_an_equal_feature(feature: NNLSChroma) -> None:
    for copy in (feature_from_config(feature.config), pickle.loads(pickle.dumps(feature))):
        assert copy == feature
        assert copy.fingerprint == feature.fingerprint


def test_equal_numbers_have_one_fingerprint() -> None:
    rate: Any = np.int64(44100)
    assert NNLSChroma(whitening=1, sample_rate=rate).fingerprint == NNLSChroma().fingerprint
    assert NNLSChroma(spectral_shape=0.8).fingerprint != NNLSChroma().fingerprint


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sample_rate": 4000}, "Expected sample_rate at least 8000 Hz. Received: 4000."),
        ({"sample_rate": 44100.5}, "Expected sample_rate as int. Received: 44100.5."),
        ({"n_fft": 16383}, "Expected n_fft even and above 0. Received: 16383."),
        ({"hop_length": 0}, r"Expected hop_length from 1 to n_fft \(16384\). Received: 0."),
        ({"hop_length": 20000}, r"Expected hop_length from 1 to n_fft \(16384\). Received: 20000."),
        ({"whitening": 1.1}, "Expected whitening from 0 to 1. Received: 1.1."),
        ({"whitening": "full"}, "Expected whitening as float. Received: 'full'."),
        ({"spectral_shape": 0.4}, "Expected spectral_shape from 0.5 to 0.9. Received: 0.4."),
        ({"spectral_shape": float("nan")}, "Expected spectral_shape from 0.5 to 0.9"),
    ],
)
def test_values_out_of_range(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        NNLSChroma(**fields)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(0, np.float32), "Expected audio with at least one sample. Received: none"),
        (np.array([0, 0, np.nan], np.float32), "Received: nan at sample 2"),
        (np.zeros((10, 2), np.float32), r"Expected mono float samples.*shape \(10, 2\)"),
        (np.zeros(10, np.int16), "Received: int16 of shape"),
    ],
)
def test_unusable_samples(samples: np.ndarray, message: str) -> None:
    with pytest.raises(AudioError, match=message):
        NNLSChroma()(samples)


def test_import_is_light() -> None:
    code = (
        "import sys, kmir.features.nnls_chroma; "
        "print([m for m in ('scipy.signal', 'librosa', 'tensorflow') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
