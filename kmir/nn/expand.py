"""Back to frames after a stack without padding has left fewer steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import keras
from keras import ops


@keras.saving.register_keras_serializable("kmir")
class ExpandToFrames(keras.layers.Layer):
    """Gives every frame the value of the step that sees it: ``(batch, steps, n)`` → frames.

    Step i sees frames around ``offset + i · stride``. Frames before the first step's centre or
    after the last one's have the nearest step's value. The loss of an expanded output, frame by
    frame, is that of the step against the mean of the labels that it stands for.

    Args:
        stride: Frames from step to step.
        offset: Centre of the first step, in frames.
        method: ``"nearest"`` step, or ``"linear"`` between the centres of two.
        **kwargs: Of every Keras layer.
    """

    def __init__(
        self,
        stride: int,
        offset: float,
        method: Literal["nearest", "linear"] = "nearest",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.stride, self.offset, self.method = stride, offset, method

    def call(self, inputs: Sequence[Any]) -> Any:
        """Expands the first input to the number of frames (axis 1) of the second."""
        steps, frames = inputs
        count = ops.shape(steps)[1]
        where = (ops.arange(ops.shape(frames)[1], dtype="float32") - self.offset) / self.stride
        where = ops.clip(where, 0.0, ops.cast(count - 1, "float32"))
        if self.method == "nearest":
            return ops.take(steps, ops.cast(ops.floor(where + 0.5), "int32"), axis=1)
        before = ops.floor(where)
        share = ops.cast((where - before)[None, :, None], steps.dtype)
        index = ops.cast(before, "int32")
        after = ops.take(steps, ops.minimum(index + 1, count - 1), axis=1)
        return (1 - share) * ops.take(steps, index, axis=1) + share * after

    def compute_output_shape(
        self, input_shape: Sequence[Sequence[int | None]]
    ) -> tuple[int | None, ...]:
        """Steps replaced by frames."""
        (batch, _, *rest), (_, frames, *_) = input_shape
        return (batch, frames, *rest)

    def get_config(self) -> dict[str, Any]:
        """What rebuilds the layer."""
        own = {"stride": self.stride, "offset": self.offset, "method": self.method}
        return super().get_config() | own
