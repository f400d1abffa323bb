"""``kmir benchmark input``: whether training waits for its data.

It tells how many clips a second the stream gives by itself, and which share of a training step is
spent waiting for the next batch. A share of 10 % is where MLPerf Storage draws the line.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kmir.benchmarks.machine import describe
from kmir.benchmarks.report import Goal, Report, Table
from kmir.benchmarks.timing import spread

SUMMARY = "whether training waits for its data"
MODELS = ("zoo.crnn_tagger", "zoo.gru", "zoo.beat_tcn")  # of each task one
# Pieces as long as the clips that models learn from; the data set's own are shorter.
SYNTHETIC = {"pieces": "16", "seconds": "30"}
WAIT = 0.05
WARM_STEPS = 4
PREFETCHED = 2  # steps whose batches stood ready, or were just taken away
COLUMNS = {
    "model": "model",
    "clips": "clips a step",
    "clip_frames": "frames a clip",
    "examples_per_second": "stream alone, clips a second",
    "step_ms": "step, ms",
    "wait_ms": "wait, ms",
    "wait_percent": "wait, % of both",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    models = ", ".join(MODELS)
    parser.add_argument("--model", action="append", help=f"one or more; default: {models}")
    parser.add_argument("--data", default="synthetic", help="records folder, or data set by name")
    parser.add_argument("--root", type=Path, help="folder of the data set")
    parser.add_argument("--steps", type=int, default=10, help="of a turn; default: %(default)s")
    parser.add_argument("--turns", type=int, default=3, help="default: %(default)s")


def run(args: argparse.Namespace, flags: Mapping[str, Mapping[str, str]]) -> Report:
    """Measure what the command asks for."""
    options = dict(flags["option"])
    if args.data == "synthetic":
        options = SYNTHETIC | options
    return measure(
        args.model or MODELS,
        data=args.data,
        root=args.root,
        flags=flags["config"],
        data_options=options,
        steps=args.steps,
        turns=args.turns,
        quiet=args.quiet,
    )


def measure(
    names: Sequence[str],
    *,
    data: str,
    root: Path | None = None,
    flags: Mapping[str, str] | None = None,
    data_options: Mapping[str, str] | None = None,
    steps: int,
    turns: int,
    quiet: bool = False,
) -> Report:
    """Measure the input of a training run of each model.

    Args:
        names: Models, such as ``"zoo.crnn_tagger"``.
        data: Records folder, or name of a data set.
        root: Folder of the data set.
        flags: Settings as for training.
        data_options: Options of the data set, likewise.
        steps: Of a turn.
        turns: How often; a share of waiting is told for each.
        quiet: No progress bar.
    """
    options = data_options or {}
    rows = [
        input_row(
            name, data=data, root=root, flags=flags or {}, data_options=options,
            steps=steps, turns=turns, quiet=quiet,
        )
        for name in names
    ]  # fmt: skip
    told = ", ".join(f"{name}={value}" for name, value in options.items())
    title = f"Input of training: {Path(data).name}{f' ({told})' if told else ''}, kept in memory "
    goals = [
        Goal(f"{row['model']}: wait by step", row["wait_percent"].median / 100, WAIT, True, ".1%")
        for row in rows
    ]
    table = Table(title + "after the first epoch; medians (quartiles)", COLUMNS, rows)
    return Report("input", describe(), [table], goals)


def input_row(
    model_name: str,
    *,
    data: str,
    root: Path | None,
    flags: Mapping[str, str],
    data_options: Mapping[str, str],
    steps: int,
    turns: int,
    quiet: bool = False,
) -> dict[str, Any]:
    """One row: what a step waits for its batch, and what it works then."""
    from kmir.run import prepare  # Keras takes seconds to load: not for `--help`

    run = prepare(
        model_name, data=data, root=root, flags=flags, data_options=data_options, quiet=quiet
    )
    batch_size = run.config.train.batch_size
    batches = iter(run.batches(0))
    for _ in itertools.islice(batches, run.training.steps + WARM_STEPS):
        pass  # the first pass fills the cache
    alone, waits, works, shares = [], [], [], []
    _steps(run.model, batches, WARM_STEPS)
    for _ in range(turns):
        began = time.perf_counter()
        for _ in itertools.islice(batches, steps):
            pass
        alone.append(steps * batch_size / (time.perf_counter() - began))
        times = _steps(run.model, batches, PREFETCHED + steps)[PREFETCHED:]
        waited, worked = map(sum, zip(*times, strict=True))
        shares.append(100 * waited / (waited + worked))
        waits += [1e3 * wait for wait, _ in times]
        works += [1e3 * work for _, work in times]
    return {
        "model": model_name,
        "clips": batch_size,
        "clip_frames": run.training.clip_frames,
        "examples_per_second": statistics.median(alone),
        "step_ms": spread(works),
        "wait_ms": spread(waits),
        "wait_percent": spread(shares),
    }


def _steps(model: Any, batches: Iterator[Any], count: int) -> list[tuple[float, float]]:
    """Seconds that each step waited and worked."""
    times = []
    for _ in range(count):
        began = time.perf_counter()
        x, y, weights = next(batches)
        arrived = time.perf_counter()
        model.train_on_batch(x, y, weights)
        times.append((arrived - began, time.perf_counter() - arrived))
    return times
