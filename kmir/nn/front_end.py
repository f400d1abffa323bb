"""A convolutional front end over frequency: from a spectrogram to one vector a frame."""

from __future__ import annotations

import math
from typing import Any

from keras import layers

from kmir.errors import UsageError
from kmir.nn.recurrent import vectors

KERNEL = 3  # frames and bands of both small convolutions
POOL = 3  # bands
# Frames beyond its own that a vector sees: one on each side for each convolution, or two before it.
FRONT_END_REACH = 2 * (KERNEL - 1)


def frequency_front_end(features: Any, filters: int, *, dropout: float, causal: bool) -> Any:
    """Two small convolutions, each pooled over bands, then one over all bands that are left.

    After M. Davies, S. Böck, "Temporal convolutional networks for musical audio beat tracking",
    EUSIPCO 2019: 3 × 3 convolution, max pooling over 3 bands, ELU, twice, then a convolution that
    spans the bands. With 86 bands: 84, pooled 28, 26, pooled 8, 1. The frame rate stays.

    Args:
        features: ``(batch, frames, bands)`` or ``(batch, frames, bands, channels)``, as the model
            receives them; normalised here.
        filters: Of each convolution.
        dropout: Rate after each convolution, in [0, 1).
        causal: Look only back; without it one frame ahead in each small convolution.

    Returns:
        ``(batch, frames, filters)``.

    Raises:
        UsageError: If there are too few bands for two poolings.
    """
    bands, channels = features.shape[2], math.prod(features.shape[3:])
    if bands < (fewest := POOL * (POOL + KERNEL - 1) + KERNEL - 1):
        raise UsageError(
            f"Expected features of {fewest} bands or more. Received: {bands}. "
            "Take more bands, or a model without convolutions over them."
        )
    before, after = (KERNEL - 1, 0) if causal else (KERNEL // 2, KERNEL // 2)
    x = layers.Reshape((-1, bands, channels), name="image")(vectors(features))
    for i in (1, 2):
        x = layers.ZeroPadding2D(((before, after), (0, 0)), name=f"front_pad{i}")(x)
        x = layers.Conv2D(filters, KERNEL, name=f"front_conv{i}")(x)
        # ELU rises everywhere, so the maximum before it is the one after it, at a third the cost.
        x = layers.MaxPooling2D((1, POOL), name=f"front_pool{i}")(x)
        x = layers.ELU(name=f"front_elu{i}")(x)
        x = layers.Dropout(dropout, name=f"front_dropout{i}")(x)
    x = layers.Conv2D(filters, (1, x.shape[2]), name="front_conv3")(x)
    x = layers.ELU(name="front_elu3")(x)
    x = layers.Dropout(dropout, name="front_dropout3")(x)
    return layers.Reshape((-1, filters), name="front")(x)
