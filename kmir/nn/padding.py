"""Zero padding up to what a stack of poolings divides evenly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("kmir")
class PadToMultiple(keras.layers.Layer):
    """Pads the axes after the batch with zeros on both sides, up to the next multiple.

    An odd remainder puts the extra zero at the end. Lengths may be unknown when the model is
    built: they are read from the batch then.

    Args:
        multiples: One integer ≥ 1 for each axis from the first after the batch; axes beyond the
            last of them stay as they are.
        **kwargs: Of every Keras layer.

    Example:
        1366 frames of 96 mels with multiples ``(96, 96)``: 37 zeros, the frames, 37 zeros → 1440.
    """

    def __init__(self, multiples: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.multiples = tuple(multiples)

    def call(self, x: Any) -> Any:
        """Pads ``(batch, lengths …)`` to ``(batch, padded lengths …)``."""
        widths: list[tuple[Any, Any]] = [(0, 0)]
        for length, multiple in zip(ops.shape(x)[1:], self.multiples, strict=False):
            missing = -length % multiple
            widths.append((missing // 2, missing - missing // 2))
        widths += [(0, 0)] * (len(x.shape) - len(widths))
        return ops.pad(x, widths)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Shape after padding; an unknown length stays unknown."""
        shape = list(input_shape)
        for axis, multiple in enumerate(self.multiples, start=1):
            length = shape[axis]
            shape[axis] = None if length is None else length + -length % multiple
        return tuple(shape)

    def get_config(self) -> dict[str, Any]:
        """What rebuilds the layer."""
        return super().get_config() | {"multiples": self.multiples}
