"""Losses that models share; `keras.ops` only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


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
