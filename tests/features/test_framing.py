"""One array of what comes in chunks."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import DTypeLike

from kmir.features.framing import CHUNK, gathered


@given(
    lengths=st.lists(st.integers(0, 3 * CHUNK), max_size=6),
    samples=st.none() | st.integers(0, 20000),
    dtype=st.sampled_from([np.float32, np.float16]),
)
def test_chunks_come_one_after_the_other(
    lengths: list[int], samples: int | None, dtype: DTypeLike
) -> None:
    """Whatever number of samples was announced."""
    rng = np.random.default_rng(0)
    chunks = [rng.normal(size=(length, 3, 2)).astype(np.float32) for length in lengths]
    out = gathered(chunks, (3, 2), dtype, samples=samples, hop_length=10)
    assert out.dtype == dtype
    whole = np.concatenate([np.empty((0, 3, 2)), *chunks]).astype(dtype)
    np.testing.assert_array_equal(out, whole)


@pytest.mark.parametrize("known", [True, False])
def test_it_grows_in_place(known: bool) -> None:
    """Of an unknown length, a quarter more than the result at most; a copy would be twice that."""
    count = 400
    chunk = np.ones((CHUNK, 64), np.float32)
    samples = (count * CHUNK - 1) * 10 if known else None
    tracemalloc.start()
    try:
        out = gathered([chunk] * count, (64,), np.float32, samples=samples, hop_length=10)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert out.shape == (count * CHUNK, 64)
    assert peak < out.nbytes * (1 if known else 1.25) + 100_000
