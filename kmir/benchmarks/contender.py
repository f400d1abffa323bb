"""A contender: an object in a process of its own, that works when it is asked and waits else.

Frameworks in one process disturb each other: their threads wait in busy loops, their memory can't
be told apart. So each has its own, and what is compared takes turns.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from kmir.benchmarks.machine import cores_for_children
from kmir.errors import KmirError, RunError

# TensorFlow and JAX would take most of a GPU's memory at once: what they need couldn't be told.
SPARING = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}


class Contender:
    """An object that is made in another process; use it in a ``with`` block, which ends it.

    The process is started at once and works in the background until it is asked.

    Args:
        make: Makes it: a class or function that can be pickled.
        *options: What that is called with.
        cores: On how many cores the process runs.
    """

    def __init__(self, make: Callable[..., Any], *options: Any, cores: int) -> None:
        context = get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, make, options), daemon=True)
        self._began = time.perf_counter()
        self._startup: float | None = None
        before = {name: os.environ.get(name) for name in SPARING}
        os.environ |= {name: os.environ.get(name, value) for name, value in SPARING.items()}
        try:
            with cores_for_children(cores):
                self._process.start()
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
        other.close()

    def ready(self) -> float:
        """Wait until the object is made; the seconds from the start of the process until then.

        Raises:
            RunError: If it can't be made.
        """
        if self._startup is None:
            self._answer()
            self._startup = time.perf_counter() - self._began
        return self._startup

    def ask(self, method: str, *options: Any) -> Any:
        """Call a method of the object, and wait for what it returns.

        Raises:
            RunError: If it fails or can't be made, or the process has ended.
        """
        self.ready()
        self._connection.send((method, options))
        return self._answer()

    def _answer(self) -> Any:
        try:
            fine, answer = self._connection.recv()
        except (EOFError, ConnectionResetError):
            raise RunError(
                "Expected an answer from a process that is measured. Received: its end; "
                "was there too little memory?"
            ) from None
        if not fine:
            raise RunError(answer)
        return answer

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.join(timeout=5)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join()

    def __enter__(self) -> Contender:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _serve(connection: Connection, make: Callable[..., Any], options: tuple[Any, ...]) -> None:
    """Make the object, then answer until nobody asks any more."""
    try:
        made = make(*options)
        connection.send((True, None))
        while True:
            method, options = connection.recv()
            connection.send((True, getattr(made, method)(*options)))
    except (EOFError, KeyboardInterrupt):
        return
    except KmirError as error:
        connection.send((False, str(error)))
    except Exception as error:  # told by the process that asked, in one line
        line = (str(error).strip().splitlines() or [""])[0]
        connection.send((False, f"{type(error).__name__}: {line}"))
