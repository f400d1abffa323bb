"""Keeps native libraries' chatter off the terminal; errors still come as exceptions.

TensorFlow's C++ code prints notes to stderr while it is imported, before any setting of its own
can reach it. `hush_tensorflow` mutes stderr for just that import, whoever makes it first.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType


@contextmanager
def muted_stderr() -> Iterator[None]:
    """Send what is written to file descriptor 2 nowhere, for the time of the block."""
    saved = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(nowhere)
        os.close(saved)


class _HushedFinder:
    """Finds TensorFlow as always, but executes it with stderr muted."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_muted(module: ModuleType) -> None:
                with muted_stderr():
                    execute(module)

            spec.loader.exec_module = execute_muted  # type: ignore[method-assign]
        return spec


def hush_tensorflow() -> None:
    """Make the first ``import tensorflow`` of this process silent; no effect if it was imported."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, _HushedFinder())
