"""Beats and tempo as text: a table, CSV, JSON, ``.beats``, JAMS and Audacity's labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from kmir.annotations.beats_file import write_beats
from kmir.annotations.jams_file import beats_to_jams
from kmir.annotations.recording import Recording, as_csv, as_json
from kmir.annotations.types import Beats


def beats_table(recordings: Iterable[Recording]) -> str:
    """Each file with its tempo, and a line for each beat: seconds, and bar and beat as ``2.1``.

    The first downbeat begins bar 1; what is before it is of bar 0.
    """
    lines = []
    for recording in recordings:
        beats, tempo = recording.beats, recording.annotations.tempo
        width = len(f"{beats.times.max(initial=0.0):.2f}")
        lines.append(recording.file)
        lines += [] if tempo is None else [f"  {tempo:.1f} BPM"]
        lines += [] if len(beats.times) else ["  no beats"]
        for (time, position), bar in zip(_rows(beats), _bars(beats), strict=True):
            place = f"  {bar}.{position}" if position else ""
            lines.append(f"  {time:{width}.2f}{place}")
    return "".join(f"{line}\n" for line in lines)


def beats_csv(recordings: Iterable[Recording]) -> str:
    """Rows ``file,time,position``, times to the millisecond; a position not known is empty."""
    return as_csv(
        ("file", "time", "position"),
        (
            (recording.file, f"{time:.3f}", position or "")
            for recording in recordings
            for time, position in _rows(recording.beats)
        ),
    )


def beats_json(recordings: Iterable[Recording]) -> str:
    """A list of ``{"file": …, "tempo": …, "beats": [{"time": …, "position": …}]}``.

    What is not known is null.
    """
    entries = []
    for recording in recordings:
        tempo = recording.annotations.tempo
        rows = [
            {"time": round(time, 3), "position": position or None}
            for time, position in _rows(recording.beats)
        ]
        rounded = None if tempo is None else round(tempo, 2)
        entries.append({"file": recording.file, "tempo": rounded, "beats": rows})
    return as_json(entries)


def beats_file(recordings: Sequence[Recording]) -> str:
    """A ``.beats`` file."""
    (recording,) = recordings
    return write_beats(recording.beats)


def beats_jams(recordings: Sequence[Recording]) -> str:
    """A JAMS file, namespace ``beat``, and ``tempo`` where it is known."""
    (recording,) = recordings
    return beats_to_jams(
        recording.beats,
        recording.annotations.tempo,
        duration=recording.duration(),
        title=recording.title,
    )


def beats_labels(recordings: Sequence[Recording]) -> str:
    """A label track of Audacity: start, end and position of each beat, between tabs."""
    (recording,) = recordings
    return "".join(
        f"{time:.6f}\t{time:.6f}\t{position or ''}\n" for time, position in _rows(recording.beats)
    )


def _rows(beats: Beats) -> Iterator[tuple[float, int]]:
    """Time and position of each beat; 0 where it is not known."""
    return zip(beats.times.tolist(), beats.positions.tolist(), strict=True)


def _bars(beats: Beats) -> list[int]:
    """Number of the bar of each beat."""
    return list(np.cumsum(beats.positions == 1))
