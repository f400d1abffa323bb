"""Annotation files found by the name of the audio, read, and put together."""

# Lists are taken where arrays are declared.
# mypy: disable-error-code="arg-type"

from pathlib import Path

import pytest

from kmir.annotations import Annotations, Beats, Segments
from kmir.annotations.beside import files_beside, read_beside

BEATS = "0.5 4\n1.0 1\n1.5 2\n"
CHORDS = "0 1 C\n1 2 G\n"
JAMS = """{"annotations": [
    {"namespace": "beat", "data": [
        {"time": 2, "duration": 0, "value": null, "confidence": null},
        {"time": 4, "duration": 0, "value": null, "confidence": null}]},
    {"namespace": "tempo", "data": [
        {"time": 0, "duration": 5, "value": 60, "confidence": 1}]}]}"""


def _read(root: Path, songs: list[str], **files: str) -> tuple[dict[str, Annotations], list[str]]:
    for name, text in files.items():
        (root / name.replace("_", ".")).write_text(text)
    problems: list[str] = []
    known = read_beside(root, [root / song for song in songs], problems)
    return {path.name: annotations for path, annotations in known.items()}, problems


def test_chords_and_beats_of_two_files_come_together(tmp_path: Path) -> None:
    known, problems = _read(tmp_path, ["a.wav", "b.wav"], a_lab=CHORDS, a_wav_beats=BEATS)
    assert problems == []
    assert known == {
        "a.wav": Annotations(
            chords=Segments([(0, 1), (1, 2)], ("C", "G")),
            beats=Beats([0.5, 1, 1.5], [4, 1, 2]),
            tempo=120,  # follows from the beats
        )
    }
    names = [path.name for path in files_beside(tmp_path / "a.wav")]
    assert names == ["a.lab", "a.wav.beats"]
    assert files_beside(tmp_path / "b.wav") == []


def test_a_recording_without_beats_is_known_to_have_none(tmp_path: Path) -> None:
    known, problems = _read(tmp_path, ["a.wav", "b.wav"], a_beats="", b_beats="1\n")
    assert problems == []
    assert known == {"a.wav": Annotations(beats=Beats([])), "b.wav": Annotations(beats=Beats([1]))}


def test_a_tempo_that_is_told_counts_more_than_the_beats(tmp_path: Path) -> None:
    pytest.importorskip("jams")
    known, problems = _read(tmp_path, ["a.wav"], a_jams=JAMS, a_lab=CHORDS)
    assert problems == []
    assert known["a.wav"].known == ("chords", "beats", "tempo")
    assert known["a.wav"].tempo == 60


def test_two_files_that_tell_the_same(tmp_path: Path) -> None:
    pytest.importorskip("jams")
    _, problems = _read(tmp_path, ["a.wav"], a_jams=JAMS, a_beats=BEATS)
    assert problems == [
        "a.wav: Expected one file with its beats. Received: a.beats, a.jams. Remove the others."
    ]


def test_a_file_that_could_be_of_two_recordings(tmp_path: Path) -> None:
    _, problems = _read(tmp_path, ["a.flac", "a.wav"], a_beats=BEATS)
    assert problems == [
        "a.beats: Expected beats of one recording. Received: a.flac and a.wav beside it. Remove "
        "one, or name the beats a.wav.beats."
    ]


def test_problems_of_all_files_are_added(tmp_path: Path) -> None:
    known, problems = _read(
        tmp_path, ["a.wav", "b.wav"], a_lab="0 1 H\n", a_beats="1\n1\n", b_beats=BEATS
    )
    assert list(known) == ["b.wav"]
    assert [problem.split(": ")[0] for problem in problems] == ["a.lab:1", "a.beats:2"]
