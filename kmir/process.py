"""A training in a process of its own, so that it starts fresh and gives all its memory back."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any


def start(
    target: Callable[..., Any],
    *arguments: Any,
    output: Path | None = None,
    environment: dict[str, str] | None = None,
) -> BaseProcess:
    """Start a function in a new process, which ends when this one does, however that comes.

    Args:
        target: A function that can be imported.
        arguments: Of it; they must be picklable.
        output: File that gets what it prints; None prints where this process does.
        environment: Variables that it has besides.
    """
    process = get_context("spawn").Process(
        target=_run, args=(target, arguments, output, environment or {})
    )
    process.start()
    return process


def _run(
    target: Callable[..., Any],
    arguments: tuple[Any, ...],
    output: Path | None,
    environment: dict[str, str],
) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.update(environment)
    if output is not None:
        sys.stdout.flush()
        with output.open("ab") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
    target(*arguments)


def _end_with_parent() -> None:
    """Wait for the end of the parent, and end too: two must never write into one run folder."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def ending(exitcode: int | None) -> str:
    """What an exit code tells: ``"killed by SIGKILL"``, ``"ended with exit code 3"``."""
    if exitcode is not None and exitcode < 0:
        return f"killed by {signal.Signals(-exitcode).name}"
    return f"ended with exit code {exitcode}"


def limit_threads(threads: int) -> None:
    """Let TensorFlow use so many threads; to be called before it has done anything."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


def peak_megabytes() -> float:
    """Memory that this process has held at most, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():
        # `ru_maxrss` would count the parent that this process was forked from.
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(fields["VmHWM"].split()[0]) / 1024
    import resource  # not on every system

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 1024
