"""JAMS files, where the library ``jams`` is installed; and what is said where it is not."""

# Lists are taken where arrays are declared.
# mypy: disable-error-code="arg-type"

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kmir
from kmir.annotations import Annotations, Beats, Segments
from kmir.annotations.jams_file import beats_to_jams, chords_to_jams, read_jams
from kmir.errors import AnnotationError, UsageError

CHORDS = Segments([(0, 0.1), (0.1, 0.3), (0.5, 7.25)], ("N", "A:min7/b3", "X"))


HUGE = 10**400 - 1


def _read(path: Path, text: str) -> tuple[Annotations | None, list[str]]:
    (path / "song.jams").write_text(text)
    problems: list[str] = []
    return read_jams(path / "song.jams", problems, "song.jams"), problems


def _known(path: Path, text: str) -> Annotations:
    annotations, problems = _read(path, text)
    assert problems == []
    assert annotations is not None
    return annotations


def _entries(*entries: dict[str, Any], namespace: str = "chord") -> str:
    return json.dumps({"annotations": [{"namespace": namespace, "data": entries}]})


def _entry(time: float, duration: float, value: Any) -> dict[str, Any]:
    return {"time": time, "duration": duration, "value": value, "confidence": None}


def test_written_chords_are_valid_jams_and_are_read(tmp_path: Path) -> None:
    jams = pytest.importorskip("jams")
    text = chords_to_jams(CHORDS, duration=8, title="song")
    (tmp_path / "out.jams").write_text(text)
    jam = jams.load(str(tmp_path / "out.jams"), validate=True, strict=True)
    assert (jam.file_metadata.title, jam.file_metadata.duration) == ("song", 8.0)
    (annotation,) = jam.annotations
    assert (annotation.namespace, annotation.duration) == ("chord", 8.0)
    assert annotation.annotation_metadata.annotation_tools == f"kmir {kmir.__version__}"
    chords = _known(tmp_path, text).chords
    assert chords is not None
    np.testing.assert_allclose(chords.intervals, CHORDS.intervals, rtol=0, atol=1e-12)
    assert chords.labels == CHORDS.labels


def test_first_chord_annotation_counts(tmp_path: Path) -> None:
    pytest.importorskip("jams")
    tag = {"namespace": "tag_open", "data": [_entry(0, 0, "x")]}
    first = {"namespace": "chord_harte", "data": [_entry(1, 1, "G"), _entry(0, 1, "C")]}
    second = {"namespace": "chord", "data": [_entry(0, 2, "D")]}
    found = _known(tmp_path, json.dumps({"annotations": [tag, first, second]}))
    assert found.known == ("chords",)
    assert found.chords is not None
    assert found.chords.labels == ("C", "G")


# === Beats and tempo ===


@pytest.mark.parametrize("tempo", [None, 96.5])
def test_written_beats_are_valid_jams_and_are_read(tmp_path: Path, tempo: float | None) -> None:
    jams = pytest.importorskip("jams")
    text = beats_to_jams(Beats([0.1, 0.7, 1.35], [4, 1, 2]), tempo, duration=8, title="song")
    (tmp_path / "out.jams").write_text(text)
    jam = jams.load(str(tmp_path / "out.jams"), validate=True, strict=True)
    namespaces = [annotation.namespace for annotation in jam.annotations]
    assert namespaces == (["beat"] if tempo is None else ["beat", "tempo"])
    assert [(e.time, e.duration, e.value) for e in jam.annotations[0].data] == [
        (0.1, 0.0, 4),
        (0.7, 0.0, 1),
        (1.35, 0.0, 2),
    ]
    if tempo is not None:
        (entry,) = jam.annotations[1].data
        assert (entry.time, entry.duration, entry.value, entry.confidence) == (0, 8, 96.5, 1)
    assert _known(tmp_path, text) == Annotations(
        beats=Beats([0.1, 0.7, 1.35], [4, 1, 2]), tempo=tempo
    )


def test_beats_of_unknown_position_are_null(tmp_path: Path) -> None:
    pytest.importorskip("jams")
    beats = Beats([0.1, 0.7, 1.35], [0, 1, 0])
    text = beats_to_jams(beats, None, duration=8)
    assert [entry["value"] for entry in json.loads(text)["annotations"][0]["data"]] == [
        None,
        1,
        None,
    ]
    assert _known(tmp_path, text) == Annotations(beats=beats)
    none = beats_to_jams(Beats([]), None, duration=8)
    assert _known(tmp_path, none) == Annotations(beats=Beats([]))


def test_a_file_may_tell_everything(tmp_path: Path) -> None:
    pytest.importorskip("jams")
    places = [{"position": p, "measure": 0, "num_beats": 4, "beat_units": 4} for p in (3, 4)]
    annotations = [
        {"namespace": "tempo", "data": [_entry(0, 2, 60) | {"confidence": 0.2},
                                        _entry(0, 2, 120) | {"confidence": 0.8}]},
        {"namespace": "beat_position", "data": [_entry(t, 0, places[t]) for t in (0, 1)]},
        {"namespace": "beat", "data": [_entry(5, 0, 9)]},
        {"namespace": "chord", "data": [_entry(0, 1, "C")]},
    ]  # fmt: skip
    assert _known(tmp_path, json.dumps({"annotations": annotations})) == Annotations(
        beats=Beats([0, 1], [3, 4]), tempo=120, chords=Segments([(0, 1)], ("C",))
    )


