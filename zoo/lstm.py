"""LSTM: long short-term memory, both ways or forward only, one layer on the other.

S. Hochreiter, J. Schmidhuber, "Long Short-Term Memory", Neural Computation 9, 1997; with the forget
gate of Gers et al., 2000, its bias at 1 to begin with.

Shapes, as (frames, values)::

    features        256 × 24      any number of frames; channels side by side
    normalised      256 × 24      batch norm
    LSTM 1, 2       256 × 96      96 forward, dropout
    chord           256 × 25      reads root, bass and pitch classes too, where they are asked for

    python -m kmir.train zoo.lstm --data billboard --root DIR
    python -m kmir.train zoo.lstm --data billboard --root DIR --config.model.bidirectional=true

Time and score: see the README's table of chord models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras

from kmir.nn import Output
from kmir.nn.recurrent import RecurrentConfig, recurrent_model, recurrent_search

TASK = "chords"


@dataclass(frozen=True)
class Config(RecurrentConfig):
    """Long short-term memories: fields as of `kmir.nn.recurrent.RecurrentConfig`."""

    units: tuple[int, ...] = (96, 96)
    bidirectional: bool = False
    dropout: float = 0.3


def build_model(
    config: Config, inputs: tuple[int | None, ...], outputs: Mapping[str, Output]
) -> keras.Model:
    """Long short-term memories over frames; see `kmir.nn.recurrent.recurrent_model`."""
    return recurrent_model("lstm", config, inputs, outputs)


def search_space(hp: Any) -> Config:
    """What is worth trying (``hp``: ``keras_tuner.HyperParameters``)."""
    return recurrent_search(hp, Config())
