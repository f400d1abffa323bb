"""MTG-Jamendo: 55,525 full tracks from Jamendo with 183 tags of genre, instrument, mood and theme.

Get the metadata with ``git clone https://github.com/MTG/mtg-jamendo-dataset``, and the audio with
``scripts/download/download.py`` of that repository (``--type audio``, 508 GB, or ``audio-low``)::

    root/                                   the clone
        data/splits/split-0/autotagging_top50tags-train.tsv …
        00/ 01/ … 99/                       here, or in root/audio, root/raw_30s/audio …

Tables have the columns TRACK_ID, ARTIST_ID, ALBUM_ID, PATH, DURATION, TAGS, separated by tabs,
with one more cell for each further tag. Low-quality audio is named ``14/214.low.mp3`` where the
table says ``14/214.mp3``; both are found, and the full quality is preferred.

Tags are used as published, with their category: ``genre---rock``, ``mood/theme---happy``.

There are five splits (``fold=0`` is the one papers report), 60 : 20 : 20, made so that no artist
stands on two sides; the group of a track is its artist. Not everything is unique all the same:
990 of the files have a bitwise copy under another name (issue 52 of the repository).
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kmir.annotations import Annotations, Tags
from kmir.datasets.track import SPLITS, Track
from kmir.errors import DatasetError, listed, nearest

BIBTEX = """\
@inproceedings{bogdanov2019mtg,
  title     = {The {MTG}-{Jamendo} Dataset for Automatic Music Tagging},
  author    = {Bogdanov, Dmitry and Won, Minz and Tovstogan, Philip and Porter, Alastair and
               Serra, Xavier},
  booktitle = {Machine Learning for Music Discovery Workshop, International Conference on Machine
               Learning (ICML)},
  address   = {Long Beach, CA, United States},
  year      = {2019}
}
"""
LICENSE = (
    "Metadata CC BY-NC-SA 4.0; audio under the Creative Commons licence of each track, see "
    "audio_licenses.txt of the data set."
)

SUBSETS = {
    "top50tags": "autotagging_top50tags",
    "genre": "autotagging_genre",
    "instrument": "autotagging_instrument",
    "moodtheme": "autotagging_moodtheme",
    "all": "autotagging",
}
FOLDS = range(5)
COLUMNS = ["TRACK_ID", "ARTIST_ID", "ALBUM_ID", "PATH", "DURATION", "TAGS"]
SPLIT_FOLDERS = ("data/splits", "splits")
AUDIO_FOLDERS = tuple(
    f"{parent}{kind}"
    for kind in ("audio", "audio-low")
    for parent in ("", "raw_30s/", "autotagging_moodtheme/", "data/")
)

AUDIO_UNOPENED = True  # audio goes by its name: the folder may lie in an object store

log = logging.getLogger("kmir")


@dataclass(frozen=True)
class _Row:
    artist: str
    path: str
    tags: tuple[str, ...]
    split: str


def tracks(
    root: Path,
    *,
    subset: str = "top50tags",
    fold: int = 0,
    audio: str = "",
    allow_missing: bool = False,
) -> Iterator[Track]:
    """Tracks of MTG-Jamendo: those to train on, then to validate, then to test.

    Args:
        root: The clone of the repository, or its folder ``data``.
        subset: ``"top50tags"``, ``"genre"``, ``"instrument"``, ``"moodtheme"`` or ``"all"``.
        fold: Which of the published splits, 0 to 4.
        audio: Folder that holds the folders 00 to 99, from `root`; looked for where empty.
        allow_missing: Leave out tracks whose file is missing, instead of refusing.

    Returns:
        Tracks whose id is the published path, ``14/214.mp3``.

    Raises:
        DatasetError: If the folder is not laid out as above; the message lists all of it.
    """
    root = Path(root)
    if subset not in SUBSETS:
        raise DatasetError(
            f"Expected subset as one of {', '.join(SUBSETS)}. Received: '{subset}'. "
            f"{nearest(subset, SUBSETS)}"
        )
    if fold not in FOLDS:
        raise DatasetError(f"Expected fold from 0 to {FOLDS[-1]}. Received: {fold}.")
    tables = _tables(root, subset, fold)
    folder = _audio_folder(root, audio)
    problems: list[str] = []
    rows = _read_tables(tables, problems)
    files = {row.path: _file(folder, row.path) for row in rows}
    missing = sorted(path for path, file in files.items() if file is None)
    if not allow_missing or len(missing) == len(rows):
        problems += [
            f"{path}: not found in '{folder}', neither as .low.mp3. Fetch the rest, or leave such "
            "tracks out with --option.allow_missing=true."
            for path in missing
        ]
    if problems:
        raise DatasetError(listed(root, problems))
    if missing:
        log.info("MTG-Jamendo: %d tracks left out, their files are missing.", len(missing))
    return (
        Track(
            row.path,
            Annotations(tags=Tags(row.tags)),
            audio=files[row.path],
            group=row.artist,
            split=row.split,
        )
        for row in rows
        if files[row.path] is not None
    )


def _tables(root: Path, subset: str, fold: int) -> dict[str, Path]:
    """The table of each split."""
    for place in SPLIT_FOLDERS:
        folder = root / place / f"split-{fold}"
        if folder.is_dir():
            break
    else:
        raise DatasetError(
            f"Expected data/splits/split-{fold} in '{root}'. Received: a folder without it. Give "
            "the clone of https://github.com/MTG/mtg-jamendo-dataset."
        )
    tables = {split: folder / f"{SUBSETS[subset]}-{split}.tsv" for split in SPLITS}
    absent = [table.name for table in tables.values() if not table.is_file()]
    if absent:
        raise DatasetError(f"Expected {', '.join(absent)} in '{folder}'. Received: no such file.")
    return tables


def _audio_folder(root: Path, given: str) -> Path:
    places = (given,) if given else (".", *AUDIO_FOLDERS)
    for place in places:
        if any((root / place / f"{number:02}").is_dir() for number in range(100)):
            return root / place
    raise DatasetError(
        f"Expected the folders 00 to 99 with the audio in one of {', '.join(places)} of '{root}'. "
        "Received: none of them there. Say where they are with --option.audio=FOLDER."
    )


def _file(folder: Path, path: str) -> Path | None:
    """File of a published path, in full or low quality; None if there is neither."""
    for file in (folder / path, (folder / path).with_suffix(".low.mp3")):
        if file.is_file():
            return file
    return None


def _read_tables(tables: dict[str, Path], problems: list[str]) -> list[_Row]:
    rows: list[_Row] = []
    seen: dict[str, str] = {}
    for split, table in tables.items():
        with table.open(encoding="utf-8", newline="") as file:
            # Values are never quoted; a stray quote in one must not swallow lines.
            reader = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            header = next(reader, [])
            if header != COLUMNS:
                problems.append(
                    f"{table.name}:1: Expected the columns {', '.join(COLUMNS)}. "
                    f"Received: {', '.join(header)[:80]!r}."
                )
                continue
            for cells in reader:
                here = f"{table.name}:{reader.line_num}"
                if len(cells) < len(COLUMNS):
                    problems.append(
                        f"{here}: Expected {len(COLUMNS)} cells or more. Received: {len(cells)}."
                    )
                    continue
                _, artist, _, path, _, *tags = cells
                if path in seen:
                    problems.append(
                        f"{here}: Expected each track once. Received: '{path}', already in "
                        f"{seen[path]}."
                    )
                    continue
                seen[path] = here
                rows.append(_Row(artist, path, tuple(dict.fromkeys(tags)), split))
    return rows
