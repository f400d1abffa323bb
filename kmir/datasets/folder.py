"""A folder of your own: audio with a ``tags.csv``, or one sub-folder for each class.

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

Without a table, the first folder on the way to a file is its one tag, as in GTZAN::

    genres/
        blues/blues.00000.wav
        jazz/jazz.00000.wav

GTZAN comes with repeated recordings and artists (Sturm, "The GTZAN dataset: its contents, its
faults", 2013); a ``tags.csv`` with groups keeps them on one side.
"""

from __future__ import annotations

import csv
import logging
import posixpath
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath

from kmir.annotations import Annotations, Tags
from kmir.datasets.track import SPLITS, Track
from kmir.errors import DatasetError, listed, nearest
from kmir.features.audio import AUDIO_SUFFIXES, find_audio

BIBTEX = ""
LICENSE = "As the audio and the tags that you put there."

TABLE = "tags.csv"
NEEDED = ("file", "tags")
OPTIONAL = ("split", "group")

log = logging.getLogger("kmir")


def tracks(root: Path) -> Iterator[Track]:
    """Tracks of a folder, in the order of ``tags.csv``, or sorted by path where there is none.

    Args:
        root: The folder.

    Returns:
        Tracks whose id is the path from the folder, with ``/`` on every system.

    Raises:
        DatasetError: If anything is wrong with the folder; the message lists all of it.
    """
    root = Path(root)
    if not root.is_dir():
        received = "a file" if root.exists() else "nothing of that name"
        raise DatasetError(f"Expected a folder with audio at '{root}'. Received: {received}.")
    audio = {path.relative_to(root).as_posix(): path for path in find_audio(root)}
    read = _from_table if (root / TABLE).is_file() else _from_folders
    if not audio and read is _from_folders:
        raise DatasetError(f"Expected audio files in '{root}'. Received: a folder without any.")
    problems: list[str] = []
    found = read(root, audio, problems)
    if problems:
        raise DatasetError(listed(root, problems))
    return iter(found)


def _annotations(tags: tuple[str, ...]) -> Annotations:
    """All that is known of one audio file."""
    return Annotations(tags=Tags(tags))


# === One folder for each class ===


def _from_folders(root: Path, audio: dict[str, Path], problems: list[str]) -> list[Track]:
    classes = Counter(name.split("/")[0] for name in audio if "/" in name)
    if not classes:
        raise DatasetError(
            f"Expected a {TABLE} or one sub-folder for each class in '{root}'. Received: a folder "
            f"with audio and no tags. Write a {TABLE} with the columns {','.join(NEEDED)}."
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
        Track(name, _annotations((name.split("/")[0],)), audio=path) for name, path in audio.items()
    ]


# === tags.csv ===


@dataclass(frozen=True)
class _Row:
    """A line of the table whose cells are right, each taken alone."""

    line: int
    file: str
    tags: tuple[str, ...]
    split: str | None
    group: str


def _from_table(root: Path, audio: dict[str, Path], problems: list[str]) -> list[Track]:
    rows = _rows(root, problems)
    # macOS stores names decomposed, spreadsheets write them composed: the same é, other bytes.
    names = {unicodedata.normalize("NFC", name): name for name in audio}
    first: dict[str, int] = {}
    kept: list[_Row] = []
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
    splits = _group_splits(rows, problems)
    if not problems and not any(row.tags for row in rows):
        problems.append(f"{TABLE}: Expected a tag for at least one file. Received: none.")
    unlisted = [name for name in audio if name not in first]
    if unlisted and not problems:
        log.info("%d audio files not in %s, ignored: %s …", len(unlisted), TABLE, unlisted[0])
    return [
        Track(
            row.file,
            _annotations(row.tags),
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


def _group_splits(rows: list[_Row], problems: list[str]) -> dict[str, str]:
    """Split of each group that has one; reports groups that stand on two sides."""
    first: dict[str, _Row] = {}
    for row in rows:
        if not row.group or row.split is None:
            continue
        known = first.setdefault(row.group, row)
        if known.split != row.split:
            problems.append(
                f"{TABLE}:{row.line}: Expected group '{row.group}' in one split, or its songs "
                f"leak. Received: {row.split}, and {known.split} in line {known.line}."
            )
    return {group: row.split for group, row in first.items() if row.split}


def _rows(root: Path, problems: list[str]) -> list[_Row]:
    """Rows of the table whose cells are right; the problems of the others are added."""
    rows: list[_Row] = []
    try:
        with (root / TABLE).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [cell.strip() for cell in next(reader, [])]
            problems += _header_problems(header)
            if problems:
                return []
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                row = _row(header, cells, reader.line_num)
                if isinstance(row, str):
                    problems.append(f"{TABLE}:{reader.line_num}: {row}")
                else:
                    rows.append(row)
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"Expected UTF-8 text in '{root / TABLE}'. Received: {error.reason} at byte "
            f"{error.start}. Save it as UTF-8."
        ) from None
    except csv.Error as error:
        problems.append(f"{TABLE}:{reader.line_num}: Expected comma-separated values. {error}.")
    if not rows and not problems:
        problems.append(f"{TABLE}: Expected a line for each file. Received: only the header.")
    return rows


def _header_problems(header: list[str]) -> list[str]:
    expected = f"Expected the columns {','.join(NEEDED)} and, if you like, {','.join(OPTIONAL)}"
    if len(header) <= 1:
        received = header[0] if header and header[0] else "an empty line"
        return [f"{TABLE}:1: {expected}, separated by commas. Received: {received}."]
    known = (*NEEDED, *OPTIONAL)
    wrong = [f"the column '{name}'. {nearest(name, known)}" for name in header if name not in known]
    wrong += [f"no column '{name}'." for name in NEEDED if name not in header]
    wrong += [f"'{n}' {k} times." for n, k in Counter(header).items() if n in known and k > 1]
    return [f"{TABLE}:1: {expected}. Received: {what}" for what in wrong]


def _row(header: list[str], cells: list[str], line: int) -> _Row | str:
    """A row, or what is wrong with it."""
    if len(cells) != len(header):
        return (
            f"Expected {len(header)} cells, as in the first line. Received: {len(cells)}. "
            "Put cells that hold commas in double quotes."
        )
    cell = {name: value.strip() for name, value in zip(header, cells, strict=True)}
    if not cell["file"]:
        return "Expected the path of a file. Received: an empty cell."
    file = posixpath.normpath(cell["file"])
    if file == ".." or file.startswith(("/", "../")) or PureWindowsPath(file).drive:
        return f"Expected a path inside the folder. Received: '{cell['file']}'."
    split = cell.get("split") or None
    if split is not None and split not in SPLITS:
        return f"Expected a split of {', '.join(SPLITS)}, or nothing. Received: '{split}'."
    tags = dict.fromkeys(tag.strip() for tag in cell["tags"].split("|") if tag.strip())
    if broken := next((tag for tag in tags if not tag.isprintable()), None):
        return f"Expected tags on one line, of printable characters. Received: {broken!r}."
    return _Row(line, file, tuple(tags), split, cell.get("group", ""))
