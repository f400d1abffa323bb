"""The most likely path against all paths, against librosa, and by hand; counts by hand."""

from __future__ import annotations

import itertools
import time

import librosa
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmir.decoders import count_transitions, log_transitions, viterbi
from kmir.errors import UsageError


def model(frames: int, states: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random log-likelihoods, log-transitions that like to stay, and log-initial."""
    random = np.random.default_rng(seed)
    observed = random.dirichlet(np.full(states, 0.5), frames) + 1e-6
    transition = random.dirichlet(np.ones(states), states) + 2 * np.eye(states)
    transition /= transition.sum(1, keepdims=True)
    return np.log(observed), np.log(transition), np.log(random.dirichlet(np.ones(states)))


def log_probability(
    path: tuple[int, ...], observed: np.ndarray, transition: np.ndarray, initial: np.ndarray
) -> float:
    steps = sum(transition[a, b] for a, b in itertools.pairwise(path))
    return float(initial[path[0]] + steps + observed[np.arange(len(path)), list(path)].sum())


@given(st.integers(1, 6), st.integers(1, 4), st.integers(0, 2**32 - 1), st.booleans())
def test_no_other_path_is_likelier(
    frames: int, states: int, seed: int, given_initial: bool
) -> None:
    observed, transition, initial = model(frames, states, seed)
    if not given_initial:
        initial = np.zeros(states)
    path = viterbi(observed, transition, initial if given_initial else None)
    paths = itertools.product(range(states), repeat=frames)
    best = max(paths, key=lambda p: log_probability(p, observed, transition, initial))
    assert tuple(path) == best


@pytest.mark.parametrize(("frames", "states"), [(2000, 5), (500, 25), (200, 170)])
def test_the_path_is_that_of_librosa(frames: int, states: int) -> None:
    observed, transition, initial = model(frames, states, frames)
    expected = librosa.sequence.viterbi(
        np.exp(observed.T), np.exp(transition), p_init=np.exp(initial)
    )
    np.testing.assert_array_equal(viterbi(observed, transition, initial), expected)


def test_a_path_by_hand() -> None:
    """One frame against its neighbours: kept as noise, or believed if changing is cheap."""
    observed = np.log([[0.9, 0.1], [0.4, 0.6], [0.9, 0.1]])
    for stay, path in ((0.9, [0, 0, 0]), (0.5, [0, 1, 0])):
        transition = np.log([[stay, 1 - stay], [1 - stay, stay]])
        assert viterbi(observed, transition).tolist() == path


def test_what_cannot_happen_is_kept_out() -> None:
    never = -np.inf
    ring = np.array([[0, 0, never], [never, 0, 0], [0, never, 0]])
    observed = np.log([[0.8, 0.1, 0.1], [0.05, 0.05, 0.9], [0.05, 0.05, 0.9]])
    assert viterbi(observed, ring, np.array([0, never, never])).tolist() == [0, 1, 2]


def test_long_songs_lose_no_precision() -> None:
    """Log-probabilities add up over an hour; a constant on every frame must change nothing."""
    observed, transition, _ = model(60_000, 3, 1)
    path = viterbi(observed, transition)
    np.testing.assert_array_equal(viterbi(observed - 50, transition), path)


def test_no_frames_no_path() -> None:
    assert viterbi(np.empty((0, 3)), np.zeros((3, 3))).shape == (0,)


@pytest.mark.slow
@pytest.mark.parametrize(("states", "seconds"), [(25, 0.06), (170, 0.6)])
def test_four_minutes_are_decoded_at_once(states: int, seconds: float) -> None:
    observed, transition, _ = model(5200, states, 0)
    took = []
    for _ in range(3):
        start = time.perf_counter()
        viterbi(observed.astype(np.float32), transition)
        took.append(time.perf_counter() - start)
    assert min(took) < seconds


NAN, INF = np.nan, np.inf


@pytest.mark.parametrize(
    ("observed", "transition", "initial", "message"),
    [
        (np.zeros(3), np.zeros((3, 3)), None, r"\(frames, states\). Received: \(3,\)"),
        (np.zeros((3, 0)), np.zeros((0, 0)), None, r"Received: \(3, 0\)"),
        (np.zeros((3, 2)), np.zeros((3, 3)), None, r"\(2, 2\).*Received: \(3, 3\)"),
        (np.zeros((3, 2)), np.zeros((2, 2)), np.zeros(3), r"Received: \(2, 2\), \(3,\)"),
        (np.full((3, 2), NAN), np.zeros((2, 2)), None, "log likelihood below infinity"),
        (np.zeros((3, 2)), np.full((2, 2), INF), None, "log transition below infinity"),
        (np.zeros((3, 2)), np.zeros((2, 2)), np.array([0, NAN]), "log initial below infinity"),
        (np.zeros((3, 2)), np.full((2, 2), -INF), None, "a possible path through 3 frames"),
    ],
)
def test_what_is_no_model(
    observed: np.ndarray, transition: np.ndarray, initial: np.ndarray | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        viterbi(observed, transition, initial)


def test_transitions_are_counted_where_both_sides_are_known() -> None:
    sequences = [
        np.array([0, 0, 1, -1, 1, 2]),
        np.array([2, 2], np.int16),
        np.array([1]),
        np.array([]),
    ]
    expected = [[1, 1, 0], [0, 0, 1], [0, 0, 1]]
    np.testing.assert_array_equal(count_transitions(sequences, 3), expected)


@given(st.lists(st.lists(st.integers(-1, 3), max_size=20), max_size=5))
def test_counts_are_those_of_a_loop(sequences: list[list[int]]) -> None:
    expected = np.zeros((4, 4))
    for sequence in sequences:
        for a, b in itertools.pairwise(sequence):
            expected[a, b] += a >= 0 and b >= 0
    counts = count_transitions((np.array(s, int) for s in sequences), 4)
    np.testing.assert_array_equal(counts, expected)


@pytest.mark.parametrize(
    ("sequence", "message"),
    [
        ([0, 3], "from -1 to 2. Received: 3"),
        ([-2, 0], "from -1 to 2. Received: -2"),
        ([0.0, 1.0], "integer labels"),
        ([[0, 1]], r"shape \(1, 2\)"),
    ],
)
def test_sequences_that_cannot_be_counted(sequence: list, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        count_transitions([np.array(sequence)], 3)


def test_log_transitions_by_hand() -> None:
    counts = np.array([[6.0, 2.0], [0.0, 0.0]])
    np.testing.assert_allclose(np.exp(log_transitions(counts)), [[0.7, 0.3], [0.5, 0.5]], rtol=1e-6)
    assert log_transitions(counts).dtype == np.float32


@pytest.mark.filterwarnings("error")
def test_without_smoothing_what_was_never_seen_is_impossible() -> None:
    np.testing.assert_allclose(
        log_transitions(np.array([[1, 0], [1, 3]]), smoothing=0),
        [[0, -np.inf], [np.log(0.25), np.log(0.75)]],
        rtol=1e-6,
    )


@pytest.mark.parametrize(
    ("counts", "smoothing", "message"),
    [
        (np.ones((2, 3)), 1, r"Received: \(2, 3\)"),
        (-np.ones((2, 2)), 1, "counts and smoothing of 0 or more"),
        (np.ones((2, 2)), -1, "Received: smoothing -1"),
        (np.ones((2, 2)), np.nan, "Received: smoothing nan"),
        (np.array([[1, 1], [0, 0]]), 0, "none after 1; set smoothing above 0"),
    ],
)
def test_counts_that_give_no_probabilities(
    counts: np.ndarray, smoothing: float, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        log_transitions(counts, smoothing=smoothing)
