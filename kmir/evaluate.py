"""A preset and records to scores: ``python -m kmir.evaluate PRESET --data RECORDS``."""

from __future__ import annotations

import argparse
import csv
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from kmir import command
from kmir.annotations import Annotations
from kmir.config import override, split_flags
from kmir.errors import RecordError, UsageError, nearest
from kmir.extract import records_for
from kmir.presets import Preset, from_preset, with_companion
from kmir.records.read import Records
from kmir.scoring import Score


def evaluate(
    preset: Preset, records: Records, split: str, out: Path, *, quiet: bool = False
) -> list[Score]:
    """Score a preset on a split of records, track by track.

    Args:
        preset: What to score.
        records: Of the feature that the preset was trained on.
        split: ``"train"``, ``"validation"``, ``"test"`` or ``"all"``.
        out: ``scores.csv`` to write: a row a track, then ``mean`` with the scores over all
            tracks; a table per label goes beside it (``scores_per_label.csv``).
        quiet: No progress bar.

    Returns:
        Scores over all tracks.

    Raises:
        RecordError: If the records are of another feature or lack the split.
    """
    preset = fitting(preset, records)
    check_labels(preset, records)
    names = records.manifest.splits if split == "all" else [records.checked(split)]
    total = sum(records.manifest.splits[name].tracks for name in names)
    references: list[Annotations] = []
    estimates: list[Annotations] = []
    rows: list[dict[str, Any]] = []
    drawn: list[np.ndarray] = []  # features of the first track

    def features() -> Iterable[tuple[tuple[str, Annotations], Any]]:
        for track, frames, annotations in records.tracks(split):
            first, *_ = records.feature.parts(frames)
            if not drawn:
                drawn.append(first)
            yield (track, annotations), frames if preset.companion else first

    bar = tqdm(total=total, desc=f"evaluate {split}", unit="track", disable=True if quiet else None)
    with bar:
        for (track, reference), estimate in preset.annotate(features()):
            references.append(reference)
            estimates.append(estimate)
            rows.append({"track": track} | preset.task.score(reference, estimate))
            bar.update()
    scores, per_label = preset.task.summarise(references, estimates)
    if missing := undefined(per_label):
        print(f"every track or none has: {', '.join(missing)} (no areas)", file=sys.stderr)
    rows.append({"track": "mean"} | {score.name: score.value for score in scores})
    _write(out, rows)
    _write(out.with_name(f"{out.stem}_per_label.csv"), per_label)
    preset.task.draw(out, references, estimates, drawn[0], preset.feature)
    return list(scores)


def undefined(per_label: Sequence[Mapping[str, Any]]) -> list[str]:
    """Labels that have no score, by their name in the first column."""
    return [
        str(next(iter(row.values())))
        for row in per_label
        if any(isinstance(value, float) and math.isnan(value) for value in row.values())
    ]


def redecoded(task: Any, settings: Mapping[str, str]) -> Any:
    """Settings of a preset's task, some of them replaced.

    Raises:
        UsageError: If one says what the model has learned, and not how its outputs are decoded.
    """
    for name in settings:
        if name not in task.decoding:
            raise UsageError(
                f"Expected a setting of how {task.name} decodes. Received: --task.{name}. "
                f"{nearest(name, task.decoding)}"
            )
    return override(task.config, settings, "task")


def fitting(preset: Preset, records: Records) -> Preset:
    """The preset as records can be read: without its companion, where they hold nothing for it.

    Raises:
        RecordError: If records don't hold what the preset reads; the differing fields are named.
    """
    if preset.front_end.fingerprint == records.feature.fingerprint:
        return preset
    first, *_ = records.feature.members
    if first.fingerprint == preset.feature.fingerprint:
        if preset.companion:
            nothing = f"{records.root} holds nothing for {preset.companion.name}"
            print(f"{nothing}: {preset.name} goes without", file=sys.stderr)
        return replace(preset, companion=None)
    wanted, found = preset.feature.config, first.config
    different = [key for key in wanted | found if wanted.get(key) != found.get(key)]
    wants = ", ".join(f"{key}={wanted.get(key)}" for key in different)
    has = ", ".join(f"{key}={found.get(key)}" for key in different)
    raise RecordError(
        f"Expected records with the feature of {preset.name}: {wants}. Received: {has} "
        f"(from {records.root}). Extract the data with that feature."
    )


def check_labels(preset: Preset, records: Records) -> None:
    """Check that records and a preset speak of the same labels; name those it does not know.

    Raises:
        RecordError: If they have no label in common.
    """
    labels = set(preset.task.labels_of(records.spec, preset.task.config))
    unknown = sorted(labels - set(preset.labels))
    if len(unknown) == len(labels):
        raise RecordError(
            f"Expected records with labels of {preset.name}: {', '.join(preset.labels[:9])} …. "
            f"Received: {', '.join(unknown[:9])} (from {records.root})."
        )
    if unknown:
        names = ", ".join(unknown)
        print(f"not known to {preset.name}, left out of the scores: {names}", file=sys.stderr)


def table(scores: Sequence[Score], title: str) -> str:
    """Scores with their 95 % intervals beside chance, as lines for the terminal."""
    lines = [f"{title:20} {'score':>7}   {'95 % interval':15}  {'chance':>6}"]
    for s in scores:
        chance = "" if s.chance is None else f"{s.chance:6.3f}"
        lines.append(f"{s.name:20} {s.value:7.3f}   [{s.low:.3f}, {s.high:.3f}]  {chance:>6}")
    return "\n".join(lines)


def _write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def main(argv: list[str]) -> int:
    """Run the command."""
    flags, argv = split_flags(argv, "option")
    settings, argv = split_flags(argv, "task")
    parser = argparse.ArgumentParser(
        prog="kmir evaluate",
        description="Score a preset on records, track by track.",
        epilog="--option.NAME=VALUE sets an option of the data set, --task.decoder=none and its "
        "like how the preset decodes.",
    )
    parser.add_argument("preset", help="name of a preset, or folder of a preset or a run")
    parser.add_argument("--data", required=True, help="records folder, or name of a data set")
    parser.add_argument("--root", type=Path, help="folder of the data set")
    parser.add_argument("--split", default="test", help="train, validation, test or all")
    parser.add_argument("--out", type=Path, help="default: scores.csv in the run folder, or here")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    args = parser.parse_args(argv)
    preset = from_preset(args.preset, companion=False)
    preset.task.config = redecoded(preset.task, settings)
    preset = with_companion(preset)
    records = records_for(args.data, args.root, preset.front_end, flags=flags, quiet=args.quiet)
    folder = Path(args.preset)
    name = "scores.csv" if args.split == "test" else f"scores-{args.split}.csv"
    out = args.out or (folder if folder.is_dir() else Path()) / name
    scores = evaluate(preset, records, args.split, out, quiet=args.quiet)
    print(table(scores, f"{args.split} split"))
    print(out)
    return 0


if __name__ == "__main__":
    sys.exit(command.run(main))
