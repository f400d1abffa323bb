"""Log-mel spectrogram: what most taggers, chord and beat models read."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from kmir.errors import check_values
from kmir.features.base import Feature, settle
from kmir.features.framing import framed, gathered, hann

SCALES = ("db", "log1p")
NORMS = ("slaney", None)


@dataclass(frozen=True)
class LogMel(Feature):
    """Log-mel spectrogram of a recording, centred frames, zeros beyond both ends.

    Equal to ``librosa.feature.melspectrogram(center=True, pad_mode="constant")`` followed by
    ``librosa.power_to_db(ref=1.0)``; computed in float32 and block by block.

    Args:
        sample_rate: Sampling rate in Hz.
        n_fft: Length of the Hann window and of the transform, in samples; even.
        hop_length: Samples from frame to frame, at most `n_fft`.
        n_mels: Number of mel bands.
        f_min: Lower edge of the lowest band, Hz.
        f_max: Upper edge of the highest band, Hz; None is half the sampling rate.
        power: Exponent of the magnitude spectrogram: 2 for power, 1 for magnitude.
        scale: ``"db"``, or ``"log1p"`` for ``log(1 + gain * mel)``.
        decibels_per_decade: Factor of log10: 10 where mel values are powers. Choi's published
            tagger read 20 · log10 of the power mel, so its value is 20.
        amin: Floor of mel values before the logarithm (``"db"`` only).
        top_db: Values more than this below the loudest of the whole recording are raised to that
            floor (``"db"`` only); None leaves them.
        gain: Factor of mel values (``"log1p"`` only).
        htk: Mel scale of HTK instead of Slaney's.
        norm: ``"slaney"`` for bands of equal area, None for bands of equal height.

    Raises:
        UsageError: If a value is out of range.

    Example:
        >>> feature = LogMel(sample_rate=12000, hop_length=256)
        >>> feature(np.zeros(12000, np.float32)).shape
        (47, 96)
    """

    name: ClassVar[str] = "log_mel"

    sample_rate: int = 12000
    n_fft: int = 512
    hop_length: int = 256
    n_mels: int = 96
    f_min: float = 0.0
    f_max: float | None = None
    power: float = 2.0
    scale: str = "db"
    decibels_per_decade: float = 10.0
    amin: float = 1e-10
    top_db: float | None = 80.0
    gain: float = 10000.0
    htk: bool = False
    norm: str | None = "slaney"

    def __post_init__(self) -> None:
        settle(self)
        half = self.sample_rate / 2
        top = half if self.f_max is None else self.f_max
        rules = (
            ("sample_rate", self.sample_rate > 0, "above 0 Hz"),
            ("n_fft", self.n_fft > 0 and self.n_fft % 2 == 0, "even and above 0"),
            ("hop_length", 0 < self.hop_length <= self.n_fft, f"from 1 to n_fft ({self.n_fft})"),
            ("n_mels", self.n_mels > 0, "at least 1"),
            ("f_min", 0 <= self.f_min < top, f"from 0 to below f_max ({top:g} Hz)"),
            ("f_max", top <= half, f"at most half the sample rate, {half:g} Hz"),
            ("power", 0 < self.power < math.inf, "above 0"),
            ("scale", self.scale in SCALES, f"as one of {SCALES}"),
            ("decibels_per_decade", 0 < self.decibels_per_decade < math.inf, "above 0"),
            ("amin", 0 < self.amin < math.inf, "above 0"),
            ("top_db", self.top_db is None or self.top_db > 0, "above 0, or None"),
            ("gain", 0 < self.gain < math.inf, "above 0"),
            ("norm", self.norm in NORMS, f"as one of {NORMS}"),
        )
        check_values(vars(self), rules)

    @property
    def shape(self) -> tuple[int, ...]:
        """``(n_mels,)``."""
        return (self.n_mels,)

    @property
    def silence(self) -> float:
        """Value of digital silence: the floor that `amin` sets in dB, or 0."""
        return self.decibels_per_decade * math.log10(self.amin) if self.scale == "db" else 0.0

    def from_blocks(
        self,
        blocks: Iterable[np.ndarray],
        samples: int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> np.ndarray:
        """Log-mel spectrogram of a recording that arrives in blocks, equal to that of the whole.

        Args:
            blocks: Mono float32 samples at `sample_rate`, in order, of any lengths.
            samples: How many there will be, if known: memory is then taken once. A wrong number
                costs memory, not correctness.
            dtype: Of the result; float16 halves the memory of long recordings.

        Returns:
            ``(frames, n_mels)``, with ``1 + n // hop_length`` frames for n samples.

        Raises:
            AudioError: If there is no sample at all, or one that is not a number.
        """
        loudest = -np.inf  # before values are rounded to `dtype`

        def chunks() -> Iterator[np.ndarray]:
            nonlocal loudest
            for frames in framed(blocks, self.n_fft, self.hop_length):
                values = self._compress(self._mel(frames))
                loudest = max(loudest, values.max())
                yield values.T

        out = gathered(chunks(), self.shape, dtype, samples=samples, hop_length=self.hop_length)
        if self.scale == "db" and self.top_db is not None:
            np.maximum(out, out.dtype.type(loudest - self.top_db), out=out)
        return out

    def _mel(self, frames: np.ndarray) -> np.ndarray:
        """``(frames, n_fft)`` samples to ``(n_mels, frames)`` mel values."""
        import scipy.fft

        spectrum = scipy.fft.rfft(frames * hann(self.n_fft), overwrite_x=True)
        energy = np.square(spectrum.real)
        energy += np.square(spectrum.imag)
        if self.power != 2:
            energy **= self.power / 2
        mel: np.ndarray = _filter_bank(self) @ energy.T
        return mel

    def _compress(self, mel: np.ndarray) -> np.ndarray:
        """Logarithm of mel values, in place."""
        if self.scale == "log1p":
            mel *= np.float32(self.gain)
            return np.log1p(mel, out=mel)
        with np.errstate(divide="ignore"):
            np.log10(mel, out=mel)
        mel *= np.float32(self.decibels_per_decade)
        # The floor comes after the logarithm, so that digital silence is `silence` exactly.
        return np.maximum(mel, np.float32(self.silence), out=mel)


@lru_cache(maxsize=16)
def _filter_bank(feature: LogMel) -> Any:
    """Mel filters, ``(n_mels, 1 + n_fft // 2)``; sparse, since a bin is in two bands at most."""
    from scipy.sparse import csr_array

    with warnings.catch_warnings():  # in a notebook, a progress bar that nobody asked for complains
        warnings.simplefilter("ignore")
        import librosa.filters

    filters = librosa.filters.mel(
        sr=feature.sample_rate,
        n_fft=feature.n_fft,
        n_mels=feature.n_mels,
        fmin=feature.f_min,
        fmax=feature.f_max,
        htk=feature.htk,
        norm="slaney" if feature.norm else None,
        dtype=np.float32,
    )
    return csr_array(filters)
