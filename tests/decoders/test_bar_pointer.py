"""The pointer beat by beat against the same model state by state; intervals and transitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmir.decoders import viterbi
from kmir.decoders.bar_pointer import Tempi, beat_intervals, best_path, tempo_states
from kmir.errors import UsageError


def every_state(
    log_odds: np.ndarray, bar: list[int], tempi: Tempi
) -> tuple[np.ndarray, np.ndarray, float]:
    """Beat of the bar and position in the beat, frame by frame, and the score: all written out.

    Before the first frame every state is as likely as every other.
    """
    states = [
        (beat, tempo, position)
        for beat in range(len(bar))
        for tempo, interval in enumerate(tempi.intervals)
        for position in range(interval)
    ]
    transition = np.full((len(states), len(states)), -np.inf)
    observed = np.zeros((len(log_odds), len(states)))
    for i, (beat, tempo, position) in enumerate(states):
        if position < tempi.heads[tempo]:
            observed[:, i] = log_odds[:, bar[beat]]
        for j, (next_beat, next_tempo, next_position) in enumerate(states):
            if position + 1 < tempi.intervals[tempo]:
                if (next_beat, next_tempo, next_position) == (beat, tempo, position + 1):
                    transition[i, j] = 0
            elif next_beat == (beat + 1) % len(bar) and next_position == 0:
                transition[i, j] = tempi.log_transition[tempo, next_tempo]
    initial = transition.max(axis=0) - np.log(len(states))
    path = viterbi(observed, transition, initial)
    score = initial[path[0]] + observed[np.arange(len(path)), path].sum()
    score += transition[path[:-1], path[1:]].sum()
    beats, _, positions = np.array(states).T
    return beats[path], positions[path], float(score)


@settings(deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 4),
    st.lists(st.integers(0, 1), min_size=1, max_size=3),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.sampled_from([0.0, 1.0, 5.0, 100.0]),
    st.sampled_from([1.5, 2.0, 3.0, 16.0]),
    st.integers(0, 2**32 - 1),
)
def test_no_path_of_states_is_likelier(
    frames: int,
    shortest: int,
    bar: list[int],
    steps: tuple[int, int],
    transition_lambda: float,
    observation_lambda: float,
    seed: int,
) -> None:
    tempi = tempo_states(
        np.cumsum([shortest, *steps]),
        transition_lambda=transition_lambda,
        observation_lambda=observation_lambda,
    )
    log_odds = np.random.default_rng(seed).normal(0, 3, (frames, 2))
    beats, positions, score = every_state(log_odds, bar, tempi)
    path = best_path(log_odds, bar, tempi)
    assert path.score == pytest.approx(score)
    # The beat that a frame is in is the last one to start.
    inside = np.searchsorted(path.starts, np.arange(frames), side="right") - 1
    np.testing.assert_array_equal(path.positions[inside], beats)
    np.testing.assert_array_equal(np.arange(frames) - path.starts[inside], positions)


def test_frames_solved_at_once_or_one_by_one_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    tempi = tempo_states(np.arange(7, 20), transition_lambda=50, observation_lambda=8)
    log_odds = np.random.default_rng(2).normal(-1, 2, (500, 2))
    path = best_path(log_odds, [1, 0, 0], tempi)
    monkeypatch.setattr("kmir.decoders.bar_pointer.CANDIDATES", 1)
    one_by_one = best_path(log_odds, [1, 0, 0], tempi)
    np.testing.assert_array_equal(one_by_one.starts, path.starts)
    assert one_by_one.score == path.score


@settings(deadline=None)
@given(
    st.integers(1, 120),
    st.integers(1, 130),
    st.lists(st.integers(0, 1), min_size=1, max_size=3),
    st.integers(1, 6),
    st.integers(0, 2**32 - 1),
)
def test_frames_solved_in_segments_or_in_one_are_the_same(
    frames: int, segment: int, bar: list[int], shortest: int, seed: int
) -> None:
    """Segments may be shorter than a beat, or longer than the song."""
    tempi = tempo_states(
        np.arange(shortest, shortest + 5), transition_lambda=5, observation_lambda=4
    )
    log_odds = np.random.default_rng(seed).normal(0, 3, (frames, 2))
    whole = best_path(log_odds, bar, tempi)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kmir.decoders.bar_pointer.SEGMENT", segment)
        parts = best_path(log_odds, bar, tempi)
    np.testing.assert_array_equal(parts.starts, whole.starts)
    np.testing.assert_array_equal(parts.heads, whole.heads)
    np.testing.assert_array_equal(parts.positions, whole.positions)
    assert parts.score == whole.score


def test_long_songs_lose_no_precision() -> None:
    """A constant on all frames adds to every path alike, where there is one tempo."""
    tempi = tempo_states(np.array([10]), transition_lambda=100, observation_lambda=10)
    log_odds = np.random.default_rng(3).normal(0, 1, (200_000, 1))
    plain = best_path(log_odds, [0], tempi)
    shifted = best_path(log_odds + 23, [0], tempi)
    np.testing.assert_array_equal(shifted.starts, plain.starts)


# Of madmom 0.16.1, DBNBeatTrackingProcessor(fps=..., num_tempi=...).st.state_intervals.
LOGARITHMIC = [28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48,
               49, 50, 51, 52, 53, 54, 55, 56, 58, 59, 60, 61, 63, 64, 65, 67, 68, 70, 71, 73, 74,
               76, 78, 79, 81, 83, 84, 86, 88, 90, 92, 94, 96, 98, 100, 102, 105, 107,
               109]  # fmt: skip


def test_intervals_are_those_of_madmom() -> None:
    assert beat_intervals(100, 55, 215).tolist() == list(range(28, 110))
    assert beat_intervals(50, 55, 215, 60).tolist() == list(range(14, 56))
    assert beat_intervals(100, 55, 215, 60).tolist() == LOGARITHMIC
    assert beat_intervals(100, 55, 215, 7).tolist() == [28, 35, 44, 55, 69, 87, 109]


@given(st.floats(10, 400), st.floats(20, 100), st.floats(1.05, 5), st.integers(1, 80))
def test_as_many_intervals_as_asked_for(rate: float, low: float, ratio: float, tempi: int) -> None:
    every = beat_intervals(rate, low, low * ratio)
    some = beat_intervals(rate, low, low * ratio, tempi)
    assert set(some) <= set(every)
    assert min(tempi, len(every)) <= len(some) <= len(every)


def test_transitions_by_hand() -> None:
    """From 10 frames to 11 at lambda 10: exp(-1) against exp(0); too far: never."""
    tempi = tempo_states(np.array([10, 11, 50]), transition_lambda=10, observation_lambda=16)
    expected = np.array([1, np.exp(-1), 0]) / (1 + np.exp(-1))
    np.testing.assert_allclose(np.exp(tempi.log_transition[0]), expected)
    np.testing.assert_allclose(np.exp(tempi.log_transition).sum(axis=1), 1)
    assert tempi.heads.tolist() == [1, 1, 4]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 55, 215), r"^Expected a frame rate above 0. Received: 0\.$"),
        ((float("nan"), 55, 215), r"^Expected a frame rate above 0. Received: nan\.$"),
        ((100, 215, 55), r"^Expected 0 < min_bpm < max_bpm. Received: 215 and 55\.$"),
        ((100, 0, 55), r"^Expected 0 < min_bpm < max_bpm. Received: 0 and 55\.$"),
        ((100, 55, 215, 0), r"^Expected 1 tempo or more, or None for all. Received: 0\.$"),
        ((1, 55, 215), r"^Expected beats of one frame or more. Received: 215 .* lower max_bpm\.$"),
    ],
)
def test_ranges_that_hold_no_tempo(arguments: tuple[float, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        beat_intervals(*arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("transition_lambda", -1, r"^Expected transition_lambda from 0. Received: -1\.$"),
        ("observation_lambda", 1, r"^Expected observation_lambda above 1. Received: 1\.$"),
    ],
)
def test_lambdas_out_of_range(name: str, value: float, message: str) -> None:
    options = {"transition_lambda": 100.0, "observation_lambda": 16.0, name: value}
    with pytest.raises(UsageError, match=message):
        tempo_states(np.array([10]), **options)
