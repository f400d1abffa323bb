"""Settings from the command line, to JSON and back."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmir.config import (
    changes,
    from_dict,
    options,
    override,
    parse,
    split_flags,
    table,
    text_of,
    to_dict,
)
from kmir.errors import UsageError


@dataclass(frozen=True)
class Inner:
    epochs: int = 40
    learning_rate: float = 1e-3
    precision: Literal["auto", "float32"] = "auto"

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise UsageError(f"Expected epochs of 1 or more. Received: {self.epochs}.")


@dataclass(frozen=True)
class Outer:
    train: Inner = field(default_factory=Inner)
    filters: tuple[int, ...] = (64, 128)
    f_max: float | None = None
    name: str = "tagger"
    low: int = 1
    high: int = 10

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise UsageError(f"Expected low up to {self.high}. Received: {self.low}.")


def _fails(message: str) -> Any:
    return pytest.raises(UsageError, match=f"^{re.escape(message)}$")


# === Flags ===


def test_flags_are_taken_out_and_the_rest_keeps_its_order() -> None:
    argv = ["folder", "--config.a.b=1", "--out", "x", "--config.c", "-2", "--quiet", "--config.d="]
    flags, rest = split_flags(argv, "config")
    assert flags == {"a.b": "1", "c": "-2", "d": ""}
    assert rest == ["folder", "--out", "x", "--quiet"]


def test_a_value_may_hold_what_flags_are_made_of() -> None:
    flags, _ = split_flags(["--config.a=--b=c", "--config.d", "e=f"], "config")
    assert flags == {"a": "--b=c", "d": "e=f"}


def test_other_prefixes_are_left_alone_and_the_last_value_counts() -> None:
    argv = ["--config.a=1", "--configs.a=2", "--feature.a=3", "--config.a=4"]
    assert split_flags(argv, "config") == ({"a": "4"}, ["--configs.a=2", "--feature.a=3"])


@pytest.mark.parametrize("argv", [["--config.a"], ["--config.a", "--quiet"]])
def test_a_flag_without_a_value_is_an_error(argv: list[str]) -> None:
    with _fails("Expected a value: --config.a=VALUE. Received: --config.a"):
        split_flags(argv, "config")


# === Values ===


@pytest.mark.parametrize(
    ("text", "hint", "value"),
    [
        ("3", int, 3),
        ("-3", int, -3),
        ("3e-4", float, 3e-4),
        ("3", float, 3.0),
        ("True", bool, True),
        ("false", bool, False),
        ("none", str, "none"),
        ("None", float | None, None),
        ("2.5", float | None, 2.5),
        ("64,128", tuple[int, ...], (64, 128)),
        ("(64, 128,)", tuple[int, ...], (64, 128)),
        ("", tuple[int, ...], ()),
        ("a,b", tuple[str, ...] | None, ("a", "b")),
        ("auto", Literal["auto", "float32"], "auto"),
        ("256", Literal[128, 256], 256),
        ("None", Literal["slaney", None], None),
        ("none", Literal["auto"] | None, None),
    ],
)
def test_text_is_read_as_its_hint_says(text: str, hint: Any, value: Any) -> None:
    found = parse(text, hint, "--x")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "hint", "message"),
    [
        ("3.5", int, "Expected --x as a whole number. Received: '3.5'."),
        ("1e3", int, "Expected --x as a whole number. Received: '1e3'."),
        ("", int, "Expected --x as a whole number. Received: ''."),
        ("fast", float, "Expected --x as a number. Received: 'fast'."),
        ("fast", float | None, "Expected --x as a number. Received: 'fast'."),
        ("yes", bool, "Expected --x as true or false. Received: 'yes'."),
        ("64,x", tuple[int, ...], "Expected --x as a whole number. Received: 'x'."),
        ("half", Literal["auto", "f32"], "Expected --x as one of auto, f32. Received: 'half'."),
        ("64", Literal[128, 256], "Expected --x as one of 128, 256. Received: '64'."),
    ],
)
def test_text_that_is_no_such_value_is_an_error(text: str, hint: Any, message: str) -> None:
    with _fails(message):
        parse(text, hint, "--x")


@given(st.integers(), st.floats(allow_nan=False), st.booleans(), st.lists(st.integers()))
def test_what_python_prints_is_read_back(whole: Any, number: Any, flag: bool, numbers: Any) -> None:
    assert parse(str(whole), int, "--x") == whole
    assert parse(str(number), float, "--x") == number
    assert parse(str(flag), bool, "--x") == flag
    assert parse(str(tuple(numbers)), tuple[int, ...], "--x") == tuple(numbers)


# === Dataclasses ===


def test_settings_are_replaced_by_dotted_name_in_a_copy() -> None:
    before = Outer()
    flags = {"train.epochs": "3", "train.precision": "float32", "filters": "8", "f_max": "4000"}
    after = override(before, flags, "config")
    assert after == Outer(Inner(3, 1e-3, "float32"), (8,), 4000.0)
    assert before == Outer()
    assert override(before, {}, "config") == before


@pytest.mark.parametrize("names", [("low", "high"), ("high", "low")])
def test_settings_that_fit_only_together_come_in_any_order(names: tuple[str, ...]) -> None:
    values = {"low": "20", "high": "30"}
    after = override(Outer(), {name: values[name] for name in names}, "config")
    assert (after.low, after.high) == (20, 30)


def test_what_the_dataclass_refuses_is_refused() -> None:
    with _fails("Expected epochs of 1 or more. Received: 0."):
        override(Outer(), {"train.epochs": "0"}, "config")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nmae", "Unknown setting --config.nmae. Did you mean 'name'?"),
        (
            "train.lerning_rate",
            "Unknown setting --config.train.lerning_rate. Did you mean 'learning_rate'?",
        ),
        (
            "zzz",
            "Unknown setting --config.zzz. Known: f_max, filters, high, low, name, train.",
        ),
        (
            "train",
            "Unknown setting --config.train. It has: epochs, learning_rate, precision.",
        ),
        (
            "train.",
            "Unknown setting --config.train.. It has: epochs, learning_rate, precision.",
        ),
        (
            "name.first",
            "Unknown setting --config.name.first. 'name' has no settings inside.",
        ),
        (
            "train.epochs.most",
            "Unknown setting --config.train.epochs.most. 'epochs' has no settings inside.",
        ),
        ("", "Unknown setting --config.. Known: f_max, filters, high, low, name, train."),
    ],
)
def test_an_unknown_setting_is_an_error_with_an_offer(name: str, message: str) -> None:
    with _fails(message):
        override(Outer(), {name: "1"}, "config")


def test_a_value_that_does_not_fit_names_its_flag() -> None:
    with _fails("Expected --config.train.epochs as a whole number. Received: 'many'."):
        override(Outer(), {"train.epochs": "many"}, "config")


def test_settings_go_to_json_values_and_back() -> None:
    config = Outer(Inner(3), (1, 2), None, "x")
    values = to_dict(config)
    assert values["train"] == {"epochs": 3, "learning_rate": 1e-3, "precision": "auto"}
    assert from_dict(Outer, values) == config
    # As JSON gives it back: lists for tuples, and what was not stored has its default.
    assert from_dict(Outer, {"filters": [1, 2], "train": {"epochs": 3}}) == Outer(Inner(3), (1, 2))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"nmae": 1}, "Unknown setting 'nmae' of Outer. Did you mean 'name'?"),
        ({"train": {"epoch": 1}}, "Unknown setting 'epoch' of Inner. Did you mean 'epochs'?"),
        ({"train": {"epochs": 0}}, "Expected epochs of 1 or more. Received: 0."),
    ],
)
def test_stored_settings_that_are_unknown_are_an_error(values: Any, message: str) -> None:
    with _fails(message):
        from_dict(Outer, values)


def test_table_has_a_line_for_each_setting_that_can_be_pasted_back() -> None:
    config = Outer(Inner(3), (8, 16))
    lines = table(config).splitlines()
    assert lines[:4] == [
        "config.train.epochs = 3",
        "config.train.learning_rate = 0.001",
        "config.train.precision = auto",
        "config.filters = (8, 16)",
    ]
    argv = [f"--{line.replace(' = ', '=')}" for line in lines]
    flags, _ = split_flags(argv, "config")
    assert override(Outer(), flags, "config") == config


# === Options of a function ===


def _tracks(root: Path, *, pieces: int = 3, seconds: float = 8.0, folder="x"):  # type: ignore[no-untyped-def]
    return root, pieces, seconds, folder


def test_options_are_typed_by_the_keyword_only_parameters() -> None:
    assert options(_tracks, {"pieces": "5", "seconds": "2"}, "option") == {
        "pieces": 5,
        "seconds": 2.0,
    }
    assert options(_tracks, {}, "option") == {}


def test_an_option_without_a_hint_takes_the_text() -> None:
    assert options(_tracks, {"folder": "7"}, "option") == {"folder": "7"}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"piece": "1"}, "Unknown setting --option.piece. Did you mean 'pieces'?"),
        # The root has a flag of its own.
        ({"root": "x"}, "Unknown setting --option.root. Known: folder, pieces, seconds."),
        ({"pieces": "x"}, "Expected --option.pieces as a whole number. Received: 'x'."),
    ],
)
def test_options_that_are_not_there_are_an_error(flags: dict[str, str], message: str) -> None:
    with _fails(message):
        options(_tracks, flags, "option")


def test_changes_are_the_inverse_of_override() -> None:
    flags = {"train.learning_rate": "0.30000000000000004", "train.epochs": "2", "filters": "8,9"}
    changed = override(Outer(), flags, "config")
    assert changes(changed, Outer()) == flags
    assert changes(changed, changed) == {}
    assert [text_of(value) for value in (None, True, (1.5, 2), "x")] == [
        "none",
        "true",
        "1.5,2",
        "x",
    ]
