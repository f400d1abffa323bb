"""From file to answer, with librosa's beat tracker beside presets for beats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kmir.benchmarks import predict
from kmir.benchmarks.music import recording
from kmir.errors import RunError


class Reader:
    """Stands for a process: presets take 1, 2, 3 … s, librosa twice as long."""

    def __init__(self, make: Any, *options: str, cores: int) -> None:
        assert cores == 1
        self.name = options[0] if options else "librosa"
        self.turn = 0

    def ready(self) -> float:
        if self.name == "broken":
            raise RunError("Expected weights. Received: none.")
        return 5.0

    def ask(self, method: str, path: str) -> tuple[float, list[str]]:
        assert method == "answer"
        self.turn += 1
        kinds = ["chords"] if self.name.startswith("chord") else ["beats", "tempo"]
        return self.turn * (2.0 if self.name == "librosa" else 1.0), kinds

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None: ...


@pytest.fixture
def song() -> Path:
    return recording(0, 2.0, "wav")


def test_rows(song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict, "Contender", Reader)
    report = predict.measure(["chord_x", "beat_x", "broken"], song, turns=3, quiet=True)
    chords, beats, librosa = report.tables[0].rows
    assert (chords["reader"], chords["reads"], chords["ratio"]) == ("chord_x", "chords", None)
    assert (chords["startup_seconds"], chords["first_seconds"]) == (5.0, 1.0)
    assert chords["seconds"].median == 3.0
    assert chords["times_real_time"] == pytest.approx(2 / 3)
    assert beats["reads"] == "beats"
    assert beats["ratio"].median == 0.5
    assert (librosa["reader"], librosa["seconds"].median) == (predict.PEER, 6.0)
    assert report.notes == ["broken is skipped: Expected weights. Received: none."]


def test_without_librosa_a_word(song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict, "Contender", Reader)
    monkeypatch.setattr(predict, "missing", lambda *_: "librosa is not installed: skipped.")
    report = predict.measure(["beat_x"], song, turns=1, quiet=True)
    (row,) = report.tables[0].rows
    assert row["ratio"] is None
    assert report.notes == ["librosa is not installed: skipped."]


def test_no_preset_that_works(song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict, "Contender", Reader)
    with pytest.raises(RunError, match="Expected a preset that can be loaded"):
        predict.measure(["broken"], song, turns=1, quiet=True)


@pytest.mark.slow
def test_a_shipped_preset(song: Path) -> None:
    report = predict.measure(["dense_baseline_billboard"], song, turns=2, quiet=True)
    (row,) = report.tables[0].rows
    assert row["reads"] == "chords"
    assert 0 < row["seconds"].median < row["startup_seconds"]
