"""Temporal convolutional network for beats, downbeats and tempo: dilated, both ways, parallel.

M. Davies, S. Böck, "Temporal convolutional networks for musical audio beat tracking", EUSIPCO 2019;
S. Böck, M. Davies, "Deconstruct, analyse, reconstruct: how to improve tempo, beat, and downbeat
estimation", ISMIR 2020, from which come two dilations a block and the tempo read from the sum of
all blocks. Here all heads read that sum, and the tempo is told frame by frame.

Shapes, as (frames, values)::

    features        1000 × 86 × 2    any number of frames
    normalised      1000 × 86 × 2    batch norm
    conv 1, 2       1000 × 8 × 32    3 × 3, pooled over 3 bands, ELU, dropout, twice
    conv 3          1000 × 32        over the 8 bands that are left; ELU, dropout
    blocks 1 … 8    1000 × 32        5 taps at dilations 1 and 2, 2 and 4, … 128 and 256; ELU,
                                     spatial dropout, 1 × 1; added to what came in
    sum             1000 × 32        of what the blocks added; ELU
    beat            1000 × 1         reads downbeat and tempo too

With these settings an output sees 2045 frames (`receptive_field`): at 50 a second, 20.4 s each way.
``config.causal`` looks only back, over as many.

    python -m kmir.train zoo.beat_tcn --data pop909 --root DIR
    python -m kmir.train zoo.beat_tcn --data pop909 --root DIR --config.model.layers=10

Time and score: see the card of beat_tcn_pop909.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from kmir.nn import Output
from kmir.nn.dilated import dilated_reach, dilated_stack
from kmir.nn.front_end import FRONT_END_REACH, frequency_front_end
from kmir.nn.heads import heads

TASK = "beats"


@dataclass(frozen=True)
class Config:
    """A temporal convolutional network.

    Args:
        filters: Of every convolution.
        layers: Blocks of dilated convolutions; each doubles what an output sees.
        kernel_size: Taps of the dilated convolutions; odd, if they look both ways.
        dropout: Rate after the front end's convolutions, and of whole filters in each block, in
            [0, 1).
        causal: Look only back.
    """

    filters: int = 32
    layers: int = 8
    kernel_size: int = 5
    dropout: float = 0.1
    causal: bool = False


def receptive_field(config: Config) -> int:
    """Frames that an output sees, its own among them.

    It is the middle one of them, or the last one in a causal network.
    """
    return 1 + FRONT_END_REACH + dilated_reach(config.layers, config.kernel_size)


def build_model(
    config: Config, inputs: tuple[int | None, ...], outputs: Mapping[str, Output]
) -> keras.Model:
    """Convolutions over frequency, then dilated ones over time, then a dense layer an output.

    Args:
        config: Sizes and rates.
        inputs: ``(frames, bands)`` or ``(frames, bands, channels)``; frames may be ``None``.
        outputs: Heads by name, of level ``"frame"``.

    Returns:
        Model from ``(batch, *inputs)`` to ``(batch, frames, size)``, or a dictionary of those.

    Raises:
        UsageError: If there are too few bands or no blocks, or the kernel has no centre.
    """
    features = keras.Input(inputs, name="features")
    x = frequency_front_end(features, config.filters, dropout=config.dropout, causal=config.causal)
    x = dilated_stack(
        x,
        config.filters,
        blocks=config.layers,
        kernel_size=config.kernel_size,
        dropout=config.dropout,
        causal=config.causal,
    )
    embedding = layers.ELU(name="embedding")(x)
    return keras.Model(features, heads(embedding, outputs), name="beat_tcn")


def search_space(hp: Any) -> Config:
    """What is worth trying (``hp``: ``keras_tuner.HyperParameters``)."""
    return Config(
        filters=hp.Choice("filters", [16, 20, 24, 32, 40], default=32),
        layers=hp.Int("layers", 6, 11, default=8),
        kernel_size=hp.Choice("kernel_size", [3, 5, 7], default=5),
        dropout=hp.Float("dropout", 0.0, 0.3, step=0.05, default=0.1),
    )