def test_wrong_beats_and_tempi_come_at_once(tmp_path: Path) -> None:
    pytest.importorskip("jams")
    beats = [_entry(1, 0, 1), _entry(2, 0, "x"), _entry(3, 0, 5), _entry(3, 0, 2)]
    tempi = [_entry(0, 1, 0), _entry(0, 1, None)]
    text = json.dumps({"annotations": [
        {"namespace": "beat", "data": beats}, {"namespace": "tempo", "data": tempi}
    ]})  # fmt: skip
    found, problems = _read(tmp_path, text)
    assert found is None
    assert problems == [
        "song.jams:beat[1]: Expected seconds and a position in the bar or null. Received: 2.0, x. "
        "Correct the entry.",
        "song.jams:beat[3]: Expected each time once. Received: 3 again. Remove one of the two.",
        "song.jams:beat[3]: Expected position 1 or 6 after 5 before it. Received: 2. Correct it, "
        "or add what is missing between them.",
        "song.jams:tempo[0]: Expected a tempo above 0. Received: 0. Correct the entry.",
        "song.jams:tempo[1]: Expected a tempo above 0. Received: None. Correct the entry.",
    ]


# === What must fail ===


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("none", "song.jams: Expected a JAMS file. Received: Expecting value: line 1"),
        ("[]", "song.jams: Expected a JAMS file. Received: "),
        ('{"annotations": 5}', "song.jams: Expected a JAMS file. Received: "),
        (_entries(_entry("x", 1, "C")), "song.jams: Expected a JAMS file. Received: could not"),
        (_entries(_entry(HUGE, 1, "C")), "song.jams: Expected a JAMS file. Received: int too"),
        (_entries(_entry(1, 0, HUGE), namespace="beat"), "song.jams:beat[0]: Expected seconds and "
         "a position in the bar or null. Received: 1.0, " + "9" * 55 + "…. Correct the entry."),
        (_entries(_entry(1, 0, 10**20), namespace="beat"), "song.jams:beat[0]: Expected a position "
         "in the bar of 1, the downbeat, or 2, 3 … 1000. Received: 1e+20. Correct it."),
        (_entries(_entry(1, 0, HUGE), namespace="tempo"), "song.jams:tempo[0]: Expected a tempo "
         "above 0. Received: " + "9" * 60 + "…. Correct the entry."),
        ("{}", "song.jams: Expected an annotation of namespace chord or chord_harte or beat or "
         "beat_position or tempo. Received: none. Add one, or remove the file."),
        (_entries(namespace="tag_open"), "Received: tag_open."),
        (_entries(namespace="tempo"), "song.jams:tempo: Expected a tempo. Received: none. Remove"),
        (_entries(_entry(-1, 0, 1), namespace="beat"), "song.jams:beat[0]: Expected times from 0."),
        (_entries(_entry(0, 0, True), namespace="beat"), "in the bar or null. Received: 0.0, True"),
        (_entries(), "song.jams: Expected one segment or more. Received: an empty annotation."),
        (_entries(_entry(0, 1, 3)), "song.jams[0]: Expected time and duration in seconds and a "
         "label. Received: 0.0, 1.0, 3."),
        (_entries(_entry(0, 1, "C"), _entry(1, 1, "H")), "song.jams[1]: Expected a chord in Harte"),
        (_entries(_entry(0, 1, "C"), _entry(0.5, 1, "G")), "song.jams[1]: Expected segments that "
         "don't overlap. Received: 0.5 to 1.5, after 0 to 1 before it."),
        (_entries(_entry(0, -1, "C")), "song.jams[0]: Expected an end after the start. Received: "
         "0 to -1."),
    ],
)  # fmt: skip
def test_wrong_files(tmp_path: Path, text: str, expected: str) -> None:
    pytest.importorskip("jams")
    chords, (problem,) = _read(tmp_path, text)
    assert chords is None
    assert expected in problem


def test_all_problems_of_a_file_come_at_once(tmp_path: Path) -> None:
    pytest.importorskip("jams")
    text = _entries(_entry(0, 1, "H"), _entry(float("nan"), 1, "C"), _entry(0.5, 1, "I"))
    assert len(_read(tmp_path, text)[1]) == 4


def test_duration_of_nothing() -> None:
    with pytest.raises(AnnotationError, match=r"Expected a duration above 0\. Received: 0\."):
        chords_to_jams(CHORDS, duration=0)
    with pytest.raises(AnnotationError, match=r"Expected a duration above 0\. Received: nan\."):
        beats_to_jams(Beats([]), None, duration=float("nan"))


def test_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jams", None)
    with pytest.raises(UsageError, match=r"Expected the library jams.*pip install kmir\[jams\]\."):
        _read(tmp_path, "{}")
