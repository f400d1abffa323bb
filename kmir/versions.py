"""Which code ran: versions of packages, and the commit."""

from __future__ import annotations

import subprocess
from importlib.metadata import version


def version_of(package: str) -> str | None:
    """Version of a package; None where it is not installed."""
    # The CPU build of TensorFlow goes by another name.
    names = ["tensorflow", "tensorflow-cpu"] if package == "tensorflow" else [package]
    for name in names:
        try:
            return version(name)
        except ImportError:
            continue
    return None


def git_hash() -> str | None:
    """Commit of the folder that a command was started in; None outside a repository."""
    try:
        told = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return None
    return told.stdout.strip()
