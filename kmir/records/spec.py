"""``spec.json`` and ``manifest.json``: what the records hold, and how much of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kmir.datasets import SPLITS
from kmir.errors import RecordError
from kmir.features.base import Feature, feature_from_config

FORMAT = 1


@dataclass(frozen=True)
class Spec:
    """What stands in the records.

    Args:
        dataset: Name of the data set they were made from.
        feature: Config of the feature.
        dtype: ``"float16"`` or ``"float32"``, of the stored features.
        known: Names of the annotation fields that at least one track has.
        tags: All tags that occur, sorted; empty where there are none.
    """

    dataset: str
    feature: dict[str, Any]
    dtype: str
    known: tuple[str, ...]
    tags: tuple[str, ...] = ()
    format: int = FORMAT


@dataclass(frozen=True)
class Shard:
    """One TFRecord file of a split."""

    file: str
    sha256: str
    bytes: int
    tracks: int
    pieces: int


@dataclass(frozen=True)
class Split:
    """What one split holds.

    Args:
        tracks: Number of tracks.
        lengths: Pairs of a length in frames and the number of stored pieces that have it; a long
            track has several pieces.
        tag_counts: Number of tracks that have each tag.
        one_tag_each: Whether every track has exactly one tag, so that tags are classes.
        shards: The files.
    """

    tracks: int
    lengths: tuple[tuple[int, int], ...]
    tag_counts: dict[str, int]
    one_tag_each: bool
    shards: tuple[Shard, ...]

    @property
    def pieces(self) -> int:
        """Number of stored pieces."""
        return sum(count for _, count in self.lengths)

    @property
    def frames(self) -> int:
        """Number of frames altogether."""
        return sum(frames * count for frames, count in self.lengths)

    @property
    def longest(self) -> int:
        """Frames of the longest piece."""
        return max(frames for frames, _ in self.lengths)


@dataclass(frozen=True)
class Manifest:
    """What the records hold in each split, and what could not be read.

    Args:
        source: Hash of the spec and the tracks that the records were asked for.
        spec_sha256: Hash of ``spec.json``, which says how to read the shards.
        splits: By name.
        failed: Reason by track id, for tracks that could not be read.
    """

    source: str
    spec_sha256: str
    splits: Mapping[str, Split]
    failed: dict[str, str]
    format: int = FORMAT


def read_spec(root: Path) -> tuple[Spec, Feature]:
    """Spec of a records folder, and the feature it holds."""
    values = _read(root, "spec.json")
    try:
        values |= {"known": tuple(values["known"]), "tags": tuple(values["tags"])}
        spec = Spec(**values)
        return spec, feature_from_config(spec.feature)
    except (KeyError, TypeError) as error:
        raise _unlike(root / "spec.json", error) from None


def read_manifest(root: Path) -> Manifest:
    """Manifest of a records folder."""
    values = _read(root, "manifest.json")
    try:
        # JSON has them in the order of their names.
        names = sorted(values["splits"], key=SPLITS.index)
        splits = {name: _split(values["splits"][name]) for name in names}
        return Manifest(**(values | {"splits": splits}))
    except (KeyError, TypeError, ValueError) as error:
        raise _unlike(root / "manifest.json", error) from None


def _split(values: dict[str, Any]) -> Split:
    lengths = tuple((frames, count) for frames, count in values["lengths"])
    shards = tuple(Shard(**shard) for shard in values["shards"])
    return Split(**(values | {"lengths": lengths, "shards": shards}))


def _unlike(path: Path, error: Exception) -> RecordError:
    return RecordError(
        f"Expected {path} as kmir writes it. Received: {type(error).__name__} {error}. "
        "Extract it again with --overwrite."
    )


def _read(root: Path, name: str) -> dict[str, Any]:
    path = root / name
    if not path.is_file():
        raise RecordError(
            f"Expected a records folder with {name}. Received: {root}. Make one, or finish one "
            f"that was interrupted: python -m kmir.extract DATASET --root DIR --out {root}"
        )
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        line = f"Expected JSON in {path}. Received: {error}. Extract it again with --overwrite."
        raise RecordError(line) from None
    found = values.get("format") if isinstance(values, dict) else None
    if found != FORMAT:
        raise RecordError(
            f"Expected records of format {FORMAT} in {path}. Received: {found}. "
            "Extract them again with --overwrite."
        )
    return values
