"""Losses: from their equations in plain loops, and against Keras."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kmir.errors import UsageError
from kmir.nn.losses import ShiftTolerantBinaryCrossentropy, WeightedBinaryCrossentropy

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


def test_widened_targets_cost_least_where_they_are_met() -> None:
    """A half beside a beat asks for w / (w + 1), whatever that frame's neighbours have."""
    loss = WeightedBinaryCrossentropy([3.0])
    guesses = np.linspace(0.01, 0.99, 99)
    costs = [float(loss(np.full((1, 1, 1), 0.5), np.full((1, 1, 1), p))) for p in guesses]
    assert guesses[np.argmin(costs)] == pytest.approx(0.75)


# === Shift-tolerant ===


def tolerant(tolerance: int = 2, weight: float = 5.0, **options: str) -> keras.losses.Loss:
    return ShiftTolerantBinaryCrossentropy(tolerance, positive_weight=weight, **options)


def by_loops(
    y: np.ndarray, p: np.ndarray, known: np.ndarray, *, tolerance: int, weight: float
) -> np.ndarray:
    """``(batch, frames)`` of one unit, frame by frame as the docstring says it."""
    p = np.clip(p.astype(float), np.float32(1e-7), np.float32(1 - 1e-7))
    batch, frames = y.shape
    costs = np.zeros((batch, frames))
    for b in range(batch):
        for t in range(frames):
            if not known[b, t]:
                continue
            near = range(max(0, t - tolerance), min(frames, t + tolerance + 1))
            q = max(p[b, s] for s in near if known[b, s])
            wide = range(max(0, t - 2 * tolerance), min(frames, t + 2 * tolerance + 1))
            if y[b, t] == 1:
                costs[b, t] = -weight * np.log(q)
            elif y[b, t] == 0 and not any(y[b, s] == 1 for s in wide):
                costs[b, t] = -np.log1p(-q)
    return costs


@given(
    y=arrays.arrays(np.float32, (2, 17), elements=st.sampled_from([0.0, 0.0, 0.0, 0.5, 1.0])),
    p=arrays.arrays(np.float32, (2, 17), elements=st.floats(0, 1, width=32)),
    known=arrays.arrays(bool, (2, 17)),
    tolerance=st.integers(0, 4),
)
def test_it_is_what_loops_over_frames_give(
    y: np.ndarray, p: np.ndarray, known: np.ndarray, tolerance: int
) -> None:
    expected = by_loops(y, p, known, tolerance=tolerance, weight=5.0)
    loss = tolerant(tolerance, reduction="none")
    received = loss(y[..., None], p[..., None], sample_weight=known.astype(np.float32))
    np.testing.assert_allclose(received, expected, rtol=1e-3, atol=1e-6)
    mean = tolerant(tolerance)(y[..., None], p[..., None], sample_weight=known.astype(np.float32))
    assert float(mean) == pytest.approx(expected.mean(), rel=1e-3, abs=1e-6)


@given(y=arrays.arrays(np.float32, (5, 3), elements=st.sampled_from([0.0, 1.0])), p=guesses)
def test_without_tolerance_it_is_the_weighted_one(y: np.ndarray, p: np.ndarray) -> None:
    ours = float(tolerant(0)(y[..., None], p[..., None]))
    assert ours == pytest.approx(
        float(WeightedBinaryCrossentropy([5.0])(y[..., None], p[..., None]))
    )


def beat_at(*frames: int, peaks: dict[int, float]) -> tuple[np.ndarray, np.ndarray]:
    y, p = np.zeros((1, 20, 1), np.float32), np.full((1, 20, 1), 0.01, np.float32)
    y[0, list(frames)] = 1
    for frame, value in peaks.items():
        p[0, frame] = value
    return y, p


def test_a_peak_within_the_tolerance_is_as_good() -> None:
    costs = [float(tolerant()(*beat_at(10, peaks={at: 0.9}))) for at in range(7, 14)]
    assert costs[1:6] == pytest.approx([costs[3]] * 5)
    assert min(costs[0], costs[6]) > 5 * costs[3]


