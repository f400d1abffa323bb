"""From steps back to frames, against NumPy."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmir.nn.expand import ExpandToFrames

steps_and_frames = {
    "steps": st.integers(1, 9),
    "frames": st.integers(1, 60),
    "stride": st.integers(1, 8),
    "offset": st.sampled_from([0.0, 0.5, 2.0, 5.5]),
}


def expanded(values: np.ndarray, frames: int, **settings: object) -> np.ndarray:
    layer = ExpandToFrames(**settings)  # type: ignore[arg-type]
    return np.asarray(layer([values, np.zeros((len(values), frames, 24), np.float32)]))


@given(**steps_and_frames)
def test_linear_is_that_of_numpy(steps: int, frames: int, stride: int, offset: float) -> None:
    values = np.random.default_rng(steps).normal(size=(2, steps, 3)).astype(np.float32)
    centres = offset + stride * np.arange(steps)
    expected = np.stack(
        [[np.interp(np.arange(frames), centres, v) for v in clip.T] for clip in values]
    ).transpose(0, 2, 1)
    found = expanded(values, frames, stride=stride, offset=offset, method="linear")
    np.testing.assert_allclose(found, expected, atol=1e-5)


@given(**steps_and_frames)
def test_nearest_is_the_closest_centre(steps: int, frames: int, stride: int, offset: float) -> None:
    values = np.random.default_rng(steps).normal(size=(2, steps, 3)).astype(np.float32)
    found = expanded(values, frames, stride=stride, offset=offset)
    distance = np.abs(np.arange(frames)[:, None] - (offset + stride * np.arange(steps)))
    later = steps - 1 - distance[:, ::-1].argmin(axis=1)  # between two, the later one
    np.testing.assert_array_equal(found, values[:, later])


def test_a_golden_expansion() -> None:
    """The two-layer CRNN of the lecture: 20 steps of 128 frames, stride 6 from frame 5.5."""
    found = expanded(np.arange(20.0, dtype=np.float32)[None, :, None], 128, stride=6, offset=5.5)
    counts = np.bincount(found[0, :, 0].astype(int))
    assert counts.tolist() == [9, *[6] * 18, 11]
    assert np.flatnonzero(np.diff(found[0, :, 0]))[:2].tolist() == [8, 14]


def test_the_loss_frame_by_frame_is_that_against_the_mean_label() -> None:
    random = np.random.default_rng(1)
    step = random.random((1, 4, 5)).astype(np.float32)
    step /= step.sum(-1, keepdims=True)
    labels = np.eye(5, dtype=np.float32)[random.integers(0, 5, (1, 12))]
    frame_by_frame = keras.losses.categorical_crossentropy(
        labels, expanded(step, 12, stride=3, offset=1.0)
    )
    means = labels.reshape(1, 4, 3, 5).mean(axis=2)
    by_step = keras.losses.categorical_crossentropy(means, step)
    assert float(np.mean(frame_by_frame)) == pytest.approx(float(np.mean(by_step)), rel=1e-5)


def test_in_a_model_of_any_length_and_from_its_config() -> None:
    features = keras.Input((None, 2), name="features")
    x = keras.layers.AveragePooling1D(4)(features)
    layer = ExpandToFrames(4, 1.5, "linear", name="expand")
    model = keras.Model(features, layer([x, features]))
    assert model.output_shape == (None, None, 2)
    for frames in (4, 17):
        assert model(np.ones((3, frames, 2), np.float32)).shape == (3, frames, 2)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert (again.stride, again.offset, again.method) == (4, 1.5, "linear")
    assert again.name == "expand"
