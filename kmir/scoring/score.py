"""A score with its confidence interval and the level of chance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

RESAMPLES = 200


@dataclass(frozen=True)
class Score:
    """One figure over a set of tracks.

    Args:
        name: Such as ``"roc_auc"``.
        value: The figure.
        low: Lower end of its 95 % interval.
        high: Upper end.
        chance: What knowing nothing scores; None where that has no meaning.
    """

    name: str
    value: float
    low: float
    high: float
    chance: float | None = None


def bootstrap(
    name: str,
    figure: Callable[[np.ndarray], float],
    tracks: int,
    *,
    chance: float | None = None,
    seed: int = 0,
) -> Score:
    """A figure with its 95 % interval: ±1.96 standard errors, found by resampling the tracks.

    The percentiles of the resamples themselves would be biased for areas under curves: a resample
    repeats tracks, and ties raise the precision. Resamples in which the figure does not exist (NaN)
    are left out; where none is left, neither does the interval.

    Args:
        name: Of the figure.
        figure: The figure for an array of track indices; from 0 to 1.
        tracks: Number of tracks.
        chance: What knowing nothing scores.
        seed: Of the resampling.
    """
    random = np.random.default_rng(seed)
    draws = np.array([figure(random.integers(0, tracks, tracks)) for _ in range(RESAMPLES)])
    known = draws[~np.isnan(draws)]
    error = 1.96 * float(known.std()) if known.size else float("nan")
    value = figure(np.arange(tracks))
    low, high = np.clip([value - error, value + error], 0.0, 1.0)
    return Score(name, value, float(low), float(high), chance)
