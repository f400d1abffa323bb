"""Features on a beat clock: frame t is beat t, the mean of the frames from it to the next beat.

What is harmony changes on beats, so chords are often read from one mean a beat (J. P. Bello,
J. Pickens, "A robust mid-level representation for harmonic content in music signals", ISMIR 2005).
`beat_means` and `beat_majority` go from frames to beats, `to_frames` goes back: frames before the
first beat belong to the first, frames after the last to the last.

    means = beat_means(chroma, beats.times, feature.frame_rate)
    chords = to_frames(model(means), beats.times, len(chroma), feature.frame_rate)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from kmir.errors import AnnotationError, UsageError
from kmir.features.base import Feature, feature_from_config
from kmir.features.nnls_chroma import NNLSChroma


@dataclass(frozen=True)
class BeatSynchronous(Feature):
    """A feature of which records hold a mean for each beat: one frame a "second", which is a beat.

    Its frames are made by `beat_means`, since audio alone doesn't tell where its beats are.

    Args:
        source: `config` of the feature that is averaged.
    """

    name = "beat_synchronous"
    source: dict[str, Any] = field(default_factory=lambda: NNLSChroma().config)

    @cached_property
    def averaged(self) -> Feature:
        """The feature that is averaged."""
        return feature_from_config(self.source)

    @property
    def sample_rate(self) -> int:  # type: ignore[override]  # the source's
        """Of the source, in Hz."""
        return self.averaged.sample_rate

    @property
    def first_pitch_class(self) -> int | None:  # type: ignore[override]  # the source's
        """Of the source."""
        return self.averaged.first_pitch_class

    @property
    def linear(self) -> bool:  # type: ignore[override]  # the source's
        """Of the source."""
        return self.averaged.linear

    @property
    def frame_rate(self) -> float:
        """1: the clock counts beats."""
        return 1.0

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the source."""
        return self.averaged.shape

    @property
    def silence(self) -> float:
        """Of the source."""
        return self.averaged.silence

    def from_blocks(
        self,
        blocks: Iterable[np.ndarray],
        samples: int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> np.ndarray:
        """Refuses, as beats are needed.

        Raises:
            UsageError: Always.
        """
        raise UsageError(
            "Expected features and beats, for kmir.features.beat_synchronous.beat_means. "
            f"Received: audio alone. Extract '{self.averaged.name}' instead."
        )


def beat_means(features: np.ndarray, beats: np.ndarray, frame_rate: float) -> np.ndarray:
    """Mean of the frames of each beat.

    The last beat lasts as long as the one before it; what comes before the first beat or after
    that is in no mean. A beat shorter than a frame has the value of the nearest one.

    Args:
        features: ``(frames, *shape)``.
        beats: ``(beats,)`` seconds, ascending, one or more.
        frame_rate: Frames per second.

    Returns:
        ``(beats, *shape)`` float32.

    Raises:
        AnnotationError: If there is no beat.
    """
    spans = _spans(beats, len(features), frame_rate)
    means = [features[start:stop].mean(axis=0, dtype=np.float64) for start, stop in spans]
    return np.stack(means).astype(np.float32)


def beat_majority(classes: np.ndarray, beats: np.ndarray, frame_rate: float) -> np.ndarray:
    """The class that most frames of each beat have; of equals the lowest.

    Args:
        classes: ``(frames,)`` whole numbers, -1 where nothing is known, which does not count.
        beats: As for `beat_means`, and they have the same frames.
        frame_rate: Frames per second.

    Returns:
        ``(beats,)``, -1 where nothing is known of any frame.

    Raises:
        AnnotationError: If there is no beat.
    """
    spans = _spans(beats, len(classes), frame_rate)
    counts = [np.bincount(classes[start:stop] + 1)[1:] for start, stop in spans]
    return np.array([count.argmax() if count.any() else -1 for count in counts])


def to_frames(values: np.ndarray, beats: np.ndarray, frames: int, frame_rate: float) -> np.ndarray:
    """Give every frame the value of its beat.

    Args:
        values: ``(beats, …)``.
        beats: ``(beats,)`` seconds, ascending, one or more.
        frames: How many there are.
        frame_rate: Frames per second.

    Returns:
        ``(frames, …)``.

    Raises:
        AnnotationError: If there is no beat, or not one for each value.
    """
    if len(values) != len(beats) or not len(beats):
        raise AnnotationError(
            f"Expected a beat for each of {len(values)} values. Received: {len(beats)} beats."
        )
    times = np.arange(frames) / frame_rate
    last = np.searchsorted(beats, times, side="right") - 1
    return values[np.maximum(last, 0)]


def _spans(beats: np.ndarray, frames: int, frame_rate: float) -> list[tuple[int, int]]:
    """First frame of each beat, and the first after it; every beat has one frame at least."""
    if not len(beats):
        raise AnnotationError("Expected at least one beat. Received: none.")
    times = np.arange(frames) / frame_rate
    end = 2 * beats[-1] - beats[-2] if len(beats) > 1 else np.inf
    edges = np.searchsorted(times, np.append(beats, end), side="left")
    nearest = np.clip(np.round(beats * frame_rate).astype(int), 0, frames - 1)
    return [
        (int(start), int(stop)) if start < stop else (int(near), int(near) + 1)
        for start, stop, near in zip(edges, edges[1:], nearest, strict=False)
    ]
