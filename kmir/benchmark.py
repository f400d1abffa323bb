"""How fast it runs here: ``python -m kmir.benchmark input``.

``input`` asks whether training waits for its data: how many examples a second the stream gives by
itself, and which share of a training step is spent waiting for the next batch. A share of 10 % is
where MLPerf Storage draws the line.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kmir import command
from kmir.config import split_flags
from kmir.errors import UsageError, nearest


def benchmark_input(
    model_name: str,
    *,
    data: str = "synthetic",
    root: Path | None = None,
    flags: Mapping[str, str] | None = None,
    data_options: Mapping[str, str] | None = None,
    warmup: int = 5,
    steps: int = 30,
) -> dict[str, Any]:
    """Measure the input of a training run.

    Args:
        model_name: Such as ``"zoo.crnn_tagger"``.
        data: Records folder, or name of a data set.
        root: Folder of the data set.
        flags: Settings as for training.
        data_options: Options of the data set, likewise.
        warmup: Steps that are run but not counted, beyond the one pass that fills the cache.
        steps: Steps that are counted.

    Returns:
        Medians over the steps: ``examples_per_second`` of the stream alone, ``step_ms``,
        ``wait_ms``, ``wait_share`` of their sum; and what was measured.
    """
    from kmir.run import prepare  # Keras takes seconds to load: not for `--help`

    settings: Any = {"data": data, "root": root, "flags": flags or {}, "data_options": data_options}
    run = prepare(model_name, **settings, quiet=True)
    batch_size = run.config.train.batch_size
    batches = run.batches(0)
    for _ in itertools.islice(batches, run.training.steps + warmup):
        pass
    began = time.perf_counter()
    for _ in itertools.islice(batches, steps):
        pass
    alone = time.perf_counter() - began

    waits, works = [], []
    for _ in range(warmup + steps):
        began = time.perf_counter()
        x, y, weights = next(batches)
        arrived = time.perf_counter()
        run.model.train_on_batch(x, y, weights)
        waits.append(arrived - began)
        works.append(time.perf_counter() - arrived)
    wait, work = (sum(times[warmup:]) for times in (waits, works))
    return {
        "model": model_name,
        "clip_frames": run.training.clip_frames,
        "batch_size": batch_size,
        "examples_per_second": round(steps * batch_size / alone, 1),
        "step_ms": round(1e3 * statistics.median(works[warmup:]), 2),
        "wait_ms": round(1e3 * statistics.median(waits[warmup:]), 2),
        "wait_share": round(wait / (wait + work), 4),
    }


BENCHMARKS = {"input": benchmark_input}


def main(argv: list[str]) -> int:
    """Run the command."""
    flags, rest = split_flags(argv, "config")
    data_options, rest = split_flags(rest, "option")
    parser = argparse.ArgumentParser(prog="kmir benchmark", description="How fast it runs here.")
    parser.add_argument("what", help=f"one of {', '.join(BENCHMARKS)}")
    parser.add_argument("--model", default="zoo.crnn_tagger", help="default: %(default)s")
    parser.add_argument("--data", default="synthetic", help="records folder, or data set by name")
    parser.add_argument("--root", type=Path, help="folder of the data set")
    parser.add_argument("--steps", type=int, default=30, help="counted; default: %(default)s")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    args = parser.parse_args(rest)
    if args.what not in BENCHMARKS:
        raise UsageError(
            f"Expected a benchmark. Received: '{args.what}'. {nearest(args.what, BENCHMARKS)}"
        )
    if args.steps < 1:
        parser.error(f"Expected --steps of 1 or more. Received: {args.steps}.")
    figures = BENCHMARKS[args.what](
        args.model,
        data=args.data,
        root=args.root,
        flags=flags,
        data_options=data_options,
        steps=args.steps,
    )
    for name, value in figures.items():
        print(f"{name:20} {value:.1%}" if name.endswith("share") else f"{name:20} {value}")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(command.run(main))
