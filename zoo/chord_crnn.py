"""Chord CRNN: convolutions over the circle of pitch classes and time, then recurrent layers.

Three forms, by ``config.form``. ``"octave"`` keeps the frame rate, and treats all keys alike. It
folds octaves together, so that bass and treble (NNLS chroma) or the octaves of constant-Q
magnitudes are channels of twelve pitch classes; convolves around their circle; and reads each pitch
class as a sequence of its own, with the same recurrent weights for all. The output for a chord on
C comes from pitch class C, so transposed music gives the transposed chords exactly, and what the
model learns in one key it knows in twelve. The structured heads of the task follow B. McFee,
J. P. Bello, "Structured training for large-vocabulary chord recognition", ISMIR 2017::

    features        frames × 24
    folded          frames × 12 × 2        square root, batch norm
    conv 1          frames × 12 × 32       3 frames × 12 pitches, circular; batch norm, ReLU
    conv 2, 3       frames × 12 × 24, 32   3 × 5, circular; batch norm, ReLU, dropout
    GRU 1           frames × 12 × 96       48 each way, dropout
    mixed           frames × 12 × 48       itself, the circle, and the mean over it; ReLU
    GRU 2           frames × 12 × 96       48 each way, dropout
    chord           frames × 25            maj and min of each pitch class, N from the mean

``"two_layer"`` and ``"one_layer"`` are those of a homework of the lecture GCT634 (KAIST, 2018),
made for 12 chroma × 128 frames; their convolutions and poolings are not padded::

    two_layer   conv 64 3×3, pool 2×2, conv 128 3×3, pool 3×3   → 20 steps × 128
    one_layer   conv 64 5×5, pool 7×7                           → 17 steps × 64
    both        BiLSTM 64, dense 25 a step, expanded to frames again

Labels are not pooled: every frame is judged against the step that it falls to, so a step learns
the mean of its frames' labels. Six frames (seven) have one value; ``config.expand`` can draw
lines between steps instead.

``config.causal`` looks only back, for live use: convolutions pad at the start, GRUs run forward.

    python -m kmir.train zoo.chord_crnn --data billboard --root DIR
    python -m kmir.train zoo.chord_crnn --data billboard --root DIR --config.model.form=two_layer

Time and score: see the README's table of chord models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import keras
from keras import layers, ops

from kmir.errors import UsageError
from kmir.nn import Output
from kmir.nn.expand import ExpandToFrames
from kmir.nn.fused import GRU, LSTM
from kmir.nn.heads import heads
from kmir.nn.pitch import (
    CircularPad,
    FoldOctaves,
    PitchesFromBatch,
    PitchesToBatch,
    pitch_heads,
)

TASK = "chords"
# Of batch norms: rates are high in the middle of a run, so older statistics are stale.
MOMENTUM = 0.9


@dataclass(frozen=True)
class Config:
    """A convolutional recurrent network for chords.

    Args:
        form: ``"octave"``, ``"two_layer"`` or ``"one_layer"``; the fields below but for the last
            are of the octave form.
        first_pitch_class: Of the input's twelve, C = 0: 9 for NNLS chroma, 0 for librosa's chroma
            and for a constant-Q transform from C (of scale ``"magnitude"``, where ``gain_db`` is
            not 0).
        filters: Of the convolutions.
        widths: Their kernels' pitches, 1 to 12 each.
        frames: Their kernels' frames, odd.
        units: Of each recurrent layer, direction and pitch class.
        recurrent_layers: How many.
        dropout: Rate after the convolutions and each recurrent layer, in [0, 1).
        causal: Look only back.
        expand: ``"nearest"`` or ``"linear"``, from steps to frames (the lecture's forms).
    """

    form: Literal["octave", "two_layer", "one_layer"] = "octave"
    first_pitch_class: int = 9
    filters: tuple[int, ...] = (32, 24, 32)
    widths: tuple[int, ...] = (12, 5, 5)
    frames: int = 3
    units: int = 48
    recurrent_layers: int = 2
    dropout: float = 0.25
    causal: bool = False
    expand: Literal["nearest", "linear"] = "nearest"


def build_model(
    config: Config, inputs: tuple[int | None, ...], outputs: Mapping[str, Output]
) -> keras.Model:
    """The form that the config asks for.

    Args:
        config: Form and sizes.
        inputs: ``(frames, bins)`` with bins a multiple of 12; frames may be ``None``.
        outputs: Heads by name, of level ``"frame"``; in the octave form those of 12 · q + r units
            have q for each pitch class from C.

    Returns:
        Model from ``(batch, frames, bins)`` to ``(batch, frames, size)``, or a dictionary of those.

    Raises:
        UsageError: If the input is no chroma, or a causal model is asked for in a form that sees
            ahead.
    """
    if len(inputs) != 2 or not inputs[1] or inputs[1] % 12:
        raise UsageError(
            f"Expected (frames, bins) with 12 bins an octave for chord_crnn. Received: {inputs}."
        )
    if len(config.filters) != len(config.widths) or config.frames % 2 == 0:
        raise UsageError("Expected a width for each of filters, and an odd number of frames.")
    if config.causal and config.form != "octave":
        raise UsageError(f"Expected form=octave for a causal model. Received: {config.form}.")

    features = keras.Input(inputs, name="features")
    x = FoldOctaves(name="folded")(features)
    if config.form == "octave":
        x = _recurrent(config, _convolutions(config, x))
        x = layers.Identity(name="embedding")(x)
        found = pitch_heads(x, outputs, config.first_pitch_class)
        return keras.Model(features, found, name="chord_crnn")
    x, stride, offset = _two_layer(x) if config.form == "two_layer" else _one_layer(x)
    x = layers.Bidirectional(LSTM(64, return_sequences=True), name="bilstm")(x)
    expand = ExpandToFrames(stride, offset, config.expand, name="embedding")
    return keras.Model(features, heads(expand([x, features]), outputs), name="chord_crnn")


# === The form that keeps the frame rate ===


def _convolutions(config: Config, x: Any) -> Any:
    """``(batch, frames, 12, octaves)`` → ``(batch, frames, 12, filters)``."""
    x = ops.sqrt(ops.relu(x))
    x = layers.BatchNormalization(momentum=MOMENTUM, dtype="float32", name="input_norm")(x)
    for i, (filters, width) in enumerate(zip(config.filters, config.widths, strict=True), start=1):
        x = CircularPad((width - 1) // 2, width // 2, name=f"circle{i}")(x)
        ahead = 0 if config.causal else config.frames // 2
        padding = ((config.frames - 1 - ahead, ahead), (0, 0))
        x = layers.ZeroPadding2D(padding, name=f"pad{i}")(x)
        x = layers.Conv2D(filters, (config.frames, width), use_bias=False, name=f"conv{i}")(x)
        x = layers.BatchNormalization(momentum=MOMENTUM, dtype="float32", name=f"norm{i}")(x)
        x = layers.ReLU(name=f"relu{i}")(x)
    return layers.Dropout(config.dropout, name="dropout")(x)


def _recurrent(config: Config, x: Any) -> Any:
    """``(batch, frames, 12, filters)`` → ``(batch, frames, 12, units)``, or twice the units."""
    for i in range(1, config.recurrent_layers + 1):
        if i > 1:
            x = _mixed(config, x, i)
        gru = GRU(config.units, return_sequences=True, name=f"gru{i}")
        x = PitchesToBatch(name=f"sequences{i}")(x)
        x = (gru if config.causal else layers.Bidirectional(gru, name=f"bigru{i}"))(x)
        x = PitchesFromBatch(name=f"pitches{i}")(x)
        x = layers.Dropout(config.dropout, name=f"dropout{i}")(x)
    return x


def _mixed(config: Config, x: Any, i: int) -> Any:
    """What each pitch class holds, what stands at each interval from it, and the mean of all."""
    own = layers.Dense(config.units, name=f"own{i}")(x)
    narrow = layers.Dense(config.units // 2, name=f"narrow{i}")(x)
    around = CircularPad(5, 6, name=f"around{i}")(narrow)
    around = layers.Conv2D(config.units, (1, 12), name=f"intervals{i}")(around)
    mean = layers.Dense(config.units, name=f"mean{i}")(ops.mean(x, axis=2, keepdims=True))
    return layers.ReLU(name=f"mixed{i}")(own + around + mean)


# === The lecture's forms ===


def _two_layer(x: Any) -> tuple[Any, int, float]:
    """``(batch, 128, 12, n)`` → ``(batch, 20, 128)``, stride 6, first centre at frame 5.5."""
    x = layers.Conv2D(64, 3, activation="relu", name="conv1")(x)  # sees 3 frames, centre 1
    x = layers.MaxPooling2D(2, name="pool1")(x)  # 4 frames, centre 1.5, stride 2
    x = layers.Conv2D(128, 3, activation="relu", name="conv2")(x)  # 8 frames, centre 3.5
    x = layers.MaxPooling2D(3, name="pool2")(x)  # 12 frames, centre 5.5, stride 6
    return layers.Reshape((-1, 128), name="steps")(x), 6, 5.5


def _one_layer(x: Any) -> tuple[Any, int, float]:
    """``(batch, 128, 12, channels)`` → ``(batch, 17, 64)``, stride 7, first centre at frame 5."""
    x = layers.Conv2D(64, 5, activation="relu", name="conv1")(x)  # sees 5 frames, centre 2
    x = layers.MaxPooling2D(7, name="pool1")(x)  # 11 frames, centre 5, stride 7
    return layers.Reshape((-1, 64), name="steps")(x), 7, 5.0


def search_space(hp: Any) -> Config:
    """What is worth trying, in the form that keeps the frame rate.

    Args:
        hp: ``keras_tuner.HyperParameters``.
    """
    return Config(
        filters=(
            hp.Choice("filters1", [16, 32, 48], default=32),
            hp.Choice("filters2", [16, 24, 32], default=24),
            hp.Choice("filters3", [24, 32, 48], default=32),
        ),
        units=hp.Choice("units", [32, 48, 64], default=48),
        recurrent_layers=hp.Int("recurrent_layers", 1, 3, default=2),
        dropout=hp.Float("dropout", 0.0, 0.5, step=0.05, default=0.25),
    )
