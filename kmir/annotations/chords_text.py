"""Chords as text: a table, CSV, JSON, ``.lab`` and JAMS."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kmir.annotations.jams_file import chords_to_jams
from kmir.annotations.lab import write_chords
from kmir.annotations.recording import Recording, as_csv, as_json


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
    return as_csv(
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
    return as_json(entries)


def chords_lab(recordings: Sequence[Recording]) -> str:
    """A ``.lab`` file."""
    (recording,) = recordings
    return write_chords(recording.chords)


def chords_jams(recordings: Sequence[Recording]) -> str:
    """A JAMS file, namespace ``chord``."""
    (recording,) = recordings
    return chords_to_jams(recording.chords, duration=recording.duration(), title=recording.title)
