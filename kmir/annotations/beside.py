"""Annotation files beside an audio file, under its name: chords and beats, ``.lab`` to JAMS.

``song.lab``, ``song.beats`` and ``song.jams`` belong to ``song.mp3``, and so do ``song.mp3.lab``
and its like, for recordings that share a name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from kmir.annotations.beats_file import read_beats, tempo_of
from kmir.annotations.bundle import Annotations
from kmir.annotations.jams_file import read_jams
from kmir.annotations.lab import read_chords

Reader = Callable[[Path, list[str], str], Annotations | None]


def _lab(path: Path, problems: list[str], name: str) -> Annotations | None:
    chords = read_chords(path, problems, name)
    return None if chords is None else Annotations(chords=chords)


def _beats(path: Path, problems: list[str], name: str) -> Annotations | None:
    beats = read_beats(path, problems, name)
    return None if beats is None else Annotations(beats=beats)


# By suffix: what the file is called in messages, and what reads it.
READERS: dict[str, tuple[str, Reader]] = {
    ".lab": ("chords", _lab),
    ".beats": ("beats", _beats),
    ".jams": ("annotations", read_jams),
}


def files_beside(audio: Path) -> list[Path]:
    """Files that annotate an audio file: ``song.lab`` or ``song.mp3.lab``, and their like."""
    names = [name for suffix in READERS for name in (audio.stem + suffix, audio.name + suffix)]
    return [audio.with_name(name) for name in names if audio.with_name(name).is_file()]


def read_beside(root: Path, audio: Iterable[Path], problems: list[str]) -> dict[Path, Annotations]:
    """What the files beside audio files say of them.

    Args:
        root: Folder of the data set: messages name files from there.
        audio: Audio files in it.
        problems: What is wrong with the annotation files is added; also two files that tell the
            same of a recording, and a file that could be of two recordings.

    Returns:
        Annotations of those recordings that have some. Where beats are known and no tempo is, it
        follows from them.

    Raises:
        UsageError: If there are JAMS files and the library that reads them is not installed.
    """
    known: dict[Path, Annotations] = {}
    users: dict[Path, str] = {}
    for path in audio:
        song = path.relative_to(root).as_posix()
        files = [(file, file.relative_to(root).as_posix()) for file in files_beside(path)]
        told: dict[str, list[str]] = {}  # the files that tell each field
        annotations = Annotations()
        for file, name in files:
            noun, read = READERS[file.suffix]
            if file in users:
                problems.append(
                    f"{name}: Expected {noun} of one recording. Received: {users[file]} and {song} "
                    f"beside it. Remove one, or name the {noun} {path.name}{file.suffix}."
                )
                continue
            users[file] = song
            found = read(file, problems, name)
            for field in found.known if found else ():
                told.setdefault(field, []).append(name)
                annotations = replace(annotations, **{field: getattr(found, field)})
        problems += [
            f"{song}: Expected one file with its {field}. Received: {', '.join(names)}. "
            "Remove the others."
            for field, names in told.items()
            if len(names) > 1
        ]
        if annotations.beats is not None and annotations.tempo is None:
            annotations = replace(annotations, tempo=tempo_of(annotations.beats))
        if annotations.known:
            known[path] = annotations
    return known
