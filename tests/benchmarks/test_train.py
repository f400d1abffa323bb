"""Steps of the zoo beside PyTorch's: rows, ratios and words."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from kmir.benchmarks import train
from kmir.errors import UsageError


class Side:
    """Stands for a process: float32 takes 2 ms a step, mixed precision 1, PyTorch 4."""

    gpu: str | None = None

    def __init__(self, make: Any, *options: Any, cores: int) -> None:
        assert cores == 1
        self.seconds = (
            4e-3 if make.__name__ == "TorchSteps" else 1e-3 if "mixed" in options else 2e-3
        )
        self.policy = "mixed_bfloat16" if "mixed" in options else "float32"
        self.clips = 0

    def ask(self, method: str, *options: Any) -> Any:
        if method == "start":
            (self.clips,) = options
            return 1.0
        if method == "steps":
            return [self.seconds * self.clips] * options[0]
        if method == "memory":
            return 100.0 * self.clips
        return {
            "backend": "jax",
            "gpu": self.gpu,
            "policy": self.policy,
            "batch_size": 1,
            "parameters": 7,
        }

    def __enter__(self) -> Side:
        return self

    def __exit__(self, *_: object) -> None: ...


def test_rows_and_goals(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr(train, "Contender", Side)
    report = train.measure(["zoo.gru", "zoo.crnn_tagger"], turns=3, cores=1, quiet=True)
    zoo, peers = report.tables
    assert [row["model"] for row in zoo.rows] == ["zoo.gru", "zoo.crnn_tagger"]
    row = zoo.rows[0]
    assert (row["step_ms"].median, row["mixed_step_ms"].median) == (2.0, 1.0)
    assert row["examples_per_second"] == pytest.approx(500)
    assert (row["memory_mb"], row["mixed_ratio"].median, row["mixed"]) == (
        100,
        0.5,
        "mixed_bfloat16",
    )
    (peer,) = peers.rows
    assert (peer["step_ms"].median, peer["peer_step_ms"].median) == (2.0, 4.0)
    (goal,) = report.goals
    assert (goal.measured, goal.limit, goal.met) == (0.5, 0.6, True)


def test_three_batch_sizes_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "Contender", Side)
    monkeypatch.setattr(Side, "gpu", "NVIDIA H200")
    report = train.measure(["zoo.gru"], turns=1, cores=1, quiet=True)
    assert [row["clips"] for row in report.tables[0].rows] == [1, 4, 16]
    assert [row["memory_mb"] for row in report.tables[0].rows] == [100, 400, 1600]
    assert report.machine["device"] == "NVIDIA H200"
    assert "NVIDIA H200" in report.tables[0].title


def test_without_pytorch_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "Contender", Side)
    monkeypatch.setattr(train, "missing", lambda *_: "PyTorch is not installed: skipped.")
    report = train.measure(["zoo.bilstm"], turns=1, cores=1, quiet=True)
    assert len(report.tables) == 1
    assert report.goals == []
    assert report.notes[0] == "PyTorch is not installed: skipped."


def test_a_backend_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(kind: str, name: str) -> None:
        raise ModuleNotFoundError("No module named 'tensorflow'", name="tensorflow")

    monkeypatch.setattr(train, "find", find)
    args = argparse.Namespace(model=["zoo.gru"])
    with pytest.raises(UsageError, match=r"Received: no tensorflow\. Set KERAS_BACKEND to one of"):
        train.run(args, {})


@pytest.mark.slow
def test_processes() -> None:
    pytest.importorskip("torch")
    report = train.measure(["zoo.bilstm"], turns=2, cores=1, quiet=True)
    assert report.tables[0].rows[0]["memory_mb"] > 0
    assert report.tables[1].rows[0]["ratio"].median > 0
