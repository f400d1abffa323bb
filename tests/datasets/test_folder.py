"""A folder of one's own: both layouts, and every way to get them wrong."""

import logging
import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kmir.datasets.folder import tracks
from kmir.errors import DatasetError


def _audio(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.zeros(80, np.float32), 8000)
    return root


def _table(root: Path, text: str, encoding: str = "utf-8") -> Path:
    (root / "tags.csv").write_text(text, encoding=encoding)
    return root


def _chords(root: Path, **files: str) -> Path:
    for name, text in files.items():
        (root / name.replace("__", "/").replace("_", ".")).write_text(text)
    return root


def _message(root: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        tracks(root)  # before the first track is asked for
    return str(caught.value)


def test_table_gives_tags_split_and_group_in_its_order(tmp_path):
    _audio(tmp_path, "one.wav", "live/two.wav", "three.wav")
    _table(
        tmp_path,
        "file, tags ,split,group\n"
        " live/two.wav , rock | loud|rock ,train,band a\n"
        "\n"
        'one.wav,"slow, sad",test,\n'
        "./three.wav,,,\n",
    )
    two, one, three = tracks(tmp_path)
    assert (two.id, two.audio) == ("live/two.wav", tmp_path / "live" / "two.wav")
    assert two.annotations.tags.labels == ("rock", "loud")
    assert (two.split, two.group) == ("train", "band a")
    assert one.annotations.tags.labels == ("slow, sad",)
    assert (one.split, one.group) == ("test", "one.wav")
    assert (three.id, three.split, three.group) == ("three.wav", None, "three.wav")
    assert three.annotations.known == ("tags",)  # known to have none
    assert three.annotations.tags.labels == ()


def test_byte_order_mark_and_windows_line_ends_make_no_difference(tmp_path):
    _audio(tmp_path, "one.wav")
    (tmp_path / "tags.csv").write_bytes("\ufefffile,tags\r\none.wav,été\r\n".encode())
    assert [t.annotations.tags.labels for t in tracks(tmp_path)] == [("été",)]


def test_composed_and_decomposed_names_are_the_same_file(tmp_path):
    decomposed = unicodedata.normalize("NFD", "été.wav")
    _audio(tmp_path, decomposed)
    _table(tmp_path, f"file,tags\n{unicodedata.normalize('NFC', 'été.wav')},pop\n")
    (track,) = tracks(tmp_path)
    assert track.audio.is_file()


def test_undecided_track_follows_its_group(tmp_path):
    _audio(tmp_path, "a.wav", "b.wav", "c.wav")
    _table(tmp_path, "file,tags,split,group\na.wav,x,,g\nb.wav,x,test,g\nc.wav,x,,h\n")
    assert [track.split for track in tracks(tmp_path)] == ["test", "test", None]


def test_unlisted_audio_is_ignored_and_mentioned(tmp_path, caplog):
    _audio(tmp_path, "a.wav", "extra.wav")
    _table(tmp_path, "file,tags\na.wav,x\n")
    with caplog.at_level(logging.INFO, "kmir"):
        assert [track.id for track in tracks(tmp_path)] == ["a.wav"]
    assert "1 audio files not in tags.csv, ignored: extra.wav" in caplog.text


def test_listed_files_may_lie_behind_a_link_or_hidden(tmp_path):
    _audio(tmp_path / "disk", "a.wav")
    root = _audio(tmp_path / "root", ".old/b.wav", "c.wav")
    (root / "linked").symlink_to(tmp_path / "disk")
    _table(root, "file,tags\nlinked/a.wav,x\n.old/b.wav,y\n")
    assert [track.id for track in tracks(root)] == ["linked/a.wav", ".old/b.wav"]


def test_first_folder_is_the_class(tmp_path):
    _audio(tmp_path, "rock/a.wav", "jazz/cd 1/b.wav", ".trash/c.wav")
    found = {track.id: track.annotations.tags.labels for track in tracks(tmp_path)}
    assert found == {"jazz/cd 1/b.wav": ("jazz",), "rock/a.wav": ("rock",)}
    assert [track.id for track in tracks(tmp_path)] == sorted(found)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.text("abé ,\"'|", max_size=6), max_size=4))
def test_any_tags_survive_the_table(tmp_path, words):
    expected = tuple(
        dict.fromkeys(part.strip() for word in words for part in word.split("|") if part.strip())
    )
    _audio(tmp_path, "a.wav", "b.wav")
    cell = "|".join(words).replace('"', '""')
    _table(tmp_path, f'file,tags\na.wav,"{cell}"\nb.wav,rock\n')
    assert next(tracks(tmp_path)).annotations.tags.labels == expected


# === Chords ===

JAMS = """{"annotations": [{"namespace": "chord", "data": [
    {"time": 0, "duration": 1, "value": "D:min", "confidence": null}]}]}"""


