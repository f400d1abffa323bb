"""Intervals: their width against theory, their repeatability, their ends."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmir.scoring import Score, bootstrap


@pytest.mark.parametrize("tracks", [50, 400])
@pytest.mark.parametrize("share", [0.5, 0.8])
def test_the_interval_of_a_share_is_that_of_the_binomial(tracks: int, share: float) -> None:
    right = np.arange(tracks) < share * tracks
    score = bootstrap("accuracy", lambda rows: float(right[rows].mean()), tracks)
    half = 1.96 * np.sqrt(share * (1 - share) / tracks)
    assert score.value == share
    # 200 resamples know a standard error to 5 %; here to three times that.
    assert (score.high - score.low) / 2 == pytest.approx(half, rel=0.15)
    assert score.high - score.value == pytest.approx(score.value - score.low)


def test_the_interval_is_repeatable_and_its_seed_matters() -> None:
    values = np.random.default_rng(0).random(30)
    one, same, other = (
        bootstrap("mean", lambda rows: float(values[rows].mean()), 30, chance=0.5, seed=seed)
        for seed in (0, 0, 1)
    )
    assert one == same
    assert one != other
    assert (one.name, one.chance) == ("mean", 0.5)
    assert one.value == values.mean()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_the_interval_holds_the_value_and_stays_in_range(values: list[float]) -> None:
    table = np.array(values)
    score = bootstrap("mean", lambda rows: float(table[rows].mean()), len(values))
    assert 0 <= score.low <= score.value + 1e-12
    assert score.value - 1e-12 <= score.high <= 1


def test_what_never_varies_has_no_interval() -> None:
    assert bootstrap("one", lambda rows: 1.0, 7) == Score("one", 1.0, 1.0, 1.0, None)


def test_resamples_in_which_the_figure_does_not_exist_are_left_out() -> None:
    values = np.array([0.2, 0.4, 0.6, 0.8])

    def figure(rows: np.ndarray) -> float:
        return float("nan") if len(set(rows)) < 3 else float(values[rows].mean())

    score = bootstrap("mean", figure, 4)
    assert score.value == pytest.approx(0.5)
    assert 0.5 < score.high < 1


@pytest.mark.filterwarnings("error")
def test_a_figure_that_never_exists_says_so() -> None:
    score = bootstrap("nothing", lambda rows: float("nan"), 3)
    assert np.isnan([score.value, score.low, score.high]).all()
