"""Bidirectional GRUs over beats for bars: which beats are downbeats, by what sounds between them.

F. Krebs, S. Böck, M. Dorfer, G. Widmer, "Downbeat tracking using beat-synchronous features and
recurrent networks", ISMIR 2016, with a small convolution over neighbouring beats before the GRUs.

Shapes, as (beats, values)::

    features        96 × 96      any number of beats; chroma of four parts of each, 24 bins
    logarithm       96 × 96      log(1 + 2 x), batch norm
    convolution     96 × 64      over three beats, ELU, dropout
    GRU 1, 2        96 × 128     64 each way, dropout
    downbeat        96 × 1

    python -m kmir.train zoo.bar_gru --data billboard --root DIR

Time and score: see the card of bar_gru_billboard.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers, ops

from kmir.nn import Output
from kmir.nn.heads import heads
from kmir.nn.recurrent import recurrent_stack, vectors

TASK = "bars"


@dataclass(frozen=True)
class Config:
    """Gated recurrent units behind a convolution.

    Args:
        filters: Of the convolution.
        units: Of each recurrent layer and direction.
        dropout: Rate after each layer, in [0, 1).
        gain: Before the logarithm log(1 + gain · x), which brings out what is soft; above 0.
    """

    filters: int = 64
    units: tuple[int, ...] = (64, 64)
    dropout: float = 0.3
    gain: float = 2.0


def build_model(
    config: Config, inputs: tuple[int | None, ...], outputs: Mapping[str, Output]
) -> keras.Model:
    """A convolution and GRUs over beats, then a dense layer for each output.

    Args:
        config: Sizes and rates.
        inputs: ``(beats, values)``, from 0; beats may be ``None``.
        outputs: Heads by name, of level ``"frame"``.

    Returns:
        Model from ``(batch, *inputs)`` to ``(batch, beats, size)``, or a dictionary of those.

    Raises:
        UsageError: If there is no recurrent layer.
    """
    # === Input ===
    features = keras.Input(inputs, name="features")
    x = vectors(ops.log1p(config.gain * ops.relu(features)))

    # === Neighbouring beats ===
    x = layers.Conv1D(config.filters, 3, padding="same", activation="elu", name="conv")(x)
    x = layers.Dropout(config.dropout, name="conv_dropout")(x)

    # === The whole ===
    x = recurrent_stack(x, "gru", config.units, bidirectional=True, dropout=config.dropout)
    embedding = layers.Identity(name="embedding")(x)
    return keras.Model(features, heads(embedding, outputs), name="bar_gru")


def search_space(hp: Any) -> Config:
    """What is worth trying (``hp``: ``keras_tuner.HyperParameters``)."""
    units = hp.Choice("units", [32, 48, 64, 96], default=64)
    return Config(
        filters=hp.Choice("filters", [32, 64, 96], default=64),
        units=(units,) * hp.Int("layers", 1, 3, default=2),
        dropout=hp.Float("dropout", 0.0, 0.5, step=0.1, default=0.3),
    )