def test_chords_beside_the_audio_need_no_tags(tmp_path, caplog):
    _audio(tmp_path, "one.wav", "live/two.wav", "live/two.v2.wav", "extra.wav", "live/extra.wav")
    _chords(tmp_path, one_lab="0 1 C\n1 2 N\n", live__two_lab="0 1 G\n")
    (tmp_path / "live" / "two.v2.lab").write_text("0 1 A\n")
    with caplog.at_level(logging.INFO, "kmir"):
        second, third, first = tracks(tmp_path)
    assert "2 audio files without chords, ignored: extra.wav …" in caplog.text
    assert (first.id, first.audio, first.group) == ("one.wav", tmp_path / "one.wav", "one.wav")
    assert first.annotations.known == ("chords",)
    assert first.annotations.chords.labels == ("C", "N")
    np.testing.assert_array_equal(first.annotations.chords.intervals, [[0, 1], [1, 2]])
    assert (second.id, second.annotations.chords.labels) == ("live/two.v2.wav", ("A",))
    assert (third.id, third.annotations.chords.labels) == ("live/two.wav", ("G",))


def test_chords_named_after_the_whole_file(tmp_path):
    _audio(tmp_path, "one.wav", "one.flac")
    _chords(tmp_path, one_wav_lab="0 1 C\n", one_flac_lab="0 1 D\n")
    found = {track.id: track.annotations.chords.labels for track in tracks(tmp_path)}
    assert found == {"one.flac": ("D",), "one.wav": ("C",)}


def test_chords_as_jams(tmp_path):
    pytest.importorskip("jams")
    _chords(_audio(tmp_path, "a.wav", "b.wav"), a_jams=JAMS, b_wav_jams=JAMS)
    assert [t.annotations.chords.labels for t in tracks(tmp_path)] == [("D:min",), ("D:min",)]


def test_table_and_chords_are_both_taken(tmp_path):
    _audio(tmp_path, "a.wav", "b.wav", "c.wav")
    _chords(tmp_path, a_lab="0 1 C\n", c_lab="this is not read, as the table leaves it out")
    _table(tmp_path, "file,tags,split,group\na.wav,rock,train,x\nb.wav,,test,\n")
    a, b = tracks(tmp_path)
    assert a.annotations.known == ("tags", "chords")
    assert (a.annotations.tags.labels, a.annotations.chords.labels) == (("rock",), ("C",))
    assert (a.split, a.group) == ("train", "x")
    assert b.annotations.known == ("tags",)


def test_table_without_tags_splits_and_groups_chords(tmp_path):
    _chords(_audio(tmp_path, "a.wav", "b.wav"), a_lab="0 1 C\n", b_lab="0 1 D\n")
    _table(tmp_path, "file,tags,split,group\na.wav,,test,x\nb.wav,,,x\n")
    assert [(t.annotations.known, t.split) for t in tracks(tmp_path)] == [(("chords",), "test")] * 2


def test_problems_of_all_chord_files_are_listed_at_once(tmp_path):
    _audio(tmp_path, "a.wav", "cd/b.wav", "c.wav", "d.wav")
    _chords(
        tmp_path,
        a_lab="0 1 C\n0.5 2 Am\n",
        cd__b_lab="",
        c_lab="0 1\n",
        d_lab="0 1 C\n",
    )
    lines = _message(tmp_path).splitlines()
    assert lines[0] == f"4 problems in '{tmp_path}':"
    assert lines[1].startswith("  a.lab:2: Expected a chord in Harte's syntax")
    assert lines[2].startswith("  a.lab:2: Expected segments that don't overlap.")
    assert lines[3].startswith("  c.lab:1: Expected start and end in seconds and a label")
    assert lines[4].startswith("  cd/b.lab: Expected one segment or more. Received: an empty ann")


def test_problems_of_table_and_chords_come_together(tmp_path):
    _chords(_audio(tmp_path, "a.wav"), a_lab="0 1 Z\n")
    _table(tmp_path, "file,tags,split\na.wav,x,\ngone.wav,x,\n")
    message = _message(tmp_path)
    assert message.startswith("2 problems in")
    assert "tags.csv:3: Expected a file in the folder." in message
    assert "a.lab:1: Expected a chord" in message


def test_which_file_holds_the_chords_must_be_clear(tmp_path):
    _audio(tmp_path, "a.wav", "b.wav", "b.flac")
    _chords(tmp_path, a_lab="0 1 C\n", a_wav_lab="0 1 C\n", b_lab="0 1 C\n")
    message = _message(tmp_path)
    assert (
        "a.wav: Expected one file with its chords. Received: a.lab, a.wav.lab. Remove the others."
    ) in message
    assert (
        "b.lab: Expected chords of one recording. Received: b.flac and b.wav beside it. Remove "
        "one, or name the chords b.wav.lab."
    ) in message


