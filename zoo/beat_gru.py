"""GRU for beats: forward only to run live, or both ways.

S. Böck, F. Krebs, G. Widmer, "Joint beat and downbeat tracking with recurrent neural networks",
ISMIR 2016, with the gated units of K. Cho et al., EMNLP 2014, in place of LSTMs. Forward only,
nothing but the state of the GRUs goes from one frame to the next: fed frame by frame or in blocks,
with the state carried on, it gives what it gives for the whole.

Shapes, as (frames, values)::

    features        1000 × 86 × 2    any number of frames; channels side by side
    normalised      1000 × 172       batch norm, with fixed statistics once it is trained
    front           1000 × 64        dense, ELU, dropout: each frame by itself
    GRU 1, 2        1000 × 64        forward, dropout (both ways: 1000 × 128)
    beat            1000 × 1         reads downbeat and tempo too

    python -m kmir.train zoo.beat_gru --data pop909 --root DIR
    python -m kmir.train zoo.beat_gru --data pop909 --root DIR --config.model.bidirectional=true

Time and score: see the card of beat_gru_pop909.
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

TASK = "beats"


@dataclass(frozen=True)
class Config:
    """Gated recurrent units behind a dense layer.

    Args:
        front: Units of the dense layer.
        units: Of each recurrent layer and direction.
        bidirectional: Read both ways; without it the model looks only back, and can run live.
        dropout: Rate after each layer, in [0, 1).
    """

    front: int = 64
    units: tuple[int, ...] = (64, 64)
    bidirectional: bool = False
    dropout: float = 0.2


def build_model(
    config: Config, inputs: tuple[int | None, ...], outputs: Mapping[str, Output]
) -> keras.Model:
    """A dense layer, GRUs over frames, then a dense layer for each output.

    Args:
        config: Sizes and rates.
        inputs: ``(frames, bands)`` or ``(frames, bands, channels)``; frames may be ``None``.
        outputs: Heads by name, of level ``"frame"``.

    Returns:
        Model from ``(batch, *inputs)`` to ``(batch, frames, size)``, or a dictionary of those.

    Raises:
        UsageError: If there is no recurrent layer.
    """
    features = keras.Input(inputs, name="features")
    x = layers.Dense(config.front, activation="elu", name="front")(vectors(features))
    x = layers.Dropout(config.dropout, name="front_dropout")(x)
    x = recurrent_stack(
        x, "gru", config.units, bidirectional=config.bidirectional, dropout=config.dropout
    )
    embedding = layers.Identity(name="embedding")(x)
    return keras.Model(features, heads(embedding, outputs), name="beat_gru")


def search_space(hp: Any) -> Config:
    """What is worth trying (``hp``: ``keras_tuner.HyperParameters``)."""
    units = hp.Choice("units", [32, 48, 64, 96], default=64)
    return Config(
        front=hp.Choice("front", [32, 64, 96], default=64),
        units=(units,) * hp.Int("layers", 1, 3, default=2),
        bidirectional=hp.Boolean("bidirectional", default=False),
        dropout=hp.Float("dropout", 0.0, 0.4, step=0.1, default=0.2),
    )
