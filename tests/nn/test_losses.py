"""Weighted binary cross-entropy: from its equation, and against Keras."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kmir.nn.losses import WeightedBinaryCrossentropy

RANDOM = np.random.default_rng(0)
TARGETS = RANDOM.integers(0, 2, (7, 4)).astype(np.float32)
GUESSES = RANDOM.random((7, 4)).astype(np.float32)
WEIGHTS = (1.0, 2.5, 10.0, 0.5)

targets = arrays.arrays(np.float32, (5, 3), elements=st.sampled_from([0.0, 0.25, 1.0]))
guesses = arrays.arrays(np.float32, (5, 3), elements=st.floats(0, 1, width=32))


def by_equation(y: np.ndarray, p: np.ndarray, weights: tuple[float, ...]) -> np.ndarray:
    y, p = y.astype(np.float64), np.clip(p, np.float32(1e-7), np.float32(1 - 1e-7)).astype(float)
    return -(np.array(weights) * y * np.log(p) + (1 - y) * np.log1p(-p)).mean(axis=-1)


@given(y=targets, p=guesses)
def test_with_weights_of_one_it_is_that_of_keras(y: np.ndarray, p: np.ndarray) -> None:
    ours, theirs = WeightedBinaryCrossentropy([1.0] * 3), keras.losses.BinaryCrossentropy()
    assert float(ours(y, p)) == pytest.approx(float(theirs(y, p)), rel=1e-5, abs=1e-6)


@given(y=targets, p=guesses)
def test_it_is_its_equation(y: np.ndarray, p: np.ndarray) -> None:
    weights = (1.0, 3.0, 10.0)
    received = np.asarray(WeightedBinaryCrossentropy(weights, reduction="none")(y, p))
    np.testing.assert_allclose(received, by_equation(y, p, weights), rtol=1e-3, atol=1e-6)


def test_probabilities_of_zero_and_one_cost_much_but_not_everything() -> None:
    loss = WeightedBinaryCrossentropy([2.0])
    assert float(loss(np.ones((1, 1)), np.zeros((1, 1)))) == pytest.approx(-2 * np.log(1e-7))
    assert float(loss(np.zeros((1, 1)), np.zeros((1, 1)))) == pytest.approx(0, abs=1e-6)


def test_weights_of_clips_are_heeded() -> None:
    share = np.array([1, 0, 1, 0, 0, 0, 1], np.float32)
    received = WeightedBinaryCrossentropy(WEIGHTS)(TARGETS, GUESSES, sample_weight=share)
    expected = (by_equation(TARGETS, GUESSES, WEIGHTS) * share).mean()
    assert float(received) == pytest.approx(expected, rel=1e-5)


def test_frames_have_losses_of_their_own() -> None:
    y, p = np.stack([TARGETS] * 3, axis=1), np.stack([GUESSES] * 3, axis=1)
    received = np.asarray(WeightedBinaryCrossentropy(WEIGHTS, reduction="none")(y, p))
    assert received.shape == (7, 3)
    expected = by_equation(TARGETS, GUESSES, WEIGHTS)
    np.testing.assert_allclose(received, np.stack([expected] * 3, axis=1), rtol=1e-4)


def test_half_precision_is_computed_in_float32() -> None:
    """In float16, 1 − 1e-7 is 1 and its logarithm is minus infinity."""
    received = WeightedBinaryCrossentropy([1.0])(
        np.zeros((1, 1), np.float16), np.ones((1, 1), np.float16)
    )
    assert received.dtype == "float32"
    assert np.isfinite(float(received))


def test_it_survives_its_config_as_json() -> None:
    loss = WeightedBinaryCrossentropy(WEIGHTS, name="mine", reduction="sum")
    config = json.loads(json.dumps(keras.losses.serialize(loss)))
    again = keras.losses.deserialize(config)
    assert isinstance(again, WeightedBinaryCrossentropy)
    assert (again.name, again.reduction, again.positive_weights) == ("mine", "sum", WEIGHTS)
    assert float(again(TARGETS, GUESSES)) == float(loss(TARGETS, GUESSES))
