"""Simple RNN: what a recurrent layer without gates remembers.

J. Elman, "Finding structure in time", Cognitive Science 14, 1990:
h(t) = tanh(W x(t) + U h(t−1) + b). Its memory fades within a second or two, which is what GRU and
LSTM are measured against.

Shapes, as (frames, values)::

    features        256 × 24      any number of frames; channels side by side
    normalised      256 × 24      batch norm
    simple RNN      256 × 128     64 each way, dropout
    chord           256 × 25      reads root, bass and pitch classes too, where they are asked for

    python -m kmir.train zoo.simple_rnn --data billboard --root DIR
    python -m kmir.train zoo.simple_rnn --data billboard --root DIR --config.model.units=64,64

Time and score: see the README's table of chord models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from kmir.nn import Output
from kmir.nn.heads import heads
from kmir.nn.recurrent import recurrent_stack, vectors

TASK = "chords"


@dataclass(frozen=True)
class Config:
    """A stack of Simple recurrent layers.

    Args:
        units: Of each layer and direction.
        bidirectional: Read both ways; without it the model looks only back, and can run live.
        dropout: Rate after each layer, in [0, 1).
    """

    units: tuple[int, ...] = (64,)
    bidirectional: bool = True
    dropout: float = 0.2


def build_model(
    config: Config, inputs: tuple[int | None, ...], outputs: Mapping[str, Output]
) -> keras.Model:
    """Simple recurrent layers over frames, then a dense layer for each output.

    Args:
        config: Sizes and rates.
        inputs: ``(frames, bins)`` or ``(frames, bins, channels)``; frames may be ``None``.
        outputs: Heads by name, of level ``"frame"``.

    Returns:
        Model from ``(batch, *inputs)`` to ``(batch, frames, size)``, or a dictionary of those.

    Raises:
        UsageError: If there is no recurrent layer.
    """
    features = keras.Input(inputs, name="features")
    x = recurrent_stack(
        vectors(features),
        "simple_rnn",
        config.units,
        bidirectional=config.bidirectional,
        dropout=config.dropout,
    )
    embedding = layers.Identity(name="embedding")(x)
    return keras.Model(features, heads(embedding, outputs), name="simple_rnn")


def search_space(hp: Any) -> Config:
    """What is worth trying.

    Args:
        hp: ``keras_tuner.HyperParameters``.
    """
    units = hp.Choice("units", [32, 64, 96, 128], default=64)
    return Config(
        units=(units,) * hp.Int("layers", 1, 3, default=1),
        bidirectional=hp.Boolean("bidirectional", default=True),
        dropout=hp.Float("dropout", 0.0, 0.5, step=0.1, default=0.2),
    )
