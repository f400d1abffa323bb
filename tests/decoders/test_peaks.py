"""Peaks by hand, by definition, and where they are between frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmir.decoders import peaks
from kmir.errors import UsageError


def test_peaks_by_hand() -> None:
    heights = np.array([0, 0.6, 0, 0, 0.9, 0, 0.7, 0, 0, 0.4, 0])
    assert peaks(heights, 10, pre_max=0.1, post_max=0.1) * 10 == pytest.approx([1, 4, 6])
    assert peaks(heights, 10, pre_max=0.2, post_max=0.1) * 10 == pytest.approx([1, 4])
    assert peaks(heights, 10, pre_max=0.1, post_max=0.3) * 10 == pytest.approx([4, 6])
    assert peaks(heights, 10, threshold=0.4) * 10 == pytest.approx([1, 4, 6, 9])
    assert peaks(heights, 10, threshold=0.95).size == 0


def test_of_close_peaks_the_highest_stays() -> None:
    heights = np.zeros(40)
    heights[[5, 9, 13, 30]] = [0.6, 0.8, 0.7, 0.5]
    windows = {"pre_max": 0.01, "post_max": 0.01}
    found = peaks(heights, 100, min_distance=0.05, **windows)
    np.testing.assert_allclose(found, [0.09, 0.30])
    # No closer than that is close enough to stay.
    np.testing.assert_allclose(
        peaks(heights, 100, min_distance=0.04, **windows), [0.05, 0.09, 0.13, 0.3]
    )


def test_equal_frames_are_one_peak_in_their_middle() -> None:
    assert peaks(np.array([0, 0.8, 0.8, 0]), 10).tolist() == pytest.approx([0.15])
    assert peaks(np.array([0, 0.8, 0.8, 0.8, 0]), 10).tolist() == pytest.approx([0.2])
    assert peaks(np.full(11, 0.7), 10).tolist() == pytest.approx([0.5])
    assert peaks(np.full(11, 0.3), 10).size == 0


def test_peaks_at_both_ends() -> None:
    assert peaks(np.array([0.9, 0.1, 0.1, 0.1, 0.8]), 10).tolist() == pytest.approx([0, 0.4])
    assert peaks(np.array([0.9]), 10).tolist() == [0]


def test_mean_around_a_peak_moves_the_threshold() -> None:
    """0.5 on a floor of 0.4 is less than 0.5 on a floor of 0."""
    heights = np.concatenate([np.zeros(50), np.full(50, 0.4)])
    heights[[25, 75]] = 0.5
    means = {"pre_average": 0.1, "post_average": 0.1}
    assert peaks(heights, 100, threshold=0.3, **means).tolist() == pytest.approx([0.25])
    # 21 frames, one of them 0.5: their mean is 0.4 + 0.1 / 21.
    edge = 0.1 - 0.1 / 21
    late = peaks(heights[50:], 100, threshold=edge - 1e-6, **means)
    assert late.tolist() == pytest.approx([0.25])
    assert peaks(heights[50:], 100, threshold=edge + 1e-6, **means).size == 0


def test_smoothing_makes_one_peak_of_two() -> None:
    heights = np.zeros(60)
    heights[[28, 32]] = 1
    windows = {"pre_max": 0.01, "post_max": 0.01, "threshold": 0.05}
    assert len(peaks(heights, 100, **windows)) == 2
    assert peaks(heights, 100, smooth=0.13, **windows).tolist() == pytest.approx([0.3])


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(0.1, 0.4), min_size=1, max_size=8), st.floats(1, 3))
def test_bumps_are_found_between_frames(gaps: list[float], width: float) -> None:
    times = 0.5 + np.cumsum(gaps) + np.arange(len(gaps)) * 0.2
    frames = np.arange(int((times[-1] + 0.5) * 50))[:, None]
    heights = 0.9 * np.exp(-0.5 * ((frames - times * 50) / width) ** 2).max(axis=1)
    found = peaks(heights, 50)
    # A parabola is not quite a Gaussian: a tenth of a frame, where whole frames miss by half.
    np.testing.assert_allclose(found, times, atol=0.1 / 50)


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 0.2, 0.5, 0.7, 0.9]), max_size=60),
    st.integers(1, 5),
    st.integers(1, 5),
)
def test_peaks_are_what_they_are_defined_as(heights: list[float], before: int, after: int) -> None:
    is_peak = [
        height >= 0.5 and height == max(heights[max(0, i - before) : i + after + 1])
        for i, height in enumerate(heights)
    ]
    runs: list[list[int]] = []
    for i in np.flatnonzero(is_peak).tolist():
        if runs and runs[-1][-1] == i - 1:
            runs[-1].append(i)
        else:
            runs.append([i])
    found = peaks(np.array(heights), 1, pre_max=before, post_max=after)
    assert len(found) == len(runs)
    for time, run in zip(found, runs, strict=True):
        assert abs(time - np.mean(run)) <= (0.5 if len(run) == 1 else 0)


def test_no_frames_no_peaks() -> None:
    assert peaks(np.empty(0), 100).shape == (0,)


@pytest.mark.parametrize(
    ("activations", "options", "message"),
    [
        (np.zeros((3, 1)), {}, r"^Expected activations \(frames,\). Received: shape \(3, 1\)\.$"),
        ([0.0, np.nan], {}, r"^Expected activations that are finite. Received: nan in frame 1\.$"),
        ([0.0], {"frame_rate": 0}, r"^Expected a frame rate above 0. Received: 0\.$"),
        ([0.0], {"threshold": np.nan}, r"^Expected a threshold that is a number. Received: NaN\.$"),
        ([0.0], {"pre_max": -1}, r"^Expected pre_max from 0, in seconds. Received: -1\.$"),
    ],
)
def test_what_has_no_peaks(activations: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        peaks(activations, **{"frame_rate": 100, **options})
