"""Convolutional recurrent network for beats: what happens at a frame, then how it goes on.

R. Vogl, M. Dorfer, G. Widmer, P. Knees, "Drum transcription via joint beat and drum modeling using
convolutional recurrent neural networks", ISMIR 2017, for the hybrid; the front end is that of
`zoo.beat_tcn`, so the two differ in how they read time and in nothing else.

Shapes, as (frames, values)::

    features        1000 × 86 × 2    any number of frames
    normalised      1000 × 86 × 2    batch norm
    conv 1, 2       1000 × 8 × 32    3 × 3, pooled over 3 bands, ELU, dropout, twice
    conv 3          1000 × 32        over the 8 bands that are left; ELU, dropout
    BiGRU 1, 2      1000 × 64        32 each way, dropout
    beat            1000 × 1         reads downbeat and tempo too

    python -m kmir.train zoo.beat_crnn --data pop909 --root DIR
    python -m kmir.train zoo.beat_crnn --data pop909 --root DIR --config.model.units=25,25,25

Time and score: see the card of beat_tcn_pop909.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from kmir.nn import Output
from kmir.nn.front_end import frequency_front_end
from kmir.nn.heads import heads
from kmir.nn.recurrent import recurrent_stack

TASK = "beats"


@dataclass(frozen=True)
class Config:
    """Convolutions over frequency, recurrent layers over time.

    Args:
        filters: Of each convolution.
        units: Of each recurrent layer and direction.
        dropout: Rate after each convolution and recurrent layer, in [0, 1).
        causal: Look only back.
    """

    filters: int = 32
    units: tuple[int, ...] = (32, 32)
    dropout: float = 0.1
    causal: bool = False


def build_model(
    config: Config, inputs: tuple[int | None, ...], outputs: Mapping[str, Output]
) -> keras.Model:
    """Convolutions over frequency, GRUs over time, then a dense layer for each output.

    Args:
        config: Sizes and rates.
        inputs: ``(frames, bands)`` or ``(frames, bands, channels)``; frames may be ``None``.
        outputs: Heads by name, of level ``"frame"``.

    Returns:
        Model from ``(batch, *inputs)`` to ``(batch, frames, size)``, or a dictionary of those.

    Raises:
        UsageError: If there are too few bands, or there is no recurrent layer.
    """
    features = keras.Input(inputs, name="features")
    x = frequency_front_end(features, config.filters, dropout=config.dropout, causal=config.causal)
    x = recurrent_stack(
        x, "gru", config.units, bidirectional=not config.causal, dropout=config.dropout
    )
    embedding = layers.Identity(name="embedding")(x)
    return keras.Model(features, heads(embedding, outputs), name="beat_crnn")


def search_space(hp: Any) -> Config:
    """What is worth trying (``hp``: ``keras_tuner.HyperParameters``)."""
    units = hp.Choice("units", [16, 25, 32, 48], default=32)
    return Config(
        filters=hp.Choice("filters", [16, 24, 32, 40], default=32),
        units=(units,) * hp.Int("layers", 1, 3, default=2),
        dropout=hp.Float("dropout", 0.0, 0.4, step=0.1, default=0.1),
    )
