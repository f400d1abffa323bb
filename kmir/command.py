"""What every command shares: a line for what is worth knowing or went wrong, and an exit code."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kmir.errors import KmirError, UsageError


def run(main: Callable[[list[str]], int], argv: Sequence[str] | None = None) -> int:
    """Run a command's main function.

    Args:
        main: Takes the arguments, gives the exit code.
        argv: Arguments; default those of this process. With ``--quiet`` among them, only warnings
            are told.

    Returns:
        What main gave; 1 after an error in the data, 2 after wrong usage, 130 after Ctrl-C.
    """
    # Models, tasks and data sets of one's own are found beside where the command is run.
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        with told(quiet="--quiet" in words):
            code = main(words)
        sys.stdout.flush()  # a closed pipe is to be noticed here, not when Python ends
        return code
    except KmirError as error:
        print(f"kmir: error: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        return 0
    except OSError as error:  # no space, no permission, a file where a folder should be
        print(f"kmir: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("kmir: interrupted. Run the same command again to go on.", file=sys.stderr)
        return 130


@contextmanager
def told(*, quiet: bool) -> Iterator[None]:
    """Put what the library logs on stderr, a plain line each; only warnings if quiet."""
    log = logging.getLogger("kmir")
    before = log.level
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("kmir: %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.WARNING if quiet else logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)
