"""How fast it runs here: ``python -m kmir.benchmark extract|input|train|predict``."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from kmir import command
from kmir.benchmarks.machine import busy
from kmir.config import split_flags
from kmir.errors import UsageError, nearest

BENCHMARKS = ("extract", "input", "train", "predict")
PREFIXES = {"config": ("input",), "option": ("input",)}  # flags, and which benchmark takes them


def main(argv: list[str]) -> int:
    """Run the command: a table on the terminal, and with ``--json`` all figures in a file."""
    modules = {name: importlib.import_module(f"kmir.benchmarks.{name}") for name in BENCHMARKS}
    parser = argparse.ArgumentParser(
        prog="kmir benchmark",
        description="How fast it runs here: " + "; ".join(_summaries(modules)) + ".",
        epilog="kmir benchmark WHAT --help tells more.",
    )
    parser.add_argument("what", help=f"one of {', '.join(BENCHMARKS)}")
    name, *rest = argv or [""]
    if name.startswith("-") or not argv:
        parser.parse_args(argv[:1])  # --help, or nothing
    if name not in BENCHMARKS:
        raise UsageError(f"Expected a benchmark. Received: '{name}'. {nearest(name, BENCHMARKS)}")
    benchmark = modules[name]
    flags = {}
    for prefix, takers in PREFIXES.items():
        flags[prefix], rest = split_flags(rest, prefix)
        if flags[prefix] and name not in takers:
            raise UsageError(
                f"Expected no --{prefix}.{next(iter(flags[prefix]))} with 'benchmark {name}'. "
                f"Leave it out; 'benchmark {takers[0]}' takes such settings."
            )
    parser = argparse.ArgumentParser(prog=f"kmir benchmark {name}", description=benchmark.SUMMARY)
    benchmark.add_options(parser)
    parser.add_argument("--json", type=Path, help="file to write all figures to")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    args = parser.parse_args(rest)
    for option in ("turns", "steps", "files"):
        if getattr(args, option, 1) < 1:
            parser.error(f"Expected --{option} of 1 or more. Received: {getattr(args, option)}.")
    word = busy()
    report = benchmark.run(args, flags)
    if word:
        report = replace(report, notes=[*report.notes, word])
    print(report.markdown())
    if args.json:
        report.write(args.json)
    return 0


def _summaries(modules: Mapping[str, ModuleType]) -> list[str]:
    return [f"{name}: {module.SUMMARY}" for name, module in modules.items()]


if __name__ == "__main__":
    sys.exit(command.run(main))
