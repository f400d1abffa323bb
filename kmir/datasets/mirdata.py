"""Any data set that the library mirdata loads, as ``mirdata:NAME``, such as ``mirdata:beatles``.

mirdata (Bittner et al., 2019) knows sixty data sets and fetches what may be fetched. Install it
with ``pip install kmir[mirdata]``, fetch a data set, or its index and annotations where the audio
is your own, and give the same folder here::

    python -c "import mirdata; mirdata.initialize('gtzan_genre', 'DIR').download()"
    python -m kmir.extract mirdata:gtzan_genre --root DIR --out RECORDS

**Tracks** are those whose audio is there and of which anything is known that kmir reads: chords,
keys, beats, one tempo, tags or genres. Keys without times hold for the whole recording. **Splits**
are the published ones where they are called ``train``, ``validation`` or ``test``; **groups** are
the artists where the data set names them, else the tracks.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from kmir.annotations import Annotations
from kmir.annotations.from_mirdata import FIELDS
from kmir.datasets.track import SPLITS, Track
from kmir.errors import AnnotationError, AudioError, DatasetError, UsageError, listed, nearest
from kmir.features.audio import duration

BIBTEX = """\
@inproceedings{bittner2019mirdata,
  title     = {mirdata: Software for Reproducible Usage of Datasets},
  author    = {Bittner, Rachel M. and Fuentes, Magdalena and Rubinstein, David and Jansson, Andreas
               and Choi, Keunwoo and Kell, Thor},
  booktitle = {Proceedings of the 20th International Society for Music Information Retrieval
               Conference (ISMIR)},
  year      = {2019}
}
"""
LICENSE = (
    "That of the data set, which mirdata.initialize(NAME).license() prints; .cite() its paper."
)

AUDIO = ("audio_path", "audio_mic_path")
GROUPS = ("artist_id", "artist")

log = logging.getLogger("kmir")


def tracks(
    root: Path, *, name: str = "", version: str = "default", allow_damaged: bool = False
) -> Iterator[Track]:
    """Tracks of a data set, in the order of its index.

    Args:
        root: Folder of the data set, mirdata's ``data_home``.
        name: What mirdata calls the data set: ``"beatles"``.
        version: Which of its versions.
        allow_damaged: Leave out tracks with a fault in their annotations, instead of refusing.

    Returns:
        Tracks whose id is that of mirdata.

    Raises:
        DatasetError: If the index, all audio, or anything known is missing, or an annotation has a
            fault; the message lists all of them.
        UsageError: If mirdata is not installed, or knows no such data set or version.
    """
    root = Path(root)
    dataset = _dataset(root, name, version)
    ids = _ids(dataset, root)
    audio = {id_: path for id_ in ids if (path := _audio(dataset.track(id_)))}
    if not audio:
        raise DatasetError(
            f"Expected audio of mirdata's '{name}' in '{root}'. Received: none of {len(ids)} "
            f"files. Put it where the index has it: {_audio_paths(dataset.track(ids[0]))}."
        )
    readings = {id_: _read(dataset.track(id_), path) for id_, path in audio.items()}
    _forget_broken_kinds(readings, name)
    problems = [line for r in readings.values() for fault in r.faults.values() for line in fault]
    sound = {
        id_: reading
        for id_, reading in readings.items()
        if not reading.faults and reading.annotations.known
    }
    if problems and not (allow_damaged and sound):
        remedy = f"\nKeep the {len(sound)} tracks without a fault with --option.allow_damaged=true."
        raise DatasetError(listed(root, problems) + (remedy if sound else ""))
    if not sound:
        raise DatasetError(
            f"Expected {', '.join(FIELDS)} of some track of mirdata's '{name}'. Received: nothing "
            f"that kmir reads, of {len(audio)} tracks. Give another data set."
        )
    damaged = sum(bool(reading.faults) for reading in readings.values())
    for count, what in (
        (len(ids) - len(audio), "audio"),
        (len(audio) - len(sound) - damaged, "annotations"),
        (damaged, "sound annotations"),
    ):
        if count:
            log.info("mirdata:%s: %d tracks without %s, left out.", name, count, what)
    return (
        Track(id_, known.annotations, audio=audio[id_], group=known.group, split=known.split)
        for id_, known in sound.items()
    )


@dataclass
class _Reading:
    """What was read of a track, and what is wrong with its annotations, by field."""

    annotations: Annotations
    faults: dict[str, list[str]]
    unread: dict[str, str]  # of the faults, those that mirdata itself stumbled over
    group: str
    split: str | None


def _forget_broken_kinds(readings: dict[str, _Reading], name: str) -> None:
    """Leave out what mirdata reads of no track at all, if there is something else.

    That is no fault of one file: mirdata 1.0 reads no tempo of GTZAN under NumPy 2.4, for one, and
    who trains on its tags needs none.
    """
    good = {field for reading in readings.values() for field in reading.annotations.known}
    for field in sorted(FIELDS.keys() - good):
        reasons = [r.unread[field] for r in readings.values() if field in r.unread]
        if good and len(reasons) > 1:
            log.warning("mirdata:%s: %s left out, none can be read: %s", name, field, reasons[0])
            for reading in readings.values():
                reading.faults.pop(field, None)


# === What mirdata gives ===


def _dataset(root: Path, name: str, version: str) -> Any:
    try:
        import mirdata
    except ModuleNotFoundError as error:
        raise UsageError(
            f"Expected the library mirdata, which loads the data set. Received: {error}. "
            "Install it: pip install kmir[mirdata]."
        ) from None
    known = mirdata.list_datasets()
    if name not in known:
        raise UsageError(
            f"Expected a data set that mirdata loads, written mirdata:NAME. Received: '{name}'. "
            f"{nearest(name, known)}"
        )
    try:
        return mirdata.initialize(name, data_home=str(root), version=version)
    except ImportError as error:
        raise UsageError(
            f"Expected all that mirdata needs for '{name}'. Received: {error}. Install that; the "
            "documentation of mirdata says how."
        ) from None
    except ValueError as error:
        raise UsageError(
            f"Expected a version of mirdata's '{name}'. Received: '{version}'. {error}"
        ) from None


def _ids(dataset: Any, root: Path) -> list[str]:
    try:
        return list(dataset.track_ids)
    except FileNotFoundError:
        there = f"'{dataset.name}', '{root}'"
        command = f"import mirdata; mirdata.initialize({there}).download(['index'])"
        raise DatasetError(
            f"Expected the index of mirdata's '{dataset.name}', which mirdata keeps. Received: "
            f'none. Fetch it: python -c "{command}"'
        ) from None
    except AttributeError:
        raise DatasetError(
            f"Expected tracks in mirdata's '{dataset.name}'. Received: a data set without, such as "
            "one of separate voices. Give another."
        ) from None


def _audio(source: Any) -> Path | None:
    """The audio file of a track, if it is there."""
    for path in (getattr(source, name, None) for name in AUDIO):
        if isinstance(path, str) and Path(path).is_file():
            return Path(path)
    return None


def _audio_paths(source: Any) -> str:
    paths = [str(path) for name in AUDIO if (path := getattr(source, name, None))]
    return paths[0] if paths else "it names none"


def _read(source: Any, audio: Path) -> _Reading:
    """All that is known of a track and read here."""
    known: dict[str, Any] = {}
    faults: dict[str, list[str]] = {}
    unread: dict[str, str] = {}
    length = partial(_length, audio)
    for field, (names, convert) in FIELDS.items():
        for name in (name for name in names if hasattr(type(source), name) or name in vars(source)):
            place = f"{source.track_id}: {name}"
            problems: list[str] = []
            try:
                value = getattr(source, name)
                known[field] = None if value is None else convert(value, place, length, problems)
            except AnnotationError as error:
                problems.append(f"{place}: {error} Correct its file.")
            except Exception as error:  # what the readers of sixty data sets may raise
                unread[field] = " ".join(str(error).split()) or type(error).__name__
                problems.append(
                    f"{place}: Expected what mirdata can read. Received: {unread[field]}"
                )
            if problems:
                faults[field] = problems
            if known.get(field) is not None:
                break
    return _Reading(Annotations(**known), faults, unread, _group(source), _split(source))


def _length(audio: Path) -> float | None:
    try:
        return duration(audio)
    except AudioError:  # extraction reports it
        return None


def _group(source: Any) -> str:
    for name in GROUPS:
        try:
            value = getattr(source, name, None)
        except Exception:  # it is in a table of the data set, which may be missing
            continue
        if isinstance(value, str) and value:
            return value
    return ""


def _split(source: Any) -> str | None:
    try:
        split = getattr(source, "split", None)
    except Exception:
        return None
    return split if split in SPLITS else None
