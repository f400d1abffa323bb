"""Bars over beats that are known: which of them begin one, in the metre that fits best.

The second of two steps, as in F. Krebs, S. Böck, M. Dorfer, G. Widmer, "Downbeat tracking using
beat-synchronous features and recurrent networks", ISMIR 2016: the first finds the beats.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kmir.decoders.viterbi import viterbi
from kmir.errors import UsageError

# A probability of 0 or 1 is certain only to this: one beat is not to rule out every path.
CERTAIN = 1e-4


def bars_from_downbeats(
    probabilities: np.ndarray, beats_per_bar: Sequence[int] = (3, 4), *, change: float = 1e-3
) -> np.ndarray:
    """Position in the bar of each beat, for the metre that fits the whole best.

    Args:
        probabilities: ``(beats,)`` that each beat is a downbeat, in [0, 1].
        beats_per_bar: The metres to choose from; one holds for all the song.
        change: Probability that a bar is broken off, or prolonged, at a beat: a beat was missed, or
            the song has a bar of another length. Above 0, below 1.

    Returns:
        ``(beats,)`` int, 1 for the downbeat.

    Raises:
        UsageError: If probabilities are no numbers in [0, 1] of that shape, or an option is out of
            range.
    """
    p = np.asarray(probabilities, np.float64)
    if p.ndim != 1:
        raise UsageError(f"Expected a probability for each beat, (beats,). Received: {p.shape}.")
    if (wrong := p[~((p >= 0) & (p <= 1))]).size:  # NaN fails the comparison as well
        raise UsageError(f"Expected probabilities in [0, 1]. Received: {wrong[0]:g}.")
    metres = checked_metres(beats_per_bar)
    if not 0 < change < 1:
        raise UsageError(f"Expected a change above 0 and below 1. Received: {change}.")
    if not len(p):
        return np.zeros(0, int)
    paths = [_best_path(p.clip(CERTAIN, 1 - CERTAIN), beats, change) for beats in metres]
    return max(paths, key=lambda path: path[0])[1] + 1


def checked_metres(beats_per_bar: Sequence[int]) -> list[int]:
    """Metres to choose from.

    Raises:
        UsageError: If they are not whole numbers from 1.
    """
    metres = np.asarray(beats_per_bar)
    if metres.ndim != 1 or metres.dtype.kind not in "iu" or not (metres.size and metres.min() > 0):
        raise UsageError(
            "Expected beats per bar as whole numbers from 1, such as (3, 4). "
            f"Received: {beats_per_bar}."
        )
    return [int(beats) for beats in metres]


def _best_path(p: np.ndarray, beats: int, change: float) -> tuple[float, np.ndarray]:
    """Log-probability and positions, from 0, of the best walk through bars of so many beats."""
    likelihood = np.repeat(np.log(1 - p)[:, None], beats, axis=1)
    likelihood[:, 0] = np.log(p)
    step = np.full((beats, beats), change / beats)
    step[np.arange(beats), (np.arange(beats) + 1) % beats] += 1 - change
    transition = np.log(step)
    path = viterbi(likelihood, transition)
    score = likelihood[np.arange(len(p)), path].sum() + transition[path[:-1], path[1:]].sum()
    return float(score) - float(np.log(beats)), path
