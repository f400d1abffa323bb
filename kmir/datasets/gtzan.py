"""GTZAN: 1,000 excerpts of 30 s in ten genres, with the beats and bars of GTZAN-Rhythm.

Get the annotations with ``git clone https://github.com/TempoBeatDownbeat/gtzan_tempo_beat`` (or the
archive of its branch main), and the audio, ``genres.tar.gz``, where you can::

    root/
        gtzan_tempo_beat-main/
            beats/gtzan_blues_00000.beats       seconds and, mostly, place in the bar
            tempo/gtzan_blues_00000.bpm         beats per minute
        genres/blues/blues.00000.wav …          or .au

Excerpts without a ``.beats`` file, such as reggae.00086, are left out. A tempo that has no file
follows from the beats' distances. Some files, as that of jazz.00003, give no place in the
bar. The ``.jams`` files that GTZAN-Rhythm was first published as are not read.

**Tags** are the genres, one each, named like the folders.

**split="filtered"** is the list of Kereliuk et al. 2015 after Bob Sturm's catalogue of faults, as
most papers on genre use it: 443 train, 197 validate, 290 test; no artist is on two sides, and 70
repeated or distorted excerpts are left out.

**split="test"**: all excerpts test, as papers on beat tracking have it, which train on others.

**Groups** are the excerpts: the data set doesn't tell who plays.

Copies of the audio go around whose jazz.00054 can't be read; extraction reports and skips it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

from kmir.annotations import Annotations, Tags
from kmir.annotations.beats_file import read_beats, tempo_of
from kmir.annotations.lab import cut, read_text, seconds
from kmir.datasets.track import Track
from kmir.errors import DatasetError, check_choice, listed
from kmir.features.audio import find_audio

BIBTEX = """\
@inproceedings{marchand2015gtzan,
  title     = {{GTZAN-Rhythm}: Extending the {GTZAN} Test-Set with Beat, Downbeat and Swing
               Annotations},
  author    = {Marchand, Ugo and Fresnel, Quentin and Peeters, Geoffroy},
  booktitle = {Late-breaking session of the 16th International Society for Music Information
               Retrieval Conference (ISMIR)},
  year      = {2015}
}
@article{tzanetakis2002musical,
  title   = {Musical Genre Classification of Audio Signals},
  author  = {Tzanetakis, George and Cook, Perry},
  journal = {IEEE Transactions on Speech and Audio Processing},
  volume  = {10},
  number  = {5},
  year    = {2002}
}
"""
LICENSE = "None is stated for annotations or audio; the recordings are under copyright."

NAME = re.compile(r"gtzan_(?P<genre>[a-z]+)_(?P<number>\d{5})")
SPLITS = ("filtered", "test")
# C. Kereliuk, B. Sturm, J. Larsen, "Deep Learning and Music Adversaries", IEEE Transactions on
# Multimedia 2015: the lists of github.com/coreyker/dnn-mgr, which torchaudio has too.
FILTERED = {
    "train": {
        "blues": "29-49 73-97",
        "classical": "30-33 43-48 50-67 80-99",
        "country": "19-26 28-29 65-99",
        "disco": "5 15-20 22-37 39-45 47 49 53-54 56-57 59 61 70 73-74 89",
        "hiphop": "2-25 28-29 31-38 41-42 55-61 77-80",
        "jazz": "0-1 11-24 41 47-72",
        "metal": "2-3 5 21 24 35 46-57 59-66 69 71-72 79-80 84 86 89-99",
        "pop": "2-9 11-12 16-20 23-29 31-36 38-42 44 46 49-50 80 97-99",
        "reggae": "0-2 4 6 9 11-12 14-32 42-45 49-51 54-60 63 69",
        "rock": "0-9 16-26 57-70 91-99",
    },
    "validation": {
        "blues": "0-11 50-60",
        "classical": "0-10 68-76",
        "country": "0-7 9-18 27 41-42 45 49",
        "disco": "0 2-4 6-14 46 48 52 67-68 72 75 90 95",
        "hiphop": "81-98",
        "jazz": "2-10 25-32",
        "metal": "0-1 6-11 16-20 36-37 68 76-77 81-82",
        "pop": "10 53 55 58-62 81 83-86",
        "reggae": "61-62 70 72 74 76-78 85 92-99",
        "rock": "38 49-56 71-85",
    },
    "test": {
        "blues": "12-28 61-72 98-99",
        "classical": "11-29 34-41 49 77-79",
        "country": "30-40 43-44 46-48 50-51 53-64",
        "disco": "1 21 58 62-66 69 76-88 91-94 96-97 99",
        "hiphop": "0 26-27 30 40 43-45 51-54 62-75 99",
        "jazz": "73-99",
        "metal": "12-15 22-23 25-33 38-39 67 70 73-75 78 83 85 87-88",
        "pop": "0-1 13-14 43 63-66 69-79 82 88-96",
        "reggae": "34-40 46-48 52-53 64-68 71 79 82-84 87-90",
        "rock": "10-15 27-37 39-48 86-90",
    },
}

AUDIO_UNOPENED = True  # audio goes by its name: the folder may lie in an object store

log = logging.getLogger("kmir")


def tracks(
    root: Path,
    *,
    split: str = "filtered",
    audio: str = "",
    allow_missing: bool = False,
    allow_damaged: bool = False,
) -> Iterator[Track]:
    """Excerpts of GTZAN with beats, by genre and number.

    Args:
        root: Folder with the annotations and the audio, at any depth.
        split: ``"filtered"`` or ``"test"``, see the top of this file.
        audio: Folder with the audio, from `root`; all of it is searched if empty.
        allow_missing: Leave out excerpts without audio, instead of refusing.
        allow_damaged: Leave out excerpts with a fault in their annotations, instead of refusing.

    Returns:
        Tracks ``blues.00000`` …, with beats, tempo and the genre as a tag.

    Raises:
        DatasetError: If the folder is not laid out as above; the message lists all of it.
        UsageError: If the split is another.
    """
    check_choice("split", split, SPLITS)
    root = Path(root)
    place = root / audio
    if not place.is_dir():
        raise DatasetError(f"Expected a folder with audio at '{place}'. Received: none there.")
    problems: list[str] = []
    annotations = _annotations(root, problems)
    sides = filtered_split() if split == "filtered" else dict.fromkeys(annotations, "test")
    wanted = [name for name in annotations if name in sides]
    recordings = {path.stem: path for path in reversed(find_audio(place))}
    missing = [name for name in wanted if name not in recordings]
    if not allow_missing or len(missing) == len(wanted):
        problems += [
            f"{name}: Expected its audio, {name}.wav or .au, in '{place}'. Received: none. Add it, "
            "or leave such excerpts out with --option.allow_missing=true."
            for name in missing
        ]
    faults: list[str] = []
    found = []
    for name in wanted:
        known = _known(annotations[name], root, faults)
        if known is not None and name in recordings:
            found.append(Track(name, known, audio=recordings[name], split=sides[name]))
    if problems or (faults and not (allow_damaged and found)):
        remedy = "\nLeave faulty annotations out with --option.allow_damaged=true."
        raise DatasetError(listed(root, problems + faults) + (remedy if faults else ""))
    if left := len(wanted) - len(found):
        log.info("GTZAN: %d excerpts without audio or with faults, left out.", left)
    return iter(found)


def filtered_split() -> dict[str, str]:
    """Split of each of the 930 excerpts that the fault filter keeps, by name."""
    return {
        f"{genre}.{number:05}": split
        for split, genres in FILTERED.items()
        for genre, ranges in genres.items()
        for number in _numbers(ranges)
    }


def _numbers(ranges: str) -> Iterator[int]:
    """Numbers of ``"0 2-4"``: 0, 2, 3, 4."""
    for word in ranges.split():
        first, _, last = word.partition("-")
        yield from range(int(first), int(last or first) + 1)


def _annotations(root: Path, problems: list[str]) -> dict[str, Path]:
    """Files with beats, by the name of their excerpt."""
    found: dict[str, Path] = {}
    for path in sorted(root.rglob("gtzan_*.beats")):
        if match := NAME.fullmatch(path.stem):
            first = found.setdefault(f"{match['genre']}.{match['number']}", path)
            if first != path:
                problems.append(
                    f"{path.relative_to(root).as_posix()}: Expected each name once. Received: "
                    f"{first.relative_to(root).as_posix()} too. Remove one of the two."
                )
    if not found:
        raise DatasetError(
            f"Expected beats/gtzan_blues_00000.beats … somewhere in '{root}'. Received: none. Put "
            "a clone of https://github.com/TempoBeatDownbeat/gtzan_tempo_beat there."
        )
    return found


def _known(path: Path, root: Path, problems: list[str]) -> Annotations | None:
    """What is known of the excerpt that a file of beats is of; None if there is a problem."""
    before = len(problems)
    beats = read_beats(path, problems, path.relative_to(root).as_posix())
    tempo = None if beats is None else tempo_of(beats)
    bpm = path.parent.with_name("tempo") / f"{path.stem}.bpm"
    if bpm.is_file():
        name = bpm.relative_to(root).as_posix()
        text = read_text(bpm, problems, name)
        tempo = None if text is None else seconds(text)
        if text is not None and (tempo is None or tempo <= 0):
            problems.append(
                f"{name}: Expected beats per minute above 0. Received: '{cut(text.strip())}'. "
                "Correct it, or remove the file."
            )
    if len(problems) > before:
        return None
    genre = path.stem.split("_")[1]
    return Annotations(tags=Tags((genre,)), beats=beats, tempo=tempo)
