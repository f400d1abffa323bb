"""Layers for features whose bins are pitches: octaves folded, and circles of pitch classes.

All of them commute with transposition: a model made of these, and of layers that treat all pitch
classes alike, hears C major transposed as the same chord transposed, whatever its weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import layers, ops

from kmir.nn.outputs import Output


@keras.saving.register_keras_serializable("kmir")
class FoldOctaves(keras.layers.Layer):
    """``(batch, frames, 12 · octaves)`` → ``(batch, frames, 12, octaves)``.

    Bins of one pitch class stand together then: the bass and treble blocks of NNLS chroma, or the
    octaves of a constant-Q transform with 12 bins each.
    """

    def call(self, x: Any) -> Any:
        """Folds the last axis."""
        octaves = x.shape[-1] // 12
        folded = ops.reshape(x, (-1, ops.shape(x)[1], octaves, 12))
        return ops.transpose(folded, (0, 1, 3, 2))

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Shape after folding."""
        batch, frames, bins = input_shape
        assert bins is not None  # a model knows its bins
        return batch, frames, 12, bins // 12


@keras.saving.register_keras_serializable("kmir")
class CircularPad(keras.layers.Layer):
    """Goes on around the circle on both sides of the second axis after the batch.

    ``(batch, frames, pitches, n)`` → ``(batch, frames, before + pitches + after, n)``, so that
    a convolution over pitch has no edge: B lies below C as C below C sharp.

    Args:
        before: Pitches put before the first, at most as many as there are.
        after: Pitches put after the last.
        **kwargs: Of every Keras layer.
    """

    def __init__(self, before: int, after: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.before, self.after = before, after

    def call(self, x: Any) -> Any:
        """Pads the axis."""
        parts = [x[:, :, x.shape[2] - self.before :]] if self.before else []
        parts += [x, x[:, :, : self.after]]
        return ops.concatenate(parts, axis=2)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Shape after padding."""
        shape = list(input_shape)
        assert shape[2] is not None
        shape[2] += self.before + self.after
        return tuple(shape)

    def get_config(self) -> dict[str, Any]:
        """What rebuilds the layer."""
        return super().get_config() | {"before": self.before, "after": self.after}


@keras.saving.register_keras_serializable("kmir")
class PitchesToBatch(keras.layers.Layer):
    """``(batch, frames, 12, n)`` → ``(batch · 12, frames, n)``: each pitch class a sequence."""

    def call(self, x: Any) -> Any:
        """Moves the pitches."""
        sequences = ops.transpose(x, (0, 2, 1, 3))
        return ops.reshape(sequences, (-1, ops.shape(x)[1], x.shape[-1]))

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Batch and pitches become one axis."""
        return None, input_shape[1], input_shape[3]


@keras.saving.register_keras_serializable("kmir")
class PitchesFromBatch(keras.layers.Layer):
    """``(batch · 12, frames, n)`` → ``(batch, frames, 12, n)``: undoes `PitchesToBatch`."""

    def call(self, x: Any) -> Any:
        """Moves the pitches back."""
        sequences = ops.reshape(x, (-1, 12, ops.shape(x)[1], x.shape[-1]))
        return ops.transpose(sequences, (0, 2, 1, 3))

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """The pitches are an axis again."""
        return None, input_shape[1], 12, input_shape[2]


@keras.saving.register_keras_serializable("kmir")
class PitchScores(keras.layers.Layer):
    """One row of scores from those of each pitch class: quality after quality, from C.

    ``(batch, frames, 12, q)`` → ``(batch, frames, 12 · q)``, as the classes of a vocabulary of
    chords stand.

    Args:
        first_pitch_class: What the first of the twelve stands for, C = 0.
        **kwargs: Of every Keras layer.
    """

    def __init__(self, first_pitch_class: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.first_pitch_class = first_pitch_class

    def call(self, x: Any) -> Any:
        """Turns the circle to C and lays it out."""
        turned = ops.transpose(ops.roll(x, self.first_pitch_class, axis=2), (0, 1, 3, 2))
        return ops.reshape(turned, (-1, ops.shape(x)[1], 12 * x.shape[-1]))

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Pitches and qualities become one axis."""
        batch, frames, _, qualities = input_shape
        assert qualities is not None
        return batch, frames, 12 * qualities

    def get_config(self) -> dict[str, Any]:
        """What rebuilds the layer."""
        return super().get_config() | {"first_pitch_class": self.first_pitch_class}


def pitch_heads(x: Any, outputs: Mapping[str, Output], first_pitch_class: int) -> Any:
    """The last layers over pitch classes: each gives the scores of all classes that begin with it.

    An output of 12 · q + r units has q for each pitch class and r for none of them, such as "no
    chord"; these read the mean over the circle. The first output reads what the others found.

    Args:
        x: ``(batch, frames, 12, n)``.
        outputs: Of level ``"frame"``, by name; the first is what the model is for.
        first_pitch_class: Of the twelve, C = 0.

    Returns:
        One output as a tensor ``(batch, frames, size)``, several as a dictionary of them.
    """
    main, *others = outputs
    found, evidence = {}, [x]
    for name in (*others, main):
        size, activation = outputs[name].size, outputs[name].activation
        heard = x
        if name == main and len(evidence) > 1:
            heard = layers.Concatenate(dtype="float32", name="evidence")(evidence)
        scores = []
        if size >= 12:
            own = layers.Dense(size // 12, dtype="float32", name=f"{name}_pitches")(heard)
            scores.append(PitchScores(first_pitch_class, dtype="float32", name=f"{name}_row")(own))
            evidence.append(own)
        if size % 12:
            mean = ops.mean(heard, axis=2)
            scores.append(layers.Dense(size % 12, dtype="float32", name=f"{name}_rest")(mean))
        if len(scores) > 1:
            scores = [layers.Concatenate(dtype="float32", name=f"{name}_scores")(scores)]
        found[name] = layers.Activation(activation, dtype="float32", name=name)(scores[0])
    return found if others else found[main]
