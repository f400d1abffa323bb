"""Tags and chords as tables, CSV, JSON, `.lab` and JAMS."""

# Lists are taken where arrays are declared, and that is what is tested here.
# mypy: disable-error-code="arg-type"

import csv
import io
import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from kmir.annotations import Annotations, Segments, Tags
from kmir.annotations.files import FORMATS, Recording
from kmir.annotations.jams_file import read_jams_chords
from kmir.annotations.lab import read_chords
from kmir.errors import AnnotationError


def recording(file: str, annotations: Annotations) -> Recording:
    return Recording(file, annotations, lambda: 12.5)


TAGGED = [
    recording("a.mp3", Annotations(tags=Tags(("slow, sad", "röck"), [0.25, 0.87654]))),
    recording('b "live".mp3', Annotations(tags=Tags(("x", "y", "z"), [0.0, 1.0, 0.5]))),
]
CHORDS = Segments([(0, 0.5), (0.5, 4.0004), (4.0004, 12.3456789)], ("N", "A:min7/b3", "C:maj"))
PLAYED = [
    recording("a, b.mp3", Annotations(chords=CHORDS)),
    recording("long/c.wav", Annotations(chords=Segments([(99.5, 100)], ("F#:maj",)))),
    recording("d.wav", Annotations(chords=Segments(np.empty((0, 2)), ()))),
]


def tags(form: str, recordings: list[Recording]) -> str:
    return FORMATS["tags"][form].write(recordings)


def chords(form: str, recordings: list[Recording]) -> str:
    return FORMATS["chords"][form].write(recordings)


# === Tags ===


def test_csv_has_a_row_for_each_tag_best_first() -> None:
    assert tags("csv", TAGGED).splitlines() == [
        "file,tag,score",
        "a.mp3,röck,0.8765",
        'a.mp3,"slow, sad",0.2500',
        '"b ""live"".mp3",y,1.0000',
        '"b ""live"".mp3",z,0.5000',
        '"b ""live"".mp3",x,0.0000',
    ]
    rows = list(csv.DictReader(io.StringIO(tags("csv", TAGGED))))
    assert rows[1] == {"file": "a.mp3", "tag": "slow, sad", "score": "0.2500"}


def test_json_keeps_the_order_and_the_letters() -> None:
    text = tags("json", TAGGED)
    assert "röck" in text
    assert text.endswith("]\n")
    first, second = json.loads(text)
    assert first == {"file": "a.mp3", "tags": {"röck": 0.8765, "slow, sad": 0.25}}
    assert list(second["tags"]) == ["y", "z", "x"]


def test_table_aligns_names_and_draws_bars() -> None:
    assert tags("table", TAGGED) == (
        "a.mp3\n"
        "  röck       0.877  ██████████████████\n"
        "  slow, sad  0.250  █████\n"
        'b "live".mp3\n'
        "  y  1.000  ████████████████████\n"
        "  z  0.500  ██████████\n"
        "  x  0.000\n"
    )


def test_no_recordings_and_no_tags() -> None:
    assert tags("csv", []) == "file,tag,score\n"
    assert json.loads(tags("json", [])) == []
    assert tags("table", [recording("a", Annotations(tags=Tags(())))]) == "a\n"


def test_tags_as_jams() -> None:
    pytest.importorskip("jams")
    jam = json.loads(tags("jams", TAGGED[:1]))
    (annotation,) = jam["annotations"]
    assert annotation["namespace"] == "tag_open"
    assert annotation["data"] == [
        {"time": 0.0, "duration": 12.5, "value": "röck", "confidence": 0.87654},
        {"time": 0.0, "duration": 12.5, "value": "slow, sad", "confidence": 0.25},
    ]
    assert (jam["file_metadata"]["title"], jam["file_metadata"]["duration"]) == ("a", 12.5)


# === Chords ===


def test_table_of_chords_aligns_times() -> None:
    assert chords("table", PLAYED) == (
        "a, b.mp3\n"
        "   0.00   0.50  N\n"
        "   0.50   4.00  A:min7/b3\n"
        "   4.00  12.35  C:maj\n"
        "long/c.wav\n"
        "   99.50  100.00  F#:maj\n"
        "d.wav\n"
    )


def test_csv_has_a_row_for_each_chord() -> None:
    assert chords("csv", PLAYED).splitlines() == [
        "file,start,end,chord",
        '"a, b.mp3",0.000,0.500,N',
        '"a, b.mp3",0.500,4.000,A:min7/b3',
        '"a, b.mp3",4.000,12.346,C:maj',
        "long/c.wav,99.500,100.000,F#:maj",
    ]
    assert chords("csv", []) == "file,start,end,chord\n"


def test_json_of_chords() -> None:
    first, second, third = json.loads(chords("json", PLAYED))
    assert first["file"] == "a, b.mp3"
    assert first["chords"][1:] == [
        {"start": 0.5, "end": 4.0, "chord": "A:min7/b3"},
        {"start": 4.0, "end": 12.346, "chord": "C:maj"},
    ]
    assert second["chords"] == [{"start": 99.5, "end": 100.0, "chord": "F#:maj"}]
    assert third == {"file": "d.wav", "chords": []}


def test_lab_and_jams_are_read_again(tmp_path: Path) -> None:
    problems: list[str] = []
    (tmp_path / "a.lab").write_text(chords("lab", PLAYED[:1]))
    back = [read_chords(tmp_path / "a.lab", problems, "a.lab")]
    pytest.importorskip("jams")
    (tmp_path / "a.jams").write_text(chords("jams", PLAYED[:1]))
    back.append(read_jams_chords(tmp_path / "a.jams", problems, "a.jams"))
    assert problems == []
    for segments in back:
        assert segments is not None
        assert segments.labels == CHORDS.labels
        np.testing.assert_allclose(segments.intervals, CHORDS.intervals, atol=1e-6)
    metadata = json.loads((tmp_path / "a.jams").read_text())["file_metadata"]
    assert (metadata["title"], metadata["duration"]) == ("a, b", 12.5)


# === What must be known ===

KIND_AND_FORMAT = [(kind, name) for kind, formats in FORMATS.items() for name in formats]


def test_kinds_are_fields_of_annotations() -> None:
    assert FORMATS.keys() <= {field.name for field in fields(Annotations)}


@pytest.mark.parametrize(("kind", "name"), KIND_AND_FORMAT)
def test_what_is_to_be_written_must_be_known(kind: str, name: str) -> None:
    write = FORMATS[kind][name].write
    with pytest.raises(AnnotationError, match=rf"^Expected {kind} to write. Received: nothing.$"):
        write([recording("a", Annotations())])
    with pytest.raises(AnnotationError, match=rf"^Expected {kind} to write. Received: tempo.$"):
        write([recording("a", Annotations(tempo=120))])
