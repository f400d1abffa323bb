"""``.beats`` files: in each line a time in seconds and, after a tab or blanks, a place in the bar.

This is how the annotations of Ballroom, GTZAN and Isophonics and the beat trackers of madmom write
beats. The position is 1 for the downbeat, 2 for the next beat …; a file without positions has times
only. Text is UTF-8; blank lines, and lines that begin with ``#``, say nothing. A file with no line
that says something is that of a recording without beats.

Published annotations hold mistakes, and a wrong position makes a wrong downbeat: a position must be
1 or one more than that before it. The first may be any, for a recording may begin within a bar; a 0
says that it is not known, and stands before the first that is. Readers put everything that is wrong
with a file on a list, with its line.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kmir.annotations.lab import cut, read_text, seconds
from kmir.annotations.types import Beats
from kmir.errors import AnnotationError

MOST = 1000  # beats of a bar; longer ones are slips, and some don't fit an integer


@dataclass(frozen=True)
class Found:
    """One beat as it was found, not yet seen beside its neighbours.

    Args:
        place: Where it was found, ``"song.beats:3"``, for messages.
        time: Seconds; NaN where what was found is none.
        position: In the bar; None where there was none, NaN where what was found is none.
        fault: Why one of them is NaN.
    """

    place: str
    time: float
    position: float | None = None
    fault: str = ""


def read_beats(path: Path, problems: list[str], name: str) -> Beats | None:
    """Beats of a ``.beats`` file.

    Args:
        path: The file.
        problems: What is wrong with the file is added, a line each.
        name: What the messages call the file: its path from the root of the data set.

    Returns:
        Beats with positions, or with none; None if there was a problem.
    """
    known = len(problems)
    text = read_text(path, problems, name) or ""
    found = [
        _line(f"{name}:{number}", line)
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    beats = ordered_beats(found, problems)
    bare = [beat.place for beat in found if beat.position is None]
    if bare and any(beat.position is not None and beat.position >= 0 for beat in found):
        problems.append(
            f"{bare[0]}: Expected a position in every line, or in none. Received: "
            f"{len(bare)} of {len(found)} lines without. Add them, or leave them all out."
        )
    return beats if len(problems) == known else None


def write_beats(beats: Beats) -> str:
    """Text of a ``.beats`` file: times to the millisecond, and positions where they are known.

    Raises:
        AnnotationError: If a position is unknown after one that is known: a file can't say so.
    """
    if not beats.positions.any():
        return "".join(f"{time:.3f}\n" for time in beats.times)
    unknown = np.flatnonzero((np.cumsum(beats.positions) > 0) & (beats.positions == 0))
    if unknown.size:
        raise AnnotationError(
            "Expected known positions of all beats after the first that is known, for a .beats "
            f"file. Received: none at {beats.times[unknown[0]]:g} s. Write JSON or JAMS."
        )
    rows = zip(beats.times, beats.positions, strict=True)
    return "".join(f"{time:.3f}\t{position}\n" for time, position in rows)


def ordered_beats(found: Sequence[Found], problems: list[str]) -> Beats | None:
    """Beats as found, checked for their times, their positions and their order.

    Args:
        found: In the order of their file.
        problems: All that is wrong is added.

    Returns:
        The beats, or None if something is wrong.
    """
    known = len(problems)
    last: Found | None = None
    for beat in found:
        problems += [f"{beat.place}: {fault}" for fault in _faults(beat, last)]
        last = replace(beat, time=last.time) if last and math.isnan(beat.time) else beat
    if len(problems) > known:
        return None
    positions = np.array([beat.position or 0 for beat in found], int)
    return Beats(np.array([beat.time for beat in found]), positions)


def tempo_of(beats: Beats) -> float | None:
    """Tempo that follows from beats, in beats per minute.

    That of the mean of all distances within a quarter of the middle one: a beat that is missing
    doesn't count, and times that were rounded even out.

    Returns:
        The tempo; None of fewer than two beats.
    """
    distances = np.diff(beats.times)
    if not len(distances):
        return None
    middle = np.sort(distances)[len(distances) // 2]
    return 60 / float(distances[np.abs(distances - middle) <= middle / 4].mean())


def _line(place: str, line: str) -> Found:
    read = [seconds(word) for word in line.split()]
    numbers = [math.nan if number is None else number for number in read]
    if len(numbers) == 1 and not math.isnan(numbers[0]):
        return Found(place, numbers[0])
    time, position = numbers if len(numbers) == 2 else (math.nan, math.nan)
    if not math.isnan(time + position):
        return Found(place, time, position)
    fault = (
        "Expected seconds and, if it is known, a position in the bar, separated by a tab or "
        f"blanks. Received: '{cut(line.strip())}'. Correct the line."
    )
    return Found(place, time, position, fault)


def _faults(beat: Found, last: Found | None) -> Iterator[str]:
    """What is wrong with a beat, alone and after the one before it."""
    if beat.fault:
        yield beat.fault
    if beat.time < 0:
        yield f"Expected times from 0. Received: {beat.time:g}. Correct it."
    elif last and beat.time < last.time:
        yield (
            f"Expected beats in order of time. Received: {beat.time:g}, after {last.time:g} "
            "before it. Sort them."
        )
    elif last and beat.time == last.time:
        yield f"Expected each time once. Received: {beat.time:g} again. Remove one of the two."
    if beat.position is None or math.isnan(beat.position):
        return
    before = last.position if last else None
    if beat.position == 0 and not before:
        return  # not known, as none before it
    if not _counts(beat.position):
        yield (
            f"Expected a position in the bar of 1, the downbeat, or 2, 3 … {MOST}. "
            f"Received: {beat.position:g}. Correct it."
        )
    elif before is not None and _counts(before) and beat.position not in (1, before + 1):
        yield (
            f"Expected position 1 or {before + 1:g} after {before:g} before it. "
            f"Received: {beat.position:g}. Correct it, or add what is missing between them."
        )


def _counts(position: float) -> bool:
    return 1 <= position <= MOST and position.is_integer()
