"""MagnaTagATune: 25,863 clips of 29 s from the label Magnatune with 188 tags, from a game.

Get ``annotations_final.csv`` and ``mp3.zip.001`` to ``.003`` from
https://mirg.city.ac.uk/codeapps/the-magnatagatune-dataset, join the parts
(``cat mp3.zip.* > mp3.zip``) and unpack them::

    root/
        annotations_final.csv       clip_id, 188 tags as 0 or 1, mp3_path; tabs between
        0/ 1/ … 9/ a/ … f/          here, or in root/mp3 or root/audio
        train.npy valid.npy test.npy    only for split="won"

``clip_info_final.csv`` is not needed: the names of the files say artist, album and song.

**Tags** are the 50 most frequent ones (``top=50``), counted over all clips; where two are equally
frequent, the one whose column comes first. Synonyms are not merged: ``no vocals``, ``no vocal``
and ``no voice`` are three tags, as in all published results.

**split="usual"**: folders 0 to b train, c validates, d to f test (Dieleman and Schrauwen 2014;
Pons et al. 2018). Clips that bear none of the tags stay in, as negatives: 18,706 / 1,825 / 5,329
clips without the three empty files below.

**split="won"**: the lists of Won et al. 2020, after Lee et al. 2017, in ``split/mtat`` of
https://github.com/minzwon/sota-music-tagging-models. The same folders, but clips shorter than
29.1 s or with none of the top 50 tags are dropped: 15,247 / 1,529 / 4,332 clips. Scores on the two
are not comparable.

**Groups** are the recordings: one song is cut into several clips. The folder is a hash of the
album (``cut_clips.py`` of the data set), so neither split parts a song or an album. They do part
artists: American Bach Soloists, for one, stand in folders 0, 9 and f.

Three files are distributed empty (clips 35644, 55753 and 57881); extraction reports and skips
them, and a copy from which they were removed is complete too.
"""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kmir.annotations import Annotations, Tags
from kmir.datasets.track import Track
from kmir.errors import DatasetError, listed, nearest

BIBTEX = """\
@inproceedings{law2009evaluation,
  title     = {Evaluation of Algorithms Using Games: The Case of Music Tagging},
  author    = {Law, Edith and West, Kris and Mandel, Michael and Bay, Mert and Downie, J. Stephen},
  booktitle = {Proceedings of the 10th International Society for Music Information Retrieval
               Conference (ISMIR)},
  pages     = {387--392},
  year      = {2009}
}
"""
LICENSE = "Annotations CC BY-NC-SA 3.0, clips CC BY-NC-SA 1.0 (Magnatune): not for commercial use."

ANNOTATIONS = "annotations_final.csv"
USUAL = dict.fromkeys("0123456789ab", "train") | {"c": "validation"} | dict.fromkeys("def", "test")
LISTS = {"train": "train.npy", "validation": "valid.npy", "test": "test.npy"}
AUDIO_FOLDERS = (".", "mp3", "audio")
LIST_FOLDERS = (".", "split/mtat")
EMPTY_FILES = frozenset({"35644", "55753", "57881"})
# "f/artist-album-01-song-30-59.mp3": the second cut from 30 to 59 s of the recording.
CLIP = re.compile(r"(?P<stem>[0-9a-f]/(?P<recording>.+)-\d+-\d+)\.mp3")

AUDIO_UNOPENED = True  # audio goes by its name: the folder may lie in an object store

log = logging.getLogger("kmir")


@dataclass(frozen=True)
class _Clip:
    id: str
    path: str
    tags: tuple[str, ...]


