"""A folder of your own: audio with a ``tags.csv``, with chords beside it, or in class folders.

With a table, audio lies anywhere below the folder and ``tags.csv`` stands at its top::

    my_music/
        tags.csv            file,tags,split,group
        one.mp3             one.mp3,rock|loud,train,band a
        live/two.flac       live/two.flac,"calm",test,band b

``file`` is the path from the folder, with ``/`` on every system. ``tags`` are separated by ``|``;
an empty cell is a statement too: none of the tags hold. ``split`` (``train``, ``validation``,
``test``; empty leaves it to the records) and ``group`` (the artist, or the recording that several
files are cut from) may be left out. Splits never part a group: a track without a split goes where
the rest of its group goes. The table is UTF-8, with commas; audio that it doesn't list is ignored.

Chords lie beside the audio, under its name, as ``.lab`` (start, end in seconds, and a chord in
Harte's syntax in each line; see `kmir.annotations.lab`) or as JAMS::

    my_songs/
        one.mp3  one.lab
        live/two.flac  live/two.jams        or live/two.flac.jams

With a table, its files have tags and chords both; where no line of it has a tag, it is there for
splits and groups. Without one, files with chords are the data set, each its own group, and audio
without chords is ignored.

With neither, the first folder on the way to a file is its one tag, as in GTZAN::

    genres/
        blues/blues.00000.wav
        jazz/jazz.00000.wav

GTZAN comes with repeated recordings and artists (Sturm, "The GTZAN dataset: its contents, its
faults", 2013); a ``tags.csv`` with groups keeps them on one side.
"""

from __future__ import annotations

import logging
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from kmir.annotations import Annotations, Segments, Tags
from kmir.annotations.jams_file import read_jams_chords
from kmir.annotations.lab import read_chords
from kmir.datasets.table import NEEDED, TABLE, Row, group_splits, read_table
from kmir.datasets.track import Track
from kmir.errors import DatasetError, listed
from kmir.features.audio import AUDIO_SUFFIXES, find_audio

BIBTEX = ""
LICENSE = "As the audio and the annotations that you put there."

READERS = {".lab": read_chords, ".jams": read_jams_chords}

log = logging.getLogger("kmir")


def tracks(root: Path) -> Iterator[Track]:
    """Tracks of a folder, in the order of ``tags.csv``, or sorted by path where there is none.

    Args:
        root: The folder.

    Returns:
        Tracks whose id is the path from the folder, with ``/`` on every system.

    Raises:
        DatasetError: If anything is wrong with the folder; the message lists all of it.
        UsageError: If there are JAMS files and the library that reads them is not installed.
    """
    root = Path(root)
    if not root.is_dir():
        received = "a file" if root.exists() else "nothing of that name"
        raise DatasetError(f"Expected a folder with audio at '{root}'. Received: {received}.")
    audio = {path.relative_to(root).as_posix(): path for path in find_audio(root)}
    if (root / TABLE).is_file():
        read = _from_table
    elif not audio:
        raise DatasetError(f"Expected audio files in '{root}'. Received: a folder without any.")
    else:
        read = _from_chords if _has_chords(root, audio) else _from_folders
    problems: list[str] = []
    found = read(root, audio, problems)
    if problems:
        raise DatasetError(listed(root, problems))
    return iter(found)


# === Chords beside the audio ===


def _from_chords(root: Path, audio: dict[str, Path], problems: list[str]) -> list[Track]:
    chords = _chords(root, audio.values(), problems)
    without = [name for name, path in audio.items() if not _chord_files(path)]
    if without and not problems:
        log.info("%d audio files without chords, ignored: %s …", len(without), without[0])
    return [
        Track(name, Annotations(chords=chords[path]), audio=path)
        for name, path in audio.items()
        if path in chords
    ]


def _has_chords(root: Path, audio: dict[str, Path]) -> bool:
    """Whether there is audio with chords beside it; chords that all lie elsewhere are an error."""
    if any(_chord_files(path) for path in audio.values()):
        return True
    stray = sorted(
        name
        for path in root.rglob("*")
        if path.suffix in READERS and "/." not in f"/{(name := path.relative_to(root).as_posix())}"
    )
    if stray:
        raise DatasetError(
            f"Expected chords beside the audio and under its name, song.lab beside song.mp3, in "
            f"'{root}'. Received: {len(stray)} elsewhere, such as '{stray[0]}'. Move them there."
        )
    return False


def _chord_files(path: Path) -> list[Path]:
    """What can hold the chords of an audio file: ``song.lab`` or ``song.mp3.lab``, or JAMS."""
    names = [name for suffix in READERS for name in (path.stem + suffix, path.name + suffix)]
    return [path.with_name(name) for name in names if path.with_name(name).is_file()]


