"""Annotations as text: tables for the terminal, CSV, JSON, and the formats of the field.

`FORMATS` says which kind of annotation can be written in which format. Formats of the field,
``.lab`` and JAMS, hold one recording a file; the others any number.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from kmir.annotations.bundle import Annotations
from kmir.annotations.jams_file import chords_to_jams, tags_to_jams
from kmir.annotations.lab import write_chords
from kmir.annotations.types import Segments, Tags
from kmir.errors import AnnotationError

BAR_WIDTH = 20

T = TypeVar("T")


@dataclass(frozen=True)
class Recording:
    """What is known of one recording, and what a file about it says besides.

    Args:
        file: Name of the audio file.
        annotations: What is known.
        duration: Gives its length in seconds; only formats that tell it ask.
    """

    file: str
    annotations: Annotations
    duration: Callable[[], float]

    @property
    def tags(self) -> Tags:
        """Tags, highest score first."""
        tags = self._known("tags", self.annotations.tags)
        return tags.top(len(tags.labels))

    @property
    def chords(self) -> Segments:
        """Chord segments."""
        return self._known("chords", self.annotations.chords)

    def _known(self, kind: str, value: T | None) -> T:
        if value is None:
            known = ", ".join(self.annotations.known) or "nothing"
            raise AnnotationError(f"Expected {kind} to write. Received: {known}.")
        return value


@dataclass(frozen=True)
class Format:
    """How one kind of annotation becomes text.

    Args:
        write: The text of some recordings.
        single: Whether it holds one recording only.
    """

    write: Callable[[Sequence[Recording]], str]
    single: bool = False


# === Tags ===


def tags_table(recordings: Iterable[Recording]) -> str:
    """Each file with its tags, scores and bars."""
    lines = []
    for recording in recordings:
        tags = recording.tags
        width = max(map(len, tags.labels), default=0)
        lines.append(recording.file)
        for tag, score in zip(tags.labels, tags.scores, strict=True):
            lines.append(f"  {tag:{width}}  {score:.3f}  {'█' * round(score * BAR_WIDTH)}".rstrip())
    return "".join(f"{line}\n" for line in lines)


def tags_csv(recordings: Iterable[Recording]) -> str:
    """Rows ``file,tag,score``."""
    return _csv(
        ("file", "tag", "score"),
        (
            (recording.file, tag, f"{score:.4f}")
            for recording in recordings
            for tag, score in zip(recording.tags.labels, recording.tags.scores, strict=True)
        ),
    )


def tags_json(recordings: Iterable[Recording]) -> str:
    """A list of ``{"file": …, "tags": {tag: score}}``."""
    entries = []
    for recording in recordings:
        pairs = zip(recording.tags.labels, recording.tags.scores, strict=True)
        scores = {tag: round(float(score), 4) for tag, score in pairs}
        entries.append({"file": recording.file, "tags": scores})
    return _json(entries)


def tags_jams(recordings: Sequence[Recording]) -> str:
    """A JAMS file, namespace ``tag_open``, with scores as confidence."""
    (recording,) = recordings
    return tags_to_jams(recording.tags, duration=recording.duration(), title=_title(recording))


# === Chords ===


def chords_table(recordings: Iterable[Recording]) -> str:
    """Each file with a line for each chord: start and end in seconds, and the label."""
    lines = []
    for recording in recordings:
        chords = recording.chords
        width = len(f"{chords.intervals.max(initial=0.0):.2f}")
        lines.append(recording.file)
        for (start, end), label in zip(chords.intervals, chords.labels, strict=True):
            lines.append(f"  {start:{width}.2f}  {end:{width}.2f}  {label}")
    return "".join(f"{line}\n" for line in lines)


def chords_csv(recordings: Iterable[Recording]) -> str:
    """Rows ``file,start,end,chord``, times to the millisecond."""
    return _csv(
        ("file", "start", "end", "chord"),
        (
            (recording.file, f"{start:.3f}", f"{end:.3f}", label)
            for recording in recordings
            for (start, end), label in zip(
                recording.chords.intervals, recording.chords.labels, strict=True
            )
        ),
    )


def chords_json(recordings: Iterable[Recording]) -> str:
    """A list of ``{"file": …, "chords": [{"start": …, "end": …, "chord": …}]}``."""
    entries = []
    for recording in recordings:
        chords = recording.chords
        rows = [
            {"start": round(float(start), 3), "end": round(float(end), 3), "chord": label}
            for (start, end), label in zip(chords.intervals, chords.labels, strict=True)
        ]
        entries.append({"file": recording.file, "chords": rows})
    return _json(entries)


def chords_lab(recordings: Sequence[Recording]) -> str:
    """A ``.lab`` file."""
    (recording,) = recordings
    return write_chords(recording.chords)


def chords_jams(recordings: Sequence[Recording]) -> str:
    """A JAMS file, namespace ``chord``."""
    (recording,) = recordings
    return chords_to_jams(recording.chords, duration=recording.duration(), title=_title(recording))


# === What can be written in which format ===

FORMATS: Mapping[str, Mapping[str, Format]] = {
    "tags": {
        "table": Format(tags_table),
        "csv": Format(tags_csv),
        "json": Format(tags_json),
        "jams": Format(tags_jams, single=True),
    },
    "chords": {
        "table": Format(chords_table),
        "csv": Format(chords_csv),
        "json": Format(chords_json),
        "lab": Format(chords_lab, single=True),
        "jams": Format(chords_jams, single=True),
    },
}


def _csv(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def _json(entries: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps(entries, indent=1, ensure_ascii=False) + "\n"


def _title(recording: Recording) -> str:
    return Path(recording.file).stem
