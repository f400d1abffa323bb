"""Isophonics: chords, keys and beats of the Beatles, Queen, Zweieck and Carole King.

Get the archives of http://isophonics.net/content/reference-annotations and unpack them into one
folder, each into its own or all into one. The recordings are not distributed: put your copies of
the CDs below ``audio``, or anywhere else in the folder::

    root/
        The Beatles Annotations/
            chordlab/The Beatles/01_-_Please_Please_Me/01_-_I_Saw_Her_Standing_There.lab
            keylab/The Beatles/…/01_-_I_Saw_Her_Standing_There.lab      start, end, Key, E
            beat/The Beatles/…/01_-_I_Saw_Her_Standing_There.txt        seconds, place in the bar
        Queen Annotations/chordlab/Queen/Greatest Hits I/01 Bohemian Rhapsody.lab
        audio/
            Please Please Me/01 - I Saw Her Standing There.flac

**Audio is found by its name**, whatever its case, punctuation and number; where several albums have
a song of that name, the folder of the album decides (`kmir.datasets.recordings`). Songs without
audio are left out. The annotations follow certain CDs, and other versions of a song run
differently: recordings that end more than `FAR` seconds from their chords are mentioned.

**Groups** are the songs, artist and title, so that two versions never stand on both sides of a
split. The data set publishes no split.

**Quirks** of the files that are no fault: beats without a place in the bar, or with ``New Point``
for one, have none here; two beats at one time are one; ``Silence`` among the keys is left out.
Anything else is reported with its file and line. Beats exist for the Beatles only.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kmir.annotations import Annotations, Beats, Segments
from kmir.annotations.keys import key_label
from kmir.annotations.lab import (
    Span,
    ordered_segments,
    read_chords,
    read_spans,
    read_text,
    seconds,
)
from kmir.datasets.recordings import Wanted, find_recordings, plain, without_number
from kmir.datasets.track import Track
from kmir.errors import AudioError, DatasetError, listed
from kmir.features.audio import duration

BIBTEX = """\
@inproceedings{mauch2009omras2,
  title     = {{OMRAS2} Metadata Project 2009},
  author    = {Mauch, Matthias and Cannam, Chris and Davies, Matthew and Dixon, Simon and Harte,
               Christopher and Kolozali, Sefki and Tidhar, Dan and Sandler, Mark},
  booktitle = {Late-breaking session of the 10th International Conference on Music Information
               Retrieval (ISMIR)},
  year      = {2009}
}
"""
LICENSE = "None is stated for the annotations; the recordings are under copyright, bring your own."

CHORDS, KEYS, BEATS = "chordlab", "keylab", "beat"
FAR = 10.0  # seconds

log = logging.getLogger("kmir")


@dataclass(frozen=True)
class _Song:
    """A song with chords: their file, and what to look for its audio by."""

    id: str
    chords: Path
    wanted: Wanted

    def beside(self, kind: str, suffix: str) -> Path:
        """Its file of another kind of annotation."""
        home = next(path for path in self.chords.parents if path.name.casefold() == CHORDS)
        return home.with_name(kind) / self.chords.relative_to(home).with_suffix(suffix)


def tracks(root: Path, *, audio: str = "", allow_damaged: bool = False) -> Iterator[Track]:
    """Songs with chords whose audio is there, sorted by path.

    Args:
        root: Folder with the unpacked archives.
        audio: Folder with the recordings, from `root`; all of `root` is searched where empty.
        allow_damaged: Leave out songs with a fault in their annotations, instead of refusing.

    Returns:
        Tracks whose id is artist, album and song, as the annotations name them.

    Raises:
        DatasetError: If the folder is not laid out as above; the message lists all of it.
    """
    root = Path(root)
    songs = _songs(root)
    if not songs:
        raise DatasetError(
            f"Expected a folder {CHORDS} with .lab files somewhere in '{root}'. Received: none. "
            "Unpack the annotations of http://isophonics.net there."
        )
    place = root / audio
    if not place.is_dir():
        raise DatasetError(f"Expected a folder with audio at '{place}'. Received: none there.")
    problems: list[str] = []
    recordings = find_recordings({song.id: song.wanted for song in songs}, place, problems)
    if not recordings and not problems:
        raise DatasetError(
            f"Expected audio of the songs in '{place}'. Received: none of {len(songs)}, such as "
            f"'{songs[0].wanted.title}'. Put it into '{root / 'audio'}', as ALBUM/01 - SONG.mp3, "
            "or say where it is with --option.audio=FOLDER."
        )
    found: list[Track] = []
    for song in songs:
        faults: list[str] = []
        if song.id in recordings:
            track = _track(song, recordings[song.id], root, faults)
            found += [] if faults else [track]
        problems += faults
    if problems and not (allow_damaged and found):
        remedy = f"\nKeep the {len(found)} songs without a fault with --option.allow_damaged=true."
        raise DatasetError(listed(root, problems) + (remedy if found else ""))
    _report(songs, recordings, found)
    return iter(found)


def _songs(root: Path) -> list[_Song]:
    songs: dict[str, _Song] = {}
    for path in sorted(root.rglob("*.lab")):
        folders = [part.casefold() for part in path.relative_to(root).parts]
        if CHORDS not in folders or path.name.startswith("."):
            continue
        parts = path.relative_to(root).parts[folders.index(CHORDS) + 1 :]
        name = "/".join(parts).removesuffix(".lab")
        if name in songs:
            raise DatasetError(
                f"Expected the chords of each song once in '{root}'. Received: '{path}' and "
                f"'{songs[name].chords}'. Remove one of the two archives."
            )
        album = parts[-2] if len(parts) > 1 else ""
        artist = parts[0] if len(parts) > 2 else ""
        songs[name] = _Song(name, path, Wanted(without_number(path.stem), album, artist))
    return list(songs.values())


def _report(songs: list[_Song], recordings: Mapping[str, Path], found: list[Track]) -> None:
    """Mention what is left out, and what may be another version of its song."""
    without = [song.id for song in songs if song.id not in recordings]
    if without:
        log.info("Isophonics: %d songs without audio, left out: %s …", len(without), without[0])
    if damaged := len(recordings) - len(found):
        log.info("Isophonics: %d songs with faults in their annotations, left out.", damaged)
    far = [track.id for track in found if _differs(track)]
    if far:
        log.warning(
            "Isophonics: %d recordings end more than %g s from their chords and may be other "
            "versions of the songs: %s …",
            *(len(far), FAR, far[0]),
        )


def _differs(track: Track) -> bool:
    assert track.audio is not None and track.annotations.chords is not None
    try:
        length = duration(track.audio)
    except AudioError:  # extraction reports it
        return False
    return abs(length - float(track.annotations.chords.intervals[-1, 1])) > FAR


# === Annotations ===


def _track(song: _Song, audio: Path, root: Path, problems: list[str]) -> Track:
    def named(path: Path) -> str:
        return path.relative_to(root).as_posix()

    chords = read_chords(song.chords, problems, named(song.chords))
    key_file, beat_file = song.beside(KEYS, ".lab"), song.beside(BEATS, ".txt")
    key = _keys(key_file, problems, named(key_file)) if key_file.is_file() else None
    beats = _beats(beat_file, problems, named(beat_file)) if beat_file.is_file() else None
    return Track(
        song.id,
        Annotations(chords=chords, key=key, beats=beats),
        audio=audio,
        group=f"{plain(song.wanted.artist)}/{plain(song.wanted.title)}",
    )


def _keys(path: Path, problems: list[str], name: str) -> Segments | None:
    """Keys of a file whose labels are ``Key``, then the key, or ``Silence``."""
    spans: list[Span] = []
    for span in read_spans(path, problems, name):
        kind, _, text = span.label.replace("\t", " ").partition(" ")
        if kind.casefold() != "key":
            continue
        label = key_label(text)
        if label is None:
            problems.append(
                f"{span.place}: Expected a key, such as E, A:minor or D:dorian. Received: "
                f"'{text}'. Correct the line."
            )
        else:
            spans.append(Span(span.place, span.start, span.end, label))
    return ordered_segments(spans, problems, name) if spans else None


def _beats(path: Path, problems: list[str], name: str) -> Beats | None:
    """Beats of a file with a time and, mostly, a place in the bar in each line."""
    times: list[float] = []
    positions: list[int] = []
    known = len(problems)
    for number, line in enumerate((read_text(path, problems, name) or "").splitlines(), start=1):
        words = line.split()
        time = seconds(words[0]) if words else None
        if words and (time is None or time < 0 or (times and time < times[-1])):
            problems.append(
                f"{name}:{number}: Expected the time of a beat in seconds, after those before it. "
                f"Received: '{line.strip()}'. Correct the line."
            )
        elif time is not None and (not times or time > times[-1]):
            times.append(time)
            last = words[-1] if len(words) > 1 else ""
            positions.append(int(last) if last.isdecimal() else 0)
    return Beats(times, positions) if times and len(problems) == known else None  # type: ignore[arg-type]