def test_chords_that_lie_elsewhere(tmp_path):
    _audio(tmp_path, "audio/a.wav", "audio/b.wav")
    (tmp_path / "labs").mkdir()
    _chords(tmp_path, labs__a_lab="0 1 C\n", labs__b_lab="0 1 C\n")
    assert _message(tmp_path) == (
        "Expected chords beside the audio and under its name, song.lab beside song.mp3, in "
        f"'{tmp_path}'. Received: 2 elsewhere, such as 'labs/a.lab'. Move them there; "
        "or, for tagging, write a tags.csv with the columns file,tags."
    )


def test_listed_file_with_neither_tags_nor_chords(tmp_path):
    _chords(_audio(tmp_path, "a.wav", "b.wav"), a_lab="0 1 C\n")
    _table(tmp_path, "file,tags\na.wav,\nb.wav,\n")
    assert "tags.csv:3: Expected tags, or chords beside 'b.wav'. Received: neither." in _message(
        tmp_path
    )


# === Beats ===


def test_beats_beside_the_audio(tmp_path, caplog):
    _audio(tmp_path, "one.wav", "live/two.wav", "extra.wav")
    _chords(tmp_path, one_beats="0.5\t4\n1.0\t1\n1.5\t2\n", live__two_beats="0.25\n2.25\n")
    with caplog.at_level(logging.INFO, "kmir"):
        two, one = tracks(tmp_path)
    assert "1 audio files without beats, ignored: extra.wav …" in caplog.text
    assert (one.id, one.audio, one.group) == ("one.wav", tmp_path / "one.wav", "one.wav")
    assert one.annotations.known == ("beats", "tempo")
    assert one.annotations.beats.positions.tolist() == [4, 1, 2]
    assert one.annotations.tempo == 120
    assert two.annotations.beats.times.tolist() == [0.25, 2.25]
    assert two.annotations.beats.positions.tolist() == [0, 0]


def test_table_chords_and_beats_together(tmp_path, caplog):
    _audio(tmp_path, "a.wav", "b.wav", "c.wav")
    _chords(tmp_path, a_lab="0 1 C\n", a_beats="1 1\n2 2\n", b_beats="3\n")
    with caplog.at_level(logging.INFO, "kmir"):
        assert [t.annotations.known for t in tracks(tmp_path)] == [
            ("chords", "beats", "tempo"),
            ("beats",),
        ]
    assert "1 audio files without chords or beats, ignored: c.wav …" in caplog.text
    _table(tmp_path, "file,tags,split\na.wav,rock,train\nc.wav,,test\n")
    a, c = tracks(tmp_path)
    assert a.annotations.known == ("tags", "chords", "beats", "tempo")
    assert (c.annotations.known, c.split) == (("tags",), "test")
    _table(tmp_path, "file,tags\na.wav,\nb.wav,\nc.wav,\n")
    assert "tags.csv:4: Expected tags, or chords or beats beside 'c.wav'." in _message(tmp_path)


def test_problems_of_beats_are_listed_with_their_line(tmp_path):
    _audio(tmp_path, "a.wav", "b.wav")
    _chords(tmp_path, a_beats="1 1\n2 3\n", b_beats="x\n")
    first, *lines = _message(tmp_path).splitlines()
    assert first == f"2 problems in '{tmp_path}':"
    assert lines[0].startswith("  a.beats:2: Expected position 1 or 2 after 1 before it.")
    assert lines[1].startswith("  b.beats:1: Expected seconds and, if it is known, a position")


def test_beats_that_lie_elsewhere(tmp_path):
    _audio(tmp_path, "audio/a.wav", "audio/b.wav")
    (tmp_path / "beats").mkdir()
    _chords(tmp_path, beats__a_beats="1\n")
    assert _message(tmp_path) == (
        "Expected beats beside the audio and under its name, song.beats beside song.mp3, in "
        f"'{tmp_path}'. Received: 1 elsewhere, such as 'beats/a.beats'. Move them there; "
        "or, for tagging, write a tags.csv with the columns file,tags."
    )


# === What must fail ===


def test_root_missing_or_file_or_empty(tmp_path):
    assert "Received: nothing of that name." in _message(tmp_path / "nowhere")
    _audio(tmp_path, "a.wav")
    assert "Expected a folder with audio" in _message(tmp_path / "a.wav")
    assert "Received: a file." in _message(tmp_path / "a.wav")
    (tmp_path / "empty").mkdir()
    assert "Received: a folder without any." in _message(tmp_path / "empty")
    _table(tmp_path / "empty", "file,tags\na.wav,x\n")
    assert "tags.csv:2: Expected a file in the folder." in _message(tmp_path / "empty")


