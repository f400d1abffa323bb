"""``mem://``: a file system of Apache Beam in a dictionary, as an object store is one."""

import io
import time
from collections.abc import Iterator
from typing import Any

from apache_beam.io.filesystem import BeamIOError, FileMetadata, FileSystem

FILES: dict[str, bytes] = {}
CHANGED: dict[str, float] = {}
CREATED: list[str] = []  # names, in the order in which they were written to


class _Writer(io.BytesIO):
    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def close(self) -> None:
        if not self.closed:
            FILES[self.path] = self.getvalue()
            CHANGED[self.path] = time.time()
        super().close()


class MemoryFileSystem(FileSystem):
    @classmethod
    def scheme(cls) -> str:
        return "mem"

    def has_dirs(self) -> bool:
        return False

    def join(self, basepath: str, *paths: str) -> str:
        return "/".join([basepath.rstrip("/"), *paths])

    def split(self, path: str) -> tuple[str, str]:
        head, _, tail = path.rpartition("/")
        return head, tail

    def mkdirs(self, path: str) -> None:
        raise NotImplementedError

    def _list(self, dir_or_prefix: str) -> Iterator[FileMetadata]:
        for path in sorted(FILES):
            if path.startswith(dir_or_prefix):
                yield self.metadata(path)

    def create(self, path: str, mime_type: Any = None, compression_type: Any = None) -> Any:
        CREATED.append(path)
        return _Writer(path)

    def open(self, path: str, mime_type: Any = None, compression_type: Any = None) -> Any:
        if path not in FILES:
            raise BeamIOError(f"No such file: {path}")
        return io.BytesIO(FILES[path])

    def copy(self, source_file_names: Any, destination_file_names: Any) -> None:
        raise NotImplementedError

    def rename(self, source_file_names: Any, destination_file_names: Any) -> None:
        for old, new in zip(source_file_names, destination_file_names, strict=True):
            FILES[new], CHANGED[new] = FILES.pop(old), CHANGED.pop(old)

    def exists(self, path: str) -> bool:
        return path in FILES

    def size(self, path: str) -> int:
        return len(FILES[path])

    def last_updated(self, path: str) -> float:
        return CHANGED[path]

    def checksum(self, path: str) -> str:
        raise NotImplementedError

    def metadata(self, path: str) -> FileMetadata:
        return FileMetadata(path, len(FILES[path]), CHANGED.get(path, 0.0))

    def delete(self, paths: Any) -> None:
        for match in self.match(paths):
            for metadata in match.metadata_list:
                del FILES[metadata.path]
