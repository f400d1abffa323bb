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
from kmir.annotations import Segments
from kmir.annotations.jams_file import chords_to_jams, read_jams_chords
from kmir.errors import AnnotationError, UsageError

CHORDS = Segments([(0, 0.1), (0.1, 0.3), (0.5, 7.25)], ("N", "A:min7/b3", "X"))


def _read(path: Path, text: str) -> tuple[Segments | None, list[str]]:
    (path / "song.jams").write_text(text)
    problems: list[str] = []
    return read_jams_chords(path / "song.jams", problems, "song.jams"), problems


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
    chords, problems = _read(tmp_path, text)
    assert problems == []
    assert chords is not None
    np.testing.assert_allclose(chords.intervals, CHORDS.intervals, rtol=0, atol=1e-12)
    assert chords.labels == CHORDS.labels


def test_first_chord_annotation_counts(tmp_path: Path) -> None:
    pytest.importorskip("jams")
    beat = {"namespace": "beat", "data": [_entry(0, 0, 1)]}
    first = {"namespace": "chord_harte", "data": [_entry(1, 1, "G"), _entry(0, 1, "C")]}
    second = {"namespace": "chord", "data": [_entry(0, 2, "D")]}
    chords, _ = _read(tmp_path, json.dumps({"annotations": [beat, first, second]}))
    assert chords is not None
    assert chords.labels == ("C", "G")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("none", "song.jams: Expected a JAMS file. Received: Expecting value: line 1"),
        ("[]", "song.jams: Expected a JAMS file. Received: "),
        ('{"annotations": 5}', "song.jams: Expected a JAMS file. Received: "),
        (_entries(_entry("x", 1, "C")), "song.jams: Expected a JAMS file. Received: could not"),
        ("{}", "song.jams: Expected an annotation of namespace chord or chord_harte. Received: "
         "none. Add one, or remove the file."),
        (_entries(namespace="beat"), "Received: beat."),
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


def test_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jams", None)
    with pytest.raises(UsageError, match=r"Expected the library jams.*pip install kmir\[jams\]\."):
        _read(tmp_path, "{}")
