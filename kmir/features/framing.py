"""Blocks of samples to overlapping frames, as short-time transforms read them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain

import numpy as np
from numpy.typing import DTypeLike

from kmir.errors import AudioError

# Frames transformed at once: their spectra stay in the cache. Chunks start at multiples of this
# frame whatever the blocks were, so results don't depend on the blocks to the last bit.
CHUNK = 128


def framed(blocks: Iterable[np.ndarray], n_fft: int, hop_length: int) -> Iterator[np.ndarray]:
    """Centred frames of a recording that arrives in blocks, `CHUNK` of them at a time.

    Frame t is centred on sample ``t * hop_length``; there are zeros before the first sample and
    after the last one.

    Args:
        blocks: ``(samples,)`` float32 each, of any lengths.
        n_fft: Length of a frame, even.
        hop_length: Samples from frame to frame, at most `n_fft`.

    Yields:
        ``(CHUNK, n_fft)`` float32, the last one shorter: a read-only view of memory that the next
        one overwrites.

    Raises:
        AudioError: If there is no sample at all, or one that is not a number.
    """
    memory = np.zeros((CHUNK - 1) * hop_length + n_fft, np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(memory, n_fft)[::hop_length]
    filled = n_fft // 2
    for block in chain(checked(blocks), [np.zeros(n_fft // 2, np.float32)]):
        start = 0
        while start < len(block):
            taken = min(len(block) - start, len(memory) - filled)
            memory[filled : filled + taken] = block[start : start + taken]
            start += taken
            filled += taken
            if filled == len(memory):
                yield frames
                filled -= CHUNK * hop_length
                memory[:filled] = memory[CHUNK * hop_length :].copy()
    if filled >= n_fft:
        yield frames[: 1 + (filled - n_fft) // hop_length]


def gathered(
    chunks: Iterable[np.ndarray],
    shape: tuple[int, ...],
    dtype: DTypeLike,
    *,
    samples: int | None,
    hop_length: int,
) -> np.ndarray:
    """What was made of the frames of a recording, chunk by chunk, in one array.

    Args:
        chunks: ``(frames, *shape)`` each, of any numbers of frames.
        shape: Of one frame.
        dtype: Of the result.
        samples: How many the recording has, if known: memory is then taken once. A wrong number
            costs memory, not correctness.
        hop_length: Samples from frame to frame.

    Returns:
        ``(frames, *shape)``, all chunks one after the other.
    """
    expected = CHUNK if samples is None else 1 + samples // hop_length
    out = np.empty((expected, *shape), dtype)
    done = 0
    for chunk in chunks:
        end = done + len(chunk)
        if end > len(out):
            # In place: no view of `out` is alive here, and a copy would double the memory.
            out.resize((max(end, len(out) * 5 // 4), *shape), refcheck=False)
        out[done:end] = chunk
        done = end
    out.resize((done, *shape), refcheck=False)
    return out


def checked(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The blocks, each checked as it passes.

    Raises:
        AudioError: If there is no sample at all, or one that is not a number.
    """
    received = 0
    for block in blocks:
        if block.ndim != 1:
            raise AudioError(
                f"Expected mono audio, (samples,). Received: shape {block.shape}; "
                "mix it down first."
            )
        if not np.isfinite(block).all():
            at = int(np.flatnonzero(~np.isfinite(block))[0])
            raise AudioError(
                f"Expected finite samples. Received: {block[at]} at sample {received + at}; "
                "repair the recording or leave it out."
            )
        received += len(block)
        yield block
    if not received:
        raise AudioError(
            "Expected audio with at least one sample. Received: none; "
            "leave the recording out or fetch it again."
        )


@lru_cache(maxsize=16)
def hann(n_fft: int) -> np.ndarray:
    """Periodic Hann window, ``(n_fft,)`` float32."""
    window = np.hanning(n_fft + 1)[:-1].astype(np.float32)
    window.flags.writeable = False
    return window
