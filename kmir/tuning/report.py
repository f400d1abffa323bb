"""What a search shows while it runs, and when it is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from keras_tuner.engine.trial import Trial as Drawn
from tqdm import tqdm

from kmir.errors import RunError
from kmir.pictures.search import draw_search
from kmir.tuning.space import Space
from kmir.tuning.table import (
    Row,
    ranked,
    readable,
    table,
    write_csv,
    write_hparams,
    write_hparams_config,
)
from kmir.tuning.trial import Trial

PATIENCE = 5  # failures in a row that end a search


class Report:
    """Writes ``trials.csv``, ``tensorboard`` and ``search.png`` from the folders of the trials.

    Args:
        workdir: Of the search.
        space: What is searched.
        measure: Name of the score.
        direction: Whether small or large scores are good.
        quiet: Nothing but the table at the end.
    """

    def __init__(
        self,
        workdir: Path,
        space: Space,
        *,
        measure: str,
        direction: Literal["min", "max"],
        quiet: bool,
    ):
        self.workdir, self.space, self.quiet = workdir, space, quiet
        self.measure, self.direction = measure, direction
        self._bar: Any = None
        self._failures = 0

    def rows(self) -> list[Row]:
        """All trials that have ended, in the order in which they were drawn."""
        found = []
        for path in sorted((self.workdir / "trials").glob("*/result.json")):
            trial = Trial.read(path.parent)
            if (result := trial.result) is not None:
                found.append(Row(trial, result, self.space.shown(trial.values)))
        return found

    @contextmanager
    def progress(self, trials: int, done: int) -> Iterator[None]:
        """Show a bar for the time of the block.

        Args:
            trials: How many there should be in the end.
            done: How many have ended before.
        """
        silent = True if self.quiet else None  # None: only where a terminal watches
        with tqdm(total=trials, initial=done, desc="search", unit="trial", disable=silent) as bar:
            self._bar = bar
            yield

    def ended(self, drawn: Drawn) -> str | None:
        """Tell of a trial that has ended; a reason to stop, where too many have failed."""
        rows = self.rows()
        write_csv(rows, self.workdir / "trials.csv")
        row = next(row for row in rows if row.name == drawn.trial_id)
        write_hparams(row, self.measure, self.workdir / "tensorboard")
        result = row.result
        if not self.quiet:
            score = result.error or f"{self.measure} {result.score:.4f}"
            values = ", ".join(f"{n} {readable(v)}" for n, v in row.values.items())
            tqdm.write(f"{row.name}: {score}, {result.epochs} epochs, {result.seconds:.0f} s; "
                       f"{values}")  # fmt: skip
        self._bar.update()
        self._failures = self._failures + 1 if result.status == "failed" else 0
        if self._failures < PATIENCE:
            return None
        return (
            f"Expected trials that can be trained. Received: {PATIENCE} failures in a row, the "
            f"last one in {row.trial.folder} ({result.error}). The same command tries others."
        )

    def close(self) -> Row:
        """Write all there is to see, and print the table; the best trial.

        Raises:
            RunError: If no trial was finished.
        """
        rows = self.rows()
        write_csv(rows, self.workdir / "trials.csv")
        write_hparams_config(self.space.searched, self.measure, self.workdir / "tensorboard")
        for row in rows:
            write_hparams(row, self.measure, self.workdir / "tensorboard")
        finished = [row for row in rows if row.result.score is not None]
        if not finished:
            raise RunError(
                f"Expected a finished trial in {self.workdir}. Received: {len(rows)}, all failed. "
                f"{self.workdir / 'trials.csv'} has their errors."
            )
        draw_search(
            [row.values for row in finished],
            [row.result.score for row in finished if row.result.score is not None],
            self.workdir / "search.png",
            title=f"{self.space.module.__name__}, {len(rows)} trials",
            measure=self.measure,
            larger_is_better=self.direction == "max",
        )
        print(table(rows, self.direction, self.measure))
        return ranked(rows, self.direction)[0]
