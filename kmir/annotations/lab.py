"""``.lab`` files: a start, an end and a label in each line, in seconds, between tabs or blanks.

This is how Isophonics, McGill Billboard and most chord recognisers write chords. Text is UTF-8;
blank lines, and lines that begin with ``#``, say nothing. Readers put everything that is wrong with
a file on a list, with its line, so that a data set can tell all its problems at once.

Published files are rounded, and that is no fault: neighbours that overlap by up to `TOLERANCE`
meet where the first one ends, and a segment whose end is its start is left out. Gaps stay gaps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from kmir.annotations.chords import parse
from kmir.annotations.types import Segments
from kmir.errors import AnnotationError

TOLERANCE = 0.01  # seconds
WIDEST = 60  # characters of a line that a message repeats


@dataclass(frozen=True)
class Span:
    """One labelled stretch of time as it was found, not yet seen beside its neighbours.

    Args:
        place: Where it was found, ``"song.lab:3"``, for messages.
        start: Seconds.
        end: Seconds.
        label: What it is called.
    """

    place: str
    start: float
    end: float
    label: str


def read_chords(path: Path, problems: list[str], name: str) -> Segments | None:
    """Chords of a ``.lab`` file.

    Args:
        path: The file.
        problems: What is wrong with the file is added, a line each.
        name: What the messages call the file: its path from the root of the data set.

    Returns:
        Segments in order of time that don't overlap, with labels in Harte's syntax; None if there
        was a problem.
    """
    known = len(problems)
    spans = read_spans(path, problems, name)
    if not spans and len(problems) > known:
        return None
    segments = chord_segments(spans, problems, name)
    return segments if len(problems) == known else None


def write_chords(chords: Segments) -> str:
    """Text of a ``.lab`` file: start, end and label between tabs, to the microsecond."""
    rows = zip(chords.intervals, chords.labels, strict=True)
    return "".join(f"{start:.6f}\t{end:.6f}\t{label}\n" for (start, end), label in rows)


def read_spans(path: Path, problems: list[str], name: str) -> list[Span]:
    """Lines of a ``.lab`` file, whatever their labels mean.

    Args:
        path: The file.
        problems: Lines that are no start, end and label are added.
        name: What the messages call the file.

    Returns:
        The other lines, in their order.
    """
    spans: list[Span] = []
    text = read_text(path, problems, name) or ""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        words = line.split(maxsplit=2)
        times = [seconds(word) for word in words[:2]]
        if len(words) < 3 or None in times:
            problems.append(
                f"{name}:{number}: Expected start and end in seconds and a label, separated by "
                f"tabs or blanks. Received: '{cut(line.strip())}'. Correct the line."
            )
            continue
        start, end = (time for time in times if time is not None)
        spans.append(Span(f"{name}:{number}", start, end, words[2].rstrip()))
    return spans


def chord_segments(spans: list[Span], problems: list[str], name: str) -> Segments | None:
    """Spans as chords: checked for their labels, their times and their order.

    Args:
        spans: In the order of their file.
        problems: All that is wrong is added.
        name: What the messages call the file.

    Returns:
        As for `read_chords`.
    """
    known = len(problems)
    for span in spans:
        try:
            parse(span.label)
        except AnnotationError as error:
            problems.append(f"{span.place}: {error} Correct the label.")
    segments = ordered_segments(spans, problems, name)
    return segments if len(problems) == known else None


def ordered_segments(spans: Iterable[Span], problems: list[str], name: str) -> Segments | None:
    """Spans as segments in order of time that don't overlap.

    Args:
        spans: In the order of their file.
        problems: Times below 0 or backwards, disorder and overlaps are added; also that there is
            nothing at all.
        name: What the messages call the file.

    Returns:
        The segments, or None if there was a problem.
    """
    known = len(problems)
    kept: list[Span] = []
    last: Span | None = None
    for span in spans:
        fault = _fault(span, last)
        if fault:
            problems.append(f"{span.place}: {fault}")
        end = kept[-1].end if kept else 0.0
        clipped = replace(span, start=max(span.start, end))
        if not fault and clipped.start < clipped.end:
            kept.append(clipped)
        last = span
    if not kept and len(problems) == known:
        received = "an empty annotation" if last is None else "only segments of no length"
        problems.append(f"{name}: Expected one segment or more. Received: {received}. Remove it.")
    if len(problems) > known:
        return None
    return Segments([(span.start, span.end) for span in kept], tuple(s.label for s in kept))  # type: ignore[arg-type]


def read_text(path: Path, problems: list[str], name: str) -> str | None:
    """Text of an annotation file; None, and a problem more, if it can't be read as UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        problems.append(
            f"{name}: Expected UTF-8 text. Received: {error.reason} at byte {error.start}. "
            "Save it as UTF-8."
        )
    except OSError as error:
        problems.append(f"{name}: Expected a file to read. Received: {error.strerror}.")
    return None


def seconds(word: str) -> float | None:
    """A time from its text, or None if it is not a finite number."""
    try:
        time = float(word)
    except ValueError:
        return None
    return time if math.isfinite(time) else None


def cut(text: str) -> str:
    """What a message repeats of a line: all of it, or its beginning."""
    return text if len(text) <= WIDEST else f"{text[:WIDEST]}…"


def _fault(span: Span, last: Span | None) -> str | None:
    """What is wrong with a span's times, alone and after the one before it."""
    times = f"{span.start:g} to {span.end:g}"
    if span.start < 0:
        return f"Expected times from 0. Received: {times}. Correct the line."
    if span.end < span.start:
        return f"Expected an end after the start. Received: {times}. Correct the line."
    if last is None:
        return None
    before = f"after {last.start:g} to {last.end:g} before it"
    if span.start < last.start - TOLERANCE:
        return f"Expected lines in order of time. Received: {times}, {before}. Sort the file."
    if span.start < last.end - TOLERANCE:
        return (
            f"Expected segments that don't overlap. Received: {times}, {before}. "
            "Correct one of them."
        )
    return None
