"""``.lab`` files: what stands in them, and everything that can be wrong with one."""

# Lists are taken where arrays are declared.
# mypy: disable-error-code="arg-type"

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmir.annotations import Segments
from kmir.annotations.lab import read_chords, write_chords


def _read(path: Path, text: str | bytes) -> tuple[Segments | None, list[str]]:
    file = path / "song.lab"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    problems: list[str] = []
    return read_chords(file, problems, "cd/song.lab"), problems


def _problems(path: Path, text: str | bytes) -> list[str]:
    chords, problems = _read(path, text)
    assert chords is None
    return problems


def test_blanks_tabs_comments_and_windows_line_ends_make_no_difference(tmp_path: Path) -> None:
    chords, problems = _read(
        tmp_path,
        "\ufeff# by hand\r\n0.0\t7.3469387e-2\tN\r\n\r\n"
        " 0.073469387  2  F#:min7/b3 \r\n2 2.5\tX\r\n",
    )
    assert problems == []
    assert chords is not None
    np.testing.assert_array_equal(chords.intervals, [[0, 0.073469387], [0.073469387, 2], [2, 2.5]])
    assert chords.labels == ("N", "F#:min7/b3", "X")


@pytest.mark.parametrize(
    "label",
    ["C", "Cb", "G#:min", "A:(1)", "D:maj(*3)", "G:maj6/5", "E:min/b7", "D:(1,5)", "C:minmaj7"],
)
def test_labels_of_the_published_files(tmp_path: Path, label: str) -> None:
    chords, _ = _read(tmp_path, f"0 1 {label}\n")
    assert chords is not None
    assert chords.labels == (label,)


def test_rounding_is_no_fault(tmp_path: Path) -> None:
    chords, problems = _read(tmp_path, "0 1.005 C\n1 2 G\n2 2 D\n2.5 3 A\n2.995 3 F\n2.995 4 N\n")
    assert problems == []
    assert chords is not None
    # The overlap goes to the first, what has no length is left out, gaps stay.
    np.testing.assert_array_equal(chords.intervals, [[0, 1.005], [1.005, 2], [2.5, 3], [3, 4]])
    assert chords.labels == ("C", "G", "A", "N")


@given(
    st.lists(st.integers(1, 10**7), min_size=1, max_size=20),
    st.sampled_from(["N", "C:maj", "Bb:7/b7"]),
)
def test_what_was_written_is_read(tmp_path_factory, microseconds, label) -> None:  # type: ignore[no-untyped-def]
    times = np.cumsum([0, *microseconds]) / 1e6
    chords = Segments(np.stack([times[:-1], times[1:]], 1), (label,) * len(microseconds))
    read, problems = _read(tmp_path_factory.mktemp("lab"), write_chords(chords))
    assert problems == []
    assert read is not None
    np.testing.assert_array_equal(read.intervals, chords.intervals)
    assert read.labels == chords.labels


def test_written_with_tabs_to_the_microsecond() -> None:
    chords = Segments([(0, 1 / 3), (1 / 3, 200)], ("N", "A:min7/b3"))
    assert write_chords(chords) == "0.000000\t0.333333\tN\n0.333333\t200.000000\tA:min7/b3\n"


# === What must fail ===


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("1 2", "Expected start and end in seconds and a label, separated by tabs or blanks. "
         "Received: '1 2'. Correct the line."),
        ("1,2,C", "separated by tabs or blanks. Received: '1,2,C'."),
        ("1 two C", "Expected start and end in seconds and a label"),
        ("nan 2 C", "Expected start and end in seconds and a label"),
        ("1 inf C", "Expected start and end in seconds and a label"),
        ("-1 0.5 C", "Expected times from 0. Received: -1 to 0.5."),
        ("2 1.999 C", "Expected an end after the start. Received: 2 to 1.999."),
        ("0.98 2 C", "Expected segments that don't overlap. Received: 0.98 to 2, after 0 to 1 "
         "before it. Correct one of them."),
        ("1 2 H:maj", "Expected a chord in Harte's syntax, such as A:min7/b3 or N. "
         "Received: 'H:maj'. Correct the label."),
        ("1 2 Am7", "Received: 'Am7'."),
        ("1 2 C:", "Received: 'C:'."),
        ("1 2 N/3", "Received: 'N/3'."),
        ("1 2 C:maj extra", "Received: 'C:maj extra'."),
        ("1 2 C:maj11", "Received: 'C:maj11'."),  # in the grammar, but mir_eval can't compare it
    ],
)  # fmt: skip
def test_wrong_lines(tmp_path: Path, line: str, expected: str) -> None:
    (problem,) = _problems(tmp_path, f"0 1 C\n\n{line}\n3 4 G\n")
    assert problem.startswith("cd/song.lab:3: Expected ")
    assert expected in problem


def test_disorder_is_told_once_for_each_line_out_of_place(tmp_path: Path) -> None:
    (problem,) = _problems(tmp_path, "0 1 C\n4 5 D\n2 3 E\n5 6 F\n")
    assert problem == (
        "cd/song.lab:3: Expected lines in order of time. Received: 2 to 3, after 4 to 5 before it. "
        "Sort the file."
    )


def test_all_problems_of_a_file_come_at_once(tmp_path: Path) -> None:
    problems = _problems(tmp_path, "0 1\n0 1 H\n0.5 2 C\n3 2 I\n")
    assert [problem.split(" Expected")[0] for problem in problems] == [
        "cd/song.lab:1:", "cd/song.lab:2:", "cd/song.lab:4:", "cd/song.lab:3:", "cd/song.lab:4:"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "received"),
    [("", "an empty annotation"), ("# none\n\n", "an empty annotation"),
     ("1 1 C\n", "only segments of no length")],
)  # fmt: skip
def test_nothing_in_it(tmp_path: Path, text: str, received: str) -> None:
    assert _problems(tmp_path, text) == [
        f"cd/song.lab: Expected one segment or more. Received: {received}. Remove it."
    ]


def test_other_encodings_and_missing_files(tmp_path: Path) -> None:
    (problem,) = _problems(tmp_path, "0 1 Dó".encode("latin-1"))
    assert problem == (
        "cd/song.lab: Expected UTF-8 text. Received: unexpected end of data at byte 5. "
        "Save it as UTF-8."
    )
    problems: list[str] = []
    assert read_chords(tmp_path / "none.lab", problems, "none.lab") is None
    assert problems == ["none.lab: Expected a file to read. Received: No such file or directory."]
