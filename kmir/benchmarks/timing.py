"""Turns, medians and ratios: how times become figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


@dataclass(frozen=True)
class Spread:
    """A median and the quartiles around it.

    Args:
        median: Of all values.
        low: A quarter of them are lower.
        high: A quarter of them are higher.
        count: How many there are.
    """

    median: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        if self.count == 1:
            return digits(self.median)
        return f"{digits(self.median)} ({digits(self.low)}–{digits(self.high)})"


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles of one value or more.

    Example:
        >>> str(spread([3.0, 1.0, 2.0, 4.0, 5.0]))
        '3.00 (2.00–4.00)'
    """
    low, median, high = np.percentile(values, (25, 50, 75))
    return Spread(float(median), float(low), float(high), len(values))


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """One measure by another, turn by turn.

    Args:
        ours: A value for each turn.
        theirs: Likewise, of what took its turn beside it; not 0.
    """
    return spread([one / other for one, other in zip(ours, theirs, strict=True)])


def in_turns(contenders: Mapping[str, Callable[[], T]], turns: int) -> dict[str, list[T]]:
    """Let each do its work, one after the other, again and again.

    Args:
        contenders: What to call, by name.
        turns: How often, from 1.

    Returns:
        What each gave, turn by turn.
    """
    found: dict[str, list[T]] = {name: [] for name in contenders}
    for _ in range(turns):
        for name, work in contenders.items():
            found[name].append(work())
    return found


def digits(value: Any) -> str:
    """A figure as a table shows it: three digits, and all of them before the point.

    Example:
        >>> digits(1234.5), digits(12.345), digits(0.01234), digits("CRNN")
        ('1,234', '12.3', '0.0123', 'CRNN')
    """
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else str(value)
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:#.3g}".rstrip(".")
