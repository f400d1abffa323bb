"""Medians, quartiles and ratios are what they say; turns are taken in turn."""

from __future__ import annotations

import pytest

from kmir.benchmarks.timing import Spread, digits, in_turns, ratios, spread


def test_spread_is_the_median_between_quartiles() -> None:
    assert spread([3.0, 1.0, 2.0, 4.0, 100.0]) == Spread(3.0, 2.0, 4.0, 5)
    assert str(spread([3.0, 1.0, 2.0, 4.0, 100.0])) == "3.00 (2.00–4.00)"
    assert str(spread([3.0])) == "3.00"


def test_ratios_are_taken_turn_by_turn() -> None:
    """The machine was three times slower in the second turn, for both: the ratio stays a half."""
    found = ratios([1.0, 3.0, 1.0], [2.0, 6.0, 2.0])
    assert (found.median, found.low, found.high, found.count) == (0.5, 0.5, 0.5, 3)


def test_ratios_of_different_numbers_of_turns() -> None:
    with pytest.raises(ValueError, match="longer"):
        ratios([1.0], [1.0, 2.0])


def test_turns_alternate() -> None:
    order: list[str] = []

    def contender(name: str) -> int:
        order.append(name)
        return len(order)

    found = in_turns({"a": lambda: contender("a"), "b": lambda: contender("b")}, 3)
    assert "".join(order) == "ababab"
    assert found == {"a": [1, 3, 5], "b": [2, 4, 6]}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1234.5, "1,234"),
        (99.95, "100"),
        (12.345, "12.3"),
        (1.0, "1.00"),
        (0.01234, "0.0123"),
        (0.0, "0.00"),
        (394290, "394,290"),
        ("zoo.gru", "zoo.gru"),
    ],
)
def test_digits(value: object, shown: str) -> None:
    assert digits(value) == shown
