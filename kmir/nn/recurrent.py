"""Stacks of recurrent layers: what the plain recurrent models of the zoo have in common."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import keras
from keras import layers, ops

from kmir.errors import UsageError
from kmir.nn import fused
from kmir.nn.device import has_gpu
from kmir.nn.heads import heads
from kmir.nn.outputs import Output

C = TypeVar("C", bound="RecurrentConfig")

UNROLLED = 16  # steps of a short window: without a loop they are faster, but on a GPU
CELLS = {"simple_rnn": layers.SimpleRNN, "gru": fused.GRU, "lstm": fused.LSTM}


def vectors(features: Any, *, normalise: bool = True) -> Any:
    """One vector a frame: ``(batch, frames, *shape)`` → ``(batch, frames, values)``.

    Args:
        features: As the model receives them; channels come side by side.
        normalise: By a batch norm in float32: at 40 dB the steps of bfloat16 are a quarter of a
            decibel.
    """
    x = layers.Reshape((-1, math.prod(features.shape[2:])), name="vectors")(features)
    if not normalise:
        return x
    return layers.BatchNormalization(momentum=0.98, dtype="float32", name="input_norm")(x)


def recurrent_stack(
    x: Any, cell: str, units: tuple[int, ...], *, bidirectional: bool, dropout: float
) -> Any:
    """Recurrent layers one on the other, dropout after each.

    Args:
        x: ``(batch, frames, values)``.
        cell: ``"simple_rnn"``, ``"gru"`` or ``"lstm"``.
        units: Of each layer and direction.
        bidirectional: Read both ways; without it the model looks only back.
        dropout: Rate, in [0, 1). It acts between steps' outputs, so cuDNN can still be used.

    Returns:
        ``(batch, frames, units)``, twice the units if both ways.

    Raises:
        UsageError: If there is no layer.
    """
    if not units:
        raise UsageError("Expected at least one recurrent layer. Received: units=(). Give some.")
    unroll = x.shape[1] is not None and x.shape[1] <= UNROLLED and not has_gpu()
    for i, size in enumerate(units, start=1):
        layer = CELLS[cell](size, return_sequences=True, unroll=unroll, name=f"{cell}{i}")
        x = (layers.Bidirectional(layer, name=f"bi{cell}{i}") if bidirectional else layer)(x)
        x = layers.Dropout(dropout, name=f"dropout{i}")(x)
    return x


@dataclass(frozen=True)
class RecurrentConfig:
    """A stack of recurrent layers; a model gives the fields its own values to begin with.

    Args:
        units: Of each layer and direction.
        bidirectional: Read both ways; without it the model looks only back, and can run live.
        dropout: Rate after each layer, in [0, 1).
    """

    units: tuple[int, ...]
    bidirectional: bool
    dropout: float


def recurrent_model(
    cell: str,
    config: RecurrentConfig,
    inputs: tuple[int | None, ...],
    outputs: Mapping[str, Output],
    *,
    name: str | None = None,
) -> keras.Model:
    """Recurrent layers over frames, then a dense layer for each output.

    Args:
        cell: As for `recurrent_stack`.
        config: Sizes and rates.
        inputs: ``(frames, bins)`` or ``(frames, bins, channels)``; frames may be ``None``.
        outputs: Heads by name, of level ``"frame"``.
        name: Of the model; None is that of the cell.

    Returns:
        Model from ``(batch, *inputs)`` to ``(batch, frames, size)``, or a dictionary of those.

    Raises:
        UsageError: If there is no recurrent layer.
    """
    features = keras.Input(inputs, name="features")
    x = recurrent_stack(
        vectors(features),
        cell,
        config.units,
        bidirectional=config.bidirectional,
        dropout=config.dropout,
    )
    embedding = layers.Identity(name="embedding")(x)
    return keras.Model(features, heads(embedding, outputs), name=name or cell)


def recurrent_search(hp: Any, default: C) -> C:
    """What is worth trying around the values that a model begins with.

    Args:
        hp: ``keras_tuner.HyperParameters``.
        default: Whose layers all have the same number of units.
    """
    units = hp.Choice("units", [32, 64, 96, 128], default=default.units[0])
    return replace(
        default,
        units=(units,) * hp.Int("layers", 1, 3, default=len(default.units)),
        bidirectional=hp.Boolean("bidirectional", default=default.bidirectional),
        dropout=hp.Float("dropout", 0.0, 0.5, step=0.1, default=default.dropout),
    )


@keras.saving.register_keras_serializable("kmir")
class PastWindows(keras.layers.Layer):
    """For each frame the last frames up to it, as a sequence of its own, zeros before the start.

    ``(batch, frames, n)`` → ``(batch · frames, length, n)``.

    Args:
        length: Frames of a window, from 1.
        **kwargs: Of every Keras layer.
    """

    def __init__(self, length: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.length = length

    def call(self, x: Any) -> Any:
        """Cuts the windows."""
        frames = ops.shape(x)[1]
        padded = ops.pad(x, [(0, 0), (self.length - 1, 0), (0, 0)])
        shifted = [padded[:, i : i + frames] for i in range(self.length)]
        return ops.reshape(ops.stack(shifted, axis=2), (-1, self.length, x.shape[-1]))

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Batch and frames become one axis."""
        return None, self.length, input_shape[-1]

    def get_config(self) -> dict[str, Any]:
        """What rebuilds the layer."""
        return super().get_config() | {"length": self.length}


@keras.saving.register_keras_serializable("kmir")
class FramesAgain(keras.layers.Layer):
    """Undoes what `PastWindows` did to the batch: ``(batch · frames, n)`` → ``(batch, frames, n)``.

    The second input is any tensor ``(batch, frames, …)`` that says how many frames there were.
    """

    def call(self, inputs: Any) -> Any:
        """Puts the frames back in their axis."""
        x, like = inputs
        return ops.reshape(x, (-1, ops.shape(like)[1], x.shape[-1]))

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Batch and frames of the second input, values of the first."""
        (_, values), (batch, frames, *_) = input_shape
        return batch, frames, values
