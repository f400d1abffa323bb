"""Recordings that people supply themselves, found by the names of their files and folders.

Data sets of commercial recordings distribute annotations only, and no two copies of a CD are named
alike: ``01_-_I_Saw_Her_Standing_There.lab`` belongs to ``1-01 I Saw Her Standing There.flac``. So
names are compared by their letters and digits. What doesn't count: a number before them (``01_-_``,
``01 - ``, ``1-01``, ``CD1_-_01_-_``), an artist or album before a dash, ``- Remastered 2009`` after
them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from kmir.features.audio import find_audio

Key = TypeVar("Key", bound=Hashable)

NUMBER = re.compile(
    r"^(?:\d*(?:cd|disc)[\s_]*\d+[\s_.-]+|\d-(?=\d\d\b))?(?:\d{1,3}[\s_.-]+)?(?=.)", re.IGNORECASE
)
REMASTER = re.compile(
    r"[\s_]*[(\[-][\s_]*(?:\d{4}[\s_]+)?(?:digital[\s_]+)?remaster.*$", re.IGNORECASE
)
DASH = re.compile(r"\s+-\s+|_-_")


@dataclass(frozen=True)
class Wanted:
    """A recording to look for.

    Args:
        title: Of the song, without a number.
        album: Name of the folder that it should lie in if there are several; may be empty.
        artist: The same, if the album doesn't tell.
    """

    title: str
    album: str = ""
    artist: str = ""


def find_recordings(
    wanted: Mapping[Key, Wanted], place: Path, problems: list[str]
) -> dict[Key, Path]:
    """Audio files of songs.

    Args:
        wanted: The songs, by what the messages call them.
        place: Folder that the audio lies in, at any depth.
        problems: Songs that have several recordings, and recordings of several songs, are added.

    Returns:
        Files of the songs that have one; the same recording in two formats, side by side, is one.
    """
    by_title: dict[str, list[Path]] = {}
    for path in find_audio(place):
        for title in _names(path.stem):
            by_title.setdefault(title, []).append(path)
    found: dict[Key, Path] = {}
    users: dict[Path, Key] = {}
    for key, song in wanted.items():
        paths = by_title.get(plain(song.title), [])
        for folder in (song.album, song.artist):
            paths = _inside(paths, folder, place) or paths
        if len({path.with_suffix("") for path in paths}) > 1:
            names = ", ".join(path.relative_to(place).as_posix() for path in paths)
            problems.append(
                f"{key}: Expected one recording. Received: {names}. Keep one, or put the right one "
                f"into a folder '{without_number(song.album)}'."
            )
        elif paths and paths[0] in users:
            problems.append(
                f"{key}: Expected a recording of its own. Received: "
                f"{paths[0].relative_to(place).as_posix()}, which is that of {users[paths[0]]}. "
                "Remove one of the two annotations, or add the other recording."
            )
        elif paths:
            found[key] = paths[0]
            users[paths[0]] = key
    return found


def without_number(name: str) -> str:
    """Name of a file or folder as text, without the number before it.

    Example:
        >>> without_number("CD1_-_03_-_Glass_Onion")
        'Glass Onion'
    """
    return NUMBER.sub("", name).replace("_", " ")


def plain(text: str) -> str:
    """Letters and digits only, in lower case and without accents.

    Example:
        >>> plain("Ob-La-Di, Öb-La-Da & Co.")
        'obladiobladaandco'
    """
    letters = unicodedata.normalize("NFKD", text.replace("&", " and ")).casefold()
    return "".join(letter for letter in letters if letter.isalnum())


def _inside(paths: list[Path], folder: str, place: Path) -> list[Path]:
    """Those of the paths that lie in a folder of that name, at any depth."""
    names = _names(folder)
    return [
        path
        for path in paths
        if any(names & _names(part) for part in path.relative_to(place).parts[:-1])
    ]


def _names(text: str) -> set[str]:
    """What a file or folder may be called after, as `plain` text."""
    bare = REMASTER.sub("", text)
    last = DASH.split(bare)[-1]
    names = {plain(part) for name in (bare, last) for part in (name, NUMBER.sub("", name))}
    return names - {""}