def test_what_lies_within_the_tolerance_is_not_pushed_down() -> None:
    """Three more peaks around a beat cost nothing; the next frame, out of reach, does."""
    one = float(tolerant()(*beat_at(10, peaks={10: 0.9})))
    around = {8: 0.9, 9: 0.9, 10: 0.9, 12: 0.9}
    assert float(tolerant()(*beat_at(10, peaks=around))) == pytest.approx(one)
    assert float(tolerant()(*beat_at(10, peaks={10: 0.9, 13: 0.9}))) > 2 * one


def test_unknown_frames_lend_no_probability_and_ask_for_none() -> None:
    y, p = beat_at(10, peaks={11: 0.9})
    weights = np.ones((1, 20), np.float32)
    weights[0, 11:] = 0
    blind = np.asarray(tolerant(reduction="none")(y, p, sample_weight=weights))
    assert blind[0, 10] == pytest.approx(-5 * np.log(0.01), rel=1e-4)
    assert (blind[0, 11:] == 0).all()
    y[0, 14] = 1  # known to nobody: it adds nothing
    again = np.asarray(tolerant(reduction="none")(y, p, sample_weight=weights))
    np.testing.assert_array_equal(again, blind)


def test_an_event_in_the_context_excuses_the_frames_after_it() -> None:
    """The model may hear it a frame late; the stream gives context frames targets, no weight."""
    y, p = beat_at(9, peaks={10: 0.9})
    weights = np.ones((1, 20), np.float32)
    weights[0, :10] = 0
    costs = np.asarray(tolerant(reduction="none")(y, p, sample_weight=weights))
    assert (costs[0, :14] == 0).all()
    assert (costs[0, 14:] > 0).all()


def test_a_neighbour_whose_event_was_cut_off_costs_nothing() -> None:
    y, p = beat_at(peaks={0: 0.6})
    y[0, 0] = 0.5
    costs = np.asarray(tolerant(0, reduction="none")(y, p))
    assert costs[0, 0] == 0
    assert (costs[0, 1:] > 0).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_gradients_are_finite_and_in_float32(dtype: str) -> None:
    """Where probabilities are 0 or 1 as well; nothing flows to frames that are not known."""
    y, p = beat_at(3, 12, peaks={0: 1.0, 3: 0.0, 5: 0.3, 12: 1.0, 18: 0.9})
    weights = np.ones((1, 20), np.float32)
    weights[0, :2] = 0
    guess = tf.cast(p, dtype)
    with tf.GradientTape() as tape:
        tape.watch(guess)
        cost = tolerant()(tf.cast(y, dtype), guess, sample_weight=weights)
    assert cost.dtype == "float32"
    assert np.isfinite(float(cost))
    gradient = tf.cast(tape.gradient(cost, guess), "float32").numpy()[0, :, 0]
    assert np.isfinite(gradient).all()
    assert (gradient[:2] == 0).all()
    assert gradient[5] < 0, "the highest within reach of a beat is pulled up"
    assert gradient[18] > 0, "what is far from any is pushed down"
    assert float(tolerant()(y, np.ones_like(p))) == pytest.approx(3 / 20 * -np.log(1.2e-7), rel=0.1)
    assert float(tolerant()(y, np.zeros_like(p))) == pytest.approx(2 / 20 * -5 * np.log(1e-7))


def test_the_tolerant_one_survives_its_config_as_json() -> None:
    loss = tolerant(3, 7.5, name="mine", reduction="sum")
    again = keras.losses.deserialize(json.loads(json.dumps(keras.losses.serialize(loss))))
    assert isinstance(again, ShiftTolerantBinaryCrossentropy)
    assert again.get_config() == loss.get_config()
    assert (again.tolerance, again.positive_weight, again.reduction) == (3, 7.5, "sum")
    y, p = beat_at(3, 12, peaks={4: 0.8})
    assert float(again(y, p)) == float(loss(y, p))


def test_a_tolerance_is_not_negative() -> None:
    with pytest.raises(UsageError, match=r"0 frames or more\. Received: -1"):
        tolerant(-1)
