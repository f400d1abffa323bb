"""Scores against mir_eval on perturbed beats, by hand for simple ones, and what is at the edges."""

# Lists are taken where arrays are declared.
# mypy: disable-error-code="arg-type"

from __future__ import annotations

import warnings

import mir_eval
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmir.annotations import Beats
from kmir.errors import UsageError
from kmir.scoring.beats import BEATS, DOWNBEATS, MEASURES, TEMPO, beat_scores, beat_summary

MIR_EVAL = (
    "F-measure",
    "Cemgil",
    "P-score",
    "Correct Metric Level Continuous",
    "Correct Metric Level Total",
    "Any Metric Level Continuous",
    "Any Metric Level Total",
    "Information gain",
)


def steady(start: float, end: float, distance: float, metre: int = 4) -> Beats:
    times = np.arange(start, end, distance)
    return Beats(times, np.arange(len(times)) % metre + 1)


def by_mir_eval(reference: np.ndarray, estimate: np.ndarray, trim: float = 5.0) -> list[float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scores = mir_eval.beat.evaluate(reference, estimate, min_beat_time=trim)
    return [scores[name] for name in MIR_EVAL]


def of(scores: dict[str, float | None], names: tuple[str, ...]) -> list[float | None]:
    return [scores[name] for name in names]


@st.composite
def performances(draw: st.DrawFn) -> tuple[Beats, Beats]:
    """A song of wavering tempo, and what a tracker makes of it: late, doubled, with holes."""
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    distance = draw(st.floats(0.25, 1.0))
    times = 0.3 + np.cumsum(distance * rng.uniform(0.95, 1.05, draw(st.integers(40, 80))))
    positions = np.arange(len(times)) % draw(st.integers(2, 4)) + 1
    found = times + rng.normal(0, draw(st.sampled_from([0, 0.01, 0.05])), len(times))
    if draw(st.booleans()):
        found = np.append(found, (times[1:] + times[:-1]) / 2)  # the double tempo
    found = np.unique(found[rng.random(len(found)) >= draw(st.sampled_from([0, 0.1, 0.5]))])
    guessed = np.arange(len(found)) % draw(st.integers(2, 4)) + 1
    return Beats(times, positions), Beats(found.clip(0), guessed)


@given(performances())
def test_scores_are_those_of_mir_eval(songs: tuple[Beats, Beats]) -> None:
    reference, estimate = songs
    scores = beat_scores(reference, estimate)
    assert tuple(scores) == MEASURES
    assert of(scores, BEATS) == pytest.approx(by_mir_eval(reference.times, estimate.times))
    assert of(scores, DOWNBEATS) == pytest.approx(
        by_mir_eval(reference.downbeats, estimate.downbeats)
    )
    assert of(scores, TEMPO) == [None, None]


@given(st.data())
def test_scores_of_noise_are_those_of_mir_eval(data: st.DataObject) -> None:
    """Times that are no music: close together, far apart, few."""
    reference, estimate = (
        np.sort(data.draw(st.lists(st.integers(500, 3000), min_size=2, max_size=30, unique=True)))
        / 100
        for _ in range(2)
    )
    scores = beat_scores(Beats(reference), Beats(estimate))
    assert of(scores, BEATS) == pytest.approx(by_mir_eval(reference, estimate))


# === By hand ===


def test_a_perfect_estimate() -> None:
    song = steady(0.5, 60, 0.5)
    assert of(beat_scores(song, song, 120, 120), MEASURES) == pytest.approx([1] * len(MEASURES))


def test_the_double_tempo() -> None:
    scores = beat_scores(steady(0, 60, 0.5), steady(0, 60, 0.25), 120, 240)
    # All of 110 beats from 5 s on are found, and 110 more.
    assert scores["f_measure"] == pytest.approx(2 / 3)
    assert (scores["cmlc"], scores["cmlt"]) == (0, 0)
    # Of the reference at double tempo all but the last is given.
    assert scores["amlt"] == pytest.approx(219 / 220)
    assert (scores["tempo_accuracy1"], scores["tempo_accuracy2"]) == (0, 1)


def test_one_beat_in_ten_is_missed() -> None:
    reference = steady(5, 55, 0.5)
    keep = np.arange(100) % 10 != 9
    scores = beat_scores(reference, Beats(reference.times[keep], reference.positions[keep]))
    assert scores["f_measure"] == pytest.approx(2 * 0.9 / 1.9)
    assert scores["p_score"] == pytest.approx(0.9)
    # After each hole a beat is too far from the last one: runs of nine, and then of eight.
    assert scores["cmlc"] == pytest.approx(9 / 100)
    assert scores["cmlt"] == pytest.approx((9 + 9 * 8) / 100)


def test_a_gaussian_of_the_error() -> None:
    reference = steady(5, 55, 0.5)
    scores = beat_scores(reference, Beats(reference.times + 0.04, reference.positions))
    assert scores["cemgil"] == pytest.approx(np.exp(-1 / 2))
    assert scores["f_measure"] == 1
    assert beat_scores(reference, Beats(reference.times + 0.08))["f_measure"] == 0


def test_downbeats_on_the_wrong_beat() -> None:
    reference = steady(5, 55, 0.5)
    scores = beat_scores(reference, Beats(reference.times, np.roll(reference.positions, 1)))
    assert scores["f_measure"] == 1
    assert (scores["downbeat_f_measure"], scores["downbeat_cmlt"]) == (0, 0)


@pytest.mark.parametrize(
    ("estimate", "first", "second"),
    [
        (100, 1, 1),
        (104, 1, 1),
        (96, 1, 1),
        (104.1, 0, 0),
        (95.9, 0, 0),
        (50, 0, 1),
        (208, 0, 1),
        (208.3, 0, 0),
        (100 / 3 * 1.04, 0, 1),
        (300 * 0.96, 0, 1),
        (150, 0, 0),
        (400, 0, 0),
        (None, 0, 0),
    ],
)
def test_tempo(estimate: float | None, first: float, second: float) -> None:
    scores = beat_scores(Beats([]), Beats([]), 100, estimate)
    assert of(scores, TEMPO) == [first, second]


# === At the edges ===


def test_beats_before_five_seconds_do_not_count() -> None:
    reference = steady(0, 60, 0.5)
    late = Beats(reference.times[10:], reference.positions[10:])
    assert beat_scores(reference, late)["f_measure"] == 1
    assert beat_scores(reference, late, trim_seconds=0)["f_measure"] == pytest.approx(220 / 230)
    early = Beats(reference.times[:10], reference.positions[:10])
    assert of(beat_scores(reference, early), BEATS) == [0] * 8


def test_short_recordings_are_scored_whole() -> None:
    reference, estimate = steady(0.1, 5.5, 0.5), steady(0.1, 5.5, 0.25)
    scores = beat_scores(reference, estimate)
    assert of(scores, BEATS) == pytest.approx(
        by_mir_eval(reference.times, estimate.times, trim=0.0)
    )
    assert scores["f_measure"] == pytest.approx(2 / 3)
    # Two beats after 5 s are enough to leave the others out; of downbeats there is none.
    longer = steady(0.1, 6, 0.5)
    scores = beat_scores(longer, Beats(longer.times[-2:]))
    assert (scores["f_measure"], scores["cmlt"]) == (1, 1)
    assert beat_scores(longer, longer)["downbeat_f_measure"] == 1


@pytest.mark.filterwarnings("error")
def test_an_empty_estimate_scores_nothing() -> None:
    scores = beat_scores(steady(0, 60, 0.5), Beats([]), 120, None)
    assert of(scores, MEASURES) == [0] * len(MEASURES)


@pytest.mark.filterwarnings("error")
def test_an_empty_reference_has_no_score() -> None:
    for estimate in (Beats([]), steady(0, 60, 0.5)):
        assert beat_scores(Beats([]), estimate) == dict.fromkeys(MEASURES)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("time", [1.0, 7.0])
def test_a_single_beat(time: float) -> None:
    one, song = Beats([time], [1]), steady(time % 1, 60, 1, metre=1)
    expected = dict.fromkeys(BEATS, 0.0) | {"f_measure": 1.0, "cemgil": 1.0}
    for name, value in expected.items():
        assert beat_scores(one, one)[name] == value
        assert beat_scores(one, one)[f"downbeat_{name}"] == value
    scores = beat_scores(song, one, trim_seconds=0)
    assert scores["f_measure"] == pytest.approx(2 / (len(song.times) + 1))
    assert (scores["p_score"], scores["information_gain"]) == (0, 0)


@pytest.mark.filterwarnings("error")
def test_beats_closer_than_mir_eval_can_tell() -> None:
    """Its P-score fails on them."""
    scores = beat_scores(Beats([7.001, 7.002]), Beats([7.0, 8.0]))
    assert (scores["p_score"], scores["f_measure"]) == (0, 1 / 2)


def test_without_positions_there_are_no_downbeats() -> None:
    song = steady(0, 60, 0.5)
    bare = Beats(song.times)
    assert of(beat_scores(bare, song), DOWNBEATS) == [None] * 8
    assert of(beat_scores(song, bare), DOWNBEATS) == [0] * 8
    assert beat_scores(song, bare)["f_measure"] == 1


def test_what_is_not_known_to_be_no_downbeat_is_not_wrong() -> None:
    song = steady(0, 60, 0.5)
    unknown = (song.times > 20) & (song.times < 30)
    reference = Beats(song.times, np.where(unknown, 0, song.positions))
    assert beat_scores(reference, song)["downbeat_f_measure"] == 1
    more = Beats(song.times, np.where(unknown, 1, song.positions))
    assert beat_scores(reference, more)["downbeat_f_measure"] == 1
    # What lies beyond the last beat is nearest to that, a known one.
    beyond = Beats([*song.times, 100, 101], [*song.positions, 1, 1])
    assert beat_scores(reference, beyond)["downbeat_f_measure"] < 1  # type: ignore[operator]


# === Over tracks ===


def test_the_summary_is_the_mean_of_tracks_that_have_a_score() -> None:
    values = (0.2, 0.4, 0.9, 0.7)
    rows: list[dict[str, float | None]] = [dict.fromkeys(MEASURES, value) for value in values]
    rows[0]["downbeat_cmlt"] = None
    del rows[0]["tempo_accuracy1"]
    summary = {score.name: score for score in beat_summary(rows)}
    assert tuple(summary) == MEASURES
    assert summary["f_measure"].value == pytest.approx(0.55)
    assert summary["downbeat_cmlt"].value == pytest.approx(2 / 3)
    assert summary["tempo_accuracy1"].value == pytest.approx(2 / 3)
    # Standard error of the mean of four: their deviation (0.27) over two.
    assert summary["f_measure"].high - 0.55 == pytest.approx(1.96 * 0.27 / 2, rel=0.15)
    assert summary["f_measure"].chance is None


@pytest.mark.filterwarnings("error")
def test_measures_that_no_track_has() -> None:
    song = Beats(steady(0, 60, 0.5).times)
    assert tuple(score.name for score in beat_summary([beat_scores(song, song)] * 2)) == BEATS
    empty = beat_summary([beat_scores(Beats([]), song)])
    assert tuple(score.name for score in empty) == BEATS
    assert all(np.isnan(score.value) for score in empty)
    with pytest.raises(UsageError, match="at least one track"):
        beat_summary([])
