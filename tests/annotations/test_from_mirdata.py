"""mirdata's annotations as ours, without mirdata: by what its objects have."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from kmir.annotations import Annotations
from kmir.annotations.from_mirdata import FIELDS
from kmir.errors import AnnotationError


def _read(field: str, value: Any) -> tuple[Any, list[str]]:
    problems: list[str] = []
    _, reader = FIELDS[field]
    return reader(value, f"t1: {field}", lambda: 30.0, problems), problems


def _some(**values: Any) -> SimpleNamespace:
    return SimpleNamespace(**values)


def test_fields_are_those_of_annotations() -> None:
    assert FIELDS.keys() <= Annotations.__dataclass_fields__.keys()


def test_chords_in_order_or_their_problems() -> None:
    # As GuitarSet gives them: ends are sums of time and duration.
    intervals = np.array([[0.0, 0.1 + 0.2], [0.3, 1.0]])
    chords, problems = _read("chords", _some(intervals=intervals, labels=["C", "A:min7"]))
    assert problems == []
    assert chords.labels == ("C", "A:min7")
    np.testing.assert_array_equal(chords.intervals, [[0, 0.30000000000000004],
                                                     [0.30000000000000004, 1]])  # fmt: skip
    chords, problems = _read("chords", _some(intervals=[[1, 2], [0, 1]], labels=["C", "Cm"]))
    assert chords is None
    assert [problem.split(". ")[0] for problem in problems] == [
        "t1: chords[1]: Expected a chord in Harte's syntax, such as A:min7/b3 or N",
        "t1: chords[1]: Expected lines in order of time",
    ]


@pytest.mark.parametrize(
    ("value", "labels", "intervals"),
    [
        (_some(intervals=[[0, 2], [2, 3]], keys=["E", "A:minor"]), ("E:maj", "A:min"),
         [[0, 2], [2, 3]]),
        (_some(intervals=[[0, 2], [2, 3]], keys=["N", "A:dorian"]), ("A:dorian",), [[2, 3]]),
        (_some(intervals=[[0, 2000]], keys=["C"], interval_unit="ms"), ("C:maj",), [[0, 2]]),
        ("D minor", ("D:min",), [[0, 30]]),
        (["Eb major"], ("Eb:maj",), [[0, 30]]),
    ],
)  # fmt: skip
def test_keys_with_and_without_times(value: Any, labels: Any, intervals: Any) -> None:
    key, problems = _read("key", value)
    assert problems == []
    assert key.labels == labels
    np.testing.assert_array_equal(key.intervals, intervals)


@pytest.mark.parametrize("value", ["C major / A minor", ["C", "D"], {"key": "C"}, 3,
                                   _some(intervals=[[0, 1]], keys=["N"])])  # fmt: skip
def test_no_key(value: Any) -> None:
    assert _read("key", value) == (None, [])


def test_beats_have_places_in_the_bar_only_where_they_are_counted_so() -> None:
    bars = _some(times=[0.5, 1], time_unit="s", positions=[4.0, np.nan], position_unit="bar_index")
    beats, _ = _read("beats", bars)
    np.testing.assert_array_equal(beats.times, [0.5, 1])
    np.testing.assert_array_equal(beats.positions, [4, 0])
    whole = _some(times=[500], time_unit="ms", positions=[7], position_unit="global_index")
    beats, _ = _read("beats", whole)
    np.testing.assert_array_equal(beats.times, [0.5])
    np.testing.assert_array_equal(beats.positions, [0])
    with pytest.raises(AnnotationError, match=r"Expected times in s or ms\. Received: ticks\."):
        _read("beats", _some(times=[480], time_unit="ticks", positions=None, position_unit=None))


def test_tempo_is_the_likeliest() -> None:
    two = _some(tempos=np.array([60.0, 120.0]), confidence=np.array([0.3, 0.7]))
    assert _read("tempo", two) == (120.0, [])
    assert _read("tempo", _some(tempos=np.array([60.0]), confidence=None)) == (60.0, [])
    assert _read("tempo", "137") == (137.0, [])
    assert _read("tempo", "fast") == (None, [])
    assert _read("tempo", 0.0) == (None, [])


def test_tags_from_words() -> None:
    assert _read("tags", "blues")[0].labels == ("blues",)
    assert _read("tags", ["a", "b", "a"])[0].labels == ("a", "b")
    assert _read("tags", {"genres": []}) == (None, [])
