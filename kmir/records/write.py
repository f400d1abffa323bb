"""Tracks to sharded TFRecords: in parallel, resumable, byte-identical however many workers.

Each track is first staged as one array file, written by whichever worker is free; a track that is
staged is never computed again. When all are there, one process joins them into shards in a fixed
order, writes ``spec.json``, then ``manifest.json`` last, and removes the staging. What is killed
at any point goes on with the same command. Staging takes the space of the records once more.

The steps are functions of their own, for `kmir.records.beam` takes the same ones on a cluster.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from kmir.datasets import SPLITS, Track
from kmir.errors import DatasetError, RecordError
from kmir.features.base import Feature
from kmir.integrity import sha256, write_json
from kmir.records.shards import Written, deal_shards, is_shard, joined, tags_of, write_shard
from kmir.records.spec import Manifest, Spec, read_manifest
from kmir.records.splits import assign_splits
from kmir.records.stage import STAGING, Staging

TABLES = ("spec.json", "manifest.json")


def write_records(
    out: Path,
    tracks: Sequence[Track],
    feature: Feature,
    *,
    dataset: str,
    dtype: str = "float16",
    seed: int = 0,
    workers: int = 1,
    quiet: bool = False,
) -> Manifest:
    """Extract a feature from all tracks and write it as records.

    Args:
        out: Folder to write to; an unfinished run in it is taken up where it stopped.
        tracks: All tracks of the data set.
        feature: What to extract.
        dataset: Name of the data set, for the spec.
        dtype: ``"float16"`` or ``"float32"``.
        seed: Of the split, where the data set publishes none.
        workers: Number of processes.
        quiet: No progress bar.

    Returns:
        The manifest. Tracks that could not be read stand in its ``failed``.

    Raises:
        DatasetError: If two tracks have one id, or a group is published in two splits.
        RecordError: If the folder holds something else, or no track at all could be read.
    """
    spec, splits, source = plan_records(tracks, feature, dataset=dataset, dtype=dtype, seed=seed)
    staging = Staging(out / STAGING, feature, dtype)
    if (out / "manifest.json").exists():
        manifest = finished(read_manifest(out), source, out)
        staging.close()
        return manifest
    staging.open(source)
    failed = staging.fill(tracks, workers=workers, quiet=quiet)
    readable = {track.id: track for track in tracks if track.id not in failed}
    if not readable:
        raise none_readable(failed)
    for stale in filter(is_shard, [path.name for path in out.iterdir()]):  # of a killed run
        (out / stale).unlink()
    sizes = {name: staging.path(track).stat().st_size for name, track in readable.items()}
    written = [
        write_shard(
            out / file, [readable[name] for name in names], lambda t: np.load(staging.path(t))
        )
        for file, names in deal_shards(splits, sizes).items()
    ]
    manifest = write_manifest(out, spec, source, written, failed)
    staging.close()
    return manifest


def plan_records(
    tracks: Sequence[Track],
    feature: Feature,
    *,
    dataset: str,
    dtype: str = "float16",
    seed: int = 0,
) -> tuple[Spec, dict[str, str], str]:
    """Spec, split by track id, and hash of all that decides what `write_records` will write."""
    _check_ids(tracks)
    splits = assign_splits(tracks, seed)
    known = tuple(sorted({name for track in tracks for name in track.annotations.known}))
    tags = {tag for track in tracks for tag in tags_of(track)}
    spec = Spec(dataset, feature.config, dtype, known, tuple(sorted(tags)))
    return spec, splits, _source(spec, tracks, splits)


def _check_ids(tracks: Sequence[Track]) -> None:
    """Ids name the staged files and go into the shards: each once, and as text."""
    for name, count in Counter(track.id for track in tracks).items():
        if count > 1:
            raise DatasetError(f"Expected each track id once. Received: '{name}' {count} times.")
        if name != name.encode(errors="replace").decode():
            raise DatasetError(f"Expected track ids in UTF-8. Received: {name!a}. Rename the file.")


def _source(spec: Spec, tracks: Sequence[Track], splits: dict[str, str]) -> str:
    """Hash of all that decides what the shards will hold."""
    digest = hashlib.sha256(json.dumps(dataclasses.asdict(spec), sort_keys=True).encode())
    for track in tracks:
        annotations = track.annotations.to_json()
        line = [track.id, track.group, splits[track.id], annotations, track.sound_fingerprint]
        digest.update(json.dumps(line).encode())
    return digest.hexdigest()


def finished(manifest: Manifest, source: str, out: object) -> Manifest:
    """The manifest that stands in a folder already, if it is of what is asked for.

    Raises:
        RecordError: If it is of something else.
    """
    if manifest.source == source:
        return manifest
    raise RecordError(
        f"Expected an empty folder, or records of the same data and feature. Received: {out}, "
        "which holds others. Choose another --out, or add --overwrite."
    )


def none_readable(failed: Mapping[str, str]) -> RecordError:
    """What to say where every track failed: reason by track id."""
    reasons = "\n".join(f"  {reason}" for reason in failed.values())
    return RecordError(f"Expected at least one readable track. Received: none.\n{reasons}")


def only_records(names: Iterable[str], out: object) -> None:
    """Check that a folder, about to be emptied, has nothing in it but records, finished or not.

    Raises:
        RecordError: If there is something else.
    """
    for name in names:
        whole = name.removesuffix(".tmp")
        if not whole.endswith(".tfrecord") and whole not in (*TABLES, STAGING):
            raise RecordError(f"Expected {out} to hold only records. Received: also {name}.")


def write_manifest(
    out: Path, spec: Spec, source: str, written: Sequence[Written], failed: Mapping[str, str]
) -> Manifest:
    """Write ``spec.json`` and, last of all, ``manifest.json``: from then on, it is finished."""
    by_split: dict[str, list[Written]] = {split: [] for split in SPLITS}
    for each in sorted(written, key=lambda each: each.shard.file):
        by_split[each.shard.file.partition("-")[0]].append(each)
    splits = {split: joined(shards) for split, shards in by_split.items() if shards}
    write_json(out / "spec.json", dataclasses.asdict(spec))
    told = dict(sorted(failed.items()))
    manifest = Manifest(source, sha256(out / "spec.json"), splits, told)
    write_json(out / "manifest.json", dataclasses.asdict(manifest))
    return manifest
