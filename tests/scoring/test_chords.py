"""Scores against mir_eval where it gives one, by hand where it doesn't."""

from __future__ import annotations

import itertools
import warnings

import mir_eval
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmir.annotations import Segments
from kmir.annotations.chords import vocabulary
from kmir.errors import AnnotationError, UsageError
from kmir.scoring.chords import (
    COMPARISONS,
    MEASURES,
    chord_scores,
    chord_summary,
    confusion,
    per_label,
    seconds_of_pairs,
)

LABELS = ["N", "X", "C", "C:maj", "C:min", "C:7", "C:maj7/3", "C:sus4", "C:5", "C:1", "A:min7",
          "A:min", "G:9", "G:7/b7", "Gb:dim", "F#:hdim7", "B:(b3,5)", "D:min(*b3)", "E:aug/5",
          "E:minmaj7"]  # fmt: skip


def chords(*rows: tuple[float, float, str]) -> Segments:
    return Segments([row[:2] for row in rows], tuple(row[2] for row in rows))


@st.composite
def songs(draw: st.DrawFn, start: float, end: float) -> Segments:
    """Chords without gaps from start to end."""
    inner = draw(st.sets(st.integers(1, 199), max_size=12))
    edges = [start, *(start + (end - start) * i / 200 for i in sorted(inner)), end]
    labels = [draw(st.sampled_from(LABELS)) for _ in edges[1:]]
    return Segments(list(itertools.pairwise(edges)), tuple(labels))


