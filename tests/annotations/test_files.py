"""Tags, chords and beats as tables, CSV, JSON, `.lab`, `.beats`, JAMS and Audacity's labels."""

# Lists are taken where arrays are declared, and that is what is tested here.
# mypy: disable-error-code="arg-type"

import csv
import io
import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from kmir.annotations import Annotations, Beats, Segments, Tags
from kmir.annotations.beats_file import read_beats
from kmir.annotations.files import FORMATS, SUFFIXES
from kmir.annotations.jams_file import read_jams
from kmir.annotations.lab import read_chords
from kmir.annotations.recording import Recording
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
BEATS = Beats([0.5, 1.0014, 1.4996, 2, 12.3456789], [4, 1, 2, 3, 1])
COUNTED = [
    recording("a, b.mp3", Annotations(beats=BEATS, tempo=119.876)),
    recording("c.wav", Annotations(beats=Beats([0.25, 0.75]))),
    recording("d.wav", Annotations(beats=Beats([1, 2, 3], [0, 1, 0]))),
    recording("e.wav", Annotations(beats=Beats([]))),
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
    found = read_jams(tmp_path / "a.jams", problems, "a.jams")
    back.append(found and found.chords)
    assert problems == []
    for segments in back:
        assert segments is not None
        assert segments.labels == CHORDS.labels
        np.testing.assert_allclose(segments.intervals, CHORDS.intervals, atol=1e-6)
    metadata = json.loads((tmp_path / "a.jams").read_text())["file_metadata"]
    assert (metadata["title"], metadata["duration"]) == ("a, b", 12.5)


# === Beats ===


def beats(form: str, recordings: list[Recording]) -> str:
    return FORMATS["beats"][form].write(recordings)


def test_table_of_beats_counts_bars() -> None:
    assert beats("table", COUNTED) == (
        "a, b.mp3\n"
        "  119.9 BPM\n"
        "   0.50  0.4\n"
        "   1.00  1.1\n"
        "   1.50  1.2\n"
        "   2.00  1.3\n"
        "  12.35  2.1\n"
        "c.wav\n"
        "  0.25\n"
        "  0.75\n"
        "d.wav\n"
        "  1.00\n"
        "  2.00  1.1\n"
        "  3.00\n"
        "e.wav\n"
        "  no beats\n"
    )


def test_csv_has_a_row_for_each_beat() -> None:
    assert beats("csv", COUNTED).splitlines() == [
        "file,time,position",
        '"a, b.mp3",0.500,4',
        '"a, b.mp3",1.001,1',
        '"a, b.mp3",1.500,2',
        '"a, b.mp3",2.000,3',
        '"a, b.mp3",12.346,1',
        "c.wav,0.250,",
        "c.wav,0.750,",
        "d.wav,1.000,",
        "d.wav,2.000,1",
        "d.wav,3.000,",
    ]


def test_json_of_beats() -> None:
    first, second, third, fourth = json.loads(beats("json", COUNTED))
    assert (first["file"], first["tempo"]) == ("a, b.mp3", 119.88)
    assert first["beats"][:2] == [{"time": 0.5, "position": 4}, {"time": 1.001, "position": 1}]
    assert second["tempo"] is None
    assert second["beats"][1] == {"time": 0.75, "position": None}
    assert [row["position"] for row in third["beats"]] == [None, 1, None]
    assert fourth == {"file": "e.wav", "tempo": None, "beats": []}


def test_beats_and_jams_are_read_again(tmp_path: Path) -> None:
    problems: list[str] = []
    (tmp_path / "a.beats").write_text(beats("beats", COUNTED[:1]))
    back = [read_beats(tmp_path / "a.beats", problems, "a.beats")]
    pytest.importorskip("jams")
    (tmp_path / "a.jams").write_text(beats("jams", COUNTED[:1]))
    found = read_jams(tmp_path / "a.jams", problems, "a.jams")
    assert problems == []
    assert found is not None
    assert found.tempo == 119.876
    for read in (*back, found.beats):
        assert read is not None
        np.testing.assert_allclose(read.times, BEATS.times, atol=5.1e-4)
        assert read.positions.tolist() == BEATS.positions.tolist()


def test_labels_for_audacity() -> None:
    assert beats("labels", COUNTED[:1]).splitlines()[1:3] == [
        "1.001400\t1.001400\t1",
        "1.499600\t1.499600\t2",
    ]
    assert beats("labels", COUNTED[1:2]) == "0.250000\t0.250000\t\n0.750000\t0.750000\t\n"
    assert beats("labels", COUNTED[3:]) == ""


# === What must be known ===

KIND_AND_FORMAT = [(kind, name) for kind, formats in FORMATS.items() for name in formats]


def test_kinds_are_fields_of_annotations() -> None:
    assert FORMATS.keys() <= {field.name for field in fields(Annotations)}
    assert SUFFIXES.keys() <= {name for _, name in KIND_AND_FORMAT}


@pytest.mark.parametrize(("kind", "name"), KIND_AND_FORMAT)
def test_what_is_to_be_written_must_be_known(kind: str, name: str) -> None:
    write = FORMATS[kind][name].write
    with pytest.raises(AnnotationError, match=rf"^Expected {kind} to write. Received: nothing.$"):
        write([recording("a", Annotations())])
    with pytest.raises(AnnotationError, match=rf"^Expected {kind} to write. Received: tempo.$"):
        write([recording("a", Annotations(tempo=120))])
