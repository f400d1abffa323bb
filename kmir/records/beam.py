"""Tracks to sharded TFRecords with Apache Beam: the steps of `kmir.records.write` on many machines.

::

    chunks of tracks → tracks ─┬→ features, one file each → outcomes → deal of shards ─┐
                               └───────────────→ tracks by shard → shards ←────────────┘
                                                                     └→ spec.json, manifest.json

Features go through files in ``.staging``, not through the pipeline: a worker holds those of one
track, and what is staged is not computed again, neither when Beam repeats a step nor when the
command is run again, with this runner or the local one. Tracks go through files there too, for the
graph of a job may only have some megabytes. Every file is written under another name and renamed:
what is called a shard or a manifest is whole, and the manifest comes last.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np

from kmir.datasets import Track
from kmir.errors import RecordError
from kmir.features.base import Feature
from kmir.records.shards import Written, deal_shards, is_shard, write_shard
from kmir.records.spec import Manifest, Spec, read_manifest
from kmir.records.stage import STAGING, Staging, begun_otherwise, failure
from kmir.records.write import TABLES, finished, none_readable, only_records, write_manifest
from kmir.remote import Folder

CHUNK = 100  # tracks

# Shard and place in it by track id; reason by id of the tracks that failed.
Deal = tuple[dict[str, tuple[str, int]], dict[str, str]]
# What travels: a pickled track, or why it can't be; id and split beside it.
Parcel = tuple[str, str, bytes, str]
# Id, split, bytes of the staged features, or why there are none.
Outcome = tuple[str, str, int, str]


@dataclass(frozen=True)
class Job:
    """An extraction, as the workers know it; picklable, and small whatever the data set.

    Args:
        out: Folder of the records.
        feature: What to extract.
        spec: Of the records.
        source: Hash of all that decides what they will hold.
    """

    out: Folder
    feature: Feature
    spec: Spec
    source: str

    # === Where the command is run: before ===

    def open(self, *, overwrite: bool) -> Manifest | None:
        """Make the folder ready, or take up what an interrupted run left there.

        Args:
            overwrite: Remove what stands there, unless it is an unfinished extraction of the same.

        Returns:
            The manifest, if all is done already.

        Raises:
            RecordError: If the folder holds other records, or others begun.
        """
        stamp = self.out.read(f"{STAGING}/source")
        begun = None if stamp is None else stamp.decode()
        if overwrite and begun != self.source:
            names = list(self.out.files())
            only_records([name.partition("/")[0] for name in names], self.out.url)
            self.out.remove_folder(STAGING)
            self.out.remove(name for name in names if not name.startswith(f"{STAGING}/"))
            begun = None
        if manifest := self.manifest():
            manifest = finished(manifest, self.source, self.out.url)
            self.out.remove_folder(STAGING)
            return manifest
        if begun not in (None, self.source):
            raise begun_otherwise(self.out.url)
        self.out.write(self.source.encode(), f"{STAGING}/source", drafts=STAGING)
        self.out.remove([name for name in self.out.files() if is_shard(name)])  # of a killed run
        return None

    def send(self, tracks: Sequence[Track], splits: Mapping[str, str]) -> list[str]:
        """Write the tracks where workers read them; the names of the files."""
        coder = beam.coders.CloudpickleCoder()
        names = []
        for start in range(0, len(tracks), CHUNK):
            parcels: list[Parcel] = []
            for track in tracks[start : start + CHUNK]:
                try:
                    parcels.append((track.id, splits[track.id], coder.encode(track), ""))
                except Exception as error:  # features that can't be pickled
                    reason = f"{track.id}: {type(error).__name__}: {error}"
                    parcels.append((track.id, splits[track.id], b"", reason))
            names.append(f"{STAGING}/tracks-{start // CHUNK:05d}")
            self.out.write(coder.encode(parcels), names[-1], drafts=STAGING)
        return names

    # === On the workers ===

    def pipeline(self, root: Any, chunks: Sequence[str]) -> None:
        """Put all steps into a pipeline that has none yet."""
        tracks = (
            root
            | "chunks" >> beam.Create(chunks)
            | "spread chunks" >> beam.Reshuffle()
            | "read tracks" >> beam.FlatMap(self.receive)
            | "spread tracks" >> beam.Reshuffle()
        )
        deal = (
            tracks
            | "extract" >> beam.Map(self.extract)
            | "outcomes" >> beam.combiners.ToList()
            | "deal" >> beam.Map(self.deal)
        )
        (
            tracks
            | "place" >> beam.FlatMap(self.place, beam.pvalue.AsSingleton(deal))
            | "by shard" >> beam.GroupByKey()
            | "write" >> beam.MapTuple(self.write)
            | "shards" >> beam.combiners.ToList()
            | "finish" >> beam.Map(self.finish, beam.pvalue.AsSingleton(deal))
        )

    def receive(self, chunk: str) -> Iterator[Parcel]:
        """Tracks of a chunk."""
        content = self.out.read(chunk)
        if content is None:
            raise RecordError(
                f"Expected workers to see {self.out.url}. Received: no {chunk} there. Give an "
                "--out that this machine and all workers reach by the same name."
            )
        yield from beam.coders.CloudpickleCoder().decode(content)

    def extract(self, parcel: Parcel) -> Outcome:
        """Stage the features of a track, unless they are staged already."""
        name, split, pickled, reason = parcel
        if reason:
            return name, split, 0, reason
        track = _unpacked(pickled)
        with tempfile.TemporaryDirectory(prefix="kmir-") as folder:
            staging = Staging(Path(folder), self.feature, self.spec.dtype)
            file = staging.path(track)
            staged = f"{STAGING}/{file.name}"
            if size := self.out.size(staged):
                return name, split, size, ""
            if problem := failure(track, partial(staging.stage, track)):
                return name, split, 0, problem
            # Outside of `failure`: a store that is out of reach is no fault of the track.
            self.out.put(file, staged, drafts=STAGING)
            return name, split, file.stat().st_size, ""

    def deal(self, outcomes: Iterable[Outcome]) -> Deal:
        """Shard and place in it by track id, and reason by id of the tracks that failed."""
        sizes, splits, failed = {}, {}, {}
        for name, split, size, reason in outcomes:
            splits[name] = split
            if reason:
                failed[name] = reason
            else:
                sizes[name] = size
        shards = deal_shards(splits, sizes)
        places = {name: (file, i) for file, names in shards.items() for i, name in enumerate(names)}
        return places, failed

    def place(self, parcel: Parcel, deal: Deal) -> Iterator[tuple[str, tuple[int, bytes]]]:
        """A track by the shard that it goes into, with its place there."""
        name, _, pickled, _ = parcel
        if name in deal[0]:
            shard, index = deal[0][name]
            yield shard, (index, pickled)

    def write(self, shard: str, members: Iterable[tuple[int, bytes]]) -> Written:
        """Write a shard from staged features."""
        tracks = [_unpacked(pickled) for _, pickled in sorted(members)]
        with tempfile.TemporaryDirectory(prefix="kmir-") as folder:
            staging = Staging(Path(folder), self.feature, self.spec.dtype)

            def load(track: Track) -> np.ndarray:
                file = staging.path(track)
                self.out.fetch(f"{STAGING}/{file.name}", file)
                features: np.ndarray = np.load(file)
                file.unlink()
                return features

            written = write_shard(Path(folder, shard), tracks, load)
            self.out.put(Path(folder, shard), shard, drafts=STAGING)
        return written

    def finish(
        self,
        written: Sequence[Written],
        deal: Deal,
    ) -> None:
        """Write spec and manifest; where nothing could be read, why."""
        _, failed = deal
        if not written:
            told = json.dumps(failed, sort_keys=True).encode()
            self.out.write(told, f"{STAGING}/failed.json", drafts=STAGING)
            return
        with tempfile.TemporaryDirectory(prefix="kmir-") as folder:
            write_manifest(Path(folder), self.spec, self.source, written, failed)
            for name in TABLES:
                self.out.put(Path(folder, name), name, drafts=STAGING)

    # === Where the command is run: after ===

    def manifest(self) -> Manifest | None:
        """The manifest, if it is there."""
        content = self.out.read("manifest.json")
        if content is None:
            return None
        with tempfile.TemporaryDirectory(prefix="kmir-") as folder:
            Path(folder, "manifest.json").write_bytes(content)
            try:
                return read_manifest(Path(folder))
            except RecordError as error:
                raise RecordError(str(error).replace(folder, self.out.url)) from None

    def close(self) -> Manifest:
        """The manifest of the pipeline that has ended; what was staged is removed.

        Raises:
            RecordError: If there is none: no track could be read, or it was written elsewhere.
        """
        manifest = self.manifest()
        if manifest is None:
            failed = self.out.read(f"{STAGING}/failed.json")
            if failed is not None:
                self.out.remove([f"{STAGING}/failed.json"])
                raise none_readable(json.loads(failed))
            raise RecordError(
                f"Expected manifest.json in {self.out.url} after the pipeline. Received: none. "
                "Give an --out that this machine and all workers reach by the same name."
            )
        self.out.remove_folder(STAGING)
        return manifest

    def staged(self) -> int:
        """Number of tracks that are staged."""
        return sum(name.endswith(".npy") for name in self.out.files(STAGING))


def _unpacked(pickled: bytes) -> Track:
    track: Track = beam.coders.CloudpickleCoder().decode(pickled)
    return track
