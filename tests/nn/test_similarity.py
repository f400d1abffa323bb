"""How much frames are like their neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from kmir.errors import UsageError
from kmir.nn.similarity import lagged_similarity


def similarity(x: np.ndarray, lags: int) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(lagged_similarity(ops.convert_to_tensor(x), lags)))


def test_cosines_by_hand() -> None:
    a, b = [3.0, 0, 4], [0, 2.0, 0]
    found = similarity(np.array([[a, b, a, a]], np.float32), 2)
    # Before and after by one frame, then by two; nothing beyond the ends.
    expected = [[0, 0, 0, 1], [0, 0, 0, 0], [0, 1, 1, 0], [1, 0, 0, 0]]
    np.testing.assert_allclose(found[0], expected, atol=1e-3)


def test_bands_of_the_self_similarity_matrix() -> None:
    x = np.random.default_rng(0).normal(size=(2, 30, 7)).astype(np.float32)
    unit = x / np.linalg.norm(x, axis=-1, keepdims=True)
    matrix = unit @ unit.transpose(0, 2, 1)
    found = similarity(x, 5)
    for lag in range(1, 6):
        band = np.diagonal(matrix, lag, axis1=1, axis2=2)
        np.testing.assert_allclose(found[:, lag:, 2 * lag - 2], band, atol=2e-3)
        np.testing.assert_allclose(found[:, :-lag, 2 * lag - 1], band, atol=2e-3)


def test_is_the_same_in_all_keys_and_at_all_levels() -> None:
    chroma = np.random.default_rng(1).random((1, 12, 12)).astype(np.float32)
    moved = 3 * np.roll(chroma, 5, axis=-1)
    np.testing.assert_allclose(similarity(moved, 4), similarity(chroma, 4), atol=2e-3)


def test_silence_is_like_nothing() -> None:
    assert not similarity(np.zeros((1, 6, 12), np.float32), 3).any()


def test_more_lags_than_frames() -> None:
    found = similarity(np.ones((1, 2, 3), np.float32), 4)
    assert found.shape == (1, 2, 8)
    assert not found[..., 2:].any()


def test_no_lag_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^Expected lags of 1 frame or more\. Received: 0\.$"):
        lagged_similarity(ops.ones((1, 3, 2)), 0)
