"""`.beats` files: what is read, what is refused and how it is told, and the way back."""

# Lists are taken where arrays are declared.
# mypy: disable-error-code="arg-type"

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kmir.annotations import Beats
from kmir.annotations.beats_file import read_beats, tempo_of, write_beats
from kmir.errors import AnnotationError


def _read(folder: Path, text: str) -> tuple[Beats | None, list[str]]:
    (folder / "song.beats").write_text(text, encoding="utf-8")
    problems: list[str] = []
    return read_beats(folder / "song.beats", problems, "song.beats"), problems


def _beats(folder: Path, text: str) -> tuple[list[float], list[int]]:
    beats, problems = _read(folder, text)
    assert problems == []
    assert beats is not None
    return beats.times.tolist(), beats.positions.tolist()


@pytest.mark.parametrize(
    ("text", "times", "positions"),
    [
        ("0.5\t1\n1.0\t2\n1.5\t3\n2\t1\n", [0.5, 1, 1.5, 2], [1, 2, 3, 1]),
        ("0.01000 \t 3\n0.58 4\n\n 1.13\t1\n", [0.01, 0.58, 1.13], [3, 4, 1]),  # a pickup
        ("0.25\n0.75", [0.25, 0.75], [0, 0]),
        ("# madmom\n0 1.000\n 1e0 2.000\n", [0, 1], [1, 2]),
        ("1 1\r\n2 1\r\n3 2\r\n", [1, 2, 3], [1, 1, 2]),  # a bar of one beat
        ("\ufeff1 7\n", [1], [7]),
        ("1 0\n2 0\n3 1\n4 2\n", [1, 2, 3, 4], [0, 0, 1, 2]),  # not known before the first bar
        ("", [], []),
        ("\n# no beats\n", [], []),
    ],
)
def test_what_is_read(tmp_path: Path, text: str, times: list[float], positions: list[int]) -> None:
    assert _beats(tmp_path, text) == (times, positions)


WRONG_LINE = (
    "Expected seconds and, if it is known, a position in the bar, separated by a tab or blanks. "
    "Received: '{}'. Correct the line."
)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("0 1\nbeat 2\n", f"song.beats:2: {WRONG_LINE.format('beat 2')}"),
        ("0 one\n", f"song.beats:1: {WRONG_LINE.format('0 one')}"),
        ("nan 1\n", f"song.beats:1: {WRONG_LINE.format('nan 1')}"),
        ("inf\n", f"song.beats:1: {WRONG_LINE.format('inf')}"),
        ("0 nan\n", f"song.beats:1: {WRONG_LINE.format('0 nan')}"),
        ("0,5 1\n", f"song.beats:1: {WRONG_LINE.format('0,5 1')}"),
        ("0.5,1\n", f"song.beats:1: {WRONG_LINE.format('0.5,1')}"),
        ("# x\n0.5 0.6 1\n", f"song.beats:2: {WRONG_LINE.format('0.5 0.6 1')}"),
        (f"{'la ' * 40}\n", f"song.beats:1: {WRONG_LINE.format('la ' * 20 + '…')}"),
        ("-0.1 1\n", "song.beats:1: Expected times from 0. Received: -0.1. Correct it."),
        ("1\n\n0.5\n", "song.beats:3: Expected beats in order of time. Received: 0.5, after 1 "
         "before it. Sort them."),
        ("1\n1.0\n", "song.beats:2: Expected each time once. Received: 1 again. Remove one of the "
         "two."),
        ("1 2\n2 4\n", "song.beats:2: Expected position 1 or 3 after 2 before it. Received: 4. "
         "Correct it, or add what is missing between them."),
        ("1 2\n2 2\n", "song.beats:2: Expected position 1 or 3 after 2 before it. Received: 2."),
        ("1 1\n2 0\n3 1\n", "song.beats:2: Expected a position in the bar of 1, the downbeat, or "
         "2, 3 … 1000. Received: 0. Correct it."),
        ("1 -1\n", "in the bar of 1, the downbeat, or 2, 3 … 1000. Received: -1."),
        ("1 1.5\n", "in the bar of 1, the downbeat, or 2, 3 … 1000. Received: 1.5."),
        ("1 99999999999999999999\n", "or 2, 3 … 1000. Received: 1e+20. Correct it."),
        ("1 1e20\n2 1\n", "or 2, 3 … 1000. Received: 1e+20. Correct it."),
        ("1 1000\n2 1001\n", "song.beats:2: Expected a position in the bar of 1, the downbeat, or "
         "2, 3 … 1000. Received: 1001. Correct it."),
        ("1 0\n2\n", "song.beats:2: Expected a position in every line, or in none."),
        ("1 1\n2\n3 2\n", "song.beats:2: Expected a position in every line, or in none. Received: "
         "1 of 3 lines without. Add them, or leave them all out."),
        ("1\n2\n3 1\n", "song.beats:1: Expected a position in every line, or in none. Received: "
         "2 of 3 lines without."),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    beats, problems = _read(tmp_path, text)
    assert beats is None
    assert len(problems) == 1
    assert problem in problems[0]


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    text = "-1 1\n1 2\nx 3\n1.5 4\n1.5 1\n2 3\n3 x\n4 4\n5\n"
    beats, problems = _read(tmp_path, text)
    assert beats is None
    assert [problem.partition(".beats:")[2][:30] for problem in problems] == [
        "1: Expected times from 0. Rece",
        "3: Expected seconds and, if it",
        "5: Expected each time once. Re",
        "6: Expected position 1 or 2 af",
        "7: Expected seconds and, if it",
        "9: Expected a position in ever",
    ]