def by_mir_eval(reference: Segments, estimate: Segments) -> dict[str, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return mir_eval.chord.evaluate(
            reference.intervals, list(reference.labels), estimate.intervals, list(estimate.labels)
        )


def assert_as_mir_eval(reference: Segments, estimate: Segments) -> None:
    scores, expected = chord_scores(reference, estimate), by_mir_eval(reference, estimate)
    for measure in MEASURES:
        if scores[measure] is None:
            assert expected[measure] == 0
        else:
            assert scores[measure] == pytest.approx(expected[measure], abs=1e-9)


@given(st.data(), st.sampled_from([(0.7, 9.1), (0.7, 6.3), (2.3, 9.1), (2.3, 6.3)]))
def test_scores_are_those_of_mir_eval(data: st.DataObject, span: tuple[float, float]) -> None:
    """Whether the estimate covers the reference, falls short of it, or sticks out of it."""
    assert_as_mir_eval(data.draw(songs(np.sqrt(2), np.sqrt(50))), data.draw(songs(*span)))


@pytest.mark.parametrize("truth", LABELS)
def test_each_pair_of_labels_is_compared_as_by_mir_eval(truth: str) -> None:
    for guess in LABELS:
        assert_as_mir_eval(chords((0, 4, truth), (4, 5, "C")), chords((0, 4, guess), (4, 5, "D")))


def test_a_song_by_hand() -> None:
    reference = chords((0, 4, "C"), (4, 6, "A:min7"), (6, 7, "G:sus4"), (7, 10, "X"))
    estimate = chords((0, 3, "C:7"), (3, 6, "A:min"), (6, 10, "G"))
    assert chord_scores(reference, estimate) == pytest.approx({
        "root": 6 / 7, "thirds": 6 / 7, "majmin": 5 / 6, "triads": 5 / 7, "sevenths": 0,
        "tetrads": 0, "mirex": 5 / 7, "duration": 7,
        "overseg": 0.9, "underseg": 0.8, "seg": 0.8,
    })  # fmt: skip


def test_gaps_of_the_reference_are_unknown() -> None:
    reference = chords((1, 2, "C"), (3, 4, "G"))
    scores = chord_scores(reference, chords((0, 4, "C")))
    assert scores["root"] == 1 / 2
    assert scores["duration"] == 2
    assert by_mir_eval(reference, chords((0, 4, "C")))["root"] == pytest.approx(2 / 3)
    assert scores == chord_scores(
        chords((1, 2, "C"), (2, 3, "X"), (3, 4, "G")), chords((0, 4, "C"))
    )


def test_a_gap_of_the_reference_is_a_segment_of_its_own() -> None:
    scores = chord_scores(chords((0, 1, "N"), (2, 3, "C")), chords((0, 2, "N"), (2, 3, "C")))
    assert (scores["overseg"], scores["underseg"]) == pytest.approx((1, 2 / 3))


def test_chords_that_part_in_their_upper_voices_are_segments() -> None:
    reference, estimate = chords((0, 2, "C:7"), (2, 4, "C:9")), chords((0, 4, "C:7"))
    assert chord_scores(reference, estimate)["underseg"] == 1 / 2
    assert_as_mir_eval(reference, estimate)


def test_a_bass_from_outside_the_chord_is_one_of_its_pitches() -> None:
    scores = chord_scores(chords((0, 1, "C:maj/2"), (1, 2, "C:maj/b7")), chords((0, 2, "C:7")))
    assert (scores["majmin"], scores["sevenths"], scores["tetrads"]) == (1, 1, 1 / 2)
    assert chord_scores(chords((0, 1, "C:maj/2")), chords((0, 1, "C")))["majmin"] is None


def test_where_the_estimate_is_silent_it_says_no_chord() -> None:
    reference = chords((0, 1, "N"), (1, 5, "C"), (5, 8, "N"))
    silent = chords((1, 2, "C"), (4, 6, "C"))
    written = chords((0, 1, "N"), (1, 2, "C"), (2, 4, "N"), (4, 6, "C"), (6, 8, "N"))
    assert chord_scores(reference, silent) == chord_scores(reference, written)
    assert chord_scores(reference, silent)["majmin"] == 5 / 8


@pytest.mark.parametrize("span", [(0, 1), (0, 2), (4, 5), (5, 6), None])
def test_an_estimate_of_another_time_says_no_chord(span: tuple[float, float] | None) -> None:
    """mir_eval raises an error for the first."""
    estimate = chords((*span, "C")) if span else chords()
    reference = chords((2, 3, "C"), (3, 4, "N"))
    assert chord_scores(reference, estimate) == chord_scores(reference, chords((2, 4, "N")))


@pytest.mark.parametrize("guess", ["X", "N", "C"])
def test_unknown_reference_counts_nowhere(guess: str) -> None:
    known = chords((0, 2, "C"), (2, 3, "A:min"))
    more = chords((0, 2, "C"), (2, 3, "A:min"), (3, 9, "X"))
    estimate = chords((0, 3, "C"), (3, 9, guess))
    one, other = chord_scores(known, estimate), chord_scores(more, estimate)
    for name in (*COMPARISONS, "duration"):
        assert one[name] == pytest.approx(other[name])


def test_an_estimated_x_agrees_as_in_mir_eval() -> None:
    """Accidents of its encoding: X has no root, like N, and all pitch classes."""
    right = {
        truth: {
            n for n in COMPARISONS if chord_scores(chords((0, 1, truth)), chords((0, 1, "X")))[n]
        }
        for truth in ("N", "C", "C:5")
    }
    assert right == {"N": {"root", "mirex"}, "C": {"mirex"}, "C:5": set()}


@pytest.mark.filterwarnings("error")
def test_without_time_to_compare_there_is_no_score() -> None:
    scores = chord_scores(chords((0, 4, "C:sus4")), chords((0, 4, "C")))
    missing = {name for name in MEASURES if scores[name] is None}
    assert missing == {"majmin", "sevenths"}
    assert (scores["root"], scores["triads"]) == (1, 0)
    unknown = chord_scores(chords((0, 4, "X")), chords((0, 4, "C")))
    assert [unknown[name] for name in COMPARISONS] == [None] * len(COMPARISONS)
    assert (unknown["duration"], unknown["seg"]) == (0, 1)
    nothing = chord_scores(chords(), chords((0, 4, "C")))
    assert nothing == dict.fromkeys(MEASURES) | {"duration": 0}


def test_a_perfect_estimate() -> None:
    song = chords((0.3, 1, "C"), (1, 2, "A:min7"), (2, 3, "N"))
    assert chord_scores(song, song) == pytest.approx(dict.fromkeys(MEASURES, 1) | {"duration": 2.7})


@pytest.mark.parametrize("error", [1e-12, 1e-4, 1e-3])
def test_rounding_parts_no_neighbours(error: float) -> None:
    clean = chords((0, 1, "C"), (1, 2, "C"), (2, 4, "G"))
    rough = chords((0, 1 - error, "C"), (1, 2 + error, "C"), (2, 4, "G"))
    estimate = chords((0, 2.5, "C"), (2.5, 4, "G"))
    for scores in (chord_scores(rough, estimate), chord_scores(rough, rough)):
        assert scores["duration"] == 4
    assert chord_scores(rough, estimate) == chord_scores(clean, estimate)
    assert chord_scores(estimate, rough) == chord_scores(estimate, clean)


def test_empty_segments_change_nothing() -> None:
    empty = chords((0, 0, "G"), (0, 2, "C"), (2, 2, "D"), (2, 4, "N"), (4, 4, "D"))
    clean = chords((0, 2, "C"), (2, 4, "N"))
    assert chord_scores(empty, empty) == chord_scores(clean, clean)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(0, 3, "C"), (2, 4, "G")], "don't overlap. Received: 0 to 3, then 2 to 4"),
        ([(2, 4, "C"), (0, 2, "G")], "Received: 2 to 4, then 0 to 2"),
        ([(0, 2, "H:maj"), (2, 4, "G")], "Received: 'H:maj'"),
        ([(0, 2, "C:aug7"), (2, 4, "G")], "Received: 'C:aug7'"),
    ],
)
def test_what_cannot_be_scored(rows: list[tuple[float, float, str]], message: str) -> None:
    good = chords((0, 4, "C"))
    with pytest.raises(AnnotationError, match=message):
        chord_scores(chords(*rows), good)
    with pytest.raises(AnnotationError, match=message):
        chord_scores(good, chords(*rows))


