"""What a benchmark found, as Markdown and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from kmir.benchmarks.machine import describe
from kmir.benchmarks.report import Goal, Report, Table
from kmir.benchmarks.timing import spread

ROWS = [
    {"model": "zoo.gru", "step_ms": spread([10.0, 20.0, 30.0]), "ratio": None, "extra": 7},
    {"model": "zoo.lstm", "step_ms": spread([5.0]), "ratio": 0.5},
]
TABLE = Table("A step", {"model": "model", "step_ms": "step, ms", "ratio": "ratio"}, ROWS)
MACHINE = {"device": "EPYC", "cores": 2, "python": "Python 3.11.7", "versions": {"keras": "3.15.1"}}


def test_markdown() -> None:
    goals = [Goal("CRNN by PyTorch", 0.55, 0.6, True), Goal("Two cores", 1.7, 1.8, False)]
    report = Report("train", MACHINE, [TABLE], goals, ["PyTorch is not installed: skipped."])
    assert report.markdown() == (
        "**A step**\n"
        "\n"
        "| model | step, ms | ratio |\n"
        "|---|---|---|\n"
        "| zoo.gru | 20.0 (15.0–25.0) | – |\n"
        "| zoo.lstm | 5.00 | 0.500 |\n"
        "\n"
        "- CRNN by PyTorch ≤ 0.60: 0.55, met\n"
        "- Two cores ≥ 1.80: 1.70, **missed**\n"
        "\n"
        "PyTorch is not installed: skipped.\n"
        "\n"
        "Measured on EPYC, 2 cores; Python 3.11.7, keras 3.15.1."
    )


def test_json_holds_what_the_table_leaves_out(tmp_path: Path) -> None:
    goal = Goal("wait by step", 0.05, 0.05, True, ".1%")
    Report("input", MACHINE, [TABLE], [goal]).write(tmp_path / "new" / "input.json")
    told = json.loads((tmp_path / "new" / "input.json").read_text(encoding="utf-8"))
    assert told["benchmark"] == "input"
    assert told["machine"]["device"] == "EPYC"
    (table,) = told["tables"]
    assert table["rows"][0]["extra"] == 7
    assert table["rows"][0]["step_ms"] == {"median": 20, "low": 15, "high": 25, "count": 3}
    assert told["goals"][0]["met"] is True
    assert str(goal) == "- wait by step ≤ 5.0%: 5.0%, met"


def test_the_machine_is_described() -> None:
    told = describe()
    assert told["device"] == told["processor"] != ""
    assert told["cores"] >= 1
    assert told["versions"]["keras"].startswith("3.")
    assert told["versions"]["tensorflow"].startswith("2.")
    assert describe("NVIDIA H200")["device"] == "NVIDIA H200"
    assert json.loads(json.dumps(told)) == told
