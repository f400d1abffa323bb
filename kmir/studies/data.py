"""The records of a study: the songs of a data set dealt anew, frame by frame and beat by beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from kmir.annotations import Annotations, Segments
from kmir.annotations.chords import UNKNOWN
from kmir.config import override
from kmir.datasets import Track
from kmir.errors import DatasetError
from kmir.extract import records_for
from kmir.features.base import Feature
from kmir.features.beat_synchronous import BeatSynchronous, beat_majority, beat_means
from kmir.records.read import Records
from kmir.records.write import write_records
from pipelines.base import Task, task_class
from zoo.studies import Study

Song = tuple[str, np.ndarray, Annotations]


def derive(
    study: Study,
    data: str,
    root: Path | None,
    out: Path,
    *,
    songs: int | None = None,
    quiet: bool = False,
) -> None:
    """Write ``out/frames`` and ``out/beats``, the same songs in the same splits.

    Songs without chords are left out, and so are songs without beats, from both, so that all
    experiments learn and answer for the same ones. Where no song has beats there is no
    ``out/beats``, and all are kept.

    Args:
        study: Says how songs are dealt.
        data: A records folder, or the name of a data set.
        root: Where the data set's files stand.
        out: Folder of both; what is finished there is not made again.
        songs: Take only the first so many, by their id.
        quiet: No progress bar.

    Raises:
        DatasetError: If there are too few songs for all splits.
    """
    if (out / "frames" / "manifest.json").exists():
        return
    records = records_for(data, root, task_class(study.task).feature, quiet=quiet)
    task = task_of(study, records)
    known = [song for song in records.tracks() if song[2].chords is not None]
    with_beats = [song for song in known if song[2].beats is not None and len(song[2].beats.times)]
    chosen = sorted(with_beats or known, key=lambda song: song[0])[:songs]
    splits = deal([name for name, _, _ in chosen], study.shares)
    tracks = [_track(song, splits[song[0]]) for song in chosen]
    settings: dict[str, Any] = {
        "dataset": records.spec.dataset,
        "dtype": records.spec.dtype,
        "quiet": quiet,
    }
    if with_beats:
        feature = BeatSynchronous(records.feature.config)
        beats = [_track(on_beats(song, records.feature, task), splits[song[0]]) for song in chosen]
        write_records(out / "beats", beats, feature, **settings)
    write_records(out / "frames", tracks, records.feature, **settings)  # last: all is done then


def task_of(study: Study, records: Records) -> Task:
    """The task of a study, which all its experiments share."""
    kind = task_class(study.task)
    flags = next(iter(study.experiments.values())).flags
    config = override(kind.Config(), _inside(flags, "pipeline"), "config.pipeline")
    return kind(config, kind.labels_of(records.spec, config))


def deal(names: Sequence[str], shares: Sequence[tuple[str, float]]) -> dict[str, str]:
    """Split of every song: the first share of the sorted names, then the next.

    Args:
        names: Of the songs.
        shares: Pairs of a split and its share, in their order; they sum to 1.

    Raises:
        DatasetError: If a split would be empty.
    """
    order = sorted(names)
    edges = np.round(np.cumsum([0.0] + [share for _, share in shares]) * len(order)).astype(int)
    splits = {
        name: split
        for (split, _), start, stop in zip(shares, edges, edges[1:], strict=False)
        for name in order[start:stop]
    }
    if set(splits.values()) != {split for split, _ in shares}:
        raise DatasetError(
            f"Expected songs for {', '.join(split for split, _ in shares)}. Received: {len(names)} "
            "with chords. Give more."
        )
    return splits


def known_classes(task: Task, annotations: Annotations, times: np.ndarray) -> np.ndarray:
    """``(frames,)`` class of each frame, -1 where none is known."""
    (targets,) = task.encode(annotations, times).values()
    return np.where(np.isfinite(targets).all(axis=1), targets.argmax(axis=1), -1)


def on_beats(song: Song, feature: Feature, task: Task) -> Song:
    """A song on its beat clock: mean features and the majority's chord of each beat.

    Args:
        song: Id, ``(frames, *shape)`` and annotations with chords and beats.
        feature: Of the frames.
        task: Whose labels count.

    Returns:
        Id, ``(beats, *shape)``, and chords of which each lasts from beat t to t + 1.
    """
    name, frames, annotations = song
    assert annotations.beats is not None
    beats, rate = annotations.beats.times, feature.frame_rate
    classes = known_classes(task, annotations, np.arange(len(frames)) / rate)
    clock = np.arange(len(beats), dtype=float)
    labels = [task.labels[c] if c >= 0 else UNKNOWN for c in beat_majority(classes, beats, rate)]
    chords = Segments(np.stack([clock, clock + 1], axis=1), tuple(labels))
    return name, beat_means(frames, beats, rate), Annotations(chords=chords)


def _track(song: Song, split: str) -> Track:
    name, frames, annotations = song
    kept = Annotations(chords=annotations.chords, beats=annotations.beats)
    return Track(name, kept, features=partial(np.asarray, frames), split=split)


def _inside(flags: Mapping[str, str], part: str) -> dict[str, str]:
    return {k.removeprefix(f"{part}."): v for k, v in flags.items() if k.startswith(f"{part}.")}
