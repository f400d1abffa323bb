"""The table of Groove MIDI, ``info.csv``, for who listens to its drummers or plays with them."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from kmir.annotations.lab import seconds
from kmir.datasets.track import SPLITS
from kmir.errors import DatasetError, listed
from kmir.synthesis.drummer import Groove

TABLE = "info.csv"
COLUMNS = ("id", "style", "bpm", "beat_type", "time_signature", "midi_filename", "split")
KINDS = ("beat", "fill")
# Five whose strokes gather at no place of the beat: 130 bpm are written, and 146 to 148 played in
# three of them. In the last, of 23 minutes, bars begin on what would be beat 2.
STRAY = frozenset(
    {f"drummer2/session2/{number}" for number in (4, 7, 8, 9, 15)} | {"drummer2/session1/1"}
)


@dataclass(frozen=True)
class Performance:
    """A line of the table.

    Args:
        id: Such as ``drummer1/session1/1``.
        place: File and line, for messages.
        midi: The MIDI file.
        style: Such as ``rock``.
        bpm: Quarters a minute.
        metre: Beats of a bar, and quarters of a beat; see `beat_unit`.
        split: As published.
    """

    id: str
    place: str
    midi: Path
    style: str
    bpm: float
    metre: tuple[int, float]
    split: str


def read_performances(
    root: Path, wanted: tuple[str, ...], problems: list[str]
) -> tuple[Path, list[Performance]]:
    """Performances in the order of the table, but for strays.

    Args:
        root: Folder with ``info.csv``, or with a folder ``groove`` that has it.
        wanted: Of `KINDS`.
        problems: What is wrong with the table is added, a line each.

    Returns:
        The folder with ``info.csv``, and the performances.

    Raises:
        DatasetError: If there is no such folder.
    """
    home = root if (root / TABLE).is_file() else root / "groove"
    if not (home / TABLE).is_file():
        raise DatasetError(
            f"Expected {TABLE} in '{root}' or in a folder groove there. Received: neither. Unpack "
            "groove-v1.0.0-midionly.zip of https://magenta.tensorflow.org/datasets/groove."
        )
    known = len(problems)
    rows = _read_table(home, wanted, problems)
    if not rows and len(problems) == known:
        problems.append(f"{TABLE}: Expected a {' or '.join(wanted)}. Received: none.")
    return home, rows


def drum_grooves(root: Path) -> list[Groove]:
    """Grooves in 4/4, in the order of the table, for a drummer to play in other music.

    Args:
        root: As for `read_performances`.

    Raises:
        DatasetError: If the folder is not that of Groove MIDI; the message lists all that is wrong.
    """
    problems: list[str] = []
    home, rows = read_performances(root, ("beat",), problems)
    if problems:
        raise DatasetError(listed(home, problems))
    return [Groove(row.midi, row.bpm) for row in rows if row.metre == (4, 1.0)]


def beat_unit(signature: str) -> tuple[int, float] | None:
    """How many beats a bar has, and how many quarters a beat; None if it is no metre.

    Example:
        >>> beat_unit("4-4"), beat_unit("6-8"), beat_unit("5-8"), beat_unit("4/4")
        ((4, 1.0), (2, 1.5), (5, 0.5), None)
    """
    match = re.fullmatch(r"([1-9]\d?)-([48])", signature)
    if match is None:
        return None
    numerator, denominator = int(match[1]), int(match[2])
    if denominator == 8 and numerator % 3 == 0 and numerator > 3:
        return numerator // 3, 1.5
    return numerator, 4 / denominator


def _read_table(home: Path, wanted: tuple[str, ...], problems: list[str]) -> list[Performance]:
    """Lines of the table, but for strays and other kinds; what is wrong with a line is added."""
    rows: list[Performance] = []
    try:
        with (home / TABLE).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            absent = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if absent:
                problems.append(
                    f"{TABLE}:1: Expected a column {', '.join(absent)}. Received: none."
                )
                return []
            for cells in reader:
                row = _row(home, cells, f"{TABLE}:{reader.line_num}", problems)
                if row and row.id not in STRAY and cells["beat_type"] in wanted:
                    rows.append(row)
    except (UnicodeDecodeError, csv.Error) as error:
        problems.append(f"{TABLE}: Expected a table in UTF-8. Received: {error}. Fetch it again.")
    return rows


def _row(home: Path, cells: dict[str, str], place: str, problems: list[str]) -> Performance | None:
    """What a line of the table says; None, and problems more, if something is wrong with it."""
    if None in cells or None in cells.values():
        problems.append(f"{place}: Expected as many cells as the first line has. Received: others.")
        return None
    bpm, metre = seconds(cells["bpm"]), beat_unit(cells["time_signature"])
    midi = home / cells["midi_filename"]
    faults = [
        f"{place}: Expected {expected}. Received: '{received}'. Fetch the data set again."
        for valid, expected, received in (
            (cells["id"], "an id", cells["id"]),
            (bpm and bpm > 0, "a bpm above 0", cells["bpm"]),
            (metre, "a time signature such as 4-4 or 6-8", cells["time_signature"]),
            (cells["beat_type"] in KINDS, "a beat_type of beat or fill", cells["beat_type"]),
            (cells["split"] in SPLITS, f"a split of {', '.join(SPLITS)}", cells["split"]),
            (midi.is_file(), "a MIDI file that is there", cells["midi_filename"]),
        )
        if not valid
    ]
    problems += faults
    if faults or bpm is None or metre is None:
        return None
    style = cells["style"].partition("/")[0]
    return Performance(cells["id"], place, midi, style, bpm, metre, cells["split"])
