"""What the types accept, what they make of it, and that nobody changes it afterwards."""

# Lists are taken where arrays are declared, and that is what is tested here.
# mypy: disable-error-code="arg-type,union-attr"

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmir.annotations import Beats, Notes, Pitch, Segments, Tags
from kmir.errors import AnnotationError


def test_tags_of_a_reference_score_one() -> None:
    tags = Tags(("rock", "loud"))
    assert tags.labels == ("rock", "loud")
    assert tags.scores.tolist() == [1.0, 1.0]
    assert Tags(()).scores.shape == (0,)


def test_top_tags_come_best_first_and_ties_in_their_order() -> None:
    tags = Tags(("a", "b", "c", "d"), [0.5, 0.9, 0.5, 0.7])
    top = tags.top(3)
    assert top.labels == ("b", "d", "a")
    assert top.scores.tolist() == [0.9, 0.7, 0.5]
    assert tags.top(99).labels == ("b", "d", "a", "c")
    assert tags.top(0).labels == ()


@given(st.lists(st.floats(0, 1), max_size=20), st.integers(0, 25))
def test_top_keeps_the_largest_scores(scores: list[float], k: int) -> None:
    tags = Tags(tuple(map(str, range(len(scores)))), scores)
    top = tags.top(k)
    assert top.scores.tolist() == sorted(scores, reverse=True)[:k]
    assert all(scores[int(label)] == score for label, score in zip(*_pairs(top), strict=True))


def _pairs(tags: Any) -> Any:
    return tags.labels, tags.scores.tolist()


def test_downbeats_are_the_first_beats_of_bars() -> None:
    beats = Beats([0.5, 1.0, 1.5, 2.0], [1, 2, 1, 2])
    assert beats.downbeats.tolist() == [0.5, 1.5]
    assert Beats([0.5, 1.0]).positions.tolist() == [0, 0]
    assert Beats([]).downbeats.tolist() == []


def test_one_time_and_no_interval_have_their_shapes() -> None:
    assert Beats(0.5).times.shape == (1,)
    assert Segments([], ()).intervals.shape == (0, 2)
    assert Segments(np.zeros((0, 2)), ()).intervals.shape == (0, 2)


def test_times_are_float64_whatever_came() -> None:
    segments = Segments(np.array([[0, 1], [1, 3]], np.int32), ["C:maj", "N"])
    assert segments.intervals.dtype == np.float64
    assert segments.labels == ("C:maj", "N")
    notes = Notes([[0, 1]], [60])
    assert notes.velocities.tolist() == [100.0]


def test_a_segment_may_have_no_duration() -> None:
    assert Segments([[1.0, 1.0]], ("N",)).intervals.tolist() == [[1.0, 1.0]]


def test_which_segment_a_time_lies_in() -> None:
    segments = Segments([(1.0, 2.0), (2.0, 3.0), (4.0, 5.0)], ("C", "D", "E"))
    times = np.array([0.5, 1.0, 1.99, 2.0, 3.0, 3.5, 4.5, 5.0, 9.0])
    assert segments.at(times).tolist() == [-1, 0, 0, 1, -1, -1, 2, -1, -1]
    assert Segments([], ()).at(times[:2]).tolist() == [-1, -1]


def test_annotations_are_copies_that_nobody_can_write_to() -> None:
    times = np.array([0.5, 1.0])
    beats = Beats(times)
    times[0] = 9.0
    assert beats.times.tolist() == [0.5, 1.0]
    made = (
        beats.times,
        beats.positions,
        Tags(("a",)).scores,
        Segments([[0, 1]], "N").intervals,
        Notes([[0, 1]], [60]).velocities,
        Pitch([0.0], [440.0]).frequencies,
    )
    for array in made:
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Tags(("a", "a")), "Expected each tag once. Received: ['a', 'a']."),
        (lambda: Tags(("a",), [0.1, 0.2]), "Expected 1 scores, one for each time. Received: 2."),
        (lambda: Tags(("a",), [1.5]), "Expected scores from 0 to 1. Received: 1.5."),
        (lambda: Tags(("a",), [np.nan]), "Expected scores from 0 to 1. Received: nan."),
        (
            lambda: Tags(("a", "b"), [[0.1], [0.2]]),
            "Expected scores as (n,). Received: shape (2, 1).",
        ),
        (lambda: Beats([-0.5, 1]), "Expected beat times in seconds from 0. Received: -0.5."),
        # The one value that is wrong, not the smallest.
        (lambda: Beats([0, np.inf]), "Expected beat times in seconds from 0. Received: inf."),
        (lambda: Beats([1.0, 0.5]), "Expected beat times that increase. Received: 1.0, then 0.5."),
        (lambda: Beats([1.0, 1.0]), "Expected beat times that increase. Received: 1.0, then 1.0."),
        (lambda: Beats([0, 1], [1]), "Expected 2 positions, one for each time. Received: 1."),
        (lambda: Beats([0, 1], [1, -1]), "Expected positions from 0. Received: -1."),
        (
            lambda: Segments([[1, 0.5]], ("N",)),
            "Expected an interval to end after it starts. Received: 1.0 to 0.5.",
        ),
        (lambda: Segments([[0, 1]], ()), "Expected 1 labels, one for each time. Received: 0."),
        # Six numbers that could be read as three intervals, but are not.
        (
            lambda: Segments([[0, 1, 2], [3, 4, 5]], "abc"),
            "Expected intervals as (n, 2). Received: shape (2, 3).",
        ),
        (
            lambda: Segments([0, 1], ("N",)),
            "Expected intervals as (n, 2). Received: shape (2,).",
        ),
        (
            lambda: Segments([[0, np.nan]], ("N",)),
            "Expected intervals in seconds from 0. Received: nan.",
        ),
        (lambda: Notes([[0, 1]], [60, 61]), "Expected 1 pitches, one for each time. Received: 2."),
        (lambda: Notes([[0, 1]], [440.0]), "Expected pitches from 0 to 127. Received: 440.0."),
        (
            lambda: Notes([[0, 1]], [60], [128]),
            "Expected velocities from 0 to 127. Received: 128.0.",
        ),
        (
            lambda: Pitch([0, 1], [440]),
            "Expected 2 frequencies, one for each time. Received: 1.",
        ),
        (
            lambda: Pitch([1, 0], [440, 440]),
            "Expected pitch times that increase. Received: 1.0, then 0.0.",
        ),
        (lambda: Pitch([0], [-440]), "Expected frequencies from 0. Received: -440.0."),
    ],
)
def test_what_contradicts_itself_is_refused(make: Any, message: str) -> None:
    with pytest.raises(AnnotationError, match=f"^{re.escape(message)}$"):
        make()
