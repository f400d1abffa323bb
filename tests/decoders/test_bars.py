"""Bars over known beats: by hand, and against every path there is."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmir.decoders import bars_from_downbeats
from kmir.decoders.bars import CERTAIN
from kmir.errors import UsageError


def bars(*lengths: int, sure: float = 0.9) -> np.ndarray:
    """Probabilities of beats in bars of these lengths, all equally sure."""
    starts = np.cumsum([0, *lengths[:-1]])
    return np.where(np.isin(np.arange(sum(lengths)), starts), sure, 1 - sure)


def scores(p: np.ndarray, paths: np.ndarray, metre: int, change: float) -> np.ndarray:
    """Log-probability of each path ``(paths, beats)`` of positions from 1, from the definition."""
    p = p.clip(CERTAIN, 1 - CERTAIN)
    total = np.where(paths == 1, np.log(p), np.log(1 - p)).sum(axis=1) - np.log(metre)
    regular = paths[:, 1:] == paths[:, :-1] % metre + 1
    return np.asarray(total + np.log(change / metre + (1 - change) * regular).sum(axis=1))


# === By hand ===


@pytest.mark.parametrize("metre", [3, 4])
@pytest.mark.parametrize("upbeats", [0, 1, 2])
def test_the_metre_that_fits_is_chosen(metre: int, upbeats: int) -> None:
    p = bars(*[metre] * 6)[-upbeats % metre :]
    expected = (np.arange(len(p)) - upbeats) % metre + 1
    found = bars_from_downbeats(p)
    assert found.dtype.kind == "i"
    np.testing.assert_array_equal(found, expected)


def test_only_metres_that_are_offered_are_chosen() -> None:
    p = bars(*[5] * 4)
    np.testing.assert_array_equal(bars_from_downbeats(p, (3, 4, 5)), [1, 2, 3, 4, 5] * 4)
    assert bars_from_downbeats(p, (2,)).max() == 2
    np.testing.assert_array_equal(bars_from_downbeats(p, [1]), np.ones(20))


def test_a_missed_beat_breaks_a_bar_off_where_change_allows_it() -> None:
    p = bars(4, 4, 4, 3, 4, 4, 4, 4)
    broken = [1, 2, 3, 4] * 3 + [1, 2, 3] + [1, 2, 3, 4] * 4
    np.testing.assert_array_equal(bars_from_downbeats(p), broken)
    # Three bars that are wrong, at 2 log 9 each, cost less than a break of log 4e-12.
    steady = bars_from_downbeats(p, change=1e-12)
    np.testing.assert_array_equal(steady, (np.arange(len(p)) - 15) % 4 + 1)


def test_a_beat_too_many_prolongs_a_bar() -> None:
    p = bars(3, 3, 3, 4, 3, 3, 3, 3)
    found = bars_from_downbeats(p, (3,))
    np.testing.assert_array_equal(np.flatnonzero(found == 1), [0, 3, 6, 9, 13, 16, 19, 22])


@pytest.mark.parametrize("wrong", [5, 8])
def test_what_is_certain_and_wrong_rules_nothing_out(wrong: int) -> None:
    """One beat that is certain of a downbeat, then one that is certain of none."""
    p = bars(*[4] * 5, sure=1.0)
    p[wrong] = 1 - p[wrong]
    np.testing.assert_array_equal(bars_from_downbeats(p), [1, 2, 3, 4] * 5)


def test_no_beats_have_no_positions() -> None:
    found = bars_from_downbeats(np.zeros(0))
    assert found.shape == (0,)
    assert found.dtype.kind == "i"


# === Against every path ===


@given(
    p=st.lists(st.floats(0, 1), min_size=1, max_size=6),
    metres=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    change=st.sampled_from([1e-3, 0.05, 0.5, 0.99]),
)
def test_no_path_in_any_metre_is_likelier(
    p: list[float], metres: Sequence[int], change: float
) -> None:
    probabilities = np.array(p)
    found = bars_from_downbeats(probabilities, metres, change=change)
    best = max(
        scores(
            probabilities,
            np.array(list(itertools.product(range(1, metre + 1), repeat=len(p)))),
            metre,
            change,
        ).max()
        for metre in metres
    )
    # The path doesn't tell its metre: in the best one that it may be in, it's as good as any.
    own = max(
        scores(probabilities, found[np.newaxis], metre, change)[0]
        for metre in metres
        if metre >= found.max()
    )
    assert found.min() >= 1
    assert own == pytest.approx(best, abs=1e-9)


@given(metre=st.integers(2, 6), count=st.integers(3, 10), sure=st.floats(0.8, 1))
def test_bars_of_one_length_come_back(metre: int, count: int, sure: float) -> None:
    found = bars_from_downbeats(bars(*[metre] * count, sure=sure), (metre,), change=1e-6)
    np.testing.assert_array_equal(found, list(range(1, metre + 1)) * count)


# === What is refused ===


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        ([[0.1, 0.2]], r"^Expected a probability for each beat, \(beats,\)\. .*: \(1, 2\)\.$"),
        ([0.1, 1.5], r"^Expected probabilities in \[0, 1\]\. Received: 1\.5\.$"),
        ([-0.1], r"^Expected probabilities in \[0, 1\]\. Received: -0\.1\.$"),
        ([0.5, np.nan], r"^Expected probabilities in \[0, 1\]\. Received: nan\.$"),
    ],
)
def test_what_are_no_probabilities(probabilities: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        bars_from_downbeats(probabilities)


@pytest.mark.parametrize("beats_per_bar", [(), (3, 0), (3.5,), 4, "34"])
def test_what_are_no_metres(beats_per_bar: Any) -> None:
    with pytest.raises(UsageError, match=r"^Expected beats per bar as whole numbers") as caught:
        bars_from_downbeats(np.array([0.5]), beats_per_bar)
    assert str(caught.value).endswith(f"Received: {beats_per_bar}.")


@pytest.mark.parametrize("change", [0, 1, -0.1, float("nan")])
def test_a_change_out_of_range(change: float) -> None:
    message = rf"^Expected a change above 0 and below 1\. Received: {change}\.$"
    with pytest.raises(UsageError, match=message):
        bars_from_downbeats(np.array([0.5]), change=change)
