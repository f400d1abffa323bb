"""Commands start without libraries that TensorFlow and Keras import only to have them at hand.

Where JAX, pandas, scikit-learn and matplotlib are installed, ``import tensorflow`` and ``import
keras`` load them all: five seconds and 270 MB, for converters and wrappers of which no command of
kmir makes use. While the two are imported by a command, the others are hidden; who wants one later
gets it. In a program that only uses kmir nothing is hidden: its Keras may want them.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HIDDEN = ("jax", "matplotlib", "pandas", "sklearn")


@contextmanager
def lean_import() -> Iterator[None]:
    """Hide `HIDDEN` for the time of the block, where a command of kmir runs on TensorFlow."""
    hidden = [name for name in HIDDEN if name not in sys.modules]
    if not (_is_command() and _backend() == "tensorflow"):
        hidden = []
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: not to be found
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)


def _is_command() -> bool:
    """Whether this process was started as ``python -m kmir.VERB …`` or ``kmir VERB …``."""
    words = sys.orig_argv
    module = words[words.index("-m") + 1 :][:1] if "-m" in words else []
    return Path(sys.argv[0]).name == "kmir" or [*module, ""][0].partition(".")[0] == "kmir"


def _backend() -> str:
    """The backend that Keras is going to take."""
    if name := os.environ.get("KERAS_BACKEND"):
        return name
    home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    try:
        return str(json.loads((home / "keras.json").read_text("utf-8"))["backend"])
    except (OSError, ValueError, KeyError, TypeError):
        return "tensorflow"