@pytest.mark.parametrize("line", ["x 3", "x", "1.5 2 3"])
def test_a_line_that_is_none_makes_no_other_wrong(tmp_path: Path, line: str) -> None:
    assert len(_read(tmp_path, f"1 2\n{line}\n3 4\n")[1]) == 1
    assert len(_read(tmp_path, f"1\n{line[0]}x\n3\n")[1]) == 1
    _, problems = _read(tmp_path, f"2 1\n{line}\n1 2\n")
    assert any("Received: 1, after 2 before it." in problem for problem in problems)


def test_files_that_are_no_text(tmp_path: Path) -> None:
    problems: list[str] = []
    (tmp_path / "a.beats").write_bytes(b"0.5 1\xff")
    assert read_beats(tmp_path / "a.beats", problems, "a.beats") is None
    assert read_beats(tmp_path / "b.beats", problems, "b.beats") is None
    assert problems[0].startswith("a.beats: Expected UTF-8 text.")
    assert problems[1].startswith("b.beats: Expected a file to read. Received: No such file")


def test_text_of_a_file() -> None:
    assert write_beats(Beats([0, 0.51249, 1], [4, 1, 2])) == "0.000\t4\n0.512\t1\n1.000\t2\n"
    assert write_beats(Beats([0.5, 10])) == "0.500\n10.000\n"
    assert write_beats(Beats([])) == ""
    assert write_beats(Beats([0, 1, 2], [0, 1, 2])) == "0.000\t0\n1.000\t1\n2.000\t2\n"
    with pytest.raises(AnnotationError, match=r"Received: none at 2\.5 s\. Write JSON or JAMS\."):
        write_beats(Beats([0, 1, 2.5], [0, 1, 0]))


@st.composite
def counted(draw: st.DrawFn) -> Beats:
    """Beats at milliseconds, in bars of any length, from any place in the first one."""
    gaps = draw(st.lists(st.integers(1, 5000), max_size=40))
    positions = [draw(st.integers(1, 9))]
    for _ in gaps[1:]:
        positions.append(draw(st.sampled_from([1, positions[-1] + 1])))
    unknown = draw(st.integers(0, len(gaps)))
    times = np.cumsum(gaps) / 1000
    return Beats(times, ([0] * unknown + positions)[: len(gaps)])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(counted())
def test_what_is_written_is_read_again(tmp_path: Path, beats: Beats) -> None:
    times, positions = _beats(tmp_path, write_beats(beats))
    np.testing.assert_allclose(times, beats.times, rtol=0, atol=1e-9)
    assert positions == beats.positions.tolist()


def test_tempo_follows_from_distances_like_the_middle_one() -> None:
    rounded = np.round(np.arange(60) * 60 / 109.09, 2)
    assert tempo_of(Beats(rounded)) == pytest.approx(109.09, abs=0.05)
    assert tempo_of(Beats([0, 0.5, 1.5])) == 60
    assert tempo_of(Beats([0, 0.5, 1, 1.5, 3])) == 120
    assert tempo_of(Beats([1, 3])) == 30
    assert tempo_of(Beats([1])) is None
    assert tempo_of(Beats([])) is None
