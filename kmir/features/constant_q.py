"""Constant-Q transform: bins that are spaced as notes are, for chord and melody models."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import DTypeLike

from kmir.errors import UsageError, check_values
from kmir.features.base import Feature, settle
from kmir.features.framing import checked

C1 = 440 * 2 ** (-45 / 12)  # 32.7 Hz, where A4 = 440 Hz
SCALES = ("db", "log1p", "magnitude")
# What is transformed at once. The tuning is estimated from the first span, since the estimate
# takes as long as the transform and needs more memory.
SPAN_SECONDS = 120.0


@dataclass(frozen=True)
class ConstantQ(Feature):
    """Magnitudes of the constant-Q transform, centred frames, zeros beyond both ends.

    Equal to ``np.abs(librosa.cqt(...))`` with librosa's defaults, followed by
    ``librosa.amplitude_to_db(ref=1.0)``; computed span by span, so memory does not grow with the
    recording.

    Args:
        sample_rate: Sampling rate in Hz.
        hop_length: Samples from frame to frame. The transform halves the rate octave by octave
            while the hop is even: without a factor of 2 for each octave (64 for 7) it is correct
            but slower.
        n_bins: Number of bins.
        bins_per_octave: Bins in an octave.
        f_min: Centre of the lowest bin, Hz; by default C1.
        tuning: How far the recording is from A4 = 440 Hz, in fractions of a bin; None estimates it
            from the first two minutes.
        scale: ``"db"``, ``"log1p"`` for ``log(1 + gain * magnitude)``, or ``"magnitude"``.
        amin: Floor of magnitudes before the logarithm (``"db"`` only).
        top_db: Values more than this below the loudest of the whole recording are raised to that
            floor (``"db"`` only); None leaves them.
        gain: Factor of magnitudes (``"log1p"`` only).

    Raises:
        UsageError: If a value is out of range, or the highest bin is above half the sample rate.

    Example:
        >>> ConstantQ()(np.zeros(22050, np.float32)).shape
        (44, 84)
    """

    name: ClassVar[str] = "constant_q"

    sample_rate: int = 22050
    hop_length: int = 512
    n_bins: int = 84
    bins_per_octave: int = 12
    f_min: float = C1
    tuning: float | None = None
    scale: str = "db"
    amin: float = 1e-5
    top_db: float | None = 80.0
    gain: float = 100.0

    def __post_init__(self) -> None:
        settle(self)
        rules = (
            ("scale", self.scale in SCALES, f"as one of {SCALES}"),
            ("amin", 0 < self.amin < math.inf, "above 0"),
            ("top_db", self.top_db is None or self.top_db > 0, "above 0, or None"),
            ("gain", 0 < self.gain < math.inf, "above 0"),
        )
        check_values(vars(self), rules)
        _ = self._transform

    @property
    def shape(self) -> tuple[int, ...]:
        """``(n_bins,)``."""
        return (self.n_bins,)

    @property
    def linear(self) -> bool:  # type: ignore[override]  # not in dB
        """Whether `scale` is ``"magnitude"``."""
        return self.scale == "magnitude"

    @property
    def silence(self) -> float:
        """Value of digital silence: the floor that `amin` sets in dB, or 0."""
        return 20 * math.log10(self.amin) if self.scale == "db" else 0.0

    def from_blocks(
        self,
        blocks: Iterable[np.ndarray],
        samples: int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> np.ndarray:
        """Transform of a recording that arrives in blocks, equal to that of the whole.

        Args:
            blocks: Mono float32 samples at `sample_rate`, in order, of any lengths.
            samples: Not needed.
            dtype: Of the result; float16 halves the memory of long recordings.

        Returns:
            ``(frames, n_bins)``, with ``1 + n // hop_length`` frames for n samples.

        Raises:
            AudioError: If there is no sample at all, or one that is not a number.
        """
        spans = [self._compress(span).T.astype(dtype) for span in self._transform(blocks)]
        out: np.ndarray = np.concatenate(spans)
        if self.scale == "db" and self.top_db is not None:
            np.maximum(out, out.dtype.type(out.max() - self.top_db), out=out)
        return out

    def _compress(self, magnitudes: np.ndarray) -> np.ndarray:
        if self.scale == "db":
            decibels = 20 * np.log10(np.maximum(magnitudes, np.float32(self.amin)))
            # The floor comes after the logarithm, so that digital silence is `silence` exactly.
            return np.maximum(decibels, np.float32(self.silence))
        if self.scale == "log1p":
            return np.log1p(np.float32(self.gain) * magnitudes)
        return magnitudes

    @property
    def _transform(self) -> Transform:
        return Transform(
            self.sample_rate,
            self.hop_length,
            self.n_bins,
            self.bins_per_octave,
            self.f_min,
            self.tuning,
        )


@dataclass(frozen=True)
class Transform:
    """Constant-Q magnitudes of a recording that arrives in blocks; fields as of `ConstantQ`.

    The filters of the lowest bins are the longest: spans overlap by more than these reach, so that
    joined they differ from the transform of the whole by less than 1e-6.
    """

    sample_rate: int
    hop_length: int
    n_bins: int
    bins_per_octave: int
    f_min: float
    tuning: float | None

    def __post_init__(self) -> None:
        rules = (
            ("sample_rate", self.sample_rate > 0, "above 0 Hz"),
            ("hop_length", self.hop_length > 0, "above 0"),
            ("n_bins", self.n_bins > 0, "above 0"),
            ("bins_per_octave", self.bins_per_octave > 0, "above 0"),
            ("f_min", 0 < self.f_min < math.inf, "above 0 Hz"),
            ("tuning", self.tuning is None or abs(self.tuning) <= 1, "from -1 to 1, or None"),
        )
        check_values(vars(self), rules)
        if self._upper_edge > self.sample_rate / 2:
            raise UsageError(
                f"Expected bins up to half the sample rate, {self.sample_rate / 2:g} Hz. Received: "
                f"the highest reaches {self._upper_edge:.0f} Hz; ask for fewer bins or octaves."
            )

    def __call__(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield ``(n_bins, frames)`` float32, span by span."""
        import librosa

        tuning = self.tuning
        for samples, first, count in self._spans(blocks):
            with warnings.catch_warnings():  # of short recordings and of silence
                warnings.simplefilter("ignore")
                if tuning is None:
                    tuning = librosa.estimate_tuning(
                        y=samples, sr=self.sample_rate, bins_per_octave=self.bins_per_octave
                    )
                transformed = librosa.cqt(
                    samples,
                    sr=self.sample_rate,
                    hop_length=self.hop_length,
                    fmin=self.f_min,
                    n_bins=self.n_bins,
                    bins_per_octave=self.bins_per_octave,
                    tuning=tuning,
                )
            yield np.abs(transformed[:, first : first + count])

    def _spans(self, blocks: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, int, int]]:
        """Samples to transform at once, the first frame of theirs that counts, and how many do."""
        hop = self.hop_length
        core = max(1, round(SPAN_SECONDS * self.sample_rate / hop)) * hop
        start = at = received = 0  # sample numbers: of what is held, of the next frame, of the end
        held: list[np.ndarray] = []
        for block in checked(blocks):
            held.append(block)
            received += len(block)
            while received >= at + core + self._margin:
                samples = np.concatenate(held)
                yield samples[: at + core + self._margin - start], (at - start) // hop, core // hop
                at += core
                held = [samples[max(0, at - self._margin) - start :]]
                start = max(0, at - self._margin)
        samples = np.concatenate(held)
        # librosa refuses what is shorter than its coarsest sample; zeros follow in any case.
        padded = np.pad(samples, (0, max(0, hop - 1 - len(samples))))
        yield padded, (at - start) // hop, 1 + (received - at) // hop

    @property
    def _relative_bandwidth(self) -> float:
        ratio = 2 ** (2 / self.bins_per_octave)
        return (ratio - 1) / (ratio + 1)

    @property
    def _upper_edge(self) -> float:
        """Where the highest bin ends, Hz; 1.5 bins of the Hann window, as librosa has it."""
        centre = self.f_min * 2 ** ((self.n_bins - 1) / self.bins_per_octave)
        return centre * (1 + 0.75 * self._relative_bandwidth)

    @property
    def _margin(self) -> int:
        """Samples beside a frame that can matter to it, rounded up to whole hops."""
        longest = 1 / (self._relative_bandwidth * self.f_min)
        # The second term is the reach of the filters that halve the rate.
        seconds = 2 * longest + 64 / self.f_min
        return (math.ceil(seconds * self.sample_rate / self.hop_length) + 2) * self.hop_length
