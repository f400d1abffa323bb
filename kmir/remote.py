"""Folders anywhere: on a disc, or in an object store, through the file systems of Apache Beam.

``gs://``, ``s3://``, ``azfs://`` and ``hdfs://`` come with the extras of apache-beam (``gcp``,
``aws``, ``azure``, ``hadoop``); what else is registered as a ``FileSystem`` works too.
"""

from __future__ import annotations

import re
import shutil
import uuid
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from apache_beam.io.filesystem import CompressionTypes, FileMetadata
from apache_beam.io.filesystems import FileSystems

from kmir.errors import UsageError

# What is stored is what was written: no guesses from names such as x.gz.
PLAIN = CompressionTypes.UNCOMPRESSED
BATCH = 1000  # files removed at once


@dataclass(frozen=True)
class Folder:
    """A folder by its path or URL; picklable.

    Args:
        url: ``"/data/records"``, or ``"gs://bucket/records"``.
    """

    url: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", self.url.rstrip("/") or "/")
        try:
            FileSystems.get_filesystem(self.url)
        except ValueError:
            scheme = FileSystems.get_scheme(self.url)
            raise UsageError(
                f"Expected a path, or a URL that Apache Beam reads and writes. Received: "
                f"'{self.url}'. For {scheme}:// install what belongs to it, such as "
                "apache-beam[gcp] (gs://) or apache-beam[aws] (s3://)."
            ) from None

    def path(self, name: str) -> str:
        """Path or URL of a file in the folder."""
        return f"{self.url}/{name}"

    def files(self, within: str = "") -> dict[str, FileMetadata]:
        """Files in the folder and the folders below it, with size and time of change.

        Args:
            within: A folder in it to look into, ``""`` for all.

        Returns:
            By path from the folder, with ``/``, sorted.
        """
        start = self.path(f"{within}/" if within else "")
        with warnings.catch_warnings(action="ignore", category=FutureWarning):  # of _literal's sets
            (match,) = FileSystems.match([f"{_literal(start)}**"])
        found = {
            metadata.path.replace("\\", "/").removeprefix(f"{self.url}/"): metadata
            for metadata in match.metadata_list
        }
        return {name: found[name] for name in sorted(found) if not name.endswith("/")}

    def size(self, name: str) -> int | None:
        """Bytes of a file; None where there is none."""
        if not FileSystems.exists(self.path(name)):
            return None
        return int(FileSystems.get_filesystem(self.url).metadata(self.path(name)).size_in_bytes)

    def read(self, name: str) -> bytes | None:
        """Content of a small file; None where there is none."""
        if not FileSystems.exists(self.path(name)):
            return None
        with FileSystems.open(self.path(name), compression_type=PLAIN) as file:
            return bytes(file.read())

    def fetch(self, name: str, to: Path) -> None:
        """Copy a file to a path on this machine."""
        with (
            FileSystems.open(self.path(name), compression_type=PLAIN) as file,
            to.open("wb") as out,
        ):
            shutil.copyfileobj(file, out, 2**20)

    def put(self, file: Path, name: str, *, drafts: str) -> None:
        """Copy a file of this machine into the folder: whole, or not at all.

        Args:
            file: The file.
            name: What it is to be called; a file of that name is replaced.
            drafts: Folder in the folder where it stands, under a name of chance, until it is whole.
        """
        with file.open("rb") as source, self._whole(name, drafts) as out:
            shutil.copyfileobj(source, out, 2**20)

    def write(self, content: bytes, name: str, *, drafts: str) -> None:
        """Write a small file, as `put` does."""
        with self._whole(name, drafts) as out:
            out.write(content)

    @contextmanager
    def _whole(self, name: str, drafts: str) -> Iterator[BinaryIO]:
        draft = self.path(f"{drafts}/{uuid.uuid4().hex}.tmp")
        with FileSystems.create(draft, compression_type=PLAIN) as out:
            yield out
        if FileSystems.get_scheme(self.url) is None:
            Path(self.path(name)).parent.mkdir(parents=True, exist_ok=True)
        FileSystems.rename([draft], [self.path(name)])

    def remove(self, names: Iterable[str]) -> None:
        """Remove files."""
        patterns = [_literal(self.path(name)) for name in names]
        with warnings.catch_warnings(action="ignore", category=FutureWarning):
            for start in range(0, len(patterns), BATCH):
                FileSystems.delete(patterns[start : start + BATCH])

    def remove_folder(self, name: str) -> None:
        """Remove a folder in the folder, with all its files, if it is there."""
        if FileSystems.get_scheme(self.url) is None:
            shutil.rmtree(self.path(name), ignore_errors=True)
        else:  # in a store a folder is no more than a part of names
            self.remove(self.files(name))


def _literal(path: str) -> str:
    """A path as a pattern that matches it alone."""
    return re.sub(r"[*?[]", r"[\g<0>]", path)
