"""Tracks to sharded TFRecords: in parallel, resumable, byte-identical however many workers.

Each track is first staged as one array file, written by whichever worker is free; a track that is
staged is never computed again. When all are there, one process joins them into shards in a fixed
order, writes ``spec.json``, then ``manifest.json`` last, and removes the staging. What is killed
at any point goes on with the same command. Staging takes the space of the records once more.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kmir.datasets import SPLITS, Track
from kmir.errors import DatasetError, RecordError
from kmir.features.base import Feature
from kmir.integrity import sha256, sketch, write_json
from kmir.records.spec import Manifest, Shard, Spec, Split, read_manifest
from kmir.records.splits import assign_splits
from kmir.records.stage import Staging

SHARD_BYTES = 256 * 2**20
MIN_SHARDS = 8
PIECE_BYTES = 4 * 2**20


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
    staging = Staging(out / ".staging", feature, dtype)
    if _finished(out, source):
        staging.close()
        return read_manifest(out)
    staging.open(source)
    failed = staging.fill(tracks, workers=workers, quiet=quiet)
    readable = [track for track in tracks if track.id not in failed]
    if not readable:
        reasons = "\n".join(f"  {reason}" for reason in failed.values())
        raise RecordError(f"Expected at least one readable track. Received: none.\n{reasons}")
    for stale in out.glob("*-[0-9]*-of-[0-9]*.tfrecord"):  # of a run that was killed
        stale.unlink()
    written = {}
    for split in SPLITS:
        if members := [track for track in readable if splits[track.id] == split]:
            written[split] = _write_split(out, split, members, staging)
    write_json(out / "spec.json", dataclasses.asdict(spec))
    manifest = Manifest(source, sha256(out / "spec.json"), written, failed)
    write_json(out / "manifest.json", dataclasses.asdict(manifest))
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
    tags = {tag for track in tracks for tag in _tags(track)}
    spec = Spec(dataset, feature.config, dtype, known, tuple(sorted(tags)))
    return spec, splits, _source(spec, tracks, splits)


def _check_ids(tracks: Sequence[Track]) -> None:
    """Ids name the staged files and go into the shards: each once, and as text."""
    for name, count in Counter(track.id for track in tracks).items():
        if count > 1:
            raise DatasetError(f"Expected each track id once. Received: '{name}' {count} times.")
        if name != name.encode(errors="replace").decode():
            raise DatasetError(f"Expected track ids in UTF-8. Received: {name!a}. Rename the file.")


def _tags(track: Track) -> tuple[str, ...]:
    return track.annotations.tags.labels if track.annotations.tags else ()


def _source(spec: Spec, tracks: Sequence[Track], splits: dict[str, str]) -> str:
    """Hash of all that decides what the shards will hold."""
    digest = hashlib.sha256(json.dumps(dataclasses.asdict(spec), sort_keys=True).encode())
    for track in tracks:
        audio = sketch(track.audio) if track.audio and track.audio.is_file() else None
        if track.render is not None:
            audio = track.render.fingerprint
        line = [track.id, track.group, splits[track.id], track.annotations.to_json(), audio]
        digest.update(json.dumps(line).encode())
    return digest.hexdigest()


def _finished(out: Path, source: str) -> bool:
    if not (out / "manifest.json").exists():
        return False
    if read_manifest(out).source == source:
        return True
    raise RecordError(
        f"Expected an empty folder, or records of the same data and feature. Received: {out}, "
        "which holds others. Choose another --out, or add --overwrite."
    )


def _write_split(out: Path, split: str, tracks: list[Track], staging: Staging) -> Split:
    """Join staged tracks into shards, in an order that only their ids decide."""
    tracks = sorted(tracks, key=lambda track: hashlib.sha256(track.id.encode()).digest())
    sizes = [staging.path(track).stat().st_size for track in tracks]
    count = min(len(tracks), max(MIN_SHARDS, -(-sum(sizes) // SHARD_BYTES)))
    shards, lengths = [], []
    for index in range(count):
        name = f"{split}-{index:05d}-of-{count:05d}.tfrecord"
        chosen = tracks[index::count]
        pieces = _write_shard(out / name, chosen, staging)
        lengths += pieces
        size = (out / name).stat().st_size
        shards.append(Shard(name, sha256(out / name), size, len(chosen), len(pieces)))
    tags = [_tags(track) for track in tracks]
    return Split(
        tracks=len(tracks),
        lengths=tuple(sorted(Counter(lengths).items())),
        tag_counts=dict(sorted(Counter(tag for labels in tags for tag in labels).items())),
        one_tag_each=all(len(labels) == 1 for labels in tags),
        shards=tuple(shards),
    )


def _write_shard(path: Path, tracks: list[Track], staging: Staging) -> list[int]:
    """Write the pieces of some tracks to one file; the lengths of the pieces in frames."""
    from kmir.records.example import serialise, writer

    lengths = []
    temporary = path.with_name(path.name + ".tmp")
    with writer(temporary) as out:
        for track in tracks:
            features = np.load(staging.path(track))
            pieces = np.array_split(features, max(1, -(-features.nbytes // PIECE_BYTES)))
            start = 0
            for index, piece in enumerate(pieces):
                out.write(serialise(track, piece, index, len(pieces), start))
                start += len(piece)
                lengths.append(len(piece))
    temporary.replace(path)
    return lengths
