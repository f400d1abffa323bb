"""``kmir benchmark extract``: the whole extraction command beside a loop over librosa."""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from kmir.benchmarks.formats import by_format
from kmir.benchmarks.machine import available, cores_for_children, describe, missing
from kmir.benchmarks.report import Goal, Report, Table
from kmir.benchmarks.timing import in_turns, ratios, spread
from kmir.errors import RunError, UsageError

SUMMARY = "audio to records: the whole command beside a loop over librosa"
DISTINCT, SECONDS = 12, 30.0
FEW = 3  # files: one of each format
KMIR, TWO, LIBROSA = "kmir, 1 worker", "kmir, 2 workers", "librosa loop"
COLUMNS = {
    "command": "command",
    "cores": "cores",
    "hours_per_minute": "hours of audio a minute",
    "times_real_time": "times real time",
    "cpu_seconds_per_hour": "CPU s an hour of audio",
    "startup_seconds": "start-up, s",
    "ratio": "by librosa's loop",
}


@dataclass(frozen=True)
class Run:
    """What a command took over few files and over all.

    Args:
        few: Seconds over few files.
        every: Seconds over all files.
        cpu: Seconds of the processor for what all have more than the few.
        seconds: Audio that all have more than the few.
        few_seconds: Audio of the few.
    """

    few: float
    every: float
    cpu: float
    seconds: float
    few_seconds: float

    @property
    def speed(self) -> float:
        """Times real time, once it runs."""
        return self.seconds / max(self.every - self.few, 1e-9)

    @property
    def startup(self) -> float:
        """Seconds that it takes beside the work on the files."""
        return max(self.few - self.few_seconds / self.speed, 0.0)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--root", type=Path, help="folder of audio; default: made here, 44.1 kHz")
    parser.add_argument("--files", type=int, default=360, help="default: %(default)s")
    parser.add_argument("--turns", type=int, default=3, help="of each; default: %(default)s")


def run(args: argparse.Namespace, flags: Mapping[str, Mapping[str, str]]) -> Report:
    """Measure what the command asks for."""
    del flags
    return measure(root=args.root, files=args.files, turns=args.turns, quiet=args.quiet)


def measure(*, root: Path | None, files: int, turns: int, quiet: bool = False) -> Report:
    """Throughput of extraction.

    Each command runs over a few files and over all of them: what all take longer is the work on
    files, what is left of the few is start-up. Both commands are whole processes, on the same core.

    Args:
        root: Folder of audio; None makes 12 recordings of 30 s, stereo at 44.1 kHz, a third each
            of wav, flac and mp3.
        files: How many; the recordings are linked again and again until there are so many.
        turns: Of each command.
        quiet: No progress bar.

    Raises:
        RunError: If a command fails.
        UsageError: If there are too few files.
    """
    if files <= FEW:
        raise UsageError(f"Expected --files above {FEW}, to tell start-up from work. Got: {files}.")
    from kmir.benchmarks.music import linked, recordings
    from kmir.features.audio import duration, find_audio

    sources = find_audio(root) if root else recordings(DISTINCT, SECONDS)
    if not sources:
        raise UsageError(f"Expected a folder with audio. Received: {root}, which has none.")
    lengths = [duration(source) for source in sources]
    seconds = [sum(lengths[i % len(lengths)] for i in range(count)) for count in (FEW, files)]
    cores = {KMIR: 1, LIBROSA: 1, TWO: 2}
    notes = [] if available() >= 2 else ["There is one core: extraction on two is skipped."]
    if word := missing("librosa", "librosa"):
        notes.append(word)
        del cores[LIBROSA]
    if available() < 2:
        del cores[TWO]
    with tempfile.TemporaryDirectory(prefix="kmir-benchmark-") as name:
        place = Path(name)
        folders = [linked(place / str(count), sources, count) for count in (FEW, files)]
        bar = tqdm(total=turns * len(cores), desc="extract", disable=True if quiet else None)
        with bar:
            work = {
                command: partial(
                    _run,
                    command,
                    count,
                    folders=folders,
                    out=place / "out",
                    seconds=seconds,
                    bar=bar,
                )
                for command, count in cores.items()
            }
            found = in_turns(work, turns)
    detail = by_format(sources, with_librosa=LIBROSA in cores)
    return _report(found, cores, sources, detail, notes)


def _run(
    command: str,
    cores: int,
    *,
    folders: Sequence[Path],
    out: Path,
    seconds: Sequence[float],
    bar: Any,
) -> Run:
    """Run a command over few files, then over all."""
    took, cpu = [], []
    for folder in folders:
        words = _words(command, cores, folder, out)
        before, began = _children_seconds(), time.perf_counter()
        with cores_for_children(cores):
            told = subprocess.run(words, capture_output=True, text=True, check=False)
        took.append(time.perf_counter() - began)
        cpu.append(_children_seconds() - before)
        shutil.rmtree(out, ignore_errors=True)
        if told.returncode:
            last = (told.stderr.strip().splitlines() or ["nothing"])[-1]
            raise RunError(f"Expected {' '.join(words)} to work. Received: {last}")
    bar.update()
    few, every = seconds
    return Run(took[0], took[1], cpu[1] - cpu[0], every - few, few)


def _words(command: str, cores: int, folder: Path, out: Path) -> list[str]:
    from kmir.features.log_mel import LogMel

    if command == LIBROSA:
        f = LogMel()
        sizes = map(str, (f.sample_rate, f.n_fft, f.hop_length, f.n_mels))
        loop = "kmir.benchmarks.librosa_loop"
        return [sys.executable, "-m", loop, str(folder), str(out), *sizes]
    places = ["--root", str(folder), "--out", str(out)]
    options = ["--feature", "log_mel", "--workers", str(cores), "--quiet"]
    return [sys.executable, "-m", "kmir.extract", "folder", *places, *options]


def _children_seconds() -> float:
    """Seconds of the processor that processes started here, and theirs, have taken."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _report(
    found: Mapping[str, Sequence[Run]],
    cores: Mapping[str, int],
    sources: Sequence[Path],
    detail: Table,
    notes: list[str],
) -> Report:
    speeds = {name: [run.speed for run in runs] for name, runs in found.items()}
    rows, hours = [], found[KMIR][0].seconds / 3600
    for name, runs in found.items():
        rows.append(
            {
                "command": name,
                "cores": cores[name],
                "hours_per_minute": spread([speed / 60 for speed in speeds[name]]),
                "times_real_time": spread(speeds[name]),
                "cpu_seconds_per_hour": spread([run.cpu / hours for run in runs]),
                "startup_seconds": spread([run.startup for run in runs]),
                "ratio": ratios(speeds[name], speeds[LIBROSA]) if LIBROSA in speeds else None,
                "seconds_few": spread([run.few for run in runs]),
                "seconds_all": spread([run.every for run in runs]),
            }
        )
    goals = []
    if LIBROSA in speeds:
        ratio = ratios(speeds[KMIR], speeds[LIBROSA])
        goals.append(Goal("Extraction on a core, by librosa's loop", ratio.median, 2.0, False))
    if TWO in speeds:
        ratio = ratios(speeds[TWO], speeds[KMIR])
        goals.append(Goal("Extraction on two cores, by that on one", ratio.median, 1.8, False))
    formats = ", ".join(sorted({source.suffix.lower().removeprefix(".") for source in sources}))
    title = (
        f"Audio to log-mel records: {hours:.1f} hours of {formats} ({len(sources)} recordings, "
        "again and again); whole processes, start-up told apart"
    )
    return Report("extract", describe(), [Table(title, COLUMNS, rows), detail], goals, notes)
