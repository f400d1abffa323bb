"""Data sets by name: ``folder``, ``mirdata:beatles``, or a module of one's own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from kmir.datasets.track import Track
from kmir.errors import DatasetError, UsageError
from kmir.lookup import find


def read_tracks(dataset: str, root: Path | None, dataset_options: Mapping[str, Any]) -> list[Track]:
    """All tracks of a data set.

    Args:
        dataset: Its name, with its part where it has some, or a module of one's own.
        root: Where its files stand; None for data sets that make their own.
        dataset_options: Keyword arguments of its ``tracks``.

    Raises:
        DatasetError: If there is no track, or the data set is not laid out as expected.
        UsageError: If there is no such data set, or it needs a root.
    """
    reader, named = reader_of(dataset)
    if root is None and _needs_root(reader):
        raise UsageError(
            f"Expected --root DIR, the folder of data set '{dataset}'. Received: none."
        )
    if twice := named.keys() & dataset_options.keys():
        raise UsageError(
            f"Expected the {twice.pop()} of the data set once. Received: '{dataset}' and an option."
        )
    tracks = list(reader(root, **named, **dataset_options))
    if not tracks:
        raise DatasetError(f"Expected at least one track in {root}. Received: none.")
    return tracks


def reader_of(dataset: str) -> tuple[Callable[..., Iterable[Track]], dict[str, str]]:
    """The function ``tracks`` of a data set, and the option that its name spells out.

    ``mirdata:beatles`` is the data set ``mirdata`` with the option ``name`` = ``beatles``.

    Raises:
        UsageError: If there is no such data set, or it has no parts.
    """
    name, colon, part = dataset.partition(":")
    module = find("data set", name)
    try:
        reader: Callable[..., Iterable[Track]] = module.tracks
    except AttributeError:
        raise UsageError(
            f"Expected a data set, with a function tracks(root). Received: '{name}'."
        ) from None
    if not colon:
        return reader, {}
    option = inspect.signature(reader).parameters.get("name")
    if option is None or option.kind is not option.KEYWORD_ONLY:
        raise UsageError(
            f"Expected '{name}' alone, a data set that has no parts. Received: '{dataset}'."
        )
    return reader, {"name": part}


def _needs_root(reader: Callable[..., Iterable[Track]]) -> bool:
    root = next(iter(inspect.signature(reader).parameters.values()))
    return root.default is root.empty
