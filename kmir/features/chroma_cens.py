"""CENS, chroma energy normalised statistics: chroma that ignores dynamics and short notes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import DTypeLike

from kmir.errors import UsageError
from kmir.features.chroma_cqt import NORMS, ChromaCQT

# A share of the frame above each of these adds a quarter: coarse, and logarithmic as hearing is.
STEPS = (0.4, 0.2, 0.1, 0.05)


@dataclass(frozen=True)
class ChromaCENS(ChromaCQT):
    """CENS of Müller and Ewert ("Chroma Toolbox", ISMIR 2011). Bin 0 is C, bin 11 is B.

    Chroma is divided by its sum, quantised in four steps, smoothed over time and divided by its
    length. Equal to ``librosa.feature.chroma_cens``.

    Args:
        sample_rate: Sampling rate in Hz.
        hop_length: Samples from frame to frame; as of `ChromaCQT`.
        n_octaves: Octaves from `f_min` that are added up.
        bins_per_octave: Bins of the transform in an octave, a multiple of 12.
        f_min: Centre of the lowest bin, Hz; by default C1.
        tuning: As of `ChromaCQT`.
        norm: Of the result, as of `ChromaCQT`.
        smoothing: Frames that the Hann window spans, 41 being about a second; 0 for none.

    Raises:
        UsageError: If a value is out of range, or the highest bin is above half the sample rate.

    Example:
        >>> ChromaCENS()(np.zeros(22050, np.float32)).shape
        (44, 12)
    """

    name: ClassVar[str] = "chroma_cens"
    linear: ClassVar[bool] = False  # steps are counted

    norm: str | None = "l2"
    smoothing: int = 41

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.smoothing < 0:
            raise UsageError(f"Expected smoothing from 0. Received: {self.smoothing!r}.")

    def from_blocks(
        self,
        blocks: Iterable[np.ndarray],
        samples: int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> np.ndarray:
        """CENS of a recording that arrives in blocks, equal to that of the whole.

        Args:
            blocks: Mono float32 samples at `sample_rate`, in order, of any lengths.
            samples: Not needed.
            dtype: Of the result.

        Returns:
            ``(frames, 12)``, with ``1 + n // hop_length`` frames for n samples.

        Raises:
            AudioError: If there is no sample at all, or one that is not a number.
        """
        import librosa
        from scipy.ndimage import convolve1d

        shares = np.concatenate(
            [librosa.util.normalize(span, norm=1, axis=0) for span in self._summed(blocks)], axis=1
        )
        cens = np.zeros_like(shares)
        for step in STEPS:
            cens += (shares > step) / np.float32(len(STEPS))
        if self.smoothing:
            # Two more, since the first and the last of a Hann window are 0.
            window = librosa.filters.get_window("hann", self.smoothing + 2, fftbins=False)
            cens = convolve1d(cens, window / window.sum(), axis=1, mode="constant")
        cens = librosa.util.normalize(cens, norm=NORMS[self.norm], axis=0)
        result: np.ndarray = np.ascontiguousarray(cens.T, dtype)
        return result
