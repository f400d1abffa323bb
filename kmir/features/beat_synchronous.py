"""Features on a beat clock: frame t is beat t, the means of the frames from it to the next beat.

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

from kmir.errors import AnnotationError, UsageError, check_values
from kmir.features.base import Feature, feature_from_config, settle
from kmir.features.nnls_chroma import NNLSChroma


@dataclass(frozen=True)
class BeatSynchronous(Feature):
    """A feature of which records hold means for each beat: one frame a "second", which is a beat.

    Its frames are made by `between`, since audio alone doesn't tell where its beats are.

    Args:
        source: `config` of the feature that is averaged, whose frames are ``(bins,)``.
        subdivisions: Means of each beat, side by side: where in a beat something happens.
    """

    name = "beat_synchronous"
    source: dict[str, Any] = field(default_factory=lambda: NNLSChroma().config)
    subdivisions: int = 1

    def __post_init__(self) -> None:
        settle(self)
        flat = len(self.averaged.shape) == 1
        rules = (
            ("source", flat, "with frames of shape (bins,)"),
            ("subdivisions", self.subdivisions >= 1, "from 1"),
        )
        check_values(vars(self), rules)

    def between(self, frames: np.ndarray, beats: np.ndarray, frame_rate: float) -> np.ndarray:
        """The feature from frames of its source, and beats.

        Args:
            frames: ``(frames, bins)``.
            beats: ``(beats,)`` seconds, ascending, one or more.
            frame_rate: Of the frames; the source's own, or another to which they were brought.

        Returns:
            ``(beats, subdivisions * bins)`` float32.

        Raises:
            AnnotationError: If there is no beat.
        """
        if not len(beats):
            raise _no_beat()
        # The last one lasts as long as that before, a single one to the end.
        rest = max(len(frames) / frame_rate - beats[-1], 0.0)
        edges = np.append(beats, beats[-1] + (beats[-1] - beats[-2] if len(beats) > 1 else rest))
        places = np.arange(len(beats) * self.subdivisions) / self.subdivisions
        means = beat_means(frames, np.interp(places, np.arange(len(edges)), edges), frame_rate)
        return means.reshape(len(beats), -1)

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
        """``(subdivisions * bins,)``."""
        return (self.subdivisions * self.averaged.shape[0],)

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
            f"Expected beats beside the audio, for {self.name}. Received: audio alone. Take "
            f"tracks with beats, or '{self.averaged.name}'."
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
        raise _no_beat()
    times = np.arange(frames) / frame_rate
    end = 2 * beats[-1] - beats[-2] if len(beats) > 1 else np.inf
    edges = np.searchsorted(times, np.append(beats, end), side="left")
    nearest = np.clip(np.round(beats * frame_rate).astype(int), 0, frames - 1)
    return [
        (int(start), int(stop)) if start < stop else (int(near), int(near) + 1)
        for start, stop, near in zip(edges, edges[1:], nearest, strict=False)
    ]


def _no_beat() -> AnnotationError:
    return AnnotationError("Expected at least one beat. Received: none.")
