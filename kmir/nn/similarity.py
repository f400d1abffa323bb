"""How much each frame is like those around it: what music repeats, told in no key."""

from __future__ import annotations

from typing import Any

from keras import ops

from kmir.errors import UsageError

SILENT = 1e-3  # squared length below which a frame is like no other


def lagged_similarity(x: Any, lags: int) -> Any:
    """Cosine of each frame with each of the frames before and after it, up to a lag.

    The bands next to the diagonal of a self-similarity matrix (J. Foote, "Visualizing music and
    audio using self-similarity", ACM Multimedia 1999). Of chroma it is the same in all keys.

    Args:
        x: ``(batch, frames, values)``.
        lags: How far, in frames, from 1.

    Returns:
        ``(batch, frames, 2 * lags)`` in [-1, 1]: one frame before, one after, two before, …; 0
        beyond the ends.

    Raises:
        UsageError: If there is no lag.
    """
    if lags < 1:
        raise UsageError(f"Expected lags of 1 frame or more. Received: {lags}.")
    unit = x / ops.sqrt(ops.sum(ops.square(x), axis=-1, keepdims=True) + SILENT)
    found = []
    for lag in range(1, lags + 1):
        before = ops.pad(unit, [[0, 0], [lag, 0], [0, 0]])[:, :-lag]
        after = ops.pad(unit, [[0, 0], [0, lag], [0, 0]])[:, lag:]
        found += [ops.sum(unit * other, axis=-1, keepdims=True) for other in (before, after)]
    return ops.concatenate(found, axis=-1)
