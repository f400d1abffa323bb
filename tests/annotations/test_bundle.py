"""All that is known of a track, to JSON and back."""

# Lists are taken where arrays are declared, and that is what is tested here.
# mypy: disable-error-code="arg-type,union-attr"

import json
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmir.annotations import Annotations, Beats, Notes, Pitch, Segments, Tags
from kmir.errors import AnnotationError

EVERYTHING = Annotations(
    tags=Tags(("röck", "loud"), [1.0, 0.25]),
    chords=Segments([[0, 1.5], [1.5, 2]], ("C:maj", "A:min7/b3")),
    key=Segments([[0, 2]], ("C:maj",)),
    beats=Beats([0.5, 1.0], [1, 2]),
    tempo=120,
    melody=Pitch([0, 0.01], [0, 440]),
    notes=Notes([[0, 1]], [69], [64]),
)


def test_known_names_the_fields_that_are_there() -> None:
    assert Annotations().known == ()
    assert Annotations(tempo=90.0, tags=Tags(())).known == ("tags", "tempo")
    fields = ("tags", "chords", "key", "beats", "tempo", "melody", "notes")
    assert EVERYTHING.known == fields


def test_json_is_compact_and_sorted() -> None:
    annotations = Annotations(tempo=120, tags=Tags(("b", "a")), beats=Beats([0.5]))
    assert annotations.to_json() == (
        '{"beats":{"positions":[0],"times":[0.5]},'
        '"tags":{"labels":["b","a"],"scores":[1.0,1.0]},"tempo":120.0}'
    )
    assert Annotations().to_json() == "{}"


def test_everything_comes_back_from_json() -> None:
    back = Annotations.from_json(EVERYTHING.to_json())
    assert back == EVERYTHING
    assert back.known == EVERYTHING.known
    assert back.tags.labels == ("röck", "loud")
    assert back.chords.labels == ("C:maj", "A:min7/b3")
    assert back.beats.downbeats.tolist() == [0.5]
    assert Annotations.from_json(EVERYTHING.to_json().encode()) == EVERYTHING


def test_nothing_at_a_time_comes_back_too() -> None:
    empty = Annotations(
        tags=Tags(()),
        chords=Segments([], ()),
        beats=Beats([]),
        melody=Pitch([], []),
        notes=Notes([], []),
    )
    back = Annotations.from_json(empty.to_json())
    assert back == empty
    assert back.chords.intervals.shape == (0, 2)


@given(
    st.lists(st.text(), unique=True).flatmap(
        lambda labels: st.tuples(
            st.just(labels),
            st.lists(st.floats(0, 1), min_size=len(labels), max_size=len(labels)),
        )
    ),
    st.lists(st.floats(0, 1e6), unique=True).map(sorted),
    st.none() | st.floats(1, 400),
)
def test_json_and_back_is_the_identity(tags: Any, times: Any, tempo: Any) -> None:
    annotations = Annotations(tags=Tags(*tags), beats=Beats(times), tempo=tempo)
    back = Annotations.from_json(annotations.to_json())
    assert back == annotations
    assert back.to_json() == annotations.to_json()
    assert back.tags.labels == annotations.tags.labels
    np.testing.assert_array_equal(back.beats.times, annotations.beats.times)


def test_equality_is_of_values() -> None:
    assert Annotations(tempo=120) == Annotations(tempo=np.float32(120))
    assert Annotations(tempo=120) != Annotations(tempo=121)
    assert Annotations() != "{}"
    with pytest.raises(TypeError, match="unhashable"):
        hash(Annotations())


@pytest.mark.parametrize("tempo", [np.float32(92.5), np.int64(92), 92])
def test_a_tempo_of_any_number_type_goes_to_json(tempo: Any) -> None:
    assert json.loads(Annotations(tempo=tempo).to_json()) == {"tempo": float(tempo)}


@pytest.mark.parametrize("tempo", [0, -1, np.nan, np.inf])
def test_a_tempo_that_is_none_is_refused(tempo: Any) -> None:
    with pytest.raises(AnnotationError, match=f"^Expected a tempo above 0. Received: {tempo}.$"):
        Annotations(tempo=tempo)


@pytest.mark.parametrize(
    ("text", "received"),
    [
        ("{", "'{' ("),
        ("[]", "'[]' ("),
        ("null", "'null' ("),
        (b"\xff", "b'\\xff' ("),
        ('{"tgas": {"labels": []}}', "unexpected keyword argument 'tgas'"),
        ('{"tags": {"label": []}}', "unexpected keyword argument 'label'"),
        ('{"tags": ["rock"]}', "must be a mapping"),
        ('{"beats": {"times": ["soon"]}}', "could not convert"),
    ],
)
def test_other_text_is_refused_with_what_was_read(text: str, received: str) -> None:
    with pytest.raises(AnnotationError, match=re.escape(received)) as caught:
        Annotations.from_json(text)
    assert str(caught.value).startswith("Expected annotations as JSON. Received: ")


def test_json_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(AnnotationError, match="Expected beat times that increase"):
        Annotations.from_json('{"beats": {"times": [1, 0.5]}}')
