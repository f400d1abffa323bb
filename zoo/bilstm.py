"""BiLSTM: one layer that reads both ways, after every frame or over a window up to each.

The model of a homework of the lecture GCT634 (KAIST, 2018), whose experiments a, b, c and f it
makes: with ``window=1`` each frame is read by itself (a, b), with ``window=16`` each frame is
classified from the last output over the 16 frames up to it, zeros before the start (c); without a
window the whole clip is one sequence with an output a frame (f). Layers: A. Graves, J. Schmidhuber,
"Framewise phoneme classification with bidirectional LSTM", Neural Networks 18, 2005.

Shapes, as (frames, values)::

    features        256 × 24      any number of frames; channels side by side
    normalised      256 × 24      batch norm
    BiLSTM          256 × 256     128 each way, dropout
    chord           256 × 25      reads root, bass and pitch classes too, where they are asked for

    python -m kmir.train zoo.bilstm --data billboard --root DIR
    python -m kmir.train zoo.bilstm --data billboard --root DIR --config.model.window=16

Time and score: see the README's table of chord models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from kmir.errors import UsageError
from kmir.nn import Output
from kmir.nn.heads import heads
from kmir.nn.recurrent import FramesAgain, PastWindows, recurrent_stack, vectors

TASK = "chords"


@dataclass(frozen=True)
class Config:
    """A bidirectional LSTM.

    Args:
        units: Of each layer and direction.
        dropout: Rate after each layer, in [0, 1).
        window: Frames up to each frame that it is read from; None reads the clip as a sequence.
        normalise: Batch norm of the input; the homework had none.
    """

    units: tuple[int, ...] = (128,)
    dropout: float = 0.25
    window: int | None = None
    normalise: bool = True


def build_model(
    config: Config, inputs: tuple[int | None, ...], outputs: Mapping[str, Output]
) -> keras.Model:
    """BiLSTM over frames, or over the window of each frame, then a dense layer for each output.

    Args:
        config: Sizes and rates.
        inputs: ``(frames, bins)`` or ``(frames, bins, channels)``; frames may be ``None``.
        outputs: Heads by name, of level ``"frame"``.

    Returns:
        Model from ``(batch, *inputs)`` to ``(batch, frames, size)``, or a dictionary of those.

    Raises:
        UsageError: If there is no recurrent layer, or the window is empty.
    """
    if config.window is not None and config.window < 1:
        raise UsageError(f"Expected a window of 1 frame or more. Received: {config.window}.")
    features = keras.Input(inputs, name="features")
    x = vectors(features, normalise=config.normalise)
    if config.window is not None:
        x = PastWindows(config.window, name="windows")(x)
    x = recurrent_stack(x, "lstm", config.units, bidirectional=True, dropout=config.dropout)
    if config.window is not None:
        # Of the last step: all that was read forward, and the last frame alone read backward.
        x = FramesAgain(name="frames")([x[:, -1], features])
    embedding = layers.Identity(name="embedding")(x)
    return keras.Model(features, heads(embedding, outputs), name="bilstm")


def search_space(hp: Any) -> Config:
    """What is worth trying.

    Args:
        hp: ``keras_tuner.HyperParameters``.
    """
    units = hp.Choice("units", [16, 64, 96, 128], default=128)
    return Config(
        units=(units,) * hp.Int("layers", 1, 3, default=1),
        dropout=hp.Float("dropout", 0.0, 0.5, step=0.05, default=0.25),
    )
