"""Octaves folded, and circles of pitch classes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from kmir.nn.pitch import CircularPad, FoldOctaves

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("octaves", [1, 2, 7])
def test_bins_of_a_pitch_class_stand_together(octaves: int) -> None:
    x = RANDOM.normal(size=(3, 5, 12 * octaves)).astype(np.float32)
    layer = FoldOctaves()
    folded = np.asarray(layer(x))
    assert folded.shape == layer.compute_output_shape(x.shape) == (3, 5, 12, octaves)
    for pitch in range(12):
        for octave in range(octaves):
            np.testing.assert_array_equal(folded[:, :, pitch, octave], x[:, :, 12 * octave + pitch])


@pytest.mark.parametrize(("before", "after"), [(0, 0), (2, 2), (0, 5), (3, 0), (12, 12)])
def test_padding_is_that_of_numpy(before: int, after: int) -> None:
    x = RANDOM.normal(size=(2, 4, 12, 3)).astype(np.float32)
    layer = CircularPad(before, after)
    padded = np.asarray(layer(x))
    expected = np.pad(x, [(0, 0), (0, 0), (before, after), (0, 0)], mode="wrap")
    np.testing.assert_array_equal(padded, expected)
    assert layer.compute_output_shape((None, None, 12, 3)) == (None, None, 12 + before + after, 3)


def test_a_convolution_over_the_circle_moves_with_the_music() -> None:
    features = keras.Input((None, 24), name="features")
    x = CircularPad(2, 2)(FoldOctaves()(features))
    x = keras.layers.Conv2D(3, (1, 5), padding="valid")(x)
    model = keras.Model(features, x)
    chroma = RANDOM.normal(size=(1, 6, 24)).astype(np.float32)
    for k in range(12):
        rotated = np.roll(chroma.reshape(1, 6, 2, 12), k, axis=-1).reshape(1, 6, 24)
        np.testing.assert_allclose(model(rotated), np.roll(model(chroma), k, axis=2), atol=1e-5)


@pytest.mark.parametrize("layer", [FoldOctaves(name="fold"), CircularPad(2, 1, name="pad")])
def test_layers_come_back_from_their_config(layer: Any) -> None:
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()
