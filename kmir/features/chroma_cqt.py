"""Chroma from a constant-Q transform: how strong each of the twelve pitch classes is."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import DTypeLike

from kmir.errors import check_values
from kmir.features.base import Feature, settle
from kmir.features.constant_q import C1, Transform

NORMS = {"max": np.inf, "l2": 2, "l1": 1, None: None}


@dataclass(frozen=True)
class ChromaCQT(Feature):
    """Chroma from constant-Q magnitudes. Bin 0 is C, bin 11 is B.

    Equal to ``librosa.feature.chroma_cqt``; computed span by span, so memory does not grow with
    the recording.

    Args:
        sample_rate: Sampling rate in Hz.
        hop_length: Samples from frame to frame; fastest with a factor of 2 for each octave but
            one (64 for 7 octaves).
        n_octaves: Octaves from `f_min` that are added up.
        bins_per_octave: Bins of the transform in an octave, a multiple of 12.
        f_min: Centre of the lowest bin, Hz; by default C1.
        tuning: How far the recording is from A4 = 440 Hz, in fractions of one of those bins; None
            estimates it from the first two minutes.
        norm: Each frame is divided by its largest value (``"max"``), its length (``"l2"``) or its
            sum (``"l1"``); None leaves it.

    Raises:
        UsageError: If a value is out of range, or the highest bin is above half the sample rate.

    Example:
        >>> ChromaCQT()(np.zeros(22050, np.float32)).shape
        (44, 12)
    """

    name: ClassVar[str] = "chroma_cqt"
    first_pitch_class: ClassVar[int] = 0  # semitones from C
    linear: ClassVar[bool] = True

    sample_rate: int = 22050
    hop_length: int = 512
    n_octaves: int = 7
    bins_per_octave: int = 36
    f_min: float = C1
    tuning: float | None = None
    norm: str | None = "max"

    def __post_init__(self) -> None:
        settle(self)
        rules = (
            ("n_octaves", self.n_octaves > 0, "above 0"),
            ("bins_per_octave", self.bins_per_octave > 0 and self.bins_per_octave % 12 == 0,
             "as a multiple of 12"),
            ("norm", self.norm in NORMS, f"as one of {tuple(NORMS)}"),
        )  # fmt: skip
        check_values(vars(self), rules)
        _ = self._transform

    @property
    def shape(self) -> tuple[int, ...]:
        """``(12,)``."""
        return (12,)

    @property
    def silence(self) -> float:
        """Value of digital silence: 0."""
        return 0.0

    def from_blocks(
        self,
        blocks: Iterable[np.ndarray],
        samples: int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> np.ndarray:
        """Chroma of a recording that arrives in blocks, equal to that of the whole.

        Args:
            blocks: Mono float32 samples at `sample_rate`, in order, of any lengths.
            samples: Not needed.
            dtype: Of the result; float16 halves the memory of long recordings.

        Returns:
            ``(frames, 12)``, with ``1 + n // hop_length`` frames for n samples.

        Raises:
            AudioError: If there is no sample at all, or one that is not a number.
        """
        import librosa

        norm = NORMS[self.norm]
        spans = [
            librosa.util.normalize(span, norm=norm, axis=0).T.astype(dtype)
            for span in self._summed(blocks)
        ]
        return np.concatenate(spans)

    def _summed(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Magnitudes added up over the octaves: yield ``(12, frames)`` float32, span by span."""
        with warnings.catch_warnings():  # in a notebook, a progress bar that nobody asked for
            warnings.simplefilter("ignore")
            import librosa

        weights = librosa.filters.cq_to_chroma(
            self.n_octaves * self.bins_per_octave,
            bins_per_octave=self.bins_per_octave,
            fmin=self.f_min,
        )
        for magnitudes in self._transform(blocks):
            yield weights @ magnitudes

    @property
    def _transform(self) -> Transform:
        return Transform(
            self.sample_rate,
            self.hop_length,
            self.n_octaves * self.bins_per_octave,
            self.bins_per_octave,
            self.f_min,
            self.tuning,
        )
