"""One trial of a search: an ordinary run folder, and what was tried in it with what result."""

from __future__ import annotations

import dataclasses
import json
import shutil
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kmir.integrity import write_json
from kmir.nn.callbacks import RunLog
from kmir.process import ending, limit_threads, peak_megabytes, start
from kmir.run import prepare
from kmir.story import Story
from kmir.train import fit

OUTPUT = "output.txt"


@dataclass(frozen=True)
class Result:
    """What came out of a trial.

    Args:
        status: Whether it was trained as planned.
        score: Best value of the monitored measure.
        epochs: Of the whole run, with those of the trial that it went on from.
        seconds: Likewise.
        memory_mb: That its process held at most.
        error: One line; empty where it is finished.
    """

    status: Literal["finished", "failed"]
    score: float | None = None
    epochs: int = 0
    seconds: float = 0.0
    memory_mb: float | None = None
    error: str = ""


@dataclass(frozen=True)
class Trial:
    """What is tried.

    Args:
        folder: Run folder; its name is the trial's.
        values: Of all hyperparameters, as the oracle drew them.
        flags: Settings of the run, by dotted name.
        last_epoch: After which it ends for now; None goes on to the end.
        parent: Name of the trial whose run it goes on with, if any.
    """

    folder: Path
    values: dict[str, Any]
    flags: dict[str, str]
    last_epoch: int | None = None
    parent: str | None = None

    @classmethod
    def read(cls, folder: Path) -> Trial:
        """As it was written."""
        return cls(folder, **json.loads((folder / "trial.json").read_text(encoding="utf-8")))

    def write(self) -> None:
        """Write ``trial.json``."""
        self.folder.mkdir(parents=True, exist_ok=True)
        told = dataclasses.asdict(self)
        del told["folder"]
        write_json(self.folder / "trial.json", told)

    @property
    def result(self) -> Result | None:
        """What came out; None as long as it is not finished."""
        path = self.folder / "result.json"
        return Result(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None

    def end(self, result: Result) -> None:
        """Write ``result.json``; after that the trial is never run again."""
        write_json(self.folder / "result.json", dataclasses.asdict(result))


@dataclass(frozen=True)
class Runner:
    """Runs trials of a model on records, each in a process of its own.

    Args:
        model: Name of the model.
        task: What it is to do, where it is not what it was made for.
        records: Folder of the records.
        threads: Of a trial; None leaves TensorFlow the choice.
    """

    model: str
    task: str | None
    records: Path
    threads: int | None = None

    def __call__(self, trial: Trial, alive: Callable[[], Any], every: float) -> Result:
        """Run a trial, or go on with it.

        Args:
            trial: One without a result.
            alive: Called now and then while it runs.
            every: Seconds from call to call.
        """
        process = start(_work, self, trial, output=trial.folder / OUTPUT)
        try:
            process.join(every)
            while process.is_alive():
                alive()
                process.join(every)
        except BaseException:
            process.kill()
            process.join()
            raise
        result = trial.result
        if result is None:  # it had no chance to say why
            where = f"see {trial.folder / OUTPUT}"
            result = Result("failed", error=f"{ending(process.exitcode)}; {where}")
            trial.end(result)
        return result


def _work(runner: Runner, trial: Trial) -> None:
    """What the process of a trial does."""
    if runner.threads is not None:
        limit_threads(runner.threads)
    try:
        result = run_trial(runner, trial)
    except Exception as error:  # whatever a setting may lead to is a result
        result = dataclasses.replace(failure(error), memory_mb=round(peak_megabytes(), 1))
    trial.end(result)


def run_trial(runner: Runner, trial: Trial) -> Result:
    """Train, or go on, in this process.

    Raises:
        KmirError: If the settings don't fit, or the run diverges.
    """
    inherit(trial)
    run = prepare(
        runner.model,
        data=str(runner.records),
        root=None,
        flags=trial.flags,
        quiet=True,
        task_name=runner.task,
    )
    Story.begin(trial.folder, run.module.__name__, run.config, run.records, None)
    title = f"{runner.model}, trial {trial.folder.name}"
    verdict = fit(run, trial.folder, title=title, last_epoch=trial.last_epoch)
    rows = RunLog(trial.folder / "log.csv").rows
    assert verdict.best_epoch is not None  # a run without one has diverged
    return Result(
        "finished",
        score=rows[verdict.best_epoch][run.config.train.monitor],
        epochs=len(rows),
        seconds=round(sum(row["seconds"] for row in rows), 2),
        memory_mb=round(peak_megabytes(), 1),
    )


def inherit(trial: Trial) -> None:
    """Give a trial that goes on with another's run a copy of it, unless it has begun."""
    if trial.parent is None or (trial.folder / "config.json").exists():
        return
    parent = trial.folder.with_name(trial.parent)
    shutil.copytree(parent / "checkpoints", trial.folder / "checkpoints", dirs_exist_ok=True)
    shutil.copyfile(parent / "log.csv", trial.folder / "log.csv")
    # The last, and whole or not there: it says that the rest is.
    write_json(trial.folder / "config.json", json.loads((parent / "config.json").read_text()))


def failure(error: Exception) -> Result:
    """The result of a trial that an error ended."""
    traceback.print_exception(error)
    lines = str(error).strip().splitlines() or [""]
    return Result("failed", error=f"{type(error).__name__}: {lines[0]}"[:300])
