"""The table ``tags.csv`` of a folder: a line for each file, with its tags, split and group.

What the columns mean is told in `kmir.datasets.folder`. Here each line is read on its own, and all
that is wrong with any of them is put on a list, with the line.
"""

from __future__ import annotations

import csv
import posixpath
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from kmir.datasets.track import SPLITS
from kmir.errors import DatasetError, nearest

TABLE = "tags.csv"
NEEDED = ("file", "tags")
OPTIONAL = ("split", "group")


@dataclass(frozen=True)
class Row:
    """A line of the table whose cells are right, each taken alone."""

    line: int
    file: str
    tags: tuple[str, ...]
    split: str | None
    group: str


def group_splits(rows: list[Row], problems: list[str]) -> dict[str, str]:
    """Split of each group that has one; reports groups that stand on two sides."""
    first: dict[str, Row] = {}
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


def read_table(root: Path, problems: list[str]) -> list[Row]:
    """Rows of the table whose cells are right; the problems of the others are added."""
    rows: list[Row] = []
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


def _row(header: list[str], cells: list[str], line: int) -> Row | str:
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
    return Row(line, file, tuple(tags), split, cell.get("group", ""))
