"""Ballroom: 698 excerpts of 30 s of dance music with beats and bars.

Get the annotations with ``git clone https://github.com/CPJKU/BallroomAnnotations``, and the audio,
``data1.tar.gz`` (1.5 GB), of https://mtg.upf.edu/ismir2004/contest/tempoContest/node5.html::

    root/
        BallroomAnnotations/Albums-Cafe_Paradiso-05.beats   seconds, place in the bar
        BallroomData/ChaChaCha/Albums-Cafe_Paradiso-05.wav
        BallroomData/VienneseWaltz/Media-105907.wav …

Old versions of the annotations write ``9.3`` for the third beat of the ninth bar: take the latest.

**Beats** are at the level that the dance asks for: a Viennese waltz has 180 a minute. Beginnings
without musical content have none. ``tempo`` follows from the beats' distances.

**Tags** are the eight dances, named like the folders; the three folders of rumba are ``Rumba``.

**Copies**: 13 excerpts are another's, four bit by bit, nine cut anew from its recording (Bob Sturm
2014, told by the annotations). They are left out; with ``copies=true`` they keep to the group of
the other.

**Groups** are the albums, after the names: ``Albums-Cafe_Paradiso-05`` is from Cafe_Paradiso, and
``Media-105907`` is taken for number 7 of 1059. The data set publishes no split.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from kmir.annotations import Annotations, Tags
from kmir.annotations.beats_file import read_beats, tempo_of
from kmir.datasets.track import Track
from kmir.errors import DatasetError, listed
from kmir.features.audio import find_audio

BIBTEX = """\
@inproceedings{krebs2013rhythmic,
  title     = {Rhythmic Pattern Modeling for Beat and Downbeat Tracking in Musical Audio},
  author    = {Krebs, Florian and B{\\"o}ck, Sebastian and Widmer, Gerhard},
  booktitle = {Proceedings of the 14th International Society for Music Information Retrieval
               Conference (ISMIR)},
  year      = {2013}
}
@article{gouyon2006experimental,
  title   = {An Experimental Comparison of Audio Tempo Induction Algorithms},
  author  = {Gouyon, Fabien and Klapuri, Anssi and Dixon, Simon and Alonso, Miguel and
             Tzanetakis, George and Uhle, Christian and Cano, Pedro},
  journal = {IEEE Transactions on Audio, Speech, and Language Processing},
  volume  = {14},
  number  = {5},
  year    = {2006}
}
"""
LICENSE = "None is stated with the annotations or the excerpts; mirdata gives CC BY-NC-SA 4.0."

DANCES = {
    "ChaChaCha": "ChaChaCha",
    "Jive": "Jive",
    "Quickstep": "Quickstep",
    "Rumba-American": "Rumba",
    "Rumba-International": "Rumba",
    "Rumba-Misc": "Rumba",
    "Samba": "Samba",
    "Tango": "Tango",
    "VienneseWaltz": "VienneseWaltz",
    "Waltz": "Waltz",
}
COPIES = {
    # bit by bit
    "Albums-Chrisanne2-12": "Albums-AnaBelen_Veneo-11",
    "Albums-Fire-09": "Albums-Fire-08",
    "Albums-Latin_Jam2-13": "Albums-Latin_Jam2-05",
    "Media-104705": "Albums-Secret_Garden-01",
    # from the same recording
    "Albums-AnaBelen_Veneo-15": "Albums-AnaBelen_Veneo-03",
    "Albums-Ballroom_Magic-18": "Albums-Ballroom_Magic-03",
    "Albums-Latin_Jam-13": "Albums-Latin_Jam-04",
    "Albums-Latin_Jam-14": "Albums-Latin_Jam-08",
    "Albums-Latin_Jam-15": "Albums-Latin_Jam-06",
    "Albums-Latin_Jam2-14": "Albums-Latin_Jam2-02",
    "Albums-Latin_Jam2-15": "Albums-Latin_Jam2-07",
    "Media-103414": "Albums-Latin_Jam3-02",
    "Media-103415": "Media-103402",
}

AUDIO_UNOPENED = True  # audio goes by its name: the folder may lie in an object store

log = logging.getLogger("kmir")


def tracks(
    root: Path,
    *,
    audio: str = "",
    copies: bool = False,
    allow_missing: bool = False,
    allow_damaged: bool = False,
) -> Iterator[Track]:
    """Excerpts of Ballroom with annotations, by name.

    Args:
        root: Folder with the annotations and the audio, at any depth.
        audio: Folder with the folders of the dances, from `root`; all of it is searched if empty.
        copies: Keep the excerpts that are copies of others.
        allow_missing: Leave out excerpts without audio, instead of refusing.
        allow_damaged: Leave out excerpts with a fault in their annotations, instead of refusing.

    Returns:
        Tracks whose id is the name, ``Albums-Cafe_Paradiso-05``, with beats, tempo and the dance
        as a tag.

    Raises:
        DatasetError: If the folder is not laid out as above; the message lists all of it.
    """
    root = Path(root)
    place = root / audio
    if not place.is_dir():
        raise DatasetError(f"Expected a folder with audio at '{place}'. Received: none there.")
    problems: list[str] = []
    annotations = _by_name(sorted(root.rglob("*.beats")), root, problems)
    if not annotations:
        raise DatasetError(
            f"Expected .beats files somewhere in '{root}'. Received: none. Put a clone of "
            "https://github.com/CPJKU/BallroomAnnotations there."
        )
    excerpts = [path for path in find_audio(place) if path.parent.name in DANCES]
    recordings = _by_name(excerpts, root, problems)
    wanted = [name for name in annotations if copies or name not in COPIES]
    missing = [name for name in wanted if name not in recordings]
    if not allow_missing or len(missing) == len(wanted):
        problems += [
            f"{name}: Expected its audio in a folder of its dance, such as "
            f"{next(iter(DANCES))}, in '{place}'. Received: none. Add it, or leave such excerpts "
            "out with --option.allow_missing=true."
            for name in missing
        ]
    faults: list[str] = []
    found = []
    for name in wanted:
        beats = read_beats(
            annotations[name], faults, annotations[name].relative_to(root).as_posix()
        )
        if beats is not None and name in recordings:
            dance = DANCES[recordings[name].parent.name]
            known = Annotations(tags=Tags((dance,)), beats=beats, tempo=tempo_of(beats))
            group = album(COPIES.get(name, name))
            found.append(Track(name, known, audio=recordings[name], group=group))
    if problems or (faults and not (allow_damaged and found)):
        remedy = "\nLeave faulty annotations out with --option.allow_damaged=true."
        raise DatasetError(listed(root, problems + faults) + (remedy if faults else ""))
    if left := len(wanted) - len(found):
        log.info("Ballroom: %d excerpts without audio or with faults, left out.", left)
    return iter(found)


def album(name: str) -> str:
    """What the name of an excerpt says of its origin.

    Example:
        >>> album("Albums-Latin_Jam2-05"), album("Media-105907")
        ('Albums-Latin_Jam2', 'Media-1059')
    """
    return name[:-2].rstrip("-")


def _by_name(paths: list[Path], root: Path, problems: list[str]) -> dict[str, Path]:
    """Files by their names without suffix; two formats side by side are one."""
    found: dict[str, Path] = {}
    for path in paths:
        first = found.setdefault(path.stem, path)
        if first.parent != path.parent:
            problems.append(
                f"{path.relative_to(root).as_posix()}: Expected each name once. Received: "
                f"{first.relative_to(root).as_posix()} too. Remove one of the two."
            )
    return found
