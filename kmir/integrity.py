"""Files that are whole: written at once or not at all, and known by their hash."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

SKETCHED = 2**16


def write_json(path: Path, value: Any) -> None:
    """Write plain values as JSON, atomically."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    temporary.replace(path)


def sketch(path: Path) -> str:
    """Hash of a file's size, first and last 64 kB: tells edited files apart without reading all."""
    size = path.stat().st_size
    with path.open("rb") as file:
        digest = hashlib.sha256(f"{size}/".encode() + file.read(SKETCHED))
        file.seek(max(0, size - SKETCHED))
        digest.update(file.read(SKETCHED))
    return digest.hexdigest()


def sha256(path: Path) -> str:
    """Hash of a file, as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
