"""Features side by side: what two models want to know of one recording, in one array.

The frames are those of the first feature; each other one is brought to them by linear
interpolation in time. A preset for beats reads a spectrogram and, where it asks the harmony for the
bars, chroma beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from kmir.errors import check_values
from kmir.features import audio
from kmir.features.base import Feature, feature_from_config, settle
from kmir.features.log_frequency import LogFrequency
from kmir.features.nnls_chroma import NNLSChroma

ROWS = 4096  # frames interpolated at once


@dataclass(frozen=True)
class SideBySide(Feature):
    """Features in one array, each flat, one after the other; see `parts`.

    Args:
        sources: `config` of each, two or more.
    """

    name = "side_by_side"
    sources: list[dict[str, Any]] = field(
        default_factory=lambda: [LogFrequency().config, NNLSChroma().config]
    )

    def __post_init__(self) -> None:
        settle(self)
        check_values(vars(self), [("sources", len(self.sources) > 1, "of two features or more")])

    @cached_property
    def members(self) -> tuple[Feature, ...]:
        """The features."""
        return tuple(feature_from_config(source) for source in self.sources)

    @property
    def refuses_silence(self) -> bool:  # type: ignore[override]  # the first one's
        """As the first feature does."""
        return self.members[0].refuses_silence

    @property
    def sample_rate(self) -> int:  # type: ignore[override]  # theirs
        """The highest of theirs, in Hz."""
        return max(feature.sample_rate for feature in self.members)

    @property
    def frame_rate(self) -> float:
        """Of the first feature."""
        return self.members[0].frame_rate

    @property
    def shape(self) -> tuple[int, ...]:
        """``(values,)``: of all features together."""
        return (sum(self._sizes),)

    @property
    def silence(self) -> float:
        """Of the first feature."""
        return self.members[0].silence

    def parts(self, frames: np.ndarray) -> list[np.ndarray]:
        """The features again.

        Args:
            frames: ``(frames, *self.shape)``.

        Returns:
            For each feature ``(frames, *its shape)``, at the frame rate of the first; views.
        """
        ends = np.cumsum(self._sizes)[:-1]
        return [
            part.reshape(len(frames), *feature.shape)
            for part, feature in zip(np.split(frames, ends, axis=1), self.members, strict=True)
        ]

    def from_blocks(
        self,
        blocks: Iterable[np.ndarray],
        samples: int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> np.ndarray:
        """Features of samples that arrive in blocks, which are kept until all are there.

        Raises:
            AudioError: If there is no sample at all, or one that is not a number.
        """
        del samples
        whole = np.concatenate([np.zeros(0, np.float32), *blocks])
        return self.read(whole, self.sample_rate, dtype)

    def from_file(self, path: Path | str, dtype: DTypeLike = np.float32) -> np.ndarray:
        """Features of an audio file, which is read block by block, once for each of them.

        Raises:
            AudioError: If the file can't be read, or nothing sounds in it where the first feature
                refuses silence.
        """
        return self.read(path, dtype=dtype)

    def read(
        self,
        source: Path | str | np.ndarray,
        sample_rate: int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> np.ndarray:
        """Features of a recording, however it comes; see `Feature.read`."""
        return self._joined(self.read_parts(source, sample_rate, dtype), dtype)

    def read_parts(
        self,
        source: Path | str | np.ndarray,
        sample_rate: int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> list[np.ndarray]:
        """The features of a recording one by one, at the frames of the first."""
        first, *others = self.members
        made = []
        for feature in others:
            if isinstance(source, Path | str):  # not `from_file`: only the first refuses silence
                heard = audio.blocks(source, feature.sample_rate)
                expected = int(audio.duration(source) * feature.sample_rate)
                made.append(feature.from_blocks(heard, expected, dtype))
            else:
                made.append(feature.read(source, sample_rate, dtype))
        frames = first.read(source, sample_rate, dtype)
        pairs = zip(made, others, strict=True)
        return [frames, *(self._brought(part, f.frame_rate, len(frames)) for part, f in pairs)]

    def _brought(self, part: np.ndarray, frame_rate: float, frames: int) -> np.ndarray:
        """A feature at so many frames of the first, interpolated; its last one lasts for ever."""
        brought = np.empty((frames, *part.shape[1:]), part.dtype)
        for start in range(0, frames, ROWS):
            rows = brought[start : start + ROWS]
            times = (start + np.arange(len(rows))) / self.frame_rate
            place = np.minimum(times * frame_rate, len(part) - 1)
            before = place.astype(int)
            after = np.minimum(before + 1, len(part) - 1)
            share = (place - before).reshape(-1, *[1] * (part.ndim - 1))
            rows[:] = (1 - share) * part[before] + share * part[after]
        return brought

    def _joined(self, parts: list[np.ndarray], dtype: DTypeLike) -> np.ndarray:
        """``(frames, *shape)`` from what `read_parts` gives."""
        joined = np.empty((len(parts[0]), *self.shape), dtype)
        for target, part in zip(self.parts(joined), parts, strict=True):
            target[:] = part
        return joined

    @property
    def _sizes(self) -> list[int]:
        return [math.prod(feature.shape) for feature in self.members]
