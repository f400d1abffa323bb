"""Spectrogram of log-spaced bands with its rises: what beat and onset models read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from kmir.errors import check_values
from kmir.features.base import Feature, settle
from kmir.features.framing import framed, gathered, hann
from kmir.features.live import LiveFeature

A4 = 440.0  # Hz; its octaves and their parts are the grid of the bands


@dataclass(frozen=True)
class LogFrequency(Feature):
    """Log-compressed magnitudes of log-spaced bands, and how much each of them rose.

    Magnitudes are scaled so that a sine of amplitude A gives A at its bin. The bands are triangles
    from the grid's frequency below to the one above, each of area 1, so that noise is level over
    them. A band that is narrower than a bin reads the nearest bin; of low bands that read one bin
    alone, the same one, the lowest is kept. Values are ``log10(1 + gain * magnitude)``; they count
    from zero. After Böck and Schedl, "Enhanced beat tracking with context-aware neural networks",
    DAFx 2011.

    Args:
        sample_rate: Sampling rate in Hz.
        hop_length: Samples from frame to frame, at most the longest window.
        n_ffts: Lengths of one to three Hann windows, in samples, even. Frames of all of them have
            the same centres; the bands are those of the longest.
        bands_per_octave: Bands in an octave where there are bins enough.
        f_min: Lowest centre of a band, Hz.
        f_max: Highest centre of a band, Hz.
        gain: Factor of the magnitudes before the logarithm.
        difference: Whether rises follow the spectrograms: what a band gained over a quarter of the
            window, one frame at least; a loss counts as zero.

    Raises:
        UsageError: If a value is out of range.

    Example:
        >>> LogFrequency()(np.zeros(22050, np.float32)).shape
        (51, 86, 2)
    """

    name: ClassVar[str] = "log_frequency"
    refuses_silence: ClassVar[bool] = False  # a recording without a beat is one all the same

    sample_rate: int = 22050
    hop_length: int = 441
    n_ffts: tuple[int, ...] = (2048,)
    bands_per_octave: int = 12
    f_min: float = 30.0
    f_max: float = 10000.0
    gain: float = 1000.0
    difference: bool = True

    def __post_init__(self) -> None:
        settle(self)
        count, half = len(self.n_ffts), self.sample_rate / 2
        valid = 1 <= count <= 3 and all(n > 0 and n % 2 == 0 for n in self.n_ffts)
        longest = self._longest if valid else 0
        rules = (
            ("sample_rate", self.sample_rate > 0, "above 0 Hz"),
            ("n_ffts", valid, "as one to three even numbers above 0"),
            ("n_ffts", count == len(set(self.n_ffts)), "as numbers that differ"),
            ("hop_length", 0 < self.hop_length <= longest, f"from 1 to {longest}, the window"),
            ("bands_per_octave", self.bands_per_octave > 0, "at least 1"),
            ("f_min", 0 < self.f_min < self.f_max, f"above 0 and below f_max ({self.f_max:g} Hz)"),
            ("f_max", self.f_max <= half, f"at most half the sample rate, {half:g} Hz"),
            ("gain", 0 < self.gain < math.inf, "above 0"),
        )
        check_values(vars(self), rules)
        banded = len(_grid(self)) > 2
        check_values(
            vars(self), [("f_max", banded, f"so that a band lies from {self.f_min:g} Hz to it")]
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """``(bands, channels)``: a channel for each of `n_ffts`, then one for each one's rises."""
        return len(self.frequencies), len(self.n_ffts) * (1 + self.difference)

    @property
    def silence(self) -> float:
        """Value of digital silence: 0."""
        return 0.0

    @property
    def frequencies(self) -> np.ndarray:
        """Centres of the bands in Hz, ``(bands,)`` float64, rising."""
        return _grid(self)[1:-1][_distinct(self)]

    def from_blocks(
        self,
        blocks: Iterable[np.ndarray],
        samples: int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> np.ndarray:
        """Spectrogram of a recording that arrives in blocks, equal to that of the whole.

        Args:
            blocks: Mono float32 samples at `sample_rate`, in order, of any lengths.
            samples: How many there will be, if known: memory is then taken once. A wrong number
                costs memory, not correctness.
            dtype: Of the result; float16 halves the memory of long recordings.

        Returns:
            ``(frames, bands, channels)``, with ``1 + n // hop_length`` frames for n samples.

        Raises:
            AudioError: If there is no sample at all, or one that is not a number.
        """

        def chunks() -> Iterator[np.ndarray]:
            before = self._before
            for frames in framed(blocks, self._longest, self.hop_length):
                values, before = self._follow(frames, before)
                yield values

        return gathered(chunks(), self.shape, dtype, samples=samples, hop_length=self.hop_length)

    def live(self) -> LiveFeature:
        """The feature for samples that are just arriving: a frame half a window after its time."""
        return LiveFeature(self._longest, self.hop_length, self._follow, self._before)

    @property
    def _before(self) -> np.ndarray:
        """Levels before the first frame, ``(lag, bands, n_ffts)``: nothing rises above them."""
        return np.full((max(self._lags), self.shape[0], len(self.n_ffts)), np.inf, np.float32)

    def _follow(self, frames: np.ndarray, before: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Feature of the frames that come next.

        Args:
            frames: ``(frames, n_fft)`` samples, of the longest window's length.
            before: What the call for the frames before gave; `_before` for the first ones.

        Returns:
            ``(frames, *shape)`` float32, and what the next call wants as `before`.
        """
        levels = np.stack([self._levels(frames, n_fft) for n_fft in self.n_ffts], axis=-1)
        if not self.difference:
            return levels, before
        history = np.concatenate([before, levels])
        start, end = len(before), len(history)
        rises = [
            levels[..., channel] - history[start - lag : end - lag, :, channel]
            for channel, lag in enumerate(self._lags)
        ]
        values = np.concatenate([levels, np.maximum(np.stack(rises, axis=-1), 0)], axis=-1)
        return values, history[end - start :]

    def _levels(self, frames: np.ndarray, n_fft: int) -> np.ndarray:
        """``(frames, longest)`` samples to ``(frames, bands)`` levels."""
        import scipy.fft

        margin = (frames.shape[1] - n_fft) // 2
        inside = frames[:, margin : margin + n_fft]
        spectrum = scipy.fft.rfft(inside * hann(n_fft), overwrite_x=True)
        magnitudes = np.square(spectrum.real)
        magnitudes += np.square(spectrum.imag)
        np.sqrt(magnitudes, out=magnitudes)
        levels: np.ndarray = _filter_bank(self, n_fft) @ magnitudes.T
        levels *= np.float32(self.gain)
        levels += np.float32(1)
        np.log(levels, out=levels)  # several times as fast as log1p and log10
        levels *= np.float32(1 / math.log(10))
        return levels.T

    @property
    def _longest(self) -> int:
        return max(self.n_ffts)

    @property
    def _lags(self) -> list[int]:
        """Frames over which a rise is taken, for each window."""
        return [max(1, round(n_fft / 4 / self.hop_length)) for n_fft in self.n_ffts]


def _grid(feature: LogFrequency) -> np.ndarray:
    """Frequencies of the grid from `f_min` to `f_max`, and one more on either side, in Hz."""
    per_octave = feature.bands_per_octave
    # A limit on the grid is not to miss it by a rounding error.
    first = math.ceil(per_octave * math.log2(feature.f_min / A4) - 1e-9)
    last = math.floor(per_octave * math.log2(feature.f_max / A4) + 1e-9)
    return A4 * 2 ** (np.arange(first - 1, last + 2) / per_octave)


def _triangles(feature: LogFrequency, n_fft: int) -> np.ndarray:
    """Weights of all bands of the grid, each of area 1; ``(bands, 1 + n_fft // 2)`` float64."""
    grid = _grid(feature)
    bins = np.fft.rfftfreq(n_fft, 1 / feature.sample_rate)
    low, centre, high = grid[:-2, None], grid[1:-1, None], grid[2:, None]
    weights = np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre))
    weights = np.maximum(weights, 0)
    narrow = np.flatnonzero(~weights.any(axis=1))
    # Never bin 0, the constant part, in which there is nothing to hear.
    nearest = np.maximum(np.rint(grid[1:-1] * n_fft / feature.sample_rate), 1).astype(int)
    weights[narrow, nearest[narrow]] = 1
    return weights / weights.sum(axis=1, keepdims=True)


@lru_cache(maxsize=16)
def _distinct(feature: LogFrequency) -> np.ndarray:
    """Which bands of the grid are kept, ``(bands,)`` bool."""
    weights = _triangles(feature, max(feature.n_ffts))
    return np.append(True, (weights[1:] != weights[:-1]).any(axis=1))


@lru_cache(maxsize=16)
def _filter_bank(feature: LogFrequency, n_fft: int) -> Any:
    """Filters of the bands that are kept, ``(bands, 1 + n_fft // 2)``; sparse, as they are.

    The scale of the magnitudes is in them.
    """
    from scipy.sparse import csr_array

    weights = _triangles(feature, n_fft)[_distinct(feature)]
    return csr_array((weights * 2 / hann(n_fft).sum(dtype=np.float64)).astype(np.float32))
