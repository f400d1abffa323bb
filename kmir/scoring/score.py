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
    """A figure with the 95 % interval that resampling the tracks gives (percentile bootstrap).

    Args:
        name: Of the figure.
        figure: The figure for an array of track indices.
        tracks: Number of tracks.
        chance: What knowing nothing scores.
        seed: Of the resampling.
    """
    random = np.random.default_rng(seed)
    draws = [figure(random.integers(0, tracks, tracks)) for _ in range(RESAMPLES)]
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return Score(name, figure(np.arange(tracks)), float(low), float(high), chance)
