"""A folder of your own: audio with a ``tags.csv``, chords or beats beside it, or class folders.

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

Chords and beats lie beside the audio, under its name: chords as ``.lab`` (start, end in seconds,
and a chord in Harte's syntax in each line; see `kmir.annotations.lab`), beats as ``.beats``
(seconds and, if known, the place in the bar; see `kmir.annotations.beats_file`), or all as JAMS::

    my_songs/
        one.mp3  one.lab  one.beats
        live/two.flac  live/two.jams        or live/two.flac.jams

The tempo follows from the beats where no JAMS file tells it. With a table, its files have tags and
chords and beats; where no line of it has a tag, it is there for splits and groups. Without one,
files with chords or beats are the data set, each its own group, and audio without is ignored.

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
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from kmir.annotations import Annotations, Tags
from kmir.annotations.beside import READERS, files_beside, read_beside
from kmir.datasets.table import NEEDED, TABLE, Row, group_splits, read_table
from kmir.datasets.track import Track
from kmir.errors import DatasetError, listed
from kmir.features.audio import AUDIO_SUFFIXES, find_audio

BIBTEX = ""
LICENSE = "As the audio and the annotations that you put there."

AUDIO_UNOPENED = True  # audio goes by its name: the folder may lie in an object store

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
        read = _from_annotated if _is_annotated(root, audio) else _from_folders
    problems: list[str] = []
    found = read(root, audio, problems)
    if problems:
        raise DatasetError(listed(root, problems))
    return iter(found)


# === Chords and beats beside the audio ===


def _from_annotated(root: Path, audio: dict[str, Path], problems: list[str]) -> list[Track]:
    known = read_beside(root, audio.values(), problems)
    without = [name for name, path in audio.items() if not files_beside(path)]
    if without and not problems:
        log.info(
            "%d audio files without %s, ignored: %s …", len(without), _kinds(known), without[0]
        )
    return [Track(name, known[path], audio=path) for name, path in audio.items() if path in known]


def _is_annotated(root: Path, audio: dict[str, Path]) -> bool:
    """Whether there is audio with chords or beats beside it; if all lie elsewhere, an error."""
    if any(files_beside(path) for path in audio.values()):
        return True
    stray = sorted(
        name
        for path in root.rglob("*")
        if path.suffix in READERS and "/." not in f"/{(name := path.relative_to(root).as_posix())}"
    )
    if stray:
        suffix = Path(stray[0]).suffix
        raise DatasetError(
            f"Expected {READERS[suffix][0]} beside the audio and under its name, song{suffix} "
            f"beside song.mp3, in '{root}'. Received: {len(stray)} elsewhere, such as "
            f"'{stray[0]}'. Move them there; or, for tagging, write a {TABLE} with the columns "
            f"{','.join(NEEDED)}."
        )
    return False


def _kinds(known: Mapping[Path, Annotations]) -> str:
    """What of chords and beats there is, as the messages call it."""
    fields = {field for annotations in known.values() for field in annotations.known}
    return " or ".join(field for field in ("chords", "beats") if field in fields) or "annotations"


# === One folder for each class ===


def _from_folders(root: Path, audio: dict[str, Path], problems: list[str]) -> list[Track]:
    classes = Counter(name.split("/")[0] for name in audio if "/" in name)
    if not classes:
        raise DatasetError(
            f"Expected a {TABLE} or one sub-folder for each class in '{root}'. Received: a folder "
            f"with audio and no tags. Write a {TABLE} with the columns {','.join(NEEDED)}; or put "
            "song.lab, for chords, or song.beats beside song.mp3."
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
    known = read_beside(root, [root / row.file for row in kept], problems)
    tagged = any(row.tags for row in rows)
    if not problems and not tagged and not known:
        problems.append(f"{TABLE}: Expected a tag for at least one file. Received: none.")
    elif not problems and not tagged:
        problems += [
            f"{TABLE}:{row.line}: Expected tags, or {_kinds(known)} beside '{row.file}'. Received: "
            "neither. Take it out of the table."
            for row in kept
            if root / row.file not in known
        ]
    unlisted = [name for name in audio if name not in first]
    if unlisted and not problems:
        log.info("%d audio files not in %s, ignored: %s …", len(unlisted), TABLE, unlisted[0])
    return [
        Track(
            row.file,
            replace(
                known.get(root / row.file, Annotations()), tags=Tags(row.tags) if tagged else None
            ),
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
