"""The benchmark of the input measures something, and says what."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kmir import benchmark, command


def test_input(tiny_records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "input.json"
    argv = ["input", "--model", "zoo.dense_baseline", "--data", str(tiny_records), "--steps", "3"]
    assert command.run(benchmark.main, [*argv, "--json", str(out)]) == 0
    figures = json.loads(out.read_text())
    assert figures["batch_size"] == 8
    assert figures["examples_per_second"] > 0
    assert 0 < figures["wait_share"] < 1
    assert f"wait_share           {figures['wait_share']:.1%}" in capsys.readouterr().out


def test_an_unknown_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(benchmark.main, ["imput"]) == 2
    assert "Did you mean 'input'?" in capsys.readouterr().err
