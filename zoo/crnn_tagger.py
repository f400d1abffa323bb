"""CRNN tagger: four convolution blocks summarise, two GRUs aggregate over time.

K. Choi, G. Fazekas, M. Sandler, K. Cho: "Convolutional recurrent neural networks for music
classification", ICASSP 2017, in the form in which the authors released it.

Shapes, for 29.12 s at 12 kHz with a hop of 256, as (frames, mels, channels)::

    features        1366 × 96
    padded          1440 × 96 ×   1    zeros on both sides, up to a multiple of 2·3·4·4 = 96
    block 1, 2×2     720 × 48 ×  64    each: Conv 3×3, batch norm, ELU, max-pool, dropout
    block 2, 3×3     240 × 16 × 128
    block 3, 4×4      60 ×  4 × 128
    block 4, 4×4      15 ×  1 × 128
    sequence          15 × 128         rows of frequency that remain are folded into the vector
    GRU, GRU          32               every state, then the last
    tags              50

Frames (known or ``None``), mels, channels and tags can be any number.

    python -m kmir.train zoo.crnn_tagger

Time and score: see the README's zoo table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import keras
from keras import layers, ops

from kmir.errors import UsageError
from kmir.nn import Output
from kmir.nn.fused import GRU
from kmir.nn.padding import PadToMultiple

TASK = "tagging"


@dataclass(frozen=True)
class Config:
    """The sizes of the paper.

    Args:
        filters: Channels of the convolution blocks.
        time_pools: Pooling of each block over frames.
        frequency_pools: Pooling of each block over mels.
        rnn_units: Units of the GRUs, bottom first.
        dropout: Rate after each convolution block, in [0, 1).
        rnn_dropout: Rate before the outputs, in [0, 1).
        input_norm: Batch norm of the input with statistics per mel (``"frequency"``), per frame
            of the padded clip (``"time"``, as in the released weights), or ``"none"``.
        reset_after: Reset gate after the recurrent product, as cuDNN has it; ``False`` is the GRU
            as its authors wrote it.
        recurrent_activation: Gates: ``"sigmoid"``, or ``"hard_sigmoid"`` as Keras 1 had it.
        batch_norm_momentum: Weight of the old moving average in the new one, in [0, 1).
    """

    filters: tuple[int, ...] = (64, 128, 128, 128)
    time_pools: tuple[int, ...] = (2, 3, 4, 4)
    frequency_pools: tuple[int, ...] = (2, 3, 4, 4)
    rnn_units: tuple[int, ...] = (32, 32)
    dropout: float = 0.1
    rnn_dropout: float = 0.3
    input_norm: Literal["frequency", "time", "none"] = "frequency"
    reset_after: bool = True
    recurrent_activation: Literal["sigmoid", "hard_sigmoid"] = "sigmoid"
    # Keras' 0.99 still holds 8 % of the initial values after 250 steps, all there are on a small
    # data set, and averages activations of weights that have long changed.
    batch_norm_momentum: float = 0.9


@keras.saving.register_keras_serializable("kmir")
def hard_sigmoid(x: Any) -> Any:
    """Gates of Keras 1: clip(0.2·x + 0.5, 0, 1). Keras 3 has slope 1/6 under the same name."""
    return ops.clip(0.2 * x + 0.5, 0.0, 1.0)


def build_model(
    config: Config, inputs: tuple[int | None, ...], outputs: Mapping[str, Output]
) -> keras.Model:
    """CRNN from features to one vector a clip for each output.

    Args:
        config: Sizes, rates and variants.
        inputs: ``(frames, mels)`` or ``(frames, mels, channels)``; frames may be ``None``.
        outputs: Heads by name, all of level ``"clip"``.

    Returns:
        Model that takes ``(batch, *inputs)``. One output comes as a tensor ``(batch, size)``,
        several as a dictionary of them.

    Raises:
        UsageError: If an output is of level ``"frame"``, if blocks and pools differ in number, or
            if ``input_norm="time"`` meets an unknown number of frames.
    """
    _validate(config, inputs, outputs)
    momentum = config.batch_norm_momentum
    # A clip shorter than one step of the GRU is not padded to a whole one, which would double the
    # work for a second of audio: its last pool takes what there is.
    step = math.prod(config.time_pools)
    if inputs[0] is not None and inputs[0] < step:
        step //= config.time_pools[-1]
    pad = PadToMultiple((step, math.prod(config.frequency_pools)), name="pad")

    # === Input: normalise, pad ===
    # The norm is in float32: at 40 dB the steps of bfloat16 are a quarter of a decibel.
    features = keras.Input(inputs, name="features")
    mels, channels = features.shape[2], math.prod(features.shape[3:])
    if config.input_norm == "time":
        # As released: the zeros are part of the clip and have statistics of their own.
        x = layers.Reshape((-1, mels, channels), name="image")(features)
        x = layers.BatchNormalization(
            axis=1, momentum=momentum, dtype="float32", name="input_norm"
        )(pad(x))
    else:
        # The zeros come last, where they stand for the average and not for 0 dB.
        x = layers.Reshape((-1, mels * channels), name="vectors")(features)
        if config.input_norm == "frequency":
            x = layers.BatchNormalization(momentum=momentum, dtype="float32", name="input_norm")(x)
        x = pad(layers.Reshape((-1, mels, channels), name="image")(x))

    # === Convolution blocks ===
    pools = zip(config.time_pools, config.frequency_pools, strict=True)
    for i, (filters, pool) in enumerate(zip(config.filters, pools, strict=True), start=1):
        x = layers.Conv2D(filters, 3, padding="same", name=f"conv{i}")(x)
        x = layers.BatchNormalization(momentum=momentum, name=f"bn{i}")(x)
        x = layers.ELU(name=f"elu{i}")(x)
        x = layers.MaxPooling2D(pool, padding="same", name=f"pool{i}")(x)
        x = layers.Dropout(config.dropout, name=f"dropout{i}")(x)

    # === Recurrent layers ===
    x = layers.Reshape((-1, x.shape[2] * x.shape[3]), name="sequence")(x)
    hard = config.recurrent_activation == "hard_sigmoid"
    for i, units in enumerate(config.rnn_units, start=1):
        x = GRU(
            units,
            recurrent_activation=hard_sigmoid if hard else "sigmoid",
            reset_after=config.reset_after,
            return_sequences=i < len(config.rnn_units),
            name=f"gru{i}",
        )(x)
    x = layers.Dropout(config.rnn_dropout, name="embedding")(x)

    # === Outputs ===
    heads = {
        name: layers.Dense(head.size, activation=head.activation, dtype="float32", name=name)(x)
        for name, head in outputs.items()
    }
    return keras.Model(
        features, heads if len(heads) > 1 else next(iter(heads.values())), name="crnn_tagger"
    )


def _validate(
    config: Config, inputs: tuple[int | None, ...], outputs: Mapping[str, Output]
) -> None:
    """Refuses what the network can't be."""
    blocks = (len(config.filters), len(config.time_pools), len(config.frequency_pools))
    if len(set(blocks)) > 1:
        raise UsageError(
            "Expected as many filters as time_pools and frequency_pools. "
            f"Received: {blocks[0]}, {blocks[1]} and {blocks[2]}. Give one number a block in each."
        )
    if config.input_norm == "time" and inputs[0] is None:
        raise UsageError(
            "Expected a fixed number of frames for input_norm='time'. Received: inputs "
            f"{inputs}. Crop clips to one length, or take input_norm='frequency'."
        )
    for name, head in outputs.items():
        if head.level != "clip":
            raise UsageError(
                f"Expected outputs of level 'clip' for crnn_tagger. Received: '{name}' of level "
                f"'{head.level}'. Take a model with one output a frame, such as dense_baseline."
            )


def search_space(hp: Any) -> Config:
    """What is worth trying, around the paper.

    Args:
        hp: ``keras_tuner.HyperParameters``.
    """
    width = hp.Choice("width", [16, 32, 64], default=64)
    units = hp.Choice("rnn_units", [16, 32, 64], default=32)
    return Config(
        filters=(width, 2 * width, 2 * width, 2 * width),
        rnn_units=(units,) * hp.Int("rnn_layers", 1, 2, default=2),
        dropout=hp.Float("dropout", 0.0, 0.4, step=0.1, default=0.1),
        rnn_dropout=hp.Float("rnn_dropout", 0.0, 0.5, step=0.1, default=0.3),
        input_norm=hp.Choice("input_norm", ["frequency", "none"], default="frequency"),
    )
