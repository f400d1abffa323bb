"""Beats and downbeats against madmom's, on clicks, on silence, and on what can't be decoded.

The files in ``data`` hold synthetic activations (Gaussian bumps on noise; beat and downbeat, in
255ths) with the beats that madmom 0.16.1 finds in them: DBNBeatTrackingProcessor on their sum, at
most 0.999, and DBNDownBeatTrackingProcessor with beats_per_bar=[3, 4], both by default otherwise.
"""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmir.decoders import beats_from_activations, downbeats_from_activations
from kmir.errors import UsageError

GOLDEN = sorted((Path(__file__).parent / "data").glob("madmom_*.npz"))


def clicks(frame_rate: int, bpm: float, beats: int, metre: int) -> np.ndarray:
    """``(frames, 2)`` activations that are sure of beats, the first, a downbeat, after 1 second."""
    times = 1 + np.arange(beats) * 60 / bpm
    activations = np.full((int((times[-1] + 1) * frame_rate), 2), 0.001)
    for beat, frame in enumerate(np.round(times * frame_rate).astype(int)):
        column = int(beat % metre == 0)
        activations[frame - 1 : frame + 2, column] = [0.3, 0.9, 0.3]
    return activations


def test_golden_files_are_there() -> None:
    assert len(GOLDEN) == 3


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_beats_are_those_of_madmom(path: Path) -> None:
    golden = np.load(path)
    activations = np.maximum(golden["activations"] / 255, 1e-4)
    rate = float(golden["frame_rate"])
    beats = beats_from_activations(np.minimum(activations.sum(axis=1), 0.999), rate)
    np.testing.assert_allclose(beats, golden["beats"], atol=1e-9)
    downbeats = downbeats_from_activations(activations, rate)
    np.testing.assert_allclose(downbeats, golden["downbeats"], atol=1e-9)


@settings(deadline=None, max_examples=20)
@given(st.floats(62, 205), st.sampled_from([3, 4]))
def test_steady_clicks_are_found(bpm: float, metre: int) -> None:
    activations = clicks(100, bpm, 24, metre)
    times = np.round((1 + np.arange(24) * 60 / bpm) * 100) / 100
    found = downbeats_from_activations(activations, 100)
    np.testing.assert_allclose(found[:, 0], times, atol=1e-9)
    np.testing.assert_array_equal(found[:, 1], np.arange(24) % metre + 1)
    beats = beats_from_activations(activations.max(axis=1), 100, threshold=0.05)
    np.testing.assert_allclose(beats, times, atol=1e-9)


def test_a_metre_that_is_not_asked_for_is_not_found() -> None:
    found = downbeats_from_activations(clicks(100, 120, 24, 4), 100, (3,))
    assert len(found) >= 22  # it may leave out a beat at either end, to begin better
    np.testing.assert_allclose(np.diff(found[:, 0]), 0.5)
    np.testing.assert_array_equal(np.diff(found[:, 1]) % 3, 1)


def test_sure_of_every_frame() -> None:
    """Sigmoids in float32 do reach 0 and 1; madmom has no path then."""
    activations = np.zeros(1500, np.float32)
    activations[25::50] = 1
    expected = np.arange(25, 1500, 50) / 100
    np.testing.assert_allclose(beats_from_activations(activations, 100), expected)


def test_threshold_keeps_silence_free_of_beats() -> None:
    activations = np.concatenate([np.full(500, 0.01), clicks(100, 120, 16, 4).max(axis=1),
                                  np.full(500, 0.01)])  # fmt: skip
    beats = beats_from_activations(activations, 100, threshold=0.05)
    np.testing.assert_allclose(beats, 6 + np.arange(16) / 2)
    assert len(beats_from_activations(activations, 100)) > 16  # it goes on counting


def test_threshold_is_not_rounded_to_the_activations() -> None:
    """0.7 in float32 is less than 0.7, so that it doesn't reach it."""
    activations = np.full(300, 0.7, np.float32)
    assert beats_from_activations(activations, 100, threshold=0.7).shape == (0,)


def test_uncorrected_beats_begin_where_the_pointer_does() -> None:
    """The highest frame is in the first 16th of a beat; only the tempo's steps are left."""
    activations = clicks(100, 120, 16, 4).max(axis=1)
    corrected = beats_from_activations(activations, 100)
    plain = beats_from_activations(activations, 100, correct=False)
    assert np.abs(corrected[:, None] - plain).min(axis=0).max() <= 0.04
    np.testing.assert_allclose(np.diff(plain), 0.5, atol=0.011)


