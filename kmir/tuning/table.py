"""What a search tells of its trials: ``trials.csv``, a table, and TensorBoard's HParams."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.plugins.hparams import api as hparams
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from kmir.config import text_of
from kmir.tuning.trial import Result, Trial

SHOWN = 20  # trials in the table on the terminal


@dataclass(frozen=True)
class Row:
    """A trial that has ended.

    Args:
        trial: What was tried.
        result: What came of it.
        values: Of the hyperparameters that are searched, by name.
    """

    trial: Trial
    result: Result
    values: dict[str, Any]

    @property
    def name(self) -> str:
        """Of the trial."""
        return self.trial.folder.name

    @property
    def cells(self) -> dict[str, Any]:
        """As they stand in ``trials.csv``."""
        result = self.result
        return {
            "trial": self.name,
            "status": result.status,
            "score": result.score,
            "epochs": result.epochs,
            "seconds": result.seconds,
            "memory_mb": result.memory_mb,
            "goes_on_from": self.trial.parent,
            **self.values,
            "error": result.error,
        }


def ranked(rows: Sequence[Row], direction: str) -> list[Row]:
    """The best first, an earlier one before a later one that is as good, then those that failed."""
    sign = -1.0 if direction == "max" else 1.0
    finished = [row for row in rows if row.result.score is not None]
    failed = [row for row in rows if row.result.score is None]
    return sorted(finished, key=lambda row: sign * (row.result.score or 0.0)) + failed


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """Write ``trials.csv``, atomically: a row a trial, in the order in which they were drawn."""
    names = {name: None for row in rows for name in row.cells if name != "error"}
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*names, "error"])
        writer.writeheader()
        writer.writerows(row.cells for row in rows)
    temporary.replace(path)


def table(rows: Sequence[Row], direction: str, measure: str) -> str:
    """The trials as text, the best first."""
    names = list({name: None for row in rows for name in row.values})
    short = {name: name.rpartition(".")[2] for name in names}
    lines = [["trial", measure, "epochs", "seconds", "MB", *short.values()]]
    for row in ranked(rows, direction)[:SHOWN]:
        result = row.result
        score = "failed" if result.score is None else f"{result.score:.4f}"
        memory = "" if result.memory_mb is None else f"{result.memory_mb:.0f}"
        values = [readable(row.values[name]) if name in row.values else "" for name in names]
        lines.append(
            [row.name, score, f"{result.epochs}", f"{result.seconds:.0f}", memory, *values]
        )
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    texts = [
        "  ".join(cell.rjust(w) for cell, w in zip(line, widths, strict=True)) for line in lines
    ]
    if len(rows) > SHOWN:
        texts.append(f"… and {len(rows) - SHOWN} more")
    return "\n".join(texts)


def readable(value: Any) -> str:
    """A value, with three digits of what is not whole."""
    return f"{value:.3g}" if isinstance(value, float) else text_of(value)


# === TensorBoard ===


def write_hparams_config(hyperparameters: Mapping[str, Any], measure: str, folder: Path) -> None:
    """Tell TensorBoard's HParams what is searched, once a folder.

    Args:
        hyperparameters: Of keras-tuner, by name.
        measure: Name of the score.
        folder: Log folder.
    """
    domains = [hparams.HParam(name, domain(hp)) for name, hp in hyperparameters.items()]
    config = hparams.hparams_config_pb(domains, [hparams.Metric(measure)])
    _write_events(folder / "search", [config], wall_step=0)


def write_hparams(row: Row, measure: str, folder: Path) -> None:
    """Add a finished trial to TensorBoard's HParams as a run of its own, unless it is there."""
    if row.result.score is None:
        return
    values = hparams.hparams_pb(row.values, trial_id=row.name)
    score = scalar_pb(measure, row.result.score)
    _write_events(folder / row.name, [values, score], wall_step=row.result.epochs)


def domain(hp: Any) -> hparams.Discrete | hparams.RealInterval:
    """Of a hyperparameter: its values, or for one drawn from an interval its ends."""
    if type(hp).__name__ == "Float" and hp.step is None:
        return hparams.RealInterval(hp.min_value, hp.max_value)
    return hparams.Discrete(list(hp.values))


def _write_events(folder: Path, summaries: Sequence[Any], *, wall_step: int) -> None:
    """Write a run's events whole, or not at all."""
    if folder.exists():
        return
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    writer = EventFileWriter(str(temporary))
    for summary in summaries:
        event = Event(step=wall_step)
        event.summary.ParseFromString(summary.SerializeToString())
        writer.add_event(event)
    writer.close()
    try:
        temporary.rename(folder)
    except OSError:  # another process was faster
        shutil.rmtree(temporary)
