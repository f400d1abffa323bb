"""What can go wrong, as exceptions whose message is one line a person can act on."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

SHOWN = 20


class KmirError(Exception):
    """Base of all errors that kmir raises on purpose; the command line prints it and exits 1."""


class UsageError(KmirError):
    """A command or a configuration was written wrongly; the command line exits 2."""


class AudioError(KmirError):
    """An audio file or array can't be used."""


class AnnotationError(KmirError):
    """An annotation is malformed or contradicts itself."""


class DatasetError(KmirError):
    """A data set folder is not laid out as expected; the message may hold several lines."""


class RecordError(KmirError):
    """A records folder is missing, damaged, or made for something else."""


class RunError(KmirError):
    """A training run can't go on, or came to nothing."""


class PresetError(KmirError):
    """A preset is unknown, incomplete, or damaged."""


def listed(place: object, problems: Sequence[str]) -> str:
    """All problems of a data set in one message: the first twenty a line each, the rest counted.

    Args:
        place: Where they were found.
        problems: What is wrong, each with its file and line.
    """
    lines = [f"  {problem}" for problem in problems[:SHOWN]]
    if len(problems) > SHOWN:
        lines.append(f"  … and {len(problems) - SHOWN} more.")
    heading = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return "\n".join([f"{heading} in '{place}':", *lines])


def nearest(name: str, known: Iterable[str]) -> str:
    """Phrase that offers the known names closest to a mistyped one.

    Args:
        name: What was received.
        known: The names that would have been right.

    Returns:
        ``"Did you mean 'x'?"`` where something is close, else the list of known names.

    Example:
        >>> nearest("lerning_rate", ["learning_rate", "epochs"])
        "Did you mean 'learning_rate'?"
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"Did you mean '{close[0]}'?" if close else f"Known: {', '.join(names) or 'none'}."


def check_values(values: Mapping[str, Any], rules: Iterable[tuple[str, bool, str]]) -> None:
    """Refuse a field or an option that is out of range.

    Args:
        values: All of them by name: `vars` of an object, or `locals` of a function.
        rules: Name of a value, whether it is right, and what would be.

    Raises:
        UsageError: If one is not right; of several, the first is told.

    Example:
        >>> check_values({"hop": 0}, [("hop", False, "above 0")])
        Traceback (most recent call last):
        kmir.errors.UsageError: Expected hop above 0. Received: 0.
    """
    for name, valid, expected in rules:
        if not valid:
            raise UsageError(f"Expected {name} {expected}. Received: {values[name]!r}.")


def check_choice(name: str, value: str, known: Sequence[str]) -> None:
    """Refuse an option that is none of a few words.

    Args:
        name: Of the option.
        value: What was received.
        known: The words.

    Raises:
        UsageError: With the word that is nearest.
    """
    if value not in known:
        raise UsageError(
            f"Expected {name} as one of {', '.join(known)}. Received: {value!r}. "
            f"{nearest(str(value), known)}"
        )
