"""A records folder, opened: checked, counted, and read as tf.data or track by track."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from kmir.annotations import Annotations
from kmir.errors import RecordError, nearest
from kmir.features.base import Feature
from kmir.integrity import sha256
from kmir.records.example import parse
from kmir.records.spec import Manifest, Shard, Spec, read_manifest, read_spec


@dataclass(frozen=True)
class Records:
    """A finished records folder. Open one with `Records.open`.

    Args:
        root: The folder.
        spec: What stands in it.
        feature: The feature object that made it.
        manifest: How much stands in it.
    """

    root: Path
    spec: Spec
    feature: Feature
    manifest: Manifest

    @classmethod
    def open(cls, root: Path | str) -> Records:
        """Open a folder and check that every shard is there in its full length.

        Raises:
            RecordError: If something is missing, cut short, or of another format.
        """
        root = Path(root)
        manifest = read_manifest(root)
        spec, feature = read_spec(root)
        if sha256(root / "spec.json") != manifest.spec_sha256:
            raise RecordError(
                f"Expected {root / 'spec.json'} as it was written with these shards. Received: "
                "another. Extract again with --overwrite, or copy the folder again."
            )
        records = cls(root, spec, feature, manifest)
        for shard in records.shards():
            path = root / shard.file
            size = path.stat().st_size if path.exists() else None
            if size != shard.bytes:
                got = "no such file" if size is None else f"{size} bytes"
                raise RecordError(
                    f"Expected {path} with {shard.bytes} bytes. Received: {got}. "
                    "Extract again with --overwrite, or copy the file again."
                )
        return records

    def shards(self, split: str = "all") -> list[Shard]:
        """Shards of one split, or of all."""
        names = self.manifest.splits if split == "all" else [self.checked(split)]
        return [shard for name in names for shard in self.manifest.splits[name].shards]

    def checked(self, split: str) -> str:
        """The name of a split, if these records have it.

        Raises:
            RecordError: If they don't.
        """
        if split not in self.manifest.splits:
            known = self.manifest.splits
            raise RecordError(
                f"Expected a split of {self.root}. Received: '{split}'. {nearest(split, known)}"
            )
        return split

    def verify(self) -> None:
        """Check the hash of every shard.

        Raises:
            RecordError: If a shard is not as it was written.
        """
        for shard in self.shards():
            found = sha256(self.root / shard.file)
            if found != shard.sha256:
                raise RecordError(
                    f"Expected {self.root / shard.file} with sha256 {shard.sha256}. "
                    f"Received: {found}. Extract again with --overwrite, or copy the file again."
                )

    def tracks(self, split: str = "all") -> Iterator[tuple[str, np.ndarray, Annotations]]:
        """Whole tracks of a split, one after the other: id, ``(frames, *shape)``, annotations.

        Raises:
            RecordError: If a shard is damaged.
        """
        for shard in self.shards(split):
            path = self.root / shard.file
            try:
                yield from self._tracks_of(path)
            except tf.errors.DataLossError as error:
                raise RecordError(
                    f"Expected {path} as it was written. Received: {error.message}. "
                    "Extract again with --overwrite, or copy the file again."
                ) from None

    def _tracks_of(self, path: Path) -> Iterator[tuple[str, np.ndarray, Annotations]]:
        pieces = []
        for example in tf.data.TFRecordDataset(str(path)).map(self.parse).prefetch(2):
            pieces.append(example["features"].numpy())
            if len(pieces) == int(example["pieces"]):
                annotations = Annotations.from_json(example["annotations"].numpy())
                features = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
                yield example["track"].numpy().decode(), features, annotations
                pieces = []

    def parse(self, serialised: tf.Tensor) -> dict[str, tf.Tensor]:
        """One stored piece, as `kmir.records.example.parse` gives it."""
        return parse(serialised, self.feature.shape, self.spec.dtype)
