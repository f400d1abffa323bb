"""JAMS files: annotations of one recording as JSON (Humphrey et al., ISMIR 2014).

Read and written by the library ``jams``, which is an extra: ``pip install kmir[jams]``.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import kmir
from kmir.annotations.lab import Span, chord_segments
from kmir.annotations.types import Segments, Tags
from kmir.errors import AnnotationError, UsageError

NAMESPACES = ("chord", "chord_harte")  # two names of Harte's syntax


def read_jams_chords(path: Path, problems: list[str], name: str) -> Segments | None:
    """Chords of a JAMS file: those of its first chord annotation.

    Args:
        path: The file.
        problems: What is wrong with the file is added, a line each; entries of the annotation are
            counted from 0, in order of time.
        name: What the messages call the file: its path from the root of the data set.

    Returns:
        Segments in order of time that don't overlap, with labels in Harte's syntax; None if there
        was a problem.

    Raises:
        UsageError: If the library is not installed.
    """
    jams = _library()
    known = len(problems)
    try:
        annotations = jams.load(str(path), validate=False).annotations
        found = next((a for a in annotations if a.namespace in NAMESPACES), None)
        entries = None if found is None else [(e.time, e.duration, e.value) for e in found.data]
    except OSError as error:
        problems.append(f"{name}: Expected a file to read. Received: {error.strerror}.")
        return None
    except (ValueError, TypeError, KeyError, AttributeError, jams.JamsError) as error:
        problems.append(f"{name}: Expected a JAMS file. Received: {error}. Export it again.")
        return None
    if entries is None:
        kinds = ", ".join(sorted({a.namespace for a in annotations})) or "none"
        problems.append(
            f"{name}: Expected an annotation of namespace {' or '.join(NAMESPACES)}. Received: "
            f"{kinds}. Add one, or remove the file."
        )
        return None
    spans = _spans(entries, problems, name)
    if not spans and len(problems) > known:
        return None
    segments = chord_segments(spans, problems, name)
    return segments if len(problems) == known else None


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
    return _jams_text("chord", observations, duration, title)


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
    return _jams_text("tag_open", observations, duration, title)


def _jams_text(
    namespace: str, observations: list[dict[str, Any]], duration: float, title: str
) -> str:
    """Text of a JAMS file with one annotation."""
    if not 0 < duration < math.inf:
        raise AnnotationError(f"Expected a duration above 0. Received: {duration}.")
    jams = _library()
    annotation = jams.Annotation(namespace, time=0.0, duration=float(duration))
    annotation.annotation_metadata = jams.AnnotationMetadata(
        annotation_tools=f"kmir {kmir.__version__}", data_source="program"
    )
    for observation in observations:
        annotation.append(**observation)
    jam = jams.JAMS(annotations=[annotation])
    jam.file_metadata.duration = float(duration)
    jam.file_metadata.title = title
    jam.validate()
    text: str = jam.dumps(indent=1)
    return f"{text}\n"


def _spans(entries: list[tuple[Any, Any, Any]], problems: list[str], name: str) -> list[Span]:
    """Entries of a chord annotation whose times are numbers and whose values are texts."""
    spans = []
    for index, (time, duration, value) in enumerate(entries):
        numbers = [number for number in (time, duration) if _is_time(number)]
        if len(numbers) < 2 or not isinstance(value, str):
            problems.append(
                f"{name}[{index}]: Expected time and duration in seconds and a label. Received: "
                f"{time}, {duration}, {value}. Correct the entry."
            )
            continue
        spans.append(Span(f"{name}[{index}]", float(time), float(time + duration), value))
    return spans


def _is_time(number: Any) -> bool:
    return isinstance(number, int | float) and math.isfinite(number)


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
