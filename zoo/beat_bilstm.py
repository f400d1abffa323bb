"""BiLSTM for beats: three layers that read both ways, one on the other.

S. Böck, M. Schedl, "Enhanced beat tracking with context-aware neural networks", DAFx 2011: 25 units
a layer and direction over spectra and their rise from frame to frame. The paper's one output of
beat or no beat has become the heads that the task asks for.

Shapes, as (frames, values)::

    features        1000 × 86 × 2    any number of frames; channels side by side
    normalised      1000 × 172       batch norm
    BiLSTM 1, 2, 3  1000 × 50        25 each way, dropout
    beat            1000 × 1         reads downbeat and tempo too

    python -m kmir.train zoo.beat_bilstm --data pop909 --root DIR
    python -m kmir.train zoo.beat_bilstm --data pop909 --root DIR --config.model.units=50,50,50

Time and score: see the card of beat_bilstm_pop909.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras

from kmir.nn import Output
from kmir.nn.recurrent import RecurrentConfig, recurrent_model

TASK = "beats"


@dataclass(frozen=True)
class Config:
    """A stack of bidirectional LSTMs.

    Args:
        units: Of each layer and direction.
        dropout: Rate after each layer, in [0, 1).
    """

    units: tuple[int, ...] = (25, 25, 25)
    dropout: float = 0.2


def build_model(
    config: Config, inputs: tuple[int | None, ...], outputs: Mapping[str, Output]
) -> keras.Model:
    """BiLSTMs over frames; see `kmir.nn.recurrent.recurrent_model`."""
    stack = RecurrentConfig(config.units, bidirectional=True, dropout=config.dropout)
    return recurrent_model("lstm", stack, inputs, outputs, name="beat_bilstm")


def search_space(hp: Any) -> Config:
    """What is worth trying (``hp``: ``keras_tuner.HyperParameters``)."""
    units = hp.Choice("units", [16, 25, 32, 50], default=25)
    return Config(
        units=(units,) * hp.Int("layers", 2, 4, default=3),
        dropout=hp.Float("dropout", 0.0, 0.4, step=0.1, default=0.2),
    )
