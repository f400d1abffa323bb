"""Typed settings: frozen dataclasses, set from ``--config.train.epochs=3``, to JSON and back.

The dataclass is the schema. A field's annotation says how its text is read: ``int``, ``float``,
``bool``, ``str``, ``Literal[...]``, ``tuple[T, ...]`` (written ``64,128``), or ``T | None``.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeVar

from kmir.errors import UsageError, nearest

T = TypeVar("T")


def split_flags(argv: Iterable[str], prefix: str) -> tuple[dict[str, str], list[str]]:
    """Take the flags ``--PREFIX.name=value`` out of a command line.

    Args:
        argv: Arguments as the shell gave them; ``--PREFIX.name value`` is understood too.
        prefix: Such as ``"config"``.

    Returns:
        The values by dotted name, and the arguments that are left.

    Raises:
        UsageError: If a flag has no value.
    """
    flags, rest = {}, []
    words = iter(argv)
    for word in words:
        if not word.startswith(f"--{prefix}."):
            rest.append(word)
            continue
        name, equals, value = word.removeprefix(f"--{prefix}.").partition("=")
        if not equals:
            value = next(words, "--")
            if value.startswith("--"):
                raise UsageError(f"Expected a value: --{prefix}.{name}=VALUE. Received: {word}")
        flags[name] = value
    return flags, rest


def parse(text: str, hint: Any, name: str) -> Any:
    """Value of a setting from its text.

    Args:
        text: What was written on the command line.
        hint: The type annotation of the setting.
        name: Name of the setting, for the error.

    Raises:
        UsageError: If the text is not such a value.
    """
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if text.lower() == "none" and type(None) in parts:
            return None
        return parse(text, next(part for part in parts if part is not type(None)), name)
    if origin is Literal:
        choices = {str(part): part for part in parts}
        if text not in choices:
            raise UsageError(f"Expected {name} as one of {', '.join(choices)}. Received: '{text}'.")
        return choices[text]
    if origin is tuple:
        words = [word for word in text.strip("()[] ").split(",") if word.strip()]
        return tuple(parse(word.strip(), parts[0], name) for word in words)
    if hint is bool:
        if text.lower() not in ("true", "false"):
            raise UsageError(f"Expected {name} as true or false. Received: '{text}'.")
        return text.lower() == "true"
    try:
        return hint(text)
    except ValueError:
        kind = {int: "a whole number", float: "a number"}.get(hint, hint.__name__)
        raise UsageError(f"Expected {name} as {kind}. Received: '{text}'.") from None


def override(config: T, flags: Mapping[str, str], prefix: str) -> T:
    """Copy of a dataclass with settings replaced by dotted name.

    All are replaced at once: settings that only fit together may come in any order.

    Args:
        config: A dataclass, whose fields may be dataclasses in turn.
        flags: ``{"train.learning_rate": "3e-4"}``.
        prefix: What stands before the names on the command line, for errors.

    Raises:
        UsageError: If a name is unknown (the nearest is offered) or a value doesn't fit.
    """
    hints = typing.get_type_hints(type(config))
    names = [field.name for field in dataclasses.fields(config)]  # type: ignore[arg-type]
    settled: dict[str, Any] = {}
    inside: dict[str, dict[str, str]] = {}
    for dotted, text in flags.items():
        flag = f"--{prefix}.{dotted}"
        head, _, tail = dotted.partition(".")
        if head not in names:
            raise UsageError(f"Unknown setting {flag}. {nearest(head, names)}")
        value = getattr(config, head)
        if dataclasses.is_dataclass(value) != bool(tail):
            inner = dataclasses.fields(value) if dataclasses.is_dataclass(value) else ()
            offer = ", ".join(field.name for field in inner)
            remedy = f"It has: {offer}." if offer else f"'{head}' has no settings inside."
            raise UsageError(f"Unknown setting {flag}. {remedy}")
        if tail:
            inside.setdefault(head, {})[tail] = text
        else:
            settled[head] = parse(text, hints[head], flag)
    for head, rest in inside.items():
        settled[head] = override(getattr(config, head), rest, f"{prefix}.{head}")
    return dataclasses.replace(config, **settled)  # type: ignore[type-var]


def options(function: Callable[..., Any], flags: Mapping[str, str], prefix: str) -> dict[str, Any]:
    """Keyword arguments of a function from flags, typed by its keyword-only parameters.

    One without a type hint takes the text as it is.

    Raises:
        UsageError: If a name is unknown (the nearest is offered) or a value doesn't fit.
    """
    hints = typing.get_type_hints(function)
    parameters = inspect.signature(function).parameters.values()
    names = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    for name in flags:
        if name not in names:
            raise UsageError(f"Unknown setting --{prefix}.{name}. {nearest(name, names)}")
    return {
        name: parse(text, hints.get(name, str), f"--{prefix}.{name}")
        for name, text in flags.items()
    }


def to_dict(config: Any) -> dict[str, Any]:
    """Settings as plain JSON values."""
    return dataclasses.asdict(config)


def from_dict(cls: type[T], values: Mapping[str, Any]) -> T:
    """Inverse of `to_dict`.

    Raises:
        UsageError: If a name is not a field of the dataclass; the nearest is offered.
    """
    hints = typing.get_type_hints(cls)
    names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    settled: dict[str, Any] = {}
    for name, value in values.items():
        if name not in names:
            raise UsageError(f"Unknown setting '{name}' of {cls.__name__}. {nearest(name, names)}")
        if dataclasses.is_dataclass(hints[name]):
            settled[name] = from_dict(typing.cast(type, hints[name]), value)
        else:
            settled[name] = tuple(value) if isinstance(value, list) else value
    return cls(**settled)


def text_of(value: Any) -> str:
    """A setting as it is written in a flag; inverse of `parse`."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(text_of(part) for part in value)
    return str(value)


def changes(config: Any, usual: Any) -> dict[str, str]:
    """Settings that differ from the usual ones, as flags; inverse of `override`.

    Args:
        config: A dataclass, whose fields may be dataclasses in turn.
        usual: Another of the same class.
    """
    flags: dict[str, str] = {}
    for field in dataclasses.fields(config):
        value, before = getattr(config, field.name), getattr(usual, field.name)
        if dataclasses.is_dataclass(value):
            inner = changes(value, before)
            flags |= {f"{field.name}.{name}": text for name, text in inner.items()}
        elif value != before:
            flags[field.name] = text_of(value)
    return flags


def table(config: Any, prefix: str = "config") -> str:
    """The resolved settings, one ``config.train.epochs = 40`` a line."""
    lines = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        name = f"{prefix}.{field.name}"
        lines.append(table(value, name) if dataclasses.is_dataclass(value) else f"{name} = {value}")
    return "\n".join(lines)
