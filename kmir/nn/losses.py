"""Losses that models share; `keras.ops` only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kmir.errors import UsageError


@keras.saving.register_keras_serializable("kmir")
class WeightedBinaryCrossentropy(keras.losses.Loss):
    """Binary cross-entropy in which the positives of each unit count more.

    For unit c with weight w: −(w·y·log p + (1 − y)·log(1 − p)), mean over units. With all weights
    at 1 it is `keras.losses.BinaryCrossentropy`.

    Args:
        positive_weights: One for each unit.
    """

    def __init__(
        self,
        positive_weights: Sequence[float],
        name: str = "weighted_binary_crossentropy",
        **options: Any,
    ):
        super().__init__(name=name, **options)
        self.positive_weights = tuple(positive_weights)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Loss of each clip ``(batch, ...)``, from targets and probabilities ``(..., units)``."""
        y_pred = ops.convert_to_tensor(y_pred)
        y_true = ops.cast(y_true, y_pred.dtype)
        p = ops.clip(y_pred, keras.config.epsilon(), 1 - keras.config.epsilon())
        weights = ops.convert_to_tensor(self.positive_weights, p.dtype)
        terms = weights * y_true * ops.log(p) + (1 - y_true) * ops.log(1 - p)
        return -ops.mean(terms, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Arguments that make an equal loss."""
        return {**super().get_config(), "positive_weights": self.positive_weights}


@keras.saving.register_keras_serializable("kmir")
class ShiftTolerantBinaryCrossentropy(keras.losses.Loss):
    """Binary cross-entropy for events in time that forgives a shift of a few frames.

    F. Foscarin, J. Schlüter, G. Widmer, "Beat this! Accurate beat tracking without DBN
    postprocessing", ISMIR 2024. Each frame is judged by the highest probability within the
    tolerance, q(t) = max p(t − tolerance … t + tolerance):

    - where an event is annotated, −positive_weight · log q: a peak beside it is as good;
    - within twice the tolerance of one, 0: there q may be the peak that was asked for;
    - elsewhere, −log(1 − q): so what is too far from any event is pushed down.

    An event is a target of 1. Targets between 0 and 1, of neighbours of an event, are no events,
    and where their event was cut off they cost nothing either. A frame whose sample weight is 0
    costs nothing, and its probability is no part of any q; an event annotated there excuses its
    surroundings all the same.

    Args:
        tolerance: Frames, from 0; with 0 it is plain weighted cross-entropy of the events.
        positive_weight: What an event counts beside a frame without one.
    """

    def __init__(
        self,
        tolerance: int = 3,
        positive_weight: float = 1.0,
        name: str = "shift_tolerant_binary_crossentropy",
        **options: Any,
    ):
        super().__init__(name=name, **options)
        if tolerance < 0:
            raise UsageError(f"Expected a tolerance of 0 frames or more. Received: {tolerance}.")
        self.tolerance, self.positive_weight = tolerance, positive_weight

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Weighted loss; weights are ``(batch, frames)``, or of any shape that broadcasts."""
        if sample_weight is not None:
            y_pred = ops.convert_to_tensor(y_pred)
            known = ops.convert_to_tensor(sample_weight) > 0
            while len(known.shape) < len(y_pred.shape):
                known = ops.expand_dims(known, -1)
            y_pred = ops.where(known, y_pred, ops.zeros_like(y_pred))
        return super().__call__(y_true, y_pred, sample_weight=sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Loss of each frame ``(batch, frames)``, from ``(batch, frames, units)``."""
        y_pred = ops.convert_to_tensor(y_pred)
        y_true = ops.cast(y_true, y_pred.dtype)
        event = ops.cast(y_true >= 1, y_pred.dtype)
        quiet = (1 - _highest(event, 2 * self.tolerance)) * ops.cast(y_true <= 0, y_pred.dtype)
        q = _highest(y_pred, self.tolerance)
        q = ops.clip(q, keras.config.epsilon(), 1 - keras.config.epsilon())
        terms = self.positive_weight * event * ops.log(q) + quiet * ops.log(1 - q)
        return -ops.mean(terms, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Arguments that make an equal loss."""
        own = {"tolerance": self.tolerance, "positive_weight": self.positive_weight}
        return {**super().get_config(), **own}


def _highest(x: Any, reach: int) -> Any:
    """Highest value within so many frames, ``(batch, frames, units)``."""
    return ops.max_pool(x, 2 * reach + 1, strides=1, padding="same", data_format="channels_last")
