"""Recurrent stacks, and windows of the past."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmir.errors import UsageError
from kmir.nn.recurrent import CELLS, FramesAgain, PastWindows, recurrent_stack, vectors


def features(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def stack(cell: str, units: tuple[int, ...] = (4, 3), **settings: Any) -> keras.Model:
    keras.utils.set_random_seed(1)
    x = keras.Input((None, 5), name="features")
    settings = {"bidirectional": False, "dropout": 0.5} | settings
    return keras.Model(x, recurrent_stack(x, cell, units, **settings))


# === Vectors ===


def test_channels_come_side_by_side() -> None:
    x = keras.Input((None, 3, 2), name="features")
    model = keras.Model(x, vectors(x, normalise=False))
    clips = features(2, 6, 3, 2)
    np.testing.assert_array_equal(model(clips), clips.reshape(2, 6, 6))


def test_vectors_are_normalised_in_float32() -> None:
    x = keras.Input((None, 4), name="features")
    model = keras.Model(x, vectors(x))
    clips = 40 + 10 * features(50, 20, 4)
    normed = np.asarray(model(clips, training=True))
    np.testing.assert_allclose(normed.mean(axis=(0, 1)), 0, atol=1e-3)
    np.testing.assert_allclose(normed.std(axis=(0, 1)), 1, atol=1e-3)
    assert model.get_layer("input_norm").compute_dtype == "float32"


# === Stacks ===


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_who_hears_whom(cell: str, bidirectional: bool) -> None:
    """One way, a frame hears what came before it; both ways, everything."""
    model = stack(cell, bidirectional=bidirectional)
    clip = features(1, 8, 5)
    before = np.asarray(model(clip))
    assert before.shape == (1, 8, 6 if bidirectional else 3)
    changed = clip.copy()
    changed[0, 4] += 1
    moved = np.abs(np.asarray(model(changed)) - before).max(axis=(0, 2)) > 1e-7
    assert moved[4:].all()
    assert moved[:4].any() == bidirectional


def test_dropout_acts_in_training_alone() -> None:
    model = stack("gru")
    clip = features(2, 6, 5)
    np.testing.assert_array_equal(model(clip), model(clip))
    assert (np.asarray(model(clip, training=True)) == 0).mean() > 0.2
    assert [layer.name for layer in model.layers[1:]] == ["gru1", "dropout1", "gru2", "dropout2"]


def test_a_stack_needs_a_layer() -> None:
    with pytest.raises(UsageError, match=r"at least one recurrent layer. Received: units=\(\)"):
        stack("lstm", ())


@pytest.mark.parametrize("cell", CELLS)
def test_short_windows_give_what_long_ones_do(cell: str) -> None:
    """Whatever is done to make short windows fast."""
    keras.utils.set_random_seed(1)
    x = keras.Input((6, 5), name="features")
    short = keras.Model(x, recurrent_stack(x, cell, (4, 3), bidirectional=True, dropout=0.0))
    free = stack(cell, bidirectional=True)
    free.set_weights(short.get_weights())
    clip = features(3, 6, 5)
    np.testing.assert_allclose(short(clip), free(clip), atol=1e-6)


# === Windows of the past ===


@given(st.integers(1, 3), st.integers(1, 12), st.integers(1, 5), st.integers(1, 7))
def test_past_windows_by_hand(batch: int, frames: int, values: int, length: int) -> None:
    clips = features(batch, frames, values)
    found = np.asarray(PastWindows(length)(clips)).reshape(batch, frames, length, values)
    for frame in range(frames):
        for back in range(length):
            here = frame - (length - 1) + back
            expected = clips[:, here] if here >= 0 else np.zeros_like(clips[:, 0])
            np.testing.assert_array_equal(found[:, frame, back], expected)


def test_frames_come_again_in_a_model_of_any_length() -> None:
    x = keras.Input((None, 5), name="features")
    windows = PastWindows(4)(x)
    assert windows.shape == (None, 4, 5)
    last = keras.layers.Lambda(lambda w: w[:, -1], output_shape=(5,))(windows)
    model = keras.Model(x, FramesAgain()([last, x]))
    assert model.output_shape == (None, None, 5)
    for frames in (1, 3, 11):
        clips = features(2, frames, 5)
        np.testing.assert_array_equal(model(clips), clips)


@pytest.mark.parametrize("layer", [PastWindows(7, name="past"), FramesAgain(name="again")])
def test_layers_come_back_from_their_config(layer: Any) -> None:
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()
