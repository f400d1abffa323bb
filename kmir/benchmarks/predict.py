"""``kmir benchmark predict``: from audio file to answer with each preset, on one core."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from kmir.benchmarks.contender import Contender
from kmir.benchmarks.machine import describe, missing
from kmir.benchmarks.readers import LibrosaBeats, PresetReader
from kmir.benchmarks.report import Report, Table
from kmir.benchmarks.timing import in_turns, ratios, spread
from kmir.errors import RunError, UsageError

SUMMARY = "audio file to answer with each preset, on one core"
SECONDS = 240.0  # a song
PEER = "librosa.beat.beat_track"
COLUMNS = {
    "reader": "reader",
    "reads": "reads",
    "seconds": "a recording, s",
    "times_real_time": "times real time",
    "startup_seconds": "start-up, s",
    "first_seconds": "first recording, s",
    "ratio": f"time by {PEER}'s",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--preset", action="append", help="one or more; default: all that ship")
    parser.add_argument("--audio", type=Path, help="a recording; default: made here, 4 min of mp3")
    parser.add_argument("--turns", type=int, default=3, help="default: %(default)s")


def run(args: argparse.Namespace, flags: Mapping[str, Mapping[str, str]]) -> Report:
    """Measure what the command asks for."""
    del flags
    from kmir.benchmarks.music import recording
    from kmir.presets import list_presets

    if args.audio and not args.audio.is_file():
        raise UsageError(f"Expected an audio file. Received: {args.audio}, no such file.")
    path = args.audio or recording(0, SECONDS, "mp3")
    # Those for bars read beats that others have found.
    presets = args.preset or [info.name for info in list_presets() if info.task != "bars"]
    return measure(presets, path, turns=args.turns, quiet=args.quiet)


def measure(presets: Sequence[str], path: Path, *, turns: int, quiet: bool = False) -> Report:
    """Time from file to annotations.

    Args:
        presets: Their names; one that can't be loaded is left out, with its reason in the notes.
        path: The recording.
        turns: Of each, after the first, which is told apart.
        quiet: No progress bar.

    Raises:
        RunError: If no preset can be loaded, or the recording can't be read.
    """
    from kmir.features.audio import duration

    seconds, rows, notes = duration(path), [], []
    with ExitStack() as stack:
        peer, first = None, 0.0
        if word := missing("librosa", "librosa"):
            notes.append(word)
        else:
            peer = stack.enter_context(Contender(LibrosaBeats, cores=1))
            first, _ = peer.ask("answer", str(path))
        beats: list[float] = []
        for name in tqdm(presets, desc="predict", disable=True if quiet else None):
            with Contender(PresetReader, name, cores=1) as reader:
                try:
                    reader.ready()
                except RunError as error:
                    notes.append(f"{name} is skipped: {error}")
                    continue
                row, others = _row(name, reader, peer, path, turns)
            rows.append(row | {"times_real_time": seconds / row["seconds"].median})
            beats += others
        if peer and beats:
            slow = spread(beats)
            row = {"reader": PEER, "reads": "beats", "seconds": slow, "first_seconds": first}
            row |= {"startup_seconds": peer.ready(), "times_real_time": seconds / slow.median}
            rows.append(row)
    if all(row["reader"] == PEER for row in rows):
        raise RunError(f"Expected a preset that can be loaded. Received: none.\n{notes[-1]}")
    title = (
        f"Audio file to answer: {seconds / 60:.1f} minutes of {path.suffix.removeprefix('.')}, "
        "one core, medians (quartiles); start-up is Python, imports and the preset's files"
    )
    return Report("predict", describe(), [Table(title, COLUMNS, rows)], notes=notes)


def _row(
    name: str, reader: Contender, peer: Contender | None, path: Path, turns: int
) -> tuple[dict[str, Any], list[float]]:
    """One row, and the seconds of the peer where it took turns with a preset for beats."""
    first, kinds = reader.ask("answer", str(path))
    work = {"ours": partial(reader.ask, "answer", str(path))}
    if peer is not None and "beats" in kinds:
        work["theirs"] = partial(peer.ask, "answer", str(path))
    found = in_turns(work, turns)
    times = {side: [taken for taken, _ in answers] for side, answers in found.items()}
    row = {
        "reader": name,
        "reads": next((kind for kind in ("tags", "chords", "beats") if kind in kinds), None),
        "seconds": spread(times["ours"]),
        "startup_seconds": reader.ready(),
        "first_seconds": first,
        "ratio": ratios(times["ours"], times["theirs"]) if "theirs" in times else None,
    }
    return row, times.get("theirs", [])
