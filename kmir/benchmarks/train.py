"""``kmir benchmark train``: a training step of each zoo model, and of two of them in PyTorch."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from tqdm import tqdm

from kmir.benchmarks.contender import Contender
from kmir.benchmarks.machine import available, check_cores, describe, missing
from kmir.benchmarks.report import Goal, Report, Table
from kmir.benchmarks.timing import in_turns, ratios, spread
from kmir.errors import UsageError
from kmir.lookup import find, known

SUMMARY = "a training step of each zoo model, in float32 and mixed, beside PyTorch"
TURN_SECONDS = 0.7
BACKENDS = ("tensorflow", "jax", "torch")
FEWEST, MOST = 2, 50  # steps of a turn
ON_GPU = (1, 4, 16)  # times the usual batch
GOALS = {"zoo.crnn_tagger": 0.6, "zoo.bilstm": 1.0}
COLUMNS = {
    "model": "model",
    "clips": "clips a step",
    "parameters": "parameters",
    "step_ms": "step, ms",
    "examples_per_second": "clips a second",
    "memory_mb": "memory, MB",
    "mixed_step_ms": "mixed precision: step, ms",
    "mixed_memory_mb": "memory, MB",
    "mixed_ratio": "mixed / float32",
}
PEER_COLUMNS = {
    "model": "model",
    "clips": "clips a step",
    "parameters": "parameters",
    "step_ms": "kmir, ms",
    "memory_mb": "memory, MB",
    "peer_step_ms": "PyTorch, ms",
    "peer_memory_mb": "memory, MB",
    "ratio": "kmir / PyTorch",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--model", action="append", help="one or more; default: all of the zoo")
    parser.add_argument("--turns", type=int, default=4, help="of each; default: %(default)s")
    parser.add_argument("--cores", type=int, default=available(), help="default: %(default)s")


def run(args: argparse.Namespace, flags: Mapping[str, Mapping[str, str]]) -> Report:
    """Measure what the command asks for."""
    del flags
    from kmir.benchmarks.workloads import workload_of  # Keras takes seconds: not for `--help`

    try:
        modules = [find("model", name) for name in args.model or known("model")]
    except ModuleNotFoundError as error:
        if error.name not in BACKENDS:
            raise
        raise UsageError(
            f"Expected a backend of Keras that is installed. Received: no {error.name}. "
            f"Set KERAS_BACKEND to one of {', '.join(BACKENDS)}."
        ) from None
    for module in modules:
        workload_of(module)  # what is wrong is told before anything is measured
    names = [module.__name__ for module in modules]
    return measure(names, turns=args.turns, cores=args.cores, quiet=args.quiet)


def measure(names: Sequence[str], *, turns: int, cores: int, quiet: bool = False) -> Report:
    """Step time and memory.

    Args:
        names: Modules of models, such as ``"zoo.crnn_tagger"``.
        turns: Of each.
        cores: That everything runs on.
        quiet: No progress bar.

    Raises:
        RunError: If a step fails.
        UsageError: If there are not so many cores, or a model has none of the zoo's tasks.
    """
    check_cores(cores)
    notes: list[str] = []
    rows: list[dict[str, Any]] = []
    facts: dict[str, Any] = {}
    for name in tqdm(names, desc="train", unit="model", disable=True if quiet else None):
        facts, found = zoo_rows(name, turns=turns, cores=cores)
        rows += found
    peers: list[dict[str, Any]] = []
    compared = [name for name in GOALS if name in names]
    if compared and (word := missing("torch", "PyTorch")):
        notes.append(word)
    elif compared:
        peers = [peer_row(name, turns=turns, cores=cores) for name in compared]
    where = facts.get("gpu") or f"{cores} cores"
    how = f"{facts.get('backend')} backend, {where}, random batches of the usual size, " + (
        "medians (quartiles)"
    )
    tables = [Table(f"A training step of each zoo model: {how}", COLUMNS, rows)]
    if peers:
        title = f"The same step in PyTorch: {where}, float32, in turns"
        tables.append(Table(title, PEER_COLUMNS, peers))
    if facts.get("gpu") is None:
        notes.append("No GPU was seen; memory is that of the process, beyond what imports take.")
    goals = [
        Goal(f"{row['model']}: step by PyTorch's", row["ratio"].median, GOALS[row["model"]], True)
        for row in peers
    ]
    return Report("train", describe(facts.get("gpu")), tables, goals, notes)


def zoo_rows(name: str, *, turns: int, cores: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Rows of one model, one for each batch size, and what is known of the device."""
    from kmir.benchmarks.steps import KerasSteps

    with ExitStack() as stack:
        sides = {
            policy: stack.enter_context(Contender(KerasSteps, name, policy, cores=cores))
            for policy in ("float32", "mixed")
        }
        facts = {policy: side.ask("facts") for policy, side in sides.items()}
        usual, on_gpu = facts["float32"]["batch_size"], facts["float32"]["gpu"]
        rows = []
        for factor in ON_GPU if on_gpu else ON_GPU[:1]:
            times = _turns(sides, usual * factor, turns)
            plain, mixed = ([1e3 * t for t in times[policy]] for policy in sides)
            rows.append(
                {
                    "model": name,
                    "clips": usual * factor,
                    "parameters": facts["float32"]["parameters"],
                    "step_ms": spread(plain),
                    "examples_per_second": 1e3 * usual * factor / statistics.median(plain),
                    "memory_mb": sides["float32"].ask("memory"),
                    "mixed": facts["mixed"]["policy"],
                    "mixed_step_ms": spread(mixed),
                    "mixed_memory_mb": sides["mixed"].ask("memory"),
                    "mixed_ratio": ratios(mixed, plain),
                }
            )
    return facts["float32"], rows


def peer_row(name: str, *, turns: int, cores: int) -> dict[str, Any]:
    """A model beside its peer in PyTorch, which must be installed."""
    from kmir.benchmarks.peers import TorchSteps
    from kmir.benchmarks.steps import KerasSteps

    bilstm = name == "zoo.bilstm"
    with (
        Contender(KerasSteps, name, "float32", bilstm, cores=cores) as ours,
        Contender(TorchSteps, name, cores, cores=cores) as theirs,
    ):
        facts, other = ours.ask("facts"), theirs.ask("facts")
        assert facts["parameters"] == other["parameters"], "not the same model"
        times = _turns({"ours": ours, "theirs": theirs}, facts["batch_size"], turns)
        return {
            "model": name,
            "clips": facts["batch_size"],
            "parameters": facts["parameters"],
            "step_ms": spread([1e3 * t for t in times["ours"]]),
            "memory_mb": ours.ask("memory"),
            "peer_step_ms": spread([1e3 * t for t in times["theirs"]]),
            "peer_memory_mb": theirs.ask("memory"),
            "ratio": ratios(times["ours"], times["theirs"]),
        }


def _turns(sides: Mapping[str, Contender], batch_size: int, turns: int) -> dict[str, list[float]]:
    """Seconds of a step, for each side and turn: the median of its steps."""
    work = {}
    for name, side in sides.items():
        side.ask("start", batch_size)
        (step,) = side.ask("steps", 1)
        count = min(MOST, max(FEWEST, round(TURN_SECONDS / step)))
        work[name] = partial(side.ask, "steps", count)
    found = in_turns(work, turns)
    return {name: [statistics.median(steps) for steps in every] for name, every in found.items()}