def _chords(root: Path, audio: Iterable[Path], problems: list[str]) -> dict[Path, Segments]:
    """Chords by audio file, of those files that have some."""
    chords: dict[Path, Segments] = {}
    users: dict[Path, str] = {}
    for path in audio:
        files = _chord_files(path)
        names = [file.relative_to(root).as_posix() for file in files]
        song = path.relative_to(root).as_posix()
        if len(files) > 1:
            problems.append(
                f"{song}: Expected one file with its chords. Received: {', '.join(names)}. "
                "Remove the others."
            )
        elif files and files[0] in users:
            problems.append(
                f"{names[0]}: Expected chords of one recording. Received: {users[files[0]]} and "
                f"{song} beside it. Remove one, or name the chords {path.name}{files[0].suffix}."
            )
        elif files:
            users[files[0]] = song
            segments = READERS[files[0].suffix](files[0], problems, names[0])
            if segments is not None:
                chords[path] = segments
    return chords


# === One folder for each class ===


def _from_folders(root: Path, audio: dict[str, Path], problems: list[str]) -> list[Track]:
    classes = Counter(name.split("/")[0] for name in audio if "/" in name)
    if not classes:
        raise DatasetError(
            f"Expected a {TABLE} or one sub-folder for each class in '{root}'. Received: a folder "
            f"with audio and no tags. Write a {TABLE} with the columns {','.join(NEEDED)}; or, for "
            "chords, put song.lab beside song.mp3."
        )
    if len(classes) == 1:
        (only,) = classes
        raise DatasetError(
            f"Expected two or more class folders in '{root}'. Received: only '{only}'. "
            f"Give '{root / only}' instead if the classes are in there, or write a {TABLE}."
        )
    problems += [
        f"{name}: Expected audio inside a class folder ({', '.join(sorted(classes)[:5])} …). "
        "Received: a file beside them. Move it into one."
        for name in audio
        if "/" not in name
    ]
    return [
        Track(name, Annotations(tags=Tags((name.split("/")[0],))), audio=path)
        for name, path in audio.items()
    ]


# === tags.csv ===


def _from_table(root: Path, audio: dict[str, Path], problems: list[str]) -> list[Track]:
    rows = read_table(root, problems)
    # macOS stores names decomposed, spreadsheets write them composed: the same é, other bytes.
    names = {unicodedata.normalize("NFC", name): name for name in audio}
    first: dict[str, int] = {}
    kept: list[Row] = []
    for row in rows:
        name = names.get(unicodedata.normalize("NFC", row.file), row.file)
        if name not in audio and (absent := _absent(root / name, row.file)):
            problems.append(f"{TABLE}:{row.line}: {absent}")
        elif name in first:
            problems.append(
                f"{TABLE}:{row.line}: Expected each file once. "
                f"Received: '{row.file}', already in line {first[name]}."
            )
        else:
            first[name] = row.line
            kept.append(replace(row, file=name))
    splits = group_splits(rows, problems)
    chords = _chords(root, [root / row.file for row in kept], problems)
    tagged = any(row.tags for row in rows)
    if not problems and not tagged and not chords:
        problems.append(f"{TABLE}: Expected a tag for at least one file. Received: none.")
    elif not problems and not tagged:
        problems += [
            f"{TABLE}:{row.line}: Expected tags, or chords beside '{row.file}'. Received: neither. "
            "Take it out of the table."
            for row in kept
            if root / row.file not in chords
        ]
    unlisted = [name for name in audio if name not in first]
    if unlisted and not problems:
        log.info("%d audio files not in %s, ignored: %s …", len(unlisted), TABLE, unlisted[0])
    return [
        Track(
            row.file,
            Annotations(Tags(row.tags) if tagged else None, chords.get(root / row.file)),
            audio=root / row.file,
            group=row.group,
            split=row.split or splits.get(row.group),
        )
        for row in kept
    ]


def _absent(path: Path, file: str) -> str | None:
    """What is wrong with a listed file that the search didn't meet.

    Nothing, if it lies behind a linked or a hidden folder: those are not searched, but naming a
    file in the table is enough.
    """
    if not path.is_file():
        remedy = " Write / between folders." if "\\" in file else ""
        return f"Expected a file in the folder. Received: '{file}', not found.{remedy}"
    if path.suffix.lower() not in AUDIO_SUFFIXES:
        return f"Expected an audio file, {' '.join(AUDIO_SUFFIXES)}. Received: '{file}'."
    return None
