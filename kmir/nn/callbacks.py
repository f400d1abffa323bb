"""What happens at the edges of an epoch of a training run."""

from __future__ import annotations

import csv
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from kmir.nn.checkpoint import save_state
from kmir.nn.schedule import OneCycle, Schedule


class RunLog:
    """``log.csv``: a row an epoch, what was measured in it.

    Args:
        path: The file; read if it is there.
        writes: Whether it is written: of several hosts by one.
    """

    def __init__(self, path: Path, *, writes: bool = True):
        self.path, self.writes = path, writes
        self.rows: list[dict[str, float]] = []
        if path.exists():
            with path.open(newline="", encoding="utf-8") as file:
                self.rows = [
                    {k: _number(v) for k, v in row.items()} for row in csv.DictReader(file)
                ]

    def keep(self, epochs: int) -> None:
        """Forget rows after the first epochs: those whose weights were lost."""
        self.rows = self.rows[:epochs]
        self._write()

    def append(self, row: dict[str, float]) -> None:
        """Add the row of an epoch."""
        self.rows.append(row)
        self._write()

    def column(self, name: str) -> list[float]:
        """One measure over the epochs."""
        return [row[name] for row in self.rows]

    def _write(self) -> None:
        if not self.writes:
            return
        temporary = self.path.with_suffix(".tmp")
        with temporary.open("w", newline="", encoding="utf-8") as file:
            if self.rows:
                writer = csv.DictWriter(file, list(self.rows[0]))
                writer.writeheader()
                writer.writerows(self.rows)
        temporary.replace(self.path)


def _number(text: str) -> float:
    """Whole numbers stay whole, so that a resumed run writes the log of an uninterrupted one."""
    return int(text) if text.isdigit() else float(text)


class RunKeeper(keras.callbacks.Callback):
    """Follows the schedule, and keeps log and checkpoints so that a killed run can go on.

    The order at the end of an epoch matters: log, best, last. A run resumes from ``last.npz``, and
    rows of the log beyond it are forgotten.

    Args:
        log: Of the run; where it is not written, nothing else is.
        schedule: Sets the learning rate and ends the run.
        monitor: Name of the measure that the schedule follows.
        checkpoints: Folder of ``last.npz`` and ``best.npz``.
        kept: Epochs, from 1, that are kept for themselves, as ``epoch-N.npz``.
    """

    def __init__(
        self,
        log: RunLog,
        schedule: Schedule | OneCycle,
        *,
        monitor: str,
        checkpoints: Path,
        kept: Sequence[int] = (),
    ):
        super().__init__()
        self.log, self.schedule = log, schedule
        self.monitor, self.checkpoints, self.kept = monitor, checkpoints, kept

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Set the learning rate."""
        verdict = self.schedule.after(self.log.column(self.monitor))
        self.model.optimizer.learning_rate = verdict.learning_rate
        self._began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Log, keep the weights, and stop where the schedule says so."""
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        seconds = round(time.monotonic() - self._began, 2)
        row = {"epoch": epoch + 1, "learning_rate": rate, "seconds": seconds}
        self.log.append(row | {name: float(value) for name, value in logs.items()})
        verdict = self.schedule.after(self.log.column(self.monitor))
        if self.log.writes:
            self._keep(epoch, best=verdict.best_epoch == epoch)
        self.model.stop_training = bool(verdict.stop)

    def _keep(self, epoch: int, *, best: bool) -> None:
        if best:
            save_state(self.model, self.checkpoints / "best.npz", epochs=epoch + 1)
        if epoch + 1 in self.kept:
            save_state(self.model, self.checkpoints / f"epoch-{epoch + 1}.npz", epochs=epoch + 1)
        save_state(self.model, self.checkpoints / "last.npz", epochs=epoch + 1)
