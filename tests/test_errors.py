"""Messages that many share."""

import pytest

from kmir.errors import UsageError, check_choice, check_values


def test_of_several_values_the_first_that_is_wrong_is_told() -> None:
    values = {"low": 3, "high": float("inf"), "name": "x"}
    rules = [("low", True, "above 0"), ("high", False, "below 5"), ("name", False, "longer")]
    with pytest.raises(UsageError) as caught:
        check_values(values, rules)
    assert str(caught.value) == "Expected high below 5. Received: inf."
    check_values(values, rules[:1])


def test_the_nearest_choice_is_offered() -> None:
    check_choice("split", "test", ("train", "test"))
    with pytest.raises(UsageError) as caught:
        check_choice("split", "tset", ("train", "test"))
    assert str(caught.value) == (
        "Expected split as one of train, test. Received: 'tset'. Did you mean 'test'?"
    )
