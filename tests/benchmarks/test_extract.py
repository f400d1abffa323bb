"""Extraction beside librosa's loop: the same work, and how its time is told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kmir.benchmarks import extract, formats, music
from kmir.benchmarks.extract import KMIR, LIBROSA, TWO, Run
from kmir.benchmarks.librosa_loop import log_mel
from kmir.errors import RunError
from kmir.features.audio import duration
from kmir.features.log_mel import LogMel


@pytest.fixture(scope="module")
def songs() -> list[Path]:
    return music.recordings(3, 2.0)


def test_recordings_are_stereo_in_three_formats_and_made_once(songs: list[Path]) -> None:
    import soundfile

    assert [path.suffix for path in songs] == [".wav", ".flac", ".mp3"]
    for path in songs:
        with soundfile.SoundFile(path) as sound:
            assert (sound.samplerate, sound.channels) == (44100, 2)
        assert duration(path) == pytest.approx(2.0, abs=0.1)
    before = [path.stat().st_mtime_ns for path in songs]
    assert music.recordings(3, 2.0) == songs
    assert [path.stat().st_mtime_ns for path in songs] == before


def test_links_repeat_the_recordings_in_two_classes(songs: list[Path], tmp_path: Path) -> None:
    folder = music.linked(tmp_path / "many", songs, 5)
    links = sorted(folder.rglob("*.*"), key=lambda path: path.name)
    assert [link.resolve() for link in links] == [path.resolve() for path in [*songs, *songs[:2]]]
    assert {link.parent.name for link in links} == {"even", "odd"}


def test_the_loop_computes_what_kmir_does(songs: list[Path]) -> None:
    f = LogMel()
    for path in songs:
        theirs = log_mel(path, f.sample_rate, f.n_fft, f.hop_length, f.n_mels)
        np.testing.assert_allclose(f.from_file(path), theirs, atol=0.02)


def test_start_up_is_what_few_files_take_beside_their_share() -> None:
    """100 files of a second each take 12 s, the first 20 of them 4: 0.1 s a file, 2 to begin."""
    run = Run(few=4.0, every=12.0, cpu=8.0, seconds=80.0, few_seconds=20.0)
    assert run.speed == 10.0
    assert run.startup == 2.0


def test_goals_compare_turn_by_turn(
    songs: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The second turn is slow for all."""
    took = {KMIR: (1.0, 5.0), LIBROSA: (1.0, 11.0), TWO: (2.0, 4.0)}
    slow = {KMIR: 1.0, LIBROSA: 1.0, TWO: 1.0}

    def measured(
        command: str, cores: int, *, folders: Sequence[Path], out: Path, seconds: Any, bar: Any
    ) -> Run:
        assert cores == (2 if command == TWO else 1)
        few, every = (slow[command] * taken for taken in took[command])
        slow[command] *= 3
        return Run(few, every, 2.0, seconds[1] - seconds[0], seconds[0])

    monkeypatch.setattr(extract, "_run", measured)
    monkeypatch.setattr(extract, "available", lambda: 2)
    monkeypatch.setattr(
        extract, "by_format", lambda files, with_librosa: formats.Table("", {"format": ""}, [])
    )
    report = extract.measure(root=songs[0].parent, files=9, turns=2, quiet=True)
    one, two = report.goals
    assert (one.measured, one.met) == (2.5, True)
    assert (two.measured, two.met) == (2.0, True)
    ours, *_ = (row for row in report.tables[0].rows if row["command"] == KMIR)
    assert ours["cpu_seconds_per_hour"].median == pytest.approx(2 * 3600 / 12, rel=0.1)
    assert "flac, mp3, wav (3 recordings" in report.tables[0].title


def test_without_librosa_a_word(songs: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extract, "_run", lambda *_, **__: Run(1, 2, 1, 10, 5))
    monkeypatch.setattr(extract, "missing", lambda *_: "librosa is not installed: skipped.")
    monkeypatch.setattr(extract, "available", lambda: 1)
    monkeypatch.setattr(
        extract, "by_format", lambda files, with_librosa: formats.Table("", {"format": ""}, [])
    )
    report = extract.measure(root=songs[0].parent, files=4, turns=1, quiet=True)
    assert report.goals == []
    assert [row["command"] for row in report.tables[0].rows] == [KMIR]
    assert report.notes == [
        "There is one core: extraction on two is skipped.",
        "librosa is not installed: skipped.",
    ]


def test_a_command_that_fails(tmp_path: Path) -> None:
    class Bar:
        def update(self) -> None: ...

    options: Any = {"out": tmp_path / "out", "seconds": (1.0, 2.0), "bar": Bar()}
    with pytest.raises(RunError, match="Expected a folder with audio"):
        extract._run(KMIR, 1, folders=[tmp_path / "none"], **options)


@pytest.mark.slow
def test_the_whole_command(songs: list[Path]) -> None:
    report = extract.measure(root=songs[0].parent, files=9, turns=1, quiet=True)
    assert {row["command"] for row in report.tables[0].rows} >= {KMIR, LIBROSA}
    assert [row["format"] for row in report.tables[1].rows] == ["flac", "mp3", "wav"]
    for row in report.tables[1].rows:
        assert row["ratio"].median > 0
