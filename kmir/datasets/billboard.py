"""McGill Billboard: chords of 890 slots of the US charts 1958–1991, NNLS chroma instead of audio.

Get the index, the NNLS chroma ("CHORDINO" features), the ``.lab`` files and the annotations from
https://ddmal.ca/research/The_McGill_Billboard_Project_(Chord_Analysis_Dataset) and unpack all into
one folder; it is the layout that mirdata reads::

    root/
        McGill-Billboard/
            0003/bothchroma.csv     24 chroma a frame, both blocks from A, as NNLSChroma() gives
            0003/full.lab           start, end, chord
            0003/salami_chords.txt  phrases and bars; may be missing, then there are no beats

**Splits**, as the field has it: slots above 1000 are the test set of MIREX 2012 and of published
results, those up to 1000 train; records take 15 % of the training recordings for validation.

**Groups** are recordings: one song can stand under several slots, with the same chroma. Only its
first slot is kept. Chords are the full labels; bars come from the phrases' start times, with beats
spread evenly, so they are near the beats, not on them.
"""

from __future__ import annotations

import csv
import hashlib
import logging
import re
from collections.abc import Iterator
from functools import partial
from itertools import pairwise, takewhile
from pathlib import Path

import numpy as np

from kmir.annotations import Annotations, Beats
from kmir.annotations.lab import Span, chord_segments, read_spans, seconds
from kmir.datasets.track import Track
from kmir.errors import DatasetError

BIBTEX = """\
@inproceedings{burgoyne2011expert,
  title     = {An Expert Ground-Truth Set for Audio Chord Recognition and Music Analysis},
  author    = {Burgoyne, John Ashley and Wild, Jonathan and Fujinaga, Ichiro},
  booktitle = {Proceedings of the 12th International Society for Music Information Retrieval
               Conference (ISMIR)},
  pages     = {633--638},
  year      = {2011}
}
"""
LICENSE = "CC0 1.0"

FOLDER = "McGill-Billboard"
CHROMA, CHORDS, PHRASES = "bothchroma.csv", "full.lab", "salami_chords.txt"
HOP = 2048 / 44100  # seconds
COLUMNS = 26  # file name, seconds, 12 bass and 12 treble chroma
FIRST_TEST_SLOT = 1001
NOWHEN = 1e-6  # seconds; times below it are 0

log = logging.getLogger("kmir")


def tracks(root: Path) -> Iterator[Track]:
    """Recordings with their chroma, in the order of their slots.

    Args:
        root: The folder that holds ``McGill-Billboard``, or that folder itself.

    Returns:
        Tracks with ready features ``(frames, 24)``, chords, and beats where there are phrases.

    A slot with a fault in its files is among them, and fails with all its problems when its
    features are asked for: extraction reports it and does the rest. Slots without chords are left
    out.

    Raises:
        DatasetError: If the folder holds no slot with chroma and chords.
    """
    root = Path(root)
    slots = root / FOLDER if (root / FOLDER).is_dir() else root
    folders = sorted(path.parent for path in slots.glob(f"*/{CHROMA}"))
    annotated = [f for f in folders if f.name.isdecimal() and (f / CHORDS).is_file()]
    if not annotated:
        raise DatasetError(
            f"Expected {FOLDER}/0003 and its like with {CHROMA} and {CHORDS} in '{root}'. "
            "Received: none. Unpack the chroma and the .lab files of McGill Billboard there."
        )
    found: dict[str, Track] = {}
    for folder in annotated:
        text = (folder / CHROMA).read_bytes()
        # The first cell is the name of a file, and may be another for the same recording.
        group = hashlib.sha256(text.partition(b",")[2]).hexdigest()[:16]
        if group not in found:
            found[group] = _track(folder, group)
    if bare := len(folders) - len(annotated):
        log.info("%d slots without chords, left out", bare)
    if repeated := len(annotated) - len(found):
        log.info("%d slots repeat a recording, left out", repeated)
    return iter(found.values())


def _track(folder: Path, group: str) -> Track:
    name = folder.name
    problems: list[str] = []
    spans = read_spans(folder / CHORDS, problems, f"{name}/{CHORDS}")
    chords = None
    if spans or not problems:
        chords = chord_segments(_timed(spans), problems, f"{name}/{CHORDS}")
    beats = None
    if (folder / PHRASES).is_file():
        beats = _beats((folder / PHRASES).read_text(encoding="utf-8", errors="replace"))
    split = "test" if int(name) >= FIRST_TEST_SLOT else "train"
    return Track(
        name,
        Annotations(chords=None if problems else chords, beats=beats),
        features=partial(_features, folder / CHROMA, tuple(problems)),
        group=group,
        split=split,
    )


def _features(path: Path, problems: tuple[str, ...]) -> np.ndarray:
    """Chroma of a slot, refused with all that is wrong in its files."""
    try:
        chroma = read_chroma(path)
    except DatasetError as error:
        problems = (str(error), *problems)
    if problems:
        raise DatasetError("\n  ".join(problems))
    return chroma


