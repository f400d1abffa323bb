"""Reading audio: any file that libsndfile decodes, as mono float32 at the rate a feature wants.

Samples are ``(samples,)`` float32 in [-1, 1]; channels are mixed down by their mean. Files arrive
in blocks, so that memory does not grow with their length.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soxr

from kmir.errors import AudioError, UsageError
from kmir.features.decoding import (
    AUDIO_SUFFIXES,
    UNKNOWN_LENGTH,
    check_finite,
    decoded,
    mixed,
    opened,
)


def find_audio(root: str | Path) -> list[Path]:
    """Audio files in a folder and the folders below it, by suffix, sorted; hidden ones left out.

    Args:
        root: A folder; or a single file, which is returned whatever its suffix.

    Raises:
        AudioError: If there is no such folder or file.
    """
    root = Path(root)
    if root.is_file():
        return [root]
    if not root.is_dir():
        raise AudioError(
            f"Expected a folder or an audio file. Received: {root}, which does not exist; "
            "check the path."
        )
    return sorted(
        path
        for path in root.rglob("*")
        if path.suffix.lower() in AUDIO_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
        and path.is_file()
    )


def duration(path: str | Path) -> float:
    """Length of a recording in seconds, as its header has it.

    A damaged file may hold less than its header promises. Where there is no length in the header,
    the file is decoded to count its samples.

    Raises:
        AudioError: If the file can't be read or holds no samples.
    """
    with opened(Path(path)) as sound:
        frames, rate = sound.frames, sound.samplerate
        if frames >= UNKNOWN_LENGTH:
            frames = sum(len(block) for block in decoded(sound, Path(path), rate * 10))
    if not frames:
        raise _no_samples(path)
    return frames / rate


def blocks(
    path: str | Path, sample_rate: int, *, block_seconds: float = 3.0
) -> Iterator[np.ndarray]:
    """Samples of a recording, block by block.

    Args:
        path: The file, in any format, rate, bit depth and number of channels.
        sample_rate: Sampling rate wanted, Hz.
        block_seconds: Length of what is decoded at once; a few seconds stay near the processor, and
            are read twice as fast as half a minute.

    Yields:
        ``(samples,)`` mono float32 at `sample_rate`, about `block_seconds` of them. Joined, they
        equal the whole recording resampled at once.

    Raises:
        AudioError: If the file can't be decoded to its end, holds no samples, or holds samples
            that are not finite.
        UsageError: If the sampling rate or the length of a block is not above 0.
    """
    path = Path(path)
    _check_rate(sample_rate)
    if not block_seconds > 0:
        raise UsageError(f"Expected block_seconds above 0. Received: {block_seconds}.")
    empty = True
    with opened(path) as sound:
        size = max(1, round(block_seconds * sound.samplerate))
        for block in _resampled(decoded(sound, path, size), sound.samplerate, sample_rate):
            # The resampler holds samples back: what comes out of a short block may be nothing.
            if len(block):
                empty = False
                yield block
    if empty:
        raise _no_samples(path)


def read(path: str | Path, sample_rate: int) -> np.ndarray:
    """Whole recording, ``(samples,)`` mono float32 at `sample_rate`; see `blocks`."""
    return np.concatenate(list(blocks(path, sample_rate)))


def from_array(samples: np.ndarray, rate: int, sample_rate: int) -> np.ndarray:
    """Samples as a person has them, made ready for a feature.

    Args:
        samples: ``(samples,)`` or ``(samples, channels)``; floats in [-1, 1], or integers of up to
            32 bits, whose full range is taken as [-1, 1].
        rate: Their sampling rate, Hz.
        sample_rate: Sampling rate wanted, Hz.

    Returns:
        ``(samples,)`` mono float32 at `sample_rate`.

    Raises:
        AudioError: If the array has another shape or type, no samples, or samples that are not
            finite or not in range.
        UsageError: If a sampling rate is not above 0.
    """
    samples = np.asarray(samples)
    # More channels than anyone records, and more than there are samples: laid out the other way.
    sideways = samples.ndim == 2 and samples.shape[1] > max(64, samples.shape[0])
    if samples.ndim not in {1, 2} or sideways or samples.shape[-1:] == (0,):
        raise AudioError(
            "Expected audio as (samples,) or (samples, channels) with at least one sample. "
            f"Received: shape {samples.shape}{'; transpose it' if sideways else ''}."
        )
    mono = mixed(_scaled(samples))
    if not len(mono):
        raise _no_samples("an array")
    check_finite(mono, "an array", 0)
    # +40 dB over full scale is no recording but integers that were cast to float.
    if np.abs(mono).max() > 100:
        raise AudioError(
            f"Expected samples in [-1, 1]. Received: a peak of {np.abs(mono).max():g}; "
            "divide by the full scale, 32768 for 16 bits."
        )
    mono = resample(mono, rate, sample_rate)
    if not len(mono):
        raise _no_samples("an array")
    return mono


def resample(samples: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Float32 samples at another sampling rate (soxr, high quality).

    Args:
        samples: ``(samples,)`` or ``(samples, channels)`` float32.
        from_rate: Their sampling rate, Hz.
        to_rate: Sampling rate wanted, Hz.

    Returns:
        Array of the same number of dimensions; the same array if the rates are equal.

    Raises:
        UsageError: If a sampling rate is not above 0.
    """
    _check_rate(from_rate)
    _check_rate(to_rate)
    if from_rate == to_rate:
        return samples
    return soxr.resample(samples, from_rate, to_rate, quality="HQ")


def _resampled(source: Iterator[np.ndarray], from_rate: int, to_rate: int) -> Iterator[np.ndarray]:
    """The same recording at another rate; the resampler carries its state from block to block."""
    if from_rate == to_rate:
        yield from source
        return
    stream = soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32", quality="HQ")
    for block in source:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.zeros(0, np.float32), last=True)


def _scaled(samples: np.ndarray) -> np.ndarray:
    """Samples of any dtype as float32; the full range of integers becomes [-1, 1]."""
    kind, bits = samples.dtype.kind, 8 * samples.dtype.itemsize
    if kind == "f":
        with np.errstate(over="ignore"):  # what becomes infinite is reported as such
            return samples.astype(np.float32, copy=False)
    # 64-bit integers are lists of numbers, not a sample format: their scale can't be known.
    if kind not in "iu" or bits > 32:
        raise AudioError(
            "Expected samples as floats or as integers of up to 32 bits. "
            f"Received: {samples.dtype}; cast them, to int16 for instance."
        )
    scale = 2.0 ** (bits - 1)
    middle = scale if kind == "u" else 0.0
    return ((samples.astype(np.float64) - middle) / scale).astype(np.float32)


def _check_rate(rate: float) -> None:
    if not 0 < rate < float("inf"):
        raise UsageError(f"Expected a sample rate above 0. Received: {rate}.")


def _no_samples(source: str | Path) -> AudioError:
    return AudioError(
        f"Expected audio with at least one sample. Received: {source}, which holds none; "
        "leave it out or fetch it again."
    )
