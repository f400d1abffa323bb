"""Files that others publish: fetched once, checked always."""

from __future__ import annotations

import hashlib
import http.client
import os
import tempfile
import urllib.request
from pathlib import Path
from typing import BinaryIO

from kmir import integrity
from kmir.cache import cache_dir
from kmir.errors import PresetError

TIMEOUT = 30.0  # seconds without an answer
CHUNK = 1 << 20  # bytes read at a time


def fetch(preset: str, filename: str, *, url: str, sha256: str) -> Path:
    """Path of a published file in the cache, downloaded if it isn't there.

    What is there is checked as well; nothing that fails the check is ever written under the
    file's name.

    Args:
        preset: Name of the preset, which is the folder in `kmir.cache.cache_dir`.
        filename: Name of the file in that folder.
        url: Where it is published.
        sha256: What its content must hash to, 64 hex digits.

    Returns:
        Path of the file, whose content has this hash.

    Raises:
        PresetError: If the file in the cache or the one published has another hash, or if there
            is none and it can't be downloaded.
    """
    path = cache_dir() / preset / filename
    if path.is_file():
        received = integrity.sha256(path)
        if received != sha256:
            raise PresetError(
                f"Expected {path} to have sha256 {sha256}. Received: {received}. "
                f"Delete the file; it is downloaded again from {url}"
            )
        return path

    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, so that the rename is atomic: two runs at once don't see half a file.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{filename}.")
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            received = _download(url, file)
        if received != sha256:
            raise PresetError(
                f"Expected {url} to have sha256 {sha256}. Received: {received}. "
                f"The published file has changed; put the original at {path}"
            )
        partial.replace(path)
    except (OSError, http.client.HTTPException) as error:
        raise PresetError(
            f"Expected {path}, or a network to download it. Received: {error} (from {url}). "
            f"Download it elsewhere and put it there; its sha256 is {sha256}"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return path


def _download(url: str, file: BinaryIO) -> str:
    """Writes what `url` answers and returns its sha256."""
    digest = hashlib.sha256()
    with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
        while chunk := answer.read(CHUNK):
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()