def _timed(spans: list[Span]) -> list[Span]:
    """Without the lines around a phrase whose time is missing in the published annotation.

    It counts as 0 there (slot 0974): lines run backwards to 0, and those after them start at 0,
    the last one ending with the next phrase. Any other line that runs backwards is a fault.
    """
    lost: set[int] = set()
    for last, (span, after) in enumerate(pairwise(spans)):
        if not span.end < NOWHEN < span.start or after.start >= NOWHEN:
            continue
        backwards = takewhile(lambda i: spans[i].end < spans[i].start, range(last, -1, -1))
        from_zero = takewhile(lambda i: spans[i].start < NOWHEN, range(last + 1, len(spans)))
        lost |= {*backwards, *from_zero}
    return [span for number, span in enumerate(spans) if number not in lost]


# === Chroma ===


def read_chroma(path: Path) -> np.ndarray:
    """NNLS chroma of one recording.

    Args:
        path: A ``bothchroma.csv``.

    Returns:
        ``(frames, 24)`` float32, bass then treble, both from A; hop 2048/44100 s.

    Raises:
        DatasetError: If a line is not a frame of them; the first such line is named.
    """
    lines = [line.decode("latin-1") for line in path.read_bytes().splitlines()]
    try:  # all lines at once: a second for a hundred recordings
        values = np.loadtxt(
            lines, np.float32, delimiter=",", usecols=range(1, COLUMNS),
            ndmin=2, comments=None, quotechar='"',
        ) if lines else np.empty((0, COLUMNS - 1), np.float32)  # fmt: skip
    except ValueError:
        values = None
    if problem := _problem(lines, values):
        raise DatasetError(f"{path.parent.name}/{CHROMA}:{problem}")
    assert values is not None  # else there is a problem
    return values[:, 1:]


def _problem(lines: list[str], values: np.ndarray | None) -> str:
    """Line and fault of the first bad line of a chroma file; empty where all are right."""
    if not lines:
        return "1: Expected a line for each frame. Received: an empty file."
    if values is not None and np.isfinite(values).all():
        late = np.abs(values[:, 0] - HOP * np.arange(len(values))) > HOP
        if not late.any():
            return ""
        number = int(late.argmax())
        return (
            f"{number + 1}: Expected a line every {HOP:.4f} s from 0. Received: "
            f"{values[number, 0]:g} s. Copy the file again."
        )
    for number, cells in enumerate(csv.reader(lines), start=1):
        expected = f"{number}: Expected a file name or nothing, seconds and 24 chroma. Received: "
        if len(cells) != COLUMNS:
            return f"{expected}{len(cells)} cells. Copy the file again."
        for cell in cells[1:]:
            if not _finite(cell):
                return f"{expected}'{cell}'. Copy the file again."
    return "1: Expected numbers. Received: text that can't be read. Copy the file again."


def _finite(cell: str) -> bool:
    try:
        return bool(np.isfinite(float(cell)))
    except ValueError:
        return False


# === Beats from phrases ===

TIME = re.compile(r"\s*(\d[\d.e+-]*)\t(.*)")
METRE = re.compile(r"\(?(\d+)/(\d+)\)?")
REPEATED = re.compile(r"\|\s*x\s?(\d+)")


def _beats(text: str) -> Beats | None:
    """Beats of all phrases with bars; None where there are none.

    A phrase lasts until the next time that is written down, its bars share that in proportion to
    their beats. Phrases beside a time that runs backwards are left out.
    """
    metre = 4
    phrases: list[tuple[float, list[int]]] = []
    for line in text.splitlines():
        if line.startswith("# metre:") and (found := METRE.search(line)):
            metre = _beats_in(found)
        elif (timed := TIME.match(line)) and (start := seconds(timed[1])) is not None:
            phrases.append((start, _bars(timed[2], metre)))
    times: list[np.ndarray] = []
    positions: list[np.ndarray] = []
    for (start, bars), (end, _) in pairwise(phrases):
        if bars and (times[-1][-1] if times else -1) < start < end:
            times.append(np.linspace(start, end, sum(bars), endpoint=False))
            positions += [np.arange(1, 1 + count) for count in bars]
    return Beats(np.concatenate(times), np.concatenate(positions)) if times else None


def _bars(phrase: str, metre: int) -> list[int]:
    """Number of beats in each bar of ``A, verse, | C:maj | (2/4) G:maj | x2``."""
    first, last = phrase.find("|"), phrase.rfind("|")
    if first == last:
        return []
    bars = phrase[first + 1 : last].split("|")
    counts = [_beats_in(found) if (found := METRE.search(bar)) else metre for bar in bars]
    repeated = REPEATED.search(phrase[last:])
    return counts * int(repeated[1]) if repeated else counts


def _beats_in(metre: re.Match[str]) -> int:
    """Beats of a bar: compound metres (6/8, 12/8) count three eighths as one."""
    count, unit = int(metre[1]), int(metre[2])
    return max(1, count // 3 if unit == 8 and count % 3 == 0 and count > 3 else count)
