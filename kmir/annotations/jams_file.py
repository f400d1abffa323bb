"""JAMS files: annotations of one recording as JSON (Humphrey et al., ISMIR 2014).

Read and written by the library ``jams``, which is an extra: ``pip install kmir[jams]``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kmir
from kmir.annotations.beats_file import Found, ordered_beats
from kmir.annotations.bundle import Annotations
from kmir.annotations.lab import Span, chord_segments, cut
from kmir.annotations.types import Beats, Segments, Tags
from kmir.errors import AnnotationError, UsageError

# Time, duration, value and confidence, as they stand in the file, in order of time.
Entries = list[tuple[Any, Any, Any, Any]]


def read_jams(path: Path, problems: list[str], name: str) -> Annotations | None:
    """Chords, beats and tempo of a JAMS file, as far as it has them.

    Of each, the first annotation counts. Where a beat has no value, its position is not known; of
    several tempi, that of the highest confidence counts.

    Args:
        path: The file.
        problems: What is wrong with the file is added, a line each; entries of an annotation are
            counted from 0, in order of time.
        name: What the messages call the file: its path from the root of the data set.

    Returns:
        Chords as segments in order of time that don't overlap, with labels in Harte's syntax;
        beats; tempo. None if there was a problem.

    Raises:
        UsageError: If the library is not installed.
    """
    jams = _library()
    known = len(problems)
    found: dict[str, tuple[str, Entries]] = {}
    kinds = set()
    try:
        for annotation in jams.load(str(path), validate=False).annotations:
            kinds.add(annotation.namespace)
            field = NAMESPACES.get(annotation.namespace)
            if field and field not in found:
                rows = [(e.time, e.duration, e.value, e.confidence) for e in annotation.data]
                found[field] = (annotation.namespace, rows)
    except OSError as error:
        problems.append(f"{name}: Expected a file to read. Received: {error.strerror}.")
        return None
    except (
        ValueError, TypeError, KeyError, AttributeError, OverflowError, jams.JamsError
    ) as error:  # fmt: skip
        problems.append(f"{name}: Expected a JAMS file. Received: {error}. Export it again.")
        return None
    if not found:
        problems.append(
            f"{name}: Expected an annotation of namespace {' or '.join(NAMESPACES)}. Received: "
            f"{', '.join(sorted(kinds)) or 'none'}. Add one, or remove the file."
        )
        return None
    values = {
        field: READERS[field](entries, problems, name, namespace)
        for field, (namespace, entries) in found.items()
    }
    return Annotations(**values) if len(problems) == known else None


# === Annotations → text ===


def chords_to_jams(chords: Segments, *, duration: float, title: str = "") -> str:
    """Text of a JAMS file with one chord annotation, made by kmir.

    Args:
        chords: Segments with labels in Harte's syntax.
        duration: Of the recording, seconds.
        title: Of the recording.

    Raises:
        AnnotationError: If the duration is not above 0.
        UsageError: If the library is not installed.
    """
    observations = [
        {"time": float(start), "duration": float(end - start), "value": label}
        for (start, end), label in zip(chords.intervals, chords.labels, strict=True)
    ]
    return _jams_text({"chord": observations}, duration, title)


def beats_to_jams(beats: Beats, tempo: float | None, *, duration: float, title: str = "") -> str:
    """Text of a JAMS file with an annotation of beats, made by kmir, and one of the tempo.

    Args:
        beats: Their positions are the values; null where they are not known.
        tempo: Beats per minute, for the whole recording; None leaves it out.
        duration: Of the recording, seconds.
        title: Of the recording.

    Raises:
        AnnotationError: If the duration is not above 0.
        UsageError: If the library is not installed.
    """
    rows = zip(beats.times.tolist(), beats.positions.tolist(), strict=True)
    observations = {
        "beat": [{"time": time, "duration": 0.0, "value": place or None} for time, place in rows]
    }
    if tempo is not None:
        # The namespace wants a confidence; the only tempo has all of it.
        whole = {"time": 0.0, "duration": float(duration), "value": tempo, "confidence": 1.0}
        observations["tempo"] = [whole]
    return _jams_text(observations, duration, title)


def tags_to_jams(tags: Tags, *, duration: float, title: str = "") -> str:
    """Text of a JAMS file with one annotation of open tags, made by kmir.

    Args:
        tags: Each holds for the whole recording, with its score as confidence.
        duration: Of the recording, seconds.
        title: Of the recording.

    Raises:
        AnnotationError: If the duration is not above 0.
        UsageError: If the library is not installed.
    """
    observations = [
        {"time": 0.0, "duration": float(duration), "value": tag, "confidence": float(score)}
        for tag, score in zip(tags.labels, tags.scores, strict=True)
    ]
    return _jams_text({"tag_open": observations}, duration, title)


def _jams_text(observations: dict[str, list[dict[str, Any]]], duration: float, title: str) -> str:
    """Text of a JAMS file with an annotation of each namespace."""
    if not 0 < duration < math.inf:
        raise AnnotationError(f"Expected a duration above 0. Received: {duration}.")
    jams = _library()
    jam = jams.JAMS()
    for namespace, entries in observations.items():
        annotation = jams.Annotation(namespace, time=0.0, duration=float(duration))
        annotation.annotation_metadata = jams.AnnotationMetadata(
            annotation_tools=f"kmir {kmir.__version__}", data_source="program"
        )
        for entry in entries:
            annotation.append(**entry)
        jam.annotations.append(annotation)
    jam.file_metadata.duration = float(duration)
    jam.file_metadata.title = title
    jam.validate()
    text: str = jam.dumps(indent=1)
    return f"{text}\n"


# === Entries → annotations ===


def _chords(entries: Entries, problems: list[str], name: str, namespace: str) -> Segments | None:
    """Chords of entries whose times are numbers and whose values are texts."""
    known = len(problems)
    spans = []
    for index, (time, duration, value, _) in enumerate(entries):
        numbers = [number for number in (time, duration) if _is_number(number)]
        if len(numbers) < 2 or not isinstance(value, str):
            problems.append(
                f"{name}[{index}]: Expected time and duration in seconds and a label. Received: "
                f"{cut(f'{time}, {duration}, {value}')}. Correct the entry."
            )
            continue
        spans.append(Span(f"{name}[{index}]", float(time), float(time + duration), value))
    if not spans and len(problems) > known:
        return None
    return chord_segments(spans, problems, name)


def _beats(entries: Entries, problems: list[str], name: str, namespace: str) -> Beats | None:
    found = []
    for index, (time, _, value, _) in enumerate(entries):
        place = f"{name}:{namespace}[{index}]"
        position = value.get("position") if isinstance(value, dict) else value
        fault = ""
        if not _is_number(time) or not (position is None or _is_number(position)):
            fault = (
                "Expected seconds and a position in the bar or null. Received: "
                f"{cut(f'{time}, {position}')}. Correct the entry."
            )
        known = None if position is None else _number(position)
        found.append(Found(place, _number(time), known, fault))
    return ordered_beats(found, problems)


def _tempo(entries: Entries, problems: list[str], name: str, namespace: str) -> float | None:
    wrong = [
        f"{name}:{namespace}[{index}]: Expected a tempo above 0. Received: {cut(str(value))}. "
        "Correct the entry."
        for index, (_, _, value, _) in enumerate(entries)
        if not _is_number(value) or value <= 0
    ]
    if not entries:
        wrong = [f"{name}:{namespace}: Expected a tempo. Received: none. Remove the annotation."]
    problems += wrong
    if wrong:
        return None
    return float(max(entries, key=lambda entry: entry[3] if _is_number(entry[3]) else 0)[2])


# Namespaces that are read, and the fields of `Annotations` that they hold.
NAMESPACES = {
    "chord": "chords",
    "chord_harte": "chords",
    "beat": "beats",
    "beat_position": "beats",
    "tempo": "tempo",
}
READERS: dict[str, Callable[[Entries, list[str], str, str], Any]] = {
    "chords": _chords,
    "beats": _beats,
    "tempo": _tempo,
}


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # JSON has integers of any length
        return False


def _number(value: Any) -> float:
    return float(value) if _is_number(value) else math.nan


def _library() -> Any:
    """The module ``jams``, imported when it is needed: it brings pandas along."""
    try:
        import jams
    except ModuleNotFoundError as error:
        raise UsageError(
            f"Expected the library jams, which reads and writes JAMS files. Received: "
            f"{error}. Install it: pip install kmir[jams]."
        ) from None
    return jams