@given(st.data())
def test_the_time_of_pairs_is_the_time_of_the_reference(data: st.DataObject) -> None:
    reference, estimate = data.draw(songs(1, 9)), data.draw(songs(0.1, 7.7))
    pairs = seconds_of_pairs(reference, estimate)
    assert sum(pairs.values()) == pytest.approx(8)
    for label in set(reference.labels):
        theirs = [i for i, own in enumerate(reference.labels) if own == label]
        lasts = np.diff(reference.intervals[theirs]).sum()
        assert sum(t for (x, _), t in pairs.items() if x == label) == pytest.approx(lasts)


def test_the_summary_is_the_mean_of_tracks_that_have_a_score() -> None:
    rows = [dict.fromkeys(MEASURES, value) | {"duration": 100} for value in (0.2, 0.4, 0.9, 0.7)]
    rows[0]["majmin"] = None
    summary = {score.name: score for score in chord_summary(rows)}
    assert list(summary) == list(MEASURES)
    assert summary["root"].value == pytest.approx(0.55)
    assert summary["majmin"].value == pytest.approx(2 / 3)
    # Standard error of the mean of four: their deviation (0.27) over two.
    assert summary["root"].high - 0.55 == pytest.approx(1.96 * 0.27 / 2, rel=0.15)
    assert summary["root"].chance is None


@pytest.mark.filterwarnings("error")
def test_a_measure_that_no_track_has() -> None:
    rows = [chord_scores(chords((0, 4, "C:sus4")), chords((0, 4, "C")))] * 3
    summary = {score.name: score for score in chord_summary(rows)}
    assert np.isnan([summary["majmin"].value, summary["majmin"].low]).all()
    assert summary["root"].value == 1
    with pytest.raises(UsageError, match="at least one track"):
        chord_summary([])


def test_confusion_by_hand() -> None:
    words = vocabulary("majmin")
    references = [chords((0, 4, "C"), (4, 6, "A:min7"), (6, 8, "X")), chords((0, 2, "C:7/3"))]
    estimates = [chords((0, 3, "C"), (3, 6, "A:min"), (6, 8, "G")), chords((0, 0.5, "E:sus4"))]
    matrix = confusion(references, estimates, words.index, words.labels)
    c, a_minor, n = (words.index(label) for label in ("C", "A:min", "N"))
    expected = np.zeros((25, 25))
    expected[c, c], expected[c, a_minor], expected[a_minor, a_minor] = 3, 1, 2
    expected[c, n] = 1.5  # the second estimate ends; its E:sus4 is outside the vocabulary
    np.testing.assert_allclose(matrix, expected)

    rows = {row["chord"]: row for row in per_label(matrix, words.labels)}
    assert rows["C:maj"] == {"chord": "C:maj", "seconds": 5.5, "recall": 3 / 5.5, "precision": 1,
                             "taken_for": "N"}  # fmt: skip
    assert rows["A:min"] == {"chord": "A:min", "seconds": 2, "recall": 1,
                             "precision": pytest.approx(2 / 3), "taken_for": ""}  # fmt: skip
    assert rows["G:maj"] == {"chord": "G:maj", "seconds": 0, "recall": None, "precision": None,
                             "taken_for": ""}  # fmt: skip
    assert rows["N"]["precision"] == 0


def test_confusion_wants_pairs() -> None:
    with pytest.raises(UsageError, match=r"each of 1 references\. Received: 0"):
        confusion([chords()], [], lambda label: 0, ["C"])


@given(st.data())
def test_the_diagonal_of_the_confusion_is_majmin(data: st.DataObject) -> None:
    """Where no bass adds a pitch: mir_eval counts it to the chord, vocabularies don't."""
    words = vocabulary("majmin")
    root_position = (
        Segments(song.intervals, tuple(label.partition("/")[0] for label in song.labels))
        for song in (data.draw(songs(1, 9)), data.draw(songs(0.1, 7.7)))
    )
    reference, estimate = root_position
    # An estimate outside the vocabulary is wrong for majmin, and not in the matrix.
    said = Segments(
        estimate.intervals, tuple(x if words.index(x) >= 0 else "N" for x in estimate.labels)
    )
    matrix = confusion([reference], [said], words.index, words.labels)
    score = chord_scores(reference, said)["majmin"]
    if score is None:
        assert not matrix.any()
    else:
        assert np.trace(matrix) / matrix.sum() == pytest.approx(score)
