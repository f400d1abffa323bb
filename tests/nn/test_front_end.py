"""The front end over frequency against plain NumPy, in the paper's order of steps."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from kmir.errors import UsageError
from kmir.nn.front_end import FRONT_END_REACH, frequency_front_end

FILTERS, BANDS, CHANNELS = 4, 19, 2


def front_end(*shape: int, causal: bool = False) -> keras.Model:
    x = keras.Input((None, *shape), name="features")
    model = keras.Model(x, frequency_front_end(x, FILTERS, dropout=0.3, causal=causal))
    random = np.random.default_rng(1)
    # Batch norm as it begins but for its epsilon: mean 0, variance 1.
    for variable in model.trainable_variables:
        if "input_norm" not in variable.path:
            variable.assign(random.normal(scale=0.3, size=variable.shape))
    return model


def convolved(x: np.ndarray, layer: keras.Layer) -> np.ndarray:
    """``(frames, bands, channels)`` without padding."""
    kernel, bias = layer.get_weights()
    views = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[:2], axis=(0, 1))
    return np.asarray(np.einsum("tbcij,ijcf->tbf", views, kernel) + bias)


def elu(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, np.expm1(x))


@pytest.mark.parametrize("causal", [False, True])
def test_it_is_convolution_elu_pooling_twice_and_all_bands(causal: bool) -> None:
    """The paper pools after the ELU; the layer before it, which is the same."""
    model = front_end(BANDS, CHANNELS, causal=causal)
    clip = np.random.default_rng(0).normal(size=(12, BANDS, CHANNELS))
    x = clip / np.sqrt(1 + 1e-3)
    for i in (1, 2):
        x = np.pad(x, [(2, 0) if causal else (1, 1), (0, 0), (0, 0)])
        x = elu(convolved(x, model.get_layer(f"front_conv{i}")))
        x = np.stack([x[:, b : b + 3].max(axis=1) for b in range(0, x.shape[1] - 2, 3)], axis=1)
    x = elu(convolved(x, model.get_layer("front_conv3")))
    received = model.predict(clip[None].astype(np.float32), verbose=0)
    np.testing.assert_allclose(received[0], x[:, 0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("causal", [False, True])
def test_reach(causal: bool) -> None:
    model = front_end(BANDS, CHANNELS, causal=causal)
    silence = np.zeros((1, 21, BANDS, CHANNELS), np.float32)
    click = silence.copy()
    click[:, 10] = 5
    change = np.abs(np.asarray(model(click)) - np.asarray(model(silence))).max(axis=(0, 2))
    seen = change.nonzero()[0]
    assert (seen[0], seen[-1]) == ((10, 14) if causal else (8, 12))
    assert seen[-1] - seen[0] == FRONT_END_REACH


@pytest.mark.parametrize("shape", [(17,), (24,), (81, 2), (81, 6)])
def test_any_bands_and_channels(shape: Any) -> None:
    assert front_end(*shape).output_shape == (None, None, FILTERS)


def test_too_few_bands() -> None:
    with pytest.raises(UsageError, match=r"17 bands or more\. Received: 16"):
        front_end(16)
