"""Bidirectional GRUs over beats for bars: which beats are downbeats, by what sounds between them.

F. Krebs, S. Böck, M. Dorfer, G. Widmer, "Downbeat tracking using beat-synchronous features and
recurrent networks", ISMIR 2016. Here each beat is also told how much it is like the eight before
and after it (J. Foote, "Visualizing music and audio using self-similarity", ACM Multimedia 1999):
bars are what repeats, whatever the key.

Shapes, as (beats, values)::

    features        48 × 96      any number of beats; chroma of four parts of each, bass and treble
    logarithm       48 × 96      log(1 + 2 x)
    similarity      48 × 48      of the beat as a whole, of its bass and of its treble
    normalised      48 × 144     both side by side, batch norm
    convolution     48 × 64      over three beats, ELU, dropout
    GRU 1, 2        48 × 128     64 each way, dropout
    downbeat        48 × 1

    python -m kmir.train zoo.bar_gru --data billboard --root DIR

Time and score: see the card of bar_gru_billboard.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers, ops

from kmir.errors import UsageError
from kmir.nn import Output
from kmir.nn.heads import heads
from kmir.nn.recurrent import recurrent_stack, vectors
from kmir.nn.similarity import lagged_similarity

TASK = "bars"
CHROMA = 24  # bins of a part of a beat: twelve of the bass, twelve of the treble


@dataclass(frozen=True)
class Config:
    """Gated recurrent units behind a convolution, and a look at what repeats.

    Args:
        gain: Before the logarithm log(1 + gain · x), which brings out what is soft; above 0.
        lags: Beats before and after that each one is compared with, from 1.
        filters: Of the convolution.
        units: Of each recurrent layer and direction.
        dropout: Rate after each layer, in [0, 1).
    """

    gain: float = 2.0
    lags: int = 8
    filters: int = 64
    units: tuple[int, ...] = (64, 64)
    dropout: float = 0.4


def build_model(
    config: Config, inputs: tuple[int | None, ...], outputs: Mapping[str, Output]
) -> keras.Model:
    """Similarities, a convolution and GRUs over beats, then a dense layer for each output.

    Args:
        config: Sizes and rates.
        inputs: ``(beats, values)``: bass and treble chroma of some parts of each beat; beats may be
            ``None``.
        outputs: Heads by name, of level ``"frame"``.

    Returns:
        Model from ``(batch, *inputs)`` to ``(batch, beats, size)``, or a dictionary of those.

    Raises:
        UsageError: If values are not such chroma, or there is no recurrent layer.
    """
    if inputs[-1] is None or inputs[-1] % CHROMA:
        raise UsageError(
            f"Expected {CHROMA} values for each part of a beat, bass and treble chroma. "
            f"Received: {inputs[-1]} values a beat. Extract beat_synchronous of nnls_chroma."
        )
    # === Chroma ===
    features = keras.Input(inputs, name="features")
    chroma = ops.log1p(config.gain * ops.relu(features))

    # === What repeats ===
    parts = layers.Reshape((-1, inputs[-1] // CHROMA, CHROMA), name="parts")(chroma)
    beat = ops.sum(parts, axis=2)
    views = (chroma, beat[..., : CHROMA // 2], beat[..., CHROMA // 2 :])
    alike = [lagged_similarity(view, config.lags) for view in views]

    # === Neighbouring beats, then all ===
    x = vectors(ops.concatenate([chroma, *alike], axis=-1))
    x = layers.Conv1D(config.filters, 3, padding="same", activation="elu", name="conv")(x)
    x = layers.Dropout(config.dropout, name="conv_dropout")(x)
    x = recurrent_stack(x, "gru", config.units, bidirectional=True, dropout=config.dropout)
    embedding = layers.Identity(name="embedding")(x)
    return keras.Model(features, heads(embedding, outputs), name="bar_gru")


def search_space(hp: Any) -> Config:
    """What is worth trying (``hp``: ``keras_tuner.HyperParameters``)."""
    units = hp.Choice("units", [32, 48, 64, 96], default=64)
    return Config(
        lags=hp.Choice("lags", [4, 8, 16], default=8),
        filters=hp.Choice("filters", [32, 64, 96], default=64),
        units=(units,) * hp.Int("layers", 1, 3, default=2),
        dropout=hp.Float("dropout", 0.0, 0.5, step=0.1, default=0.4),
    )
