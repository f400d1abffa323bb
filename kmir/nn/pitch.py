"""Layers for features whose bins are pitches: octaves folded, and circles of pitch classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("kmir")
class FoldOctaves(keras.layers.Layer):
    """``(batch, frames, 12 · octaves)`` → ``(batch, frames, 12, octaves)``.

    Bins of one pitch class stand together then: the bass and treble blocks of NNLS chroma, or the
    octaves of a constant-Q transform with 12 bins each.
    """

    def call(self, x: Any) -> Any:
        """Folds the last axis."""
        octaves = x.shape[-1] // 12
        folded = ops.reshape(x, (-1, ops.shape(x)[1], octaves, 12))
        return ops.transpose(folded, (0, 1, 3, 2))

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Shape after folding."""
        batch, frames, bins = input_shape
        assert bins is not None  # a model knows its bins
        return batch, frames, 12, bins // 12


@keras.saving.register_keras_serializable("kmir")
class CircularPad(keras.layers.Layer):
    """Goes on around the circle on both sides of the second axis after the batch.

    ``(batch, frames, pitches, channels)`` → ``(batch, frames, before + pitches + after, channels)``,
    so that a convolution over pitch has no edge: B lies below C as C below C sharp.

    Args:
        before: Pitches put before the first, at most as many as there are.
        after: Pitches put after the last.
        **kwargs: Of every Keras layer.
    """

    def __init__(self, before: int, after: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.before, self.after = before, after

    def call(self, x: Any) -> Any:
        """Pads the axis."""
        parts = [x[:, :, x.shape[2] - self.before :]] if self.before else []
        parts += [x, x[:, :, : self.after]]
        return ops.concatenate(parts, axis=2)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Shape after padding."""
        shape = list(input_shape)
        assert shape[2] is not None
        shape[2] += self.before + self.after
        return tuple(shape)

    def get_config(self) -> dict[str, Any]:
        """What rebuilds the layer."""
        return super().get_config() | {"before": self.before, "after": self.after}
