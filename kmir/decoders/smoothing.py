"""Frame labels without flicker, and the runs that they form."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import median_filter

from kmir.errors import UsageError


def median_smooth(activations: np.ndarray, width: int) -> np.ndarray:
    """The strongest state of each frame after a running median over time in each state.

    Activations are filtered rather than labels: these have no order, so no median. A run shorter
    than half the window disappears; at both ends the first and last frame are repeated.

    Args:
        activations: ``(frames, states)``, such as probabilities.
        width: Of the window, in frames; odd. 1 filters nothing.

    Returns:
        ``(frames,)`` int64.

    Raises:
        UsageError: If the width is not odd and positive, or the activations are no such table or
            hold NaN.
    """
    if width < 1 or width % 2 == 0:
        raise UsageError(f"Expected an odd width from 1, in frames. Received: {width}.")
    activations = np.asarray(activations, np.float64)  # SciPy has no median of float16
    if activations.ndim != 2 or not activations.shape[1]:
        raise UsageError(f"Expected activations (frames, states). Received: {activations.shape}.")
    if np.isnan(activations).any():
        raise UsageError("Expected activations that are numbers. Received: NaN.")
    if not len(activations):
        return np.empty(0, np.int64)
    # State by state: SciPy has a fast filter for one dimension only.
    columns = [median_filter(state, width, mode="nearest") for state in activations.T]
    return np.argmax(columns, axis=0)


def runs(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Stretches of equal labels.

    Args:
        labels: ``(frames,)``.

    Returns:
        First frame, frame after the last, and label of each run, each ``(n,)``.

    Raises:
        UsageError: If `labels` has more or fewer dimensions.

    Example:
        >>> runs(np.array([7, 7, 2]))
        (array([0, 2]), array([2, 3]), array([7, 2]))
    """
    labels = np.asarray(labels)
    if labels.ndim != 1:
        raise UsageError(f"Expected labels (frames,). Received: shape {labels.shape}.")
    starts = np.flatnonzero(np.concatenate([[len(labels) > 0], labels[1:] != labels[:-1]]))
    ends = np.append(starts[1:], len(labels))[: len(starts)]
    return starts, ends, labels[starts]