def test_folder_with_no_tags(tmp_path):
    message = _message(_audio(tmp_path, "a.wav", "b.wav"))
    assert "Received: a folder with audio and no tags." in message
    assert "columns file,tags" in message


def test_single_class_offers_the_folder_inside(tmp_path):
    message = _message(_audio(tmp_path, "genres/rock/a.wav", "genres/jazz/b.wav"))
    assert "Received: only 'genres'." in message
    assert f"Give '{tmp_path / 'genres'}' instead" in message
    assert len(list(tracks(tmp_path / "genres"))) == 2


def test_audio_beside_class_folders(tmp_path):
    message = _message(_audio(tmp_path, "rock/a.wav", "jazz/b.wav", "c.wav"))
    assert message.startswith("1 problem in")
    assert "c.wav: Expected audio inside a class folder" in message


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("file,tag", ["Received: the column 'tag'. Did you mean 'tags'?", "no column 'tags'"]),
        ("file,tags,splits", ["Received: the column 'splits'. Did you mean 'split'?"]),
        ("File,tags", ["Received: the column 'File'. Did you mean 'file'?", "no column 'file'"]),
        ("file,tags,tags", ["Received: 'tags' 2 times."]),
        ("file;tags", ["separated by commas. Received: file;tags."]),
        ("", ["Received: an empty line."]),
    ],
)
def test_wrong_columns(tmp_path, header, expected):
    _table(_audio(tmp_path, "a.wav"), f"{header}\na.wav,x\n")
    message = _message(tmp_path)
    assert "tags.csv:1: Expected the columns file,tags and, if you like, split,group" in message
    for part in expected:
        assert part in message


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("b.wav,x,,", "tags.csv:3: Expected a file in the folder. Received: 'b.wav', not found."),
        ("live\\b.wav,x,,", "Received: 'live\\b.wav', not found. Write / between folders."),
        ("notes.txt,x,,", ".opus .aiff .aif .au. Received: 'notes.txt'."),
        ("./a.wav,x,,", "Expected each file once. Received: 'a.wav', already in line 2."),
        ("../a.wav,x,,", "tags.csv:3: Expected a path inside the folder. Received: '../a.wav'."),
        ("x/../..,x,,", "Expected a path inside the folder. Received: 'x/../..'."),
        ("/etc/a.wav,x,,", "Expected a path inside the folder. Received: '/etc/a.wav'."),
        ("C:\\a.wav,x,,", "Expected a path inside the folder. Received: 'C:\\a.wav'."),
        (",x,,", "tags.csv:3: Expected the path of a file. Received: an empty cell."),
        ("a.wav,x,valid,", "Expected a split of train, validation, test, or nothing. Received: 'v"),
        ("a.wav,x,,,", "tags.csv:3: Expected 4 cells, as in the first line. Received: 5."),
        ("a.wav,x", "tags.csv:3: Expected 4 cells, as in the first line. Received: 2."),
        ('a.wav,"x,,', "tags.csv:3: Expected comma-separated values. unexpected end of data."),
        ("other.wav,x,test,g", "tags.csv:3: Expected group 'g' in one split, or its songs leak. "
         "Received: test, and train in line 2."),
    ],
)  # fmt: skip
def test_wrong_rows(tmp_path, row, expected):
    _audio(tmp_path, "a.wav", "other.wav")
    (tmp_path / "notes.txt").write_text("not audio")
    _table(tmp_path, f"file,tags,split,group\na.wav,rock,train,g\n{row}\n")
    message = _message(tmp_path)
    assert message.startswith(f"1 problem in '{tmp_path}':\n  tags.csv:")
    assert expected in message


def test_table_without_any_tag_or_row(tmp_path):
    _audio(tmp_path, "a.wav")
    _table(tmp_path, "file,tags\na.wav,\n")
    assert "tags.csv: Expected a tag for at least one file. Received: none." in _message(tmp_path)
    _table(tmp_path, "file,tags\n")
    assert "Received: only the header." in _message(tmp_path)


def test_table_in_another_encoding(tmp_path):
    _table(_audio(tmp_path, "a.wav"), "file,tags\na.wav,été\n", encoding="latin-1")
    assert re.search(
        r"Expected UTF-8 text in '.*tags\.csv'.*Save it as UTF-8\.", _message(tmp_path)
    )


def test_all_problems_are_counted_and_twenty_shown(tmp_path):
    _audio(tmp_path, "a.wav")
    rows = "".join(f"gone{n}.wav,x,\n" for n in range(23))
    _table(tmp_path, f"file,tags,split\na.wav,x,dev\n{rows}")
    lines = _message(tmp_path).splitlines()
    assert lines[0] == f"24 problems in '{tmp_path}':"
    assert "Received: 'dev'." in lines[1]
    assert "tags.csv:3: " in lines[2]
    assert len(lines) == 1 + 20 + 1
    assert lines[-1] == "  … and 4 more."
