"""Synthetic: short pieces that kmir composes and plays itself, with everything known exactly.

A seeded program writes each piece as a score (style, tempo, metre, key, chords, bass, melody,
accompaniment, drums) and plays it with NumPy and SciPy. The annotations come from the score: tags,
chords in Harte syntax, key, beats with positions, tempo, melody every 10 ms with its vibrato, and
all pitched notes. By default 300 pieces of 4 seconds, 20 minutes in all; nothing is downloaded.

`TAGS` is the vocabulary of 18 words. Seven name a sound (``organ``, ``flute``, ``drums`` …) and
eleven something that happens in time (``waltz``, ``fast``, ``rising arpeggio``, ``vibrato`` …);
each holds for about a fifth to a half of the pieces. They tell how a piece was planned: in one or
two seconds a waltz is not heard to be one. Every piece has a little hiss and an equalisation of its
own, as recordings have, so that an average spectrum alone is a poor guide.

It serves to try things out in a minute and to test them against an exact truth. A score on it says
that a model works, not how well it does on music.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

import soundfile

from kmir.cache import cache_dir
from kmir.datasets.track import Track
from kmir.errors import UsageError
from kmir.synthesis import SAMPLE_RATE, TAGS, VERSION, Score, annotate, compose, render

__all__ = ["BIBTEX", "LICENSE", "TAGS", "tracks"]

BIBTEX = """@misc{kmir_synthetic,
  title = {kmir synthetic: composed pieces with exact annotations},
  author = {{The kmir authors}},
  year = {2026},
}"""
LICENSE = "CC0 1.0: the pieces are made on your machine and are free for any use."


def tracks(
    root: Path | None = None, *, pieces: int = 300, seconds: float = 4.0, seed: int = 0
) -> Iterator[Track]:
    """Pieces of the data set; the audio of each is made when it is reached, unless it is there.

    Args:
        root: Folder of the FLAC files (16 bit, 22050 Hz, mono); by default one in the cache, named
            after `seconds`, `seed` and the version of the composer.
        pieces: How many, from 1. Piece i is the same whatever their number.
        seconds: Duration of each, from 1.
        seed: Another seed makes other pieces, from 0.

    Returns:
        Iterator of tracks ``synthetic-SEED-00000`` …, each its own group.

    Raises:
        UsageError: If an option is out of range.
    """
    if pieces < 1:
        raise UsageError(
            f"Expected at least 1 piece. Received: pieces={pieces}. Ask for 1 or more."
        )
    if not (math.isfinite(seconds) and seconds >= 1):
        raise UsageError(
            f"Expected pieces of at least 1 second. Received: seconds={seconds}. Ask for 1 or more."
        )
    if seed < 0:
        raise UsageError(f"Expected a seed from 0. Received: seed={seed}. Choose 0 or more.")
    edition = f"{seconds:g}s-seed{seed}-v{VERSION}"
    folder = cache_dir() / "synthetic" / edition if root is None else Path(root)
    return (_track(folder, edition, seed, index, seconds) for index in range(pieces))


def _track(folder: Path, edition: str, seed: int, index: int, seconds: float) -> Track:
    name = f"synthetic-{seed}-{index:05d}"
    score = compose(seed, index, seconds=seconds)
    path = folder / f"{name}.flac"
    if not _is_edition(path, edition):
        _write(path, edition, score)
    return Track(id=name, annotations=annotate(score), audio=path, group=name)


def _is_edition(path: Path, edition: str) -> bool:
    """Whether a file holds this very piece, and not one of another duration or version."""
    if not path.is_file():
        return False
    try:
        with soundfile.SoundFile(path) as audio:
            return bool(audio.comment == edition)
    except soundfile.LibsndfileError:
        return False


def _write(path: Path, edition: str, score: Score) -> None:
    """Write the audio under another name first, so that no reader meets half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with soundfile.SoundFile(
            unfinished, "w", SAMPLE_RATE, channels=1, subtype="PCM_16", format="FLAC"
        ) as audio:
            audio.comment = edition
            audio.write(render(score))
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
