"""Running medians against NumPy's median, runs against itertools."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmir.decoders import median_smooth, runs
from kmir.errors import UsageError


@given(
    st.integers(1, 30), st.integers(1, 4), st.sampled_from([1, 3, 5, 11]), st.integers(0, 2**32 - 1)
)
def test_the_median_is_that_of_numpy(frames: int, states: int, width: int, seed: int) -> None:
    activations = np.random.default_rng(seed).random((frames, states))
    padded = np.pad(activations, ((width // 2, width // 2), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, width, axis=0)
    expected = np.median(windows, axis=-1).argmax(axis=1)
    np.testing.assert_array_equal(median_smooth(activations, width), expected)


def test_a_width_of_one_changes_nothing() -> None:
    activations = np.random.default_rng(0).random((50, 7))
    np.testing.assert_array_equal(median_smooth(activations, 1), activations.argmax(1))


def test_flicker_goes_and_changes_stay_in_place() -> None:
    labels = np.array([0] * 8 + [1] * 2 + [0] * 4 + [2] * 9)
    smoothed = median_smooth(np.eye(3)[labels], 5)
    assert smoothed.tolist() == [0] * 14 + [2] * 9


def test_no_frames_no_labels() -> None:
    assert median_smooth(np.empty((0, 3)), 5).shape == (0,)


@pytest.mark.parametrize("width", [0, 2, -3])
def test_a_window_without_a_middle(width: int) -> None:
    with pytest.raises(UsageError, match=f"odd width from 1, in frames. Received: {width}"):
        median_smooth(np.zeros((4, 2)), width)


def test_labels_are_no_activations() -> None:
    with pytest.raises(UsageError, match=r"\(frames, states\). Received: \(4,\)"):
        median_smooth(np.zeros(4, int), 3)


def test_half_precision_is_enough() -> None:
    activations = np.random.default_rng(0).random((50, 7)).astype(np.float16)
    expected = median_smooth(activations.astype(np.float32), 5)
    np.testing.assert_array_equal(median_smooth(activations, 5), expected)


def test_what_is_no_number() -> None:
    with pytest.raises(UsageError, match=r"are numbers\. Received: NaN"):
        median_smooth(np.array([[0.5, np.nan]]), 3)


@given(st.lists(st.integers(-1, 2), max_size=30))
def test_runs_are_those_of_itertools(labels: list[int]) -> None:
    starts, ends, values = runs(np.array(labels, int))
    groups = [(value, len(list(group))) for value, group in itertools.groupby(labels)]
    assert values.tolist() == [value for value, _ in groups]
    assert (ends - starts).tolist() == [length for _, length in groups]
    np.testing.assert_array_equal(np.repeat(values, ends - starts), labels)
    if labels:
        assert (starts[0], ends[-1]) == (0, len(labels))
        np.testing.assert_array_equal(starts[1:], ends[:-1])


def test_runs_of_a_table() -> None:
    with pytest.raises(UsageError, match=r"Received: shape \(2, 2\)"):
        runs(np.zeros((2, 2)))
