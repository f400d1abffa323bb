"""Shards: which track stands in which, in what order, and how one is written.

A shard is a TFRecord file of some tracks of a split. Only ids and sizes decide what stands where,
so that whoever writes them, the bytes are the same.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kmir.datasets import SPLITS, Track
from kmir.integrity import sha256
from kmir.records.spec import Shard, Split

SHARD_BYTES = 256 * 2**20
MIN_SHARDS = 8
PIECE_BYTES = 4 * 2**20
NAME = re.compile(r".+-\d+-of-\d+\.tfrecord")


def is_shard(name: str) -> bool:
    """Whether a file is called as shards are."""
    return NAME.fullmatch(name) is not None


def deal_shards(splits: Mapping[str, str], sizes: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    """Which track goes into which shard, and in what order: only their ids and sizes decide.

    Args:
        splits: Split by track id.
        sizes: Bytes of its staged features by track id, of the tracks that could be read.

    Returns:
        Ids of the tracks by file name of the shard, split by split.
    """
    dealt = {}
    for split in SPLITS:
        names = [name for name in sizes if splits[name] == split]
        names.sort(key=lambda name: hashlib.sha256(name.encode()).digest())
        total = sum(sizes[name] for name in names)
        count = min(len(names), max(MIN_SHARDS, -(-total // SHARD_BYTES)))
        for index in range(count):
            file = f"{split}-{index:05d}-of-{count:05d}.tfrecord"
            dealt[file] = tuple(names[index::count])
    return dealt


@dataclass(frozen=True)
class Written:
    """A shard that has been written, and what its split wants to know of it.

    Args:
        shard: Name, hash and size.
        lengths: Number of pieces by their length in frames.
        tag_counts: Number of tracks that have each tag.
        one_tag_each: Whether every track has exactly one tag.
    """

    shard: Shard
    lengths: Counter[int]
    tag_counts: Counter[str]
    one_tag_each: bool


def write_shard(
    path: Path, tracks: Sequence[Track], load: Callable[[Track], np.ndarray]
) -> Written:
    """Write the pieces of some tracks to one file, atomically.

    Args:
        path: Name of the shard.
        tracks: Its tracks, in their order.
        load: Gives the staged features of a track, ``(frames, *shape)``.
    """
    from kmir.records.example import serialise, writer

    lengths: Counter[int] = Counter()
    temporary = path.with_name(path.name + ".tmp")
    with writer(temporary) as out:
        for track in tracks:
            features = load(track)
            pieces = np.array_split(features, max(1, -(-features.nbytes // PIECE_BYTES)))
            start = 0
            for index, piece in enumerate(pieces):
                out.write(serialise(track, piece, index, len(pieces), start))
                start += len(piece)
                lengths[len(piece)] += 1
    temporary.replace(path)
    tags = [tags_of(track) for track in tracks]
    size = path.stat().st_size
    return Written(
        Shard(path.name, sha256(path), size, len(tracks), lengths.total()),
        lengths,
        Counter(tag for labels in tags for tag in labels),
        all(len(labels) == 1 for labels in tags),
    )


def joined(written: Sequence[Written]) -> Split:
    """What a split holds, from its shards in their order."""
    lengths, tags = Counter[int](), Counter[str]()
    for each in written:
        lengths += each.lengths
        tags += each.tag_counts
    return Split(
        tracks=sum(each.shard.tracks for each in written),
        lengths=tuple(sorted(lengths.items())),
        tag_counts=dict(sorted(tags.items())),
        one_tag_each=all(each.one_tag_each for each in written),
        shards=tuple(each.shard for each in written),
    )


def tags_of(track: Track) -> tuple[str, ...]:
    """Tags of a track; none where they are not known."""
    return track.annotations.tags.labels if track.annotations.tags else ()
