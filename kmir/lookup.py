"""Things reached by name: models, tasks, data sets, features, studies, here or in any repository.

A bare name (``crnn_tagger``) is looked up in its room (``zoo``); a dotted one (``mine.tagger``)
is imported as it stands, so a module outside this repository works just as well.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from types import ModuleType
from typing import TypeVar

from kmir.errors import UsageError, nearest

T = TypeVar("T")

ROOMS = {
    "model": "zoo",
    "task": "pipelines",
    "data set": "kmir.datasets",
    "feature": "kmir.features",
    "study": "zoo.studies",
}
# Modules of a room that are its furniture, not something to ask for by name.
FURNITURE: dict[str, set[str]] = {
    "model": {"studies"},
    "task": {"base", "augment", "beat_decoding", "lanes", "stream", "tempo"},
    "data set": {"track", "recordings", "table", "groove_table", "named", "beat_clock", "remote"},
    "feature": {"base", "audio", "decoding", "framing", "live", "note_activation"},
    "study": set(),
}


def known(kind: str) -> list[str]:
    """Names that a room of this repository offers, sorted.

    Args:
        kind: One of ``"model"``, ``"task"``, ``"data set"``, ``"feature"``, ``"study"``.
    """
    room = importlib.import_module(ROOMS[kind])
    names = {module.name for module in pkgutil.iter_modules(room.__path__)}
    return sorted(names - FURNITURE[kind])


def find(kind: str, name: str) -> ModuleType:
    """Module that defines the named model, task, data set, feature or study.

    Args:
        kind: One of ``"model"``, ``"task"``, ``"data set"``, ``"feature"``, ``"study"``.
        name: A bare name (``"crnn_tagger"``) or a dotted module (``"zoo.crnn_tagger"``).

    Returns:
        The imported module.

    Raises:
        UsageError: If there is no such module; the nearest name is offered.
    """
    room = ROOMS[kind]
    dotted = name if "." in name else f"{room}.{name}"
    bare = dotted.removeprefix(f"{room}.")
    if dotted.startswith(f"{room}.") and bare in known(kind):
        return importlib.import_module(dotted)
    if dotted.startswith(f"{room}.") or not _exists(dotted):
        remedy = nearest(bare, known(kind))
        if not dotted.startswith(f"{room}."):
            remedy += " No module of that name is found from here."
        raise UsageError(f"Expected the name of a {kind}. Received: '{name}'. {remedy}")
    return importlib.import_module(dotted)


def _exists(dotted: str) -> bool:
    """Whether a module can be found; the packages that it lies in are imported."""
    if not all(part.isidentifier() for part in dotted.split(".")):  # a path, for instance
        return False
    try:
        return importlib.util.find_spec(dotted) is not None
    except ModuleNotFoundError as error:
        if f"{dotted}.".startswith(f"{error.name}."):
            return False
        raise  # it is there, and lacks something that it imports
    except ValueError:  # __main__, for instance
        return False


def find_class(kind: str, name: str, base: type[T]) -> type[T]:
    """Class that the named module defines as its own kind of a base class.

    Args:
        kind: As for `find`.
        name: As for `find`.
        base: The class that it is derived from.

    Raises:
        UsageError: If there is no such module, or no such class in it.
    """
    module = find(kind, name)
    for value in vars(module).values():
        own = isinstance(value, type) and value.__module__ == module.__name__
        if own and issubclass(value, base):
            return value
    raise UsageError(f"Expected a {kind} in {module.__name__}. Received: no {base.__name__} there.")
