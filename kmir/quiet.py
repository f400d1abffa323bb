"""Keeps native libraries' chatter off the terminal; errors still come as exceptions.

TensorFlow's C++ code prints notes to stderr while it is imported, before any setting of its own
can reach it. `hush_tensorflow` mutes stderr for just that import, whoever makes it first.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from kmir.lean import lean_import


@contextmanager
def muted_stderr() -> Iterator[None]:
    """Send what native code writes to file descriptor 2 nowhere, for the time of the block.

    The redirection is for the whole process, so only the main thread does it: no other can undo it
    at a wrong time.
    """
    kept = None
    if threading.current_thread() is threading.main_thread():
        with suppress(OSError):  # a process may have closed it
            kept = os.dup(2)
    if kept is None:
        yield
        return
    if sys.stderr is not None:
        sys.stderr.flush()
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


class _HushedFinder:
    """Finds TensorFlow and Keras as always, but executes them with stderr muted, and lean."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in ("tensorflow", "keras"):
            return None
        others = (finder for finder in sys.meta_path if not isinstance(finder, _HushedFinder))
        spec = next(filter(None, (finder.find_spec(name, path, target) for finder in others)), None)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_muted(module: ModuleType) -> None:
                with muted_stderr(), lean_import():
                    execute(module)

            spec.loader.exec_module = execute_muted  # type: ignore[method-assign]
        return spec


def hush_tensorflow() -> None:
    """Make the first ``import tensorflow`` of this process silent; no effect if it was imported.

    In a command of kmir it is lean, too: see `kmir.lean`.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, _HushedFinder())
