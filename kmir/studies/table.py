"""The table of a study: what was measured, what was published, and what is suspicious."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.studies import Experiment, Study

MARGIN = 0.05  # of accuracy, by which a model that has learnt something beats the most frequent
EARLY = 3  # epochs: a best one among the first of a run says that the rest was a plateau

HEADINGS = {
    "name": "",
    "title": "experiment",
    "data": "batches of 32: train / validation / test",
    "converged": "converged",
    "validation": "validation %",
    "test": "test %",
    "minutes": "minutes",
    "parameters": "parameters",
    "published_validation": "published: validation %",
    "published_test": "test %",
    "published_time": "time",
    "published_converged": "converged",
    "flags": "flags",
}

Result = Mapping[str, Any]


def stalled(result: Result) -> bool:
    """Whether a run came to rest on a plateau: hardly better than chance, or best at its start.

    Chance is to name the most frequent class for every frame. Best at its start is no fault of a
    run that was not given more epochs.
    """
    learnt = result["validation"] - result["most_frequent"]
    return learnt < MARGIN or (bool(result["stop"]) and result["best_epoch"] <= EARLY)


def converged(result: Result) -> str:
    """``"yes"``, ``"no"`` for a run that stalled, or ``"not yet"`` where its epochs ran out."""
    if stalled(result):
        return "no"
    return "yes" if result["stop"] else "not yet"


def flags(result: Result) -> list[str]:
    """What is suspicious of a run."""
    wrong = []
    if stalled(result):
        wrong.append("stalls on a plateau")
    if result["test"] > result["validation"]:
        wrong.append("test above validation")
    return wrong


def row(name: str, experiment: Experiment, results: Sequence[Result]) -> dict[str, Any]:
    """One row: figures over the seeds, and the published ones.

    Args:
        name: Of the experiment.
        experiment: With its published numbers.
        results: Of its finished runs, one or more.

    Returns:
        Values by column of ``table.csv``; accuracies in per cent, deviations over seeds (n - 1)
        None for a single one.
    """
    several = len(results) > 1

    def figures(column: str, scale: float) -> dict[str, float | None]:
        values = scale * np.array([result[column] for result in results])
        spread = round(float(values.std(ddof=1)), 2) if several else None
        return {column: round(float(values.mean()), 2), f"{column}_deviation": spread}

    def counted(kinds: Sequence[str]) -> str:
        numbers = {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}
        if not several or (len(numbers) == 1 and len(kinds) == len(results)):
            return ", ".join(numbers)
        return ", ".join(f"{kind} ({n} of {len(results)})" for kind, n in numbers.items())

    first = results[0]
    return {
        "name": name,
        "title": experiment.title,
        "seeds": len(results),
        **{f"{part}_batches": first[f"{part}_batches"] for part in ("train", "validation", "test")},
        "converged": counted([converged(result) for result in results]),
        "epochs": round(float(np.mean([result["epochs"] for result in results])), 1),
        **figures("validation", 100),
        **figures("test", 100),
        "minutes": round(float(np.mean([result["seconds"] for result in results])) / 60, 2),
        "parameters": first["parameters"],
        "published_validation": experiment.published.get("validation"),
        "published_test": experiment.published.get("test"),
        "published_time": experiment.published.get("time"),
        "published_converged": experiment.published.get("convergence", "yes"),
        "flags": counted([flag for result in results for flag in flags(result)]),
    }


def write_table(folder: Path, study: Study, results: Mapping[str, Sequence[Result]]) -> str:
    """Write ``table.csv`` and ``table.md``.

    Args:
        folder: Of the study.
        study: Its experiments stand in their order.
        results: Of the finished runs, by experiment.

    Returns:
        The text of ``table.md``.
    """
    rows = [row(n, e, results[n]) for n, e in study.experiments.items() if results.get(n)]
    with (folder / "table.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    lines = [
        "| " + " | ".join(HEADINGS.values()) + " |",
        "|" + "---|" * len(HEADINGS),
        *("| " + " | ".join(_cells(values)) + " |" for values in rows),
    ]
    text = (
        f"**{study.title}**; accuracy over frames, mean ± deviation over seeds. "
        f"Published: {study.source}.\n\n" + "\n".join(lines) + "\n"
    )
    (folder / "table.md").write_text(text, encoding="utf-8")
    return text


def _cells(values: Mapping[str, Any]) -> list[str]:
    def accuracy(split: str) -> str:
        spread = values[f"{split}_deviation"]
        return f"{values[split]:.2f}" + ("" if spread is None else f" ± {spread:.2f}")

    parts = [f"{values[f'{part}_batches']:,}" for part in ("train", "validation", "test")]
    shown = dict(values) | {
        "data": " / ".join(parts),
        "validation": accuracy("validation"),
        "test": accuracy("test"),
        "minutes": f"{values['minutes']:.1f}",
        "parameters": f"{values['parameters']:,}",
        "converged": f"{values['converged']}, {values['epochs']:g} epochs",
    }
    return ["–" if shown[column] is None else str(shown[column]) for column in HEADINGS]
