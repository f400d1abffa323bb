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

from kmir.nn import Output
from kmir.nn.recurrent import RecurrentConfig, recurrent_model, recurrent_search

TASK = "chords"


@dataclass(frozen=True)
class Config(RecurrentConfig):
    """Simple recurrent layers: fields as of `kmir.nn.recurrent.RecurrentConfig`."""

    units: tuple[int, ...] = (64,)
    bidirectional: bool = True
    dropout: float = 0.2


def build_model(
    config: Config, inputs: tuple[int | None, ...], outputs: Mapping[str, Output]
) -> keras.Model:
    """Simple recurrent layers over frames; see `kmir.nn.recurrent.recurrent_model`."""
    return recurrent_model("simple_rnn", config, inputs, outputs)


def search_space(hp: Any) -> Config:
    """What is worth trying (``hp``: ``keras_tuner.HyperParameters``)."""
    return recurrent_search(hp, Config())
