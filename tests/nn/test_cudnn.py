"""Who goes without cuDNN, and why."""

from __future__ import annotations

from typing import Any

import keras
import pytest
from keras import layers

from kmir.nn import cudnn, fused


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (fused.LSTM(2), []),
        (layers.GRU(2, dropout=0.2), []),
        (layers.LSTM(2, activation="relu"), ["activation=relu"]),
        (layers.GRU(2, recurrent_activation="hard_sigmoid"), ["recurrent_activation=hard_sigmoid"]),
        (layers.GRU(2, reset_after=False, unroll=True), ["unroll=True", "reset_after=False"]),
        (
            fused.GRU(2, recurrent_dropout=0.2, use_bias=False),
            ["recurrent_dropout=0.2", "use_bias=False"],
        ),
    ],
)
def test_obstacles(layer: Any, expected: list[str]) -> None:
    assert cudnn.obstacles(layer) == expected


def test_who_goes_without_cudnn() -> None:
    features = keras.Input((6, 3))
    slow = layers.GRU(2, recurrent_dropout=0.5, return_sequences=True, name="gru")
    x = layers.Bidirectional(slow, name="both")(features)
    inside = keras.Input((6, 4))
    x = keras.Model(inside, layers.SimpleRNN(2, return_sequences=True, name="simple")(inside))(x)
    x = fused.LSTM(2, return_sequences=True)(x)
    model = keras.Model(features, layers.LSTM(2, use_cudnn=False, name="own")(x))
    assert cudnn.without_cudnn(model) == [
        "forward_gru (recurrent_dropout=0.5)",
        "backward_gru (recurrent_dropout=0.5)",
        "simple (SimpleRNN)",
        "own (use_cudnn=False)",
    ]
