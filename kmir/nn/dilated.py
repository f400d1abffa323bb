"""Stacks of dilated convolutions over time, each looking twice as far as the one before it."""

from __future__ import annotations

from typing import Any

from keras import layers

from kmir.errors import UsageError


def dilated_stack(
    x: Any, filters: int, *, blocks: int, kernel_size: int, dropout: float, causal: bool
) -> Any:
    """Residual blocks with dilations 1, 2, 4, …; what all of them found, added up.

    Block i has two convolutions side by side, of dilation 2^i and 2^(i+1): S. Böck, M. Davies,
    "Deconstruct, analyse, reconstruct: how to improve tempo, beat, and downbeat estimation",
    ISMIR 2020. Concatenated, through an ELU, spatial dropout and a 1 × 1 convolution they make
    what the block adds to its input for the next one, and to the sum that is returned, as in
    A. van den Oord et al., "WaveNet: a generative model for raw audio", 2016.

    Args:
        x: ``(batch, frames, filters)``.
        filters: Of each convolution; the values a frame of ``x``.
        blocks: How many, from 1.
        kernel_size: Taps of the dilated convolutions; odd, if they look both ways.
        dropout: Rate of whole filters, in [0, 1).
        causal: Look only back.

    Returns:
        ``(batch, frames, filters)``: the sum over blocks.

    Raises:
        UsageError: If there is no block, or the kernel has no centre.
    """
    if blocks < 1:
        raise UsageError(
            f"Expected at least one layer of dilated convolutions. Received: {blocks}."
        )
    if kernel_size < 2 or not (causal or kernel_size % 2):
        raise UsageError(
            f"Expected an odd kernel_size from 3, or any from 2 if causal. Received: {kernel_size}."
        )
    padding = "causal" if causal else "same"
    total = None
    for i in range(blocks):
        sides = [
            layers.Conv1D(filters, kernel_size, dilation_rate=dilation, padding=padding, name=name)(
                x
            )
            for dilation, name in ((2**i, f"near{i + 1}"), (2 ** (i + 1), f"far{i + 1}"))
        ]
        found = layers.Concatenate(name=f"both{i + 1}")(sides)
        found = layers.ELU(name=f"elu{i + 1}")(found)
        found = layers.SpatialDropout1D(dropout, name=f"dropout{i + 1}")(found)
        found = layers.Conv1D(filters, 1, name=f"found{i + 1}")(found)
        total = found if total is None else layers.Add(name=f"sum{i + 1}")([total, found])
        if i + 1 < blocks:
            x = layers.Add(name=f"residual{i + 1}")([x, found])
    return total


def dilated_reach(blocks: int, kernel_size: int) -> int:
    """Frames beyond its own that a frame out of `dilated_stack` sees.

    Half of them on each side, or all of them before it if causal.

    Example:
        >>> dilated_reach(blocks=1, kernel_size=5)
        8
    """
    # The wider of the two convolutions of block i sees (kernel_size − 1) · 2^(i+1) frames.
    return 2 * (kernel_size - 1) * (2**blocks - 1)
