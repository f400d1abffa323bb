"""McGill Billboard in miniature: slots with chroma, chords and phrases."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from kmir.annotations import Beats
from kmir.datasets.beat_clock import on_beat_clock
from kmir.datasets.billboard import BIBTEX, LICENSE, read_chroma, tracks
from kmir.datasets.track import Track
from kmir.errors import DatasetError
from kmir.features.beat_synchronous import BeatSynchronous

HOP = 2048 / 44100
LAB = "0.0\t0.4\tN\n0.4\t8.4\tC:maj\n8.4\t10.0\tG:7/3\n"


def slot(
    root: Path, number: int, *, seed: int | None = None, lab: str = LAB, phrases: str | None = None
) -> Path:
    """A slot of ten frames; slots of one seed have the same chroma."""
    folder = root / "McGill-Billboard" / f"{number:04}"
    folder.mkdir(parents=True)
    chroma = np.random.default_rng(number if seed is None else seed).random((10, 24)).round(5)
    rows = [f",{i * HOP:.9f}," + ",".join(map(str, row)) for i, row in enumerate(chroma)]
    rows[0] = '"song.wav"' + rows[0]  # the name stands in the first line alone
    (folder / "bothchroma.csv").write_text("\n".join(rows) + "\n")
    (folder / "full.lab").write_text(lab)
    if phrases is not None:
        (folder / "salami_chords.txt").write_text(phrases)
    return folder


def beats_of(root: Path, phrases: str) -> Beats | None:
    slot(root, 3, phrases=phrases)
    (track,) = tracks(root)
    return track.annotations.beats


def bars(beats: Beats | None) -> list[int]:
    """Beats in each bar."""
    assert beats is not None
    firsts = np.flatnonzero(beats.positions == 1)
    counts = np.diff([*firsts, len(beats.times)])
    expected = np.concatenate([np.arange(1, 1 + count) for count in counts])
    np.testing.assert_array_equal(beats.positions, expected)
    return [int(count) for count in counts]


# === Slots ===


def test_slots_with_all_that_is_known_of_them(tmp_path: Path) -> None:
    for number in (3, 1000, 1001, 1289):
        slot(tmp_path, number)
    found = list(tracks(tmp_path))
    assert [track.id for track in found] == ["0003", "1000", "1001", "1289"]
    assert [track.split for track in found] == ["train", "train", "test", "test"]
    assert len({track.group for track in found}) == 4
    chords = found[0].annotations.chords
    assert chords is not None
    assert chords.labels == ("N", "C:maj", "G:7/3")
    np.testing.assert_array_equal(chords.intervals, [[0, 0.4], [0.4, 8.4], [8.4, 10]])
    assert found[0].annotations.known == ("chords",)
    assert [track.id for track in tracks(tmp_path / "McGill-Billboard")] == [t.id for t in found]


def test_chroma_as_it_stands_in_the_file(tmp_path: Path) -> None:
    slot(tmp_path, 7)
    (track,) = tracks(tmp_path)
    assert isinstance(track, Track)
    assert track.features is not None
    chroma = track.features()
    assert (chroma.shape, chroma.dtype) == ((10, 24), np.float32)
    expected = np.random.default_rng(7).random((10, 24)).round(5)
    np.testing.assert_allclose(chroma, expected, rtol=1e-6)
    path = tmp_path / "McGill-Billboard" / "0007" / "bothchroma.csv"
    np.testing.assert_array_equal(chroma, read_chroma(path))


def test_a_recording_that_stands_under_several_slots_counts_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (5, 9, 1003):
        slot(tmp_path, number, seed=1)
    slot(tmp_path, 8)
    with caplog.at_level(logging.INFO, "kmir"):
        assert [track.id for track in tracks(tmp_path)] == ["0005", "0008"]
    assert "2 slots repeat a recording, left out" in caplog.text


def test_a_phrase_without_a_time_is_left_out(tmp_path: Path) -> None:
    """As in slot 0974."""
    lab = (
        "0.0\t10.0\tN\n10.0\t6.0\tC:maj\n6.0\t1.7e-13\tF:maj\n0.0\t0.0\tD:7\n0.0\t14.0\tG:7\n"
        "14.0\t20.0\tA:min\n"
    )
    slot(tmp_path, 974, lab=lab)
    (track,) = tracks(tmp_path)
    assert track.annotations.chords is not None
    assert track.annotations.chords.labels == ("N", "A:min")


@pytest.mark.parametrize(
    ("lab", "line"),
    [
        ("1 2 C\n0 1 G\n", "0003/full.lab:2: Expected lines in order of time. Received: 0 to 1"),
        ("0 1 C\n2 0 G\n2 3 N\n", "0003/full.lab:2: Expected an end after the start. Received: 2"),
        ("0 1 C\n0 0.5 G\n", "0003/full.lab:2: Expected segments that don't overlap. Received: 0"),
    ],
)
def test_other_disorder_is_a_fault(tmp_path: Path, lab: str, line: str) -> None:
    slot(tmp_path, 3, lab=lab)
    slot(tmp_path, 4)
    faulty, sound = tracks(tmp_path)
    assert sound.annotations.chords is not None
    with pytest.raises(DatasetError) as caught:
        faulty.features()
    assert str(caught.value).startswith(line)


def test_a_faulty_slot_keeps_its_beats_to_be_asked_for(tmp_path: Path) -> None:
    """Where only tracks with beats are wanted, it must not vanish without a word."""
    phrases = "0.0\tA, | C | G |\n4.0\tend\n"
    slot(tmp_path, 3, lab="0 1 C\n0 0.5 G\n", phrases=phrases)
    slot(tmp_path, 4, phrases=phrases)
    for track in on_beat_clock(BeatSynchronous(), list(tracks(tmp_path))):
        assert track.annotations.known == ("beats",)
        if track.id == "0003":
            with pytest.raises(DatasetError, match=r"^0003/full\.lab:2: Expected segments"):
                track.features()
        else:
            assert track.features().shape == (8, 24)


def test_a_folder_without_slots(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="Expected McGill-Billboard/0003 and its like"):
        tracks(tmp_path)


def test_citation_and_licence() -> None:
    assert BIBTEX.startswith("@inproceedings{burgoyne2011expert,")
    assert LICENSE == "CC0 1.0"


# === Beats from phrases ===


def test_bars_share_a_phrase(tmp_path: Path) -> None:
    beats = beats_of(
        tmp_path,
        "# title: A\n# metre: 4/4\n# tonic: C\n\n"
        "0.000000000\tsilence\n"
        "2.0\tA, intro, | C:maj | G:7 |, (drums)\n"
        "6.0\t| A:min . F:maj . | G |\n"
        "14.0\tsilence\n16.0\tend\n",
    )
    assert bars(beats) == [4] * 4
    assert beats is not None
    np.testing.assert_allclose(beats.times, [*np.arange(2, 6, 0.5), *np.arange(6, 14, 1.0)])
    np.testing.assert_allclose(beats.downbeats, [2, 4, 6, 10])


@pytest.mark.parametrize(
    ("metre", "phrase", "expected"),
    [
        ("4/4", "| C | (2/4) G | C |", [4, 2, 4]),
        ("4/4", "A, verse, | C | x4, (bass)", [4] * 4),
        ("4/4", "| C | (2/4) G | x 3", [4, 2] * 3),
        ("3/4", "| C | G |", [3, 3]),
        ("6/8", "| C | G |", [2, 2]),
        ("12/8", "| C | (6/8) G |", [4, 2]),
        ("3/8", "| C |", [3]),
        ("5/4", "| C | (4/4) N |", [5, 4]),
        ("7/8", "| C |", [7]),
    ],
)
def test_metres_and_repeats(tmp_path: Path, metre: str, phrase: str, expected: list[int]) -> None:
    beats = beats_of(tmp_path, f"# metre: {metre}\n\n1.0\t{phrase}\n9.0\tend\n")
    assert bars(beats) == expected
    assert beats is not None
    # Beats of a phrase are evenly spread from its start to the next time.
    np.testing.assert_allclose(beats.times, np.linspace(1, 9, sum(expected), endpoint=False))


def test_the_metre_can_change_between_phrases(tmp_path: Path) -> None:
    beats = beats_of(
        tmp_path,
        "# metre: 4/4\n0.0\t| C |\n# metre: 3/4\n4.0\t| C |\n7.0\tZ', key change\n9\tend\n",
    )
    assert bars(beats) == [4, 3]
    assert beats is not None
    np.testing.assert_allclose(beats.times, np.arange(7))


def test_phrases_without_bars_or_time_have_no_beats(tmp_path: Path) -> None:
    """A time of 0 amid the song is a missing one: neither that phrase nor the one before it."""
    beats = beats_of(
        tmp_path,
        "# metre: 4/4\n1.0\t| C |\n5.0\t| C |\n0.0\t| C | C |\n9.0\t| G |\n13.0\tsilence\n",
    )
    assert beats is not None
    np.testing.assert_allclose(beats.times, [1, 2, 3, 4, 9, 10, 11, 12])
    assert bars(beats) == [4, 4]


@pytest.mark.parametrize("phrases", ["", "0.0\tsilence\n9.0\tend\n", "# metre: 4/4\nA, | C |\n"])
def test_no_phrases_no_beats(tmp_path: Path, phrases: str) -> None:
    assert beats_of(tmp_path, phrases) is None