def tracks(
    root: Path,
    *,
    split: str = "usual",
    top: int = 50,
    audio: str = "",
    lists: str = "",
    allow_missing: bool = False,
) -> Iterator[Track]:
    """Clips of MagnaTagATune, in the order of the annotations.

    Args:
        root: Folder with ``annotations_final.csv``.
        split: ``"usual"`` or ``"won"``.
        top: How many of the most frequent tags to keep, 1 to 188.
        audio: Folder that holds the folders 0 to f, from `root`; looked for where empty.
        lists: Folder that holds the lists of ``split="won"``, from `root`; looked for where empty.
        allow_missing: Leave out clips whose file is missing, instead of refusing.

    Returns:
        Tracks whose id is the ``mp3_path``.

    Raises:
        DatasetError: If the folder is not laid out as above; the message lists all of it.
    """
    root = Path(root)
    if split not in ("usual", "won"):
        raise DatasetError(
            f"Expected split as 'usual' or 'won'. Received: '{split}'. "
            f"{nearest(split, ['usual', 'won'])}"
        )
    if not (root / ANNOTATIONS).is_file():
        raise DatasetError(f"Expected {ANNOTATIONS} in '{root}'. Received: a folder without it.")
    problems: list[str] = []
    clips = _read_annotations(root / ANNOTATIONS, top, problems)
    folder = _folder(root, audio, AUDIO_FOLDERS, USUAL, "audio")
    if split == "usual":
        splits = {clip.path: USUAL[clip.path[0]] for clip in clips}
    else:
        home = _folder(root, lists, LIST_FOLDERS, LISTS.values(), "lists")
        splits = _read_lists(home, {clip.path for clip in clips}, problems)
    clips = [clip for clip in clips if clip.path in splits]
    missing = {clip.path for clip in clips if not (folder / clip.path).is_file()}
    if not allow_missing or len(missing) == len(clips):
        empty = {clip.path for clip in clips if clip.id in EMPTY_FILES}
        problems += [
            f"{path}: not found in '{folder}'. Unpack all three parts, or leave such clips out "
            "with --option.allow_missing=true."
            for path in sorted(missing - empty)
        ]
    if problems:
        raise DatasetError(listed(root, problems))
    if missing:
        log.info("MagnaTagATune: %d clips left out, their files are missing.", len(missing))
    return (
        Track(
            clip.path,
            Annotations(tags=Tags(clip.tags)),
            audio=folder / clip.path,
            group=CLIP.sub(r"\g<recording>", clip.path),
            split=splits[clip.path],
        )
        for clip in clips
        if clip.path not in missing
    )


def _folder(
    root: Path, given: str, usual: tuple[str, ...], names: Iterable[str], option: str
) -> Path:
    """The given folder, or the first of the usual ones, that holds any of the names."""
    places = (given,) if given else usual
    for place in places:
        if any((root / place / name).exists() for name in names):
            return root / place
    raise DatasetError(
        f"Expected {', '.join(names)} in one of {', '.join(places)} of '{root}'. Received: none of "
        f"them there. Say where they are with --option.{option}=FOLDER."
    )


def _read_annotations(path: Path, top: int, problems: list[str]) -> list[_Clip]:
    """Clips with those of their tags that are among the most frequent."""
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file, delimiter="\t")
        header = next(reader, [])
        if len(header) < 3 or header[0] != "clip_id" or header[-1] != "mp3_path":
            raise DatasetError(
                f"Expected clip_id, the tags and mp3_path, separated by tabs, in line 1 of "
                f"'{path}'. Received: {', '.join(header)[:80]!r}. Fetch the file again."
            )
        rows = []
        for cells in reader:
            if len(cells) == len(header) and CLIP.fullmatch(cells[-1]):
                rows.append(cells)
            elif cells:
                problems.append(
                    f"{path.name}:{reader.line_num}: Expected {len(header)} cells, the last like "
                    f"'0/artist-album-01-song-0-29.mp3'. Received: {len(cells)}, "
                    f"'{cells[-1][:80]}'."
                )
    if not 1 <= top <= len(header) - 2:
        raise DatasetError(
            f"Expected top from 1 to {len(header) - 2}, the number of tags. Received: {top}."
        )
    columns = range(1, len(header) - 1)
    counts = {column: sum(cells[column] == "1" for cells in rows) for column in columns}
    kept = sorted(columns, key=lambda column: -counts[column])[:top]
    return [
        _Clip(cells[0], cells[-1], tuple(header[column] for column in kept if cells[column] == "1"))
        for cells in rows
    ]


def _read_lists(folder: Path, paths: set[str], problems: list[str]) -> dict[str, str]:
    """Split of each clip that the lists name; their lines are ``index, tab, path``."""
    # Lists of the same lineage name .npy files instead: the stem is what they agree on.
    by_stem = {path.removesuffix(".mp3"): path for path in paths}
    splits: dict[str, str] = {}
    for split, name in LISTS.items():
        try:
            lines = np.load(folder / name, allow_pickle=False)
            if lines.dtype.kind != "U":
                raise ValueError(f"an array of {lines.dtype}")
        except (OSError, ValueError, EOFError) as error:
            problems.append(f"{name}: Expected an array of strings. Received: {error}.")
            continue
        for number, line in enumerate(lines.ravel().tolist()):
            stem = line.rpartition("\t")[2].rpartition(".")[0]
            path = by_stem.get(stem)
            if path is None:
                problems.append(
                    f"{name}[{number}]: Expected an mp3_path of {ANNOTATIONS}. Received: '{line}'."
                )
            elif path in splits:
                problems.append(
                    f"{name}[{number}]: Expected each clip once. Received: '{path}', already in "
                    f"{LISTS[splits[path]]}."
                )
            else:
                splits[path] = split
    return splits
