"""Where kmir keeps what it can make or fetch again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """Folder for cached files: ``$KMIR_CACHE``, or ``~/.cache/kmir`` where that is not set."""
    return Path(os.environ.get("KMIR_CACHE") or Path.home() / ".cache" / "kmir").expanduser()
