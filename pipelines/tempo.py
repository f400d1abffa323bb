"""The tempo of each moment as a distribution over classes."""

from __future__ import annotations

import numpy as np

# Beats per minute of the classes: 3 % from one to the next.
TEMPI = 30.0 * 1.03 ** np.arange(77)


def tempo_targets(beats: np.ndarray, times: np.ndarray, spread: float) -> np.ndarray:
    """A bell around the tempo of the moment, which sums to one.

    Args:
        beats: ``(n,)`` seconds, increasing.
        times: ``(frames,)`` seconds.
        spread: Standard deviation of the bell, in classes.

    Returns:
        ``(frames, classes)`` float32; NaN before the first beat and from the last one on.
    """
    targets = np.full((len(times), len(TEMPI)), np.nan, np.float32)
    if len(beats) < 2:
        return targets
    # Humans waver; over four beats they keep their tempo.
    intervals = np.diff(beats)
    near = np.arange(len(intervals))[:, np.newaxis] + np.arange(-2, 3)
    tempo = 60 / np.median(intervals[near.clip(0, len(intervals) - 1)], axis=1)
    inside = (times >= beats[0]) & (times < beats[-1])
    current = tempo[np.searchsorted(beats, times[inside], side="right") - 1]
    classes = np.log(current / TEMPI[0]) / np.log(TEMPI[1] / TEMPI[0])
    distance = np.arange(len(TEMPI)) - classes.clip(0, len(TEMPI) - 1)[:, np.newaxis]
    bell = np.exp(-0.5 * (distance / spread) ** 2)
    targets[inside] = bell / bell.sum(axis=1, keepdims=True)
    return targets