@pytest.mark.parametrize("frames", [0, 1, 2, 27, 5000])
def test_silence_has_no_beats(frames: int) -> None:
    assert beats_from_activations(np.zeros(frames), 100).shape == (0,)
    assert downbeats_from_activations(np.zeros((frames, 2)), 100).shape == (0, 2)
    # What a network puts out for silence is seldom 0.
    quiet = np.full(frames, 0.02)
    assert beats_from_activations(quiet, 100, threshold=0.05).shape == (0,)
    assert downbeats_from_activations(np.stack([quiet, quiet], 1), 100).shape == (0, 2)


def test_one_frame() -> None:
    assert beats_from_activations(np.array([0.9]), 100).tolist() == [0]
    assert beats_from_activations(np.array([0.01]), 100).tolist() == []
    assert downbeats_from_activations(np.array([[0.1, 0.8]]), 100).tolist() == [[0, 1]]


def test_every_kind_of_number() -> None:
    sure = np.zeros(300, bool)
    sure[50::50] = True
    expected = beats_from_activations(sure.astype(np.float64), 100)
    for kind in (bool, np.float16, np.float32, int):
        np.testing.assert_array_equal(beats_from_activations(sure.astype(kind), 100), expected)


@pytest.mark.parametrize(
    ("activations", "message"),
    [
        (np.zeros((9, 2)), r"^Expected activations \(frames,\). Received: shape \(9, 2\)\.$"),
        (np.array([0.5, np.nan]), r"^Expected activations .* numbers. Received: NaN in frame 1\.$"),
        (np.array([0.5, 4.0]), r"^Expected .* in \[0, 1\]. Received: 4; apply a sigmoid to log"),
        (np.array([-0.1, np.inf]), r"^Expected activations in \[0, 1\]. Received: -0\.1;"),
        (np.array(["a"]), r"^Expected activations that are numbers. Received: <U1\.$"),
    ],
)
def test_beat_activations_that_are_none(activations: np.ndarray, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        beats_from_activations(activations, 100)


@pytest.mark.parametrize(
    ("activations", "message"),
    [
        (np.zeros(9), r"^Expected activations \(frames, 2\). Received: shape \(9,\)\.$"),
        (np.zeros((9, 3)), r"^Expected activations \(frames, 2\). Received: shape \(9, 3\)\.$"),
        (np.array([[0.1, 0.1], [0.1, np.nan]]), r"Received: NaN in frame 1\.$"),
        (np.array([[0.1, -0.1]]), r"^Expected activations in \[0, 1\]. Received: -0\.1;"),
        (np.array([[0.9, 0.8]]), r"^Expected .* sum to 1 at most. Received: 1\.7; take the down"),
    ],
)
def test_downbeat_activations_that_are_none(activations: np.ndarray, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        downbeats_from_activations(activations, 100)


@pytest.mark.parametrize("metres", [(), (0, 4), (3.5,), 4])
def test_metres_that_are_none(metres: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=r"^Expected beats per bar as whole numbers from 1, such"):
        downbeats_from_activations(np.zeros((9, 2)), 100, metres)


def test_a_threshold_out_of_range() -> None:
    with pytest.raises(UsageError, match=r"^Expected a threshold in \[0, 1\]. Received: 5\.$"):
        beats_from_activations(np.zeros(9), 100, threshold=5)


def test_five_minutes_take_a_second_and_three() -> None:
    activations = np.random.default_rng(5).dirichlet([0.1, 0.1, 1], 30_000)[:, :2]
    begun = time.process_time()
    beats_from_activations(activations.sum(axis=1), 100)
    middle = time.process_time()
    downbeats_from_activations(activations, 100)
    assert middle - begun < 1
    assert time.process_time() - middle < 3


@pytest.mark.slow
def test_three_hours_fit_in_80_megabytes_and_60() -> None:
    activations = np.random.default_rng(6).dirichlet([0.1, 0.1, 1], 3 * 3600 * 100)[:, :2]
    activations = np.minimum(activations.astype(np.float32), 0.999)
    beats = activations.sum(axis=1)
    tracemalloc.start()
    found = downbeats_from_activations(activations, 100, (4,))  # the metres take turns
    _, most_for_downbeats = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    times = beats_from_activations(beats, 100)
    _, most_for_beats = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most_for_downbeats < 80e6
    assert most_for_beats - before < 60e6
    assert np.diff(found[:, 0]).max() < 60 / 55 + 0.1
    assert np.diff(times).max() < 60 / 55 + 0.1
