"""The command: which benchmarks there are, tables on the terminal, figures in a file, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kmir import benchmark, command
from kmir.benchmarks import machine


def test_input(
    tiny_records: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine.os, "getloadavg", lambda: (50.0, 0.0, 0.0))
    out = tmp_path / "bench" / "input.json"
    argv = ["input", "--model", "zoo.dense_baseline", "--data", str(tiny_records)]
    argv += ["--steps", "3", "--turns", "2", "--config.train.batch_size=4", "--quiet"]
    assert command.run(benchmark.main, [*argv, "--json", str(out)]) == 0
    told = json.loads(out.read_text(encoding="utf-8"))
    assert told["benchmark"] == "input"
    (row,) = told["tables"][0]["rows"]
    assert (row["model"], row["clips"], row["clip_frames"]) == ("zoo.dense_baseline", 4, 63)
    assert row["examples_per_second"] > 0
    assert row["step_ms"]["count"] == 6
    assert row["wait_percent"]["count"] == 2
    assert 0 < row["wait_percent"]["median"] < 100
    (goal,) = told["goals"]
    assert goal["measured"] == pytest.approx(row["wait_percent"]["median"] / 100)
    assert goal["met"] == (goal["measured"] <= 0.05)
    printed = capsys.readouterr().out
    assert "| model | clips a step | frames a clip | stream alone, clips a second |" in printed
    assert "| zoo.dense_baseline | 4 | 63 |" in printed
    assert "zoo.dense_baseline: wait by step ≤ 5.0%" in printed
    assert "**The machine was busy** (load 50.0" in printed
    assert any("busy" in note for note in told["notes"])


@pytest.mark.parametrize(("argv", "code"), [(["--help"], 0), ([], 2), (["--quiet"], 2)])
def test_without_a_name(argv: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        benchmark.main(argv)
    assert ended.value.code == code
    told = capsys.readouterr()
    assert "usage: kmir benchmark" in told.out + told.err
    if not code:
        assert all(f"{name}: " in told.out for name in benchmark.BENCHMARKS)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["imput"], "Did you mean 'input'?"),
        (["train", "--model", "zoo.gruu"], "Did you mean 'gru'?"),
        (["train", "--model", "json.decoder"], "Expected a model for tagging, chords, beats"),
        (["train", "--model", "zoo.gru", "--cores", "999"], "cores, as there are. Received: 999."),
        (["train", "--config.train.epochs=3"], "Expected no --config.train.epochs with"),
        (["extract", "--files", "3"], "Expected --files above 3"),
        (["extract", "--root", "/no/such/folder"], "/no/such/folder, which does not exist"),
        (["predict", "--audio", "no.mp3"], "Received: no.mp3, no such file."),
        (["input", "--data", "no/records"], "Expected a records folder"),
    ],
)
def test_refusals(argv: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(benchmark.main, argv) in (1, 2)
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


def test_no_turns(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        benchmark.main(["extract", "--turns", "0"])
    assert ended.value.code == 2
    assert "Expected --turns of 1 or more. Received: 0." in capsys.readouterr().err
