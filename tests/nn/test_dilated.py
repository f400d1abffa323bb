"""Dilated stacks against plain NumPy; how far they see is tested with `zoo.beat_tcn`."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from kmir.errors import UsageError
from kmir.nn.dilated import dilated_reach, dilated_stack

FILTERS, KERNEL = 3, 5


def stack(blocks: int, *, causal: bool, kernel_size: int = KERNEL) -> keras.Model:
    x = keras.Input((None, FILTERS), name="features")
    total = dilated_stack(
        x, FILTERS, blocks=blocks, kernel_size=kernel_size, dropout=0.5, causal=causal
    )
    model = keras.Model(x, total)
    random = np.random.default_rng(1)
    model.set_weights([random.normal(scale=0.4, size=w.shape) for w in model.get_weights()])
    return model


def dilated(x: np.ndarray, layer: keras.Layer, dilation: int, *, causal: bool) -> np.ndarray:
    """``(frames, filters)``, tap by tap; beyond the ends are zeros."""
    kernel, bias = layer.get_weights()
    out = np.tile(bias.astype(float), (len(x), 1))
    for tap in range(KERNEL):
        back = KERNEL - 1 - tap if causal else KERNEL // 2 - tap
        for t in range(len(x)):
            if 0 <= t - back * dilation < len(x):
                out[t] += x[t - back * dilation] @ kernel[tap]
    return out


@pytest.mark.parametrize("causal", [False, True])
def test_it_is_what_loops_over_taps_give(causal: bool) -> None:
    model = stack(3, causal=causal)
    clip = np.random.default_rng(0).normal(size=(40, FILTERS))
    stream, total = clip, np.zeros_like(clip)
    for i in range(3):
        near = dilated(stream, model.get_layer(f"near{i + 1}"), 2**i, causal=causal)
        far = dilated(stream, model.get_layer(f"far{i + 1}"), 2 ** (i + 1), causal=causal)
        both = np.concatenate([near, far], axis=1)
        both = np.where(both > 0, both, np.expm1(both))
        kernel, bias = model.get_layer(f"found{i + 1}").get_weights()
        found = both @ kernel[0] + bias
        stream, total = stream + found, total + found
    received = model.predict(clip[None].astype(np.float32), verbose=0)[0]
    np.testing.assert_allclose(received, total, rtol=1e-4, atol=1e-3)


def test_dropout_takes_whole_filters() -> None:
    model = stack(1, causal=False)
    probe = keras.Model(model.input, model.get_layer("dropout1").output)
    dropped = np.asarray(probe(np.ones((20, 15, FILTERS), np.float32), training=True)) == 0
    assert (dropped.all(axis=1) == dropped.any(axis=1)).all()
    assert 0.3 < dropped.mean() < 0.7


@pytest.mark.parametrize(
    ("blocks", "kernel_size", "reach"), [(1, 5, 8), (8, 5, 2040), (11, 5, 16376), (3, 2, 14)]
)
def test_reach(blocks: int, kernel_size: int, reach: int) -> None:
    """By hand: (kernel_size − 1) · (2 + 4 + … + 2^blocks)."""
    assert dilated_reach(blocks, kernel_size) == reach


def test_a_causal_kernel_needs_no_centre() -> None:
    assert stack(2, causal=True, kernel_size=2).output_shape == (None, None, FILTERS)
    with pytest.raises(UsageError, match=r"odd kernel_size from 3.*Received: 2"):
        stack(2, causal=False, kernel_size=2)
