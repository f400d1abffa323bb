"""GRU: gated recurrent units, both ways or forward only, one layer on the other.

K. Cho et al., "Learning Phrase Representations using RNN Encoder–Decoder for Statistical Machine
Translation", EMNLP 2014; the reset gate acts after the product, as cuDNN has it.

Shapes, as (frames, values)::

    features        256 × 24      any number of frames; channels side by side
    normalised      256 × 24      batch norm
    GRU 1, 2        256 × 192     96 each way, dropout
    chord           256 × 25      reads root, bass and pitch classes too, where they are asked for

    python -m kmir.train zoo.gru --data billboard --root DIR
    python -m kmir.train zoo.gru --data billboard --root DIR --config.model.bidirectional=false

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
    """Gated recurrent units: fields as of `kmir.nn.recurrent.RecurrentConfig`."""

    units: tuple[int, ...] = (96, 96)
    bidirectional: bool = True
    dropout: float = 0.3


def build_model(
    config: Config, inputs: tuple[int | None, ...], outputs: Mapping[str, Output]
) -> keras.Model:
    """Gated recurrent units over frames; see `kmir.nn.recurrent.recurrent_model`."""
    return recurrent_model("gru", config, inputs, outputs)


def search_space(hp: Any) -> Config:
    """What is worth trying (``hp``: ``keras_tuner.HyperParameters``)."""
    return recurrent_search(hp, Config())
