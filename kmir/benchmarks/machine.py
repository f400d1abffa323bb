"""Which machine it is, which versions run on it, and how much of it a measurement may use."""

from __future__ import annotations

import datetime
import importlib.util
import os
import platform
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kmir.errors import UsageError
from kmir.versions import git_hash, version_of

PACKAGES = ("kmir", "keras", "tensorflow", "jax", "torch", "librosa", "numpy", "soundfile", "soxr")
# What TensorFlow, oneDNN, PyTorch and NumPy read when they are loaded.
THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)


def describe(device: str | None = None) -> dict[str, Any]:
    """What a figure depends on.

    Args:
        device: Name of the accelerator that was measured; default the processor.

    Returns:
        Plain values: ``device``, ``processor``, ``cores``, ``system``, ``python``, ``versions``
        of what is installed, ``git``, and ``date``.
    """
    versions = {name: version_of(name) for name in PACKAGES}
    return {
        "device": device or processor(),
        "processor": processor(),
        "cores": available(),
        "system": platform.platform(),
        "python": f"Python {platform.python_version()}",
        "versions": {name: found for name, found in versions.items() if found is not None},
        "git": git_hash(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def processor() -> str:
    """Name of the processor."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text(encoding="utf-8").splitlines() if told.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def available() -> int:
    """Number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_cores(cores: int) -> int:
    """The number of cores, if there are as many.

    Raises:
        UsageError: If there are not.
    """
    if not 1 <= cores <= available():
        raise UsageError(f"Expected 1 to {available()} cores, as there are. Received: {cores}.")
    return cores


@contextmanager
def cores_for_children(cores: int) -> Iterator[None]:
    """Processes started in the block run on so many cores, with as many threads in each library.

    Where the system can't bind processes to cores, only the number of threads is set.

    Args:
        cores: From 1 to `available`.
    """
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ |= dict.fromkeys(THREADS, str(cores))
    bound = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    if bound:
        os.sched_setaffinity(0, sorted(bound)[:cores])
    try:
        yield
    finally:
        if bound:
            os.sched_setaffinity(0, bound)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def begin_peak() -> float:
    """Let `peak_memory` begin anew, where the system can; what this process holds now, MB."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:  # not Linux: the highest so far is what it begins with
        return peak_memory()
    return _status("VmRSS")


def peak_memory() -> float:
    """Most memory that this process has held since `begin_peak`, MB."""
    if Path("/proc/self/status").exists():
        return _status("VmHWM")
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def _status(name: str) -> float:
    """A size that Linux tells of this process, MB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


def busy() -> str | None:
    """A word where others use the machine, who would be measured too; ask before measuring."""
    load = os.getloadavg()[0]
    if load < 0.5 * available():
        return None
    return (
        f"**The machine was busy** (load {load:.1f} on {available()} cores before the start): "
        "don't trust these figures."
    )


def missing(package: str, what: str) -> str | None:
    """A word for a peer that is not installed; None where it is."""
    if importlib.util.find_spec(package) is not None:
        return None
    return f"{what} is not installed: skipped."
