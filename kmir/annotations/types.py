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


def _array(values: Any, name: str, dtype: type = np.float64) -> Array:
    """``(n,)`` copy that nobody can write to."""
    array: Array = np.array(values, dtype, ndmin=1)
    if array.ndim != 1:
        raise AnnotationError(f"Expected {name} as (n,). Received: shape {array.shape}.")
    array.setflags(write=False)
    return array


def _check_range(values: Array, name: str, low: float, high: float = np.inf) -> None:
    """Refuse values outside [low, high], and what is infinite or no number."""
    wrong = values[~(np.isfinite(values) & (values >= low) & (values <= high))]
    if wrong.size:
        most = "" if high == np.inf else f" to {high:g}"
        raise AnnotationError(f"Expected {name} from {low:g}{most}. Received: {wrong.flat[0]}.")


def _times(values: Any, name: str) -> Array:
    times = _array(values, name)
    _check_range(times, f"{name} in seconds", 0)
    return times


def _intervals(values: Any) -> Array:
    intervals = np.array(values, np.float64)
    if intervals.size == 0:
        intervals = intervals.reshape(0, 2)
    if intervals.ndim != 2 or intervals.shape[1] != 2:
        raise AnnotationError(f"Expected intervals as (n, 2). Received: shape {intervals.shape}.")
    _check_range(intervals, "intervals in seconds", 0)
    intervals.setflags(write=False)
    backward = np.flatnonzero(intervals[:, 1] < intervals[:, 0])
    if backward.size:
        start, end = intervals[backward[0]]
        raise AnnotationError(
            f"Expected an interval to end after it starts. Received: {start} to {end}."
        )
    return intervals


def _check_increasing(times: Array, name: str) -> None:
    late = np.flatnonzero(np.diff(times) <= 0)
    if late.size:
        first, second = times[late[0]], times[late[0] + 1]
        raise AnnotationError(f"Expected {name} that increase. Received: {first}, then {second}.")


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
        scores = _array(np.ones(len(labels)) if self.scores is None else self.scores, "scores")
        _same_length("scores", scores, len(labels))
        _check_range(scores, "scores", 0, 1)
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

    def at(self, times: Array) -> Array:
        """Which segment each time lies in, if they are in order and don't overlap.

        Args:
            times: ``(n,)`` seconds.

        Returns:
            ``(n,)`` numbers of segments, -1 in gaps and beyond the ends; at a border, the later
            one's.
        """
        if not len(self.labels):
            return np.full(len(times), -1)
        starts, ends = self.intervals.T
        where = np.searchsorted(starts, times, side="right") - 1
        return np.where((where >= 0) & (times < ends[where]), where, -1)


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
        _check_increasing(times, "beat times")
        given = np.zeros(len(times)) if self.positions is None else self.positions
        positions = _array(given, "positions", int)
        _same_length("positions", positions, len(times))
        _check_range(positions, "positions", 0)
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
        pitches = _array(self.pitches, "pitches")
        given = np.full(len(pitches), 100.0) if self.velocities is None else self.velocities
        velocities = _array(given, "velocities")
        _same_length("pitches", pitches, len(intervals))
        _same_length("velocities", velocities, len(intervals))
        _check_range(pitches, "pitches", 0, 127)
        _check_range(velocities, "velocities", 0, 127)
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
        _check_increasing(times, "pitch times")
        frequencies = _array(self.frequencies, "frequencies")
        _same_length("frequencies", frequencies, len(times))
        _check_range(frequencies, "frequencies", 0)
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "frequencies", frequencies)
