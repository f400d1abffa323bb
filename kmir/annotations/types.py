"""What can be known of a track: tags, segments, beats, notes and pitch, in seconds.

Conventions, as in mir_eval: times are seconds in float64 from the start of the recording;
``intervals`` are ``(n, 2)`` with start and end; pitches of notes are MIDI numbers; frequencies are
Hz, 0 where unvoiced. All types are immutable and validate themselves when made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kmir.errors import AnnotationError

Array = np.ndarray[Any, np.dtype[Any]]


def _times(values: Any, name: str) -> Array:
    times = np.atleast_1d(np.asarray(values, dtype=np.float64))
    if times.size and (not np.isfinite(times).all() or times.min() < 0):
        raise AnnotationError(f"Expected {name} as finite seconds from 0. Received: {times.min()}.")
    return times


def _intervals(values: Any) -> Array:
    intervals = _times(values, "intervals").reshape(-1, 2)
    backward = np.flatnonzero(intervals[:, 1] < intervals[:, 0])
    if backward.size:
        start, end = intervals[backward[0]]
        raise AnnotationError(
            f"Expected an interval to end after it starts. Received: {start} to {end}."
        )
    return intervals


def _same_length(name: str, values: Any, count: int) -> None:
    if len(values) != count:
        raise AnnotationError(
            f"Expected {count} {name}, one for each time. Received: {len(values)}."
        )


@dataclass(frozen=True, eq=False)
class Tags:
    """Words that hold for a whole track.

    Args:
        labels: The words, each once.
        scores: ``(n,)`` confidence of each in [0, 1]; 1 for a reference.
    """

    labels: tuple[str, ...]
    scores: Array = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        labels = tuple(self.labels)
        scores = (
            np.ones(len(labels)) if self.scores is None else np.asarray(self.scores, np.float64)
        )
        _same_length("scores", scores, len(labels))
        if len(set(labels)) != len(labels):
            raise AnnotationError(f"Expected each tag once. Received: {list(labels)}.")
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "scores", scores)

    def top(self, k: int) -> Tags:
        """The k tags with the highest scores, best first."""
        order = np.argsort(-self.scores, kind="stable")[:k]
        return Tags(tuple(self.labels[i] for i in order), self.scores[order])


@dataclass(frozen=True, eq=False)
class Segments:
    """Labelled stretches of time: chords, keys, sections.

    Args:
        intervals: ``(n, 2)`` start and end in seconds.
        labels: One for each interval.
    """

    intervals: Array
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "intervals", _intervals(self.intervals))
        object.__setattr__(self, "labels", tuple(self.labels))
        _same_length("labels", self.labels, len(self.intervals))


@dataclass(frozen=True, eq=False)
class Beats:
    """Beat times with their place in the bar.

    Args:
        times: ``(n,)`` seconds, strictly increasing.
        positions: ``(n,)`` 1 for the downbeat, 2 for the next beat …; 0 where not known.
    """

    times: Array
    positions: Array = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        times = _times(self.times, "beat times")
        if (np.diff(times) <= 0).any():
            raise AnnotationError(
                "Expected beat times that increase. Received: times out of order."
            )
        positions = (
            np.zeros(len(times), int) if self.positions is None else np.asarray(self.positions, int)
        )
        _same_length("positions", positions, len(times))
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "positions", positions)

    @property
    def downbeats(self) -> Array:
        """Times of the first beats of bars, seconds."""
        return self.times[self.positions == 1]


@dataclass(frozen=True, eq=False)
class Notes:
    """Notes with onset, offset and pitch.

    Args:
        intervals: ``(n, 2)`` onset and offset in seconds.
        pitches: ``(n,)`` MIDI note numbers, 69 = A4.
        velocities: ``(n,)`` in [0, 127].
    """

    intervals: Array
    pitches: Array
    velocities: Array = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        intervals = _intervals(self.intervals)
        pitches = np.asarray(self.pitches, np.float64)
        given = np.full(len(pitches), 100.0) if self.velocities is None else self.velocities
        velocities = np.asarray(given, np.float64)
        _same_length("pitches", pitches, len(intervals))
        _same_length("velocities", velocities, len(intervals))
        object.__setattr__(self, "intervals", intervals)
        object.__setattr__(self, "pitches", pitches)
        object.__setattr__(self, "velocities", velocities)


@dataclass(frozen=True, eq=False)
class Pitch:
    """A fundamental frequency over time, such as a melody.

    Args:
        times: ``(n,)`` seconds, increasing.
        frequencies: ``(n,)`` Hz, 0 where nothing sounds.
    """

    times: Array
    frequencies: Array

    def __post_init__(self) -> None:
        times = _times(self.times, "pitch times")
        frequencies = np.asarray(self.frequencies, np.float64)
        _same_length("frequencies", frequencies, len(times))
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "frequencies", frequencies)
