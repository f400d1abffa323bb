"""Audio and annotations to records: ``python -m kmir.extract DATASET --root DIR --out RECORDS``.

``--runner beam`` has Apache Beam do it, see `kmir.extract_beam`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kmir import command
from kmir.cache import cache_dir
from kmir.config import options, override, split_flags
from kmir.datasets.beat_clock import on_beat_clock
from kmir.datasets.named import read_tracks, reader_of
from kmir.errors import UsageError
from kmir.extract_beam import extract_with_beam
from kmir.features.base import Feature, feature_class
from kmir.features.beat_synchronous import BeatSynchronous
from kmir.lookup import known
from kmir.records.spec import Manifest
from kmir.records.stage import STAGING, Staging
from kmir.records.write import only_records, plan_records, write_records

if TYPE_CHECKING:
    from kmir.records.read import Records


def extract(
    dataset: str,
    root: Path | None,
    out: Path,
    feature: Feature,
    *,
    dataset_options: Mapping[str, Any] | None = None,
    dtype: str = "float16",
    seed: int = 0,
    workers: int | None = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> Manifest:
    """Extract a feature from a data set.

    Args:
        dataset: Name of the data set (``"folder"``), with its part where it has some
            (``"mirdata:beatles"``), or a module of one's own.
        root: Where its files stand; None for data sets that make their own.
        out: Folder of the records.
        feature: What to extract.
        dataset_options: Keyword arguments of the data set's ``tracks``.
        dtype: ``"float16"`` or ``"float32"``.
        seed: Of the split, where the data set publishes none.
        workers: Number of processes; default one a core.
        overwrite: Remove what stands in the folder, once the data set has been read; but go on
            with an unfinished extraction of the same.
        quiet: No progress bar.

    Returns:
        The manifest; tracks that could not be read stand in its ``failed``.

    Raises:
        DatasetError: If the data set is not laid out as expected.
        RecordError: If the folder holds other records, or no track could be read.
        UsageError: If there is no such data set, or it needs a root.
    """
    tracks = on_beat_clock(feature, read_tracks(dataset, root, dataset_options or {}))
    settings: dict[str, Any] = {"dataset": dataset, "dtype": dtype, "seed": seed}
    if overwrite:
        *_, source = plan_records(tracks, feature, **settings)
        if not Staging(out / STAGING, feature, dtype).holds(source):
            _remove_records(out)
    workers = workers or cores()
    return write_records(out, tracks, feature, workers=workers, quiet=quiet, **settings)


def records_for(
    data: str,
    root: Path | None,
    feature: Feature,
    *,
    flags: Mapping[str, str] | None = None,
    quiet: bool = False,
) -> Records:
    """Records by folder, or of a data set by name: then extracted into the cache, once.

    Args:
        data: A records folder, or the name of a data set; its records are kept in the cache under
            a name that changes with the data and the feature.
        root: Where the data set's files stand.
        feature: What to extract where there are no records yet.
        flags: Options of the data set by name, as text: ``{"programs": "random"}``.
        quiet: No progress bar.

    Raises:
        UsageError: If an option is unknown, or there are options for a records folder.
    """
    from kmir.records.read import Records  # TensorFlow: not for every worker, nor for --help

    folder = Path(data)
    if (
        (folder / "manifest.json").exists()
        or "/" in data
        or (folder.exists() and data not in known("data set"))
    ):
        if flags:
            raise UsageError(
                f"Expected a data set by name for --option.{next(iter(flags))}. "
                f"Received: '{data}', whose records are made already. Leave the option out."
            )
        return Records.open(data)
    dataset_options = options(reader_of(data)[0], flags or {}, "option")
    tracks = on_beat_clock(feature, read_tracks(data, root, dataset_options))
    *_, source = plan_records(tracks, feature, dataset=data)
    out = cache_dir() / "records" / f"{data.replace(':', '-')}-{source[:12]}"
    if not (out / "manifest.json").exists():
        report(write_records(out, tracks, feature, dataset=data, workers=cores(), quiet=quiet))
    return Records.open(out)


def cores() -> int:
    """Number of processor cores."""
    return os.cpu_count() or 1


def report(manifest: Manifest) -> None:
    """Name on stderr the tracks that could not be read, each with its reason."""
    if manifest.failed:
        files = "1 file" if len(manifest.failed) == 1 else f"{len(manifest.failed)} files"
        print(f"{files} could not be read:", file=sys.stderr)
        for reason in manifest.failed.values():
            print(f"  {reason}", file=sys.stderr)


def main(argv: list[str]) -> int:
    """Run the command; exit code 1 if some file could not be read."""
    fields, argv = split_flags(argv, "feature")
    flags, argv = split_flags(argv, "option")
    beam_flags, argv = split_flags(argv, "beam")
    parser = argparse.ArgumentParser(
        prog="kmir extract",
        description="Audio and annotations to records. Killed, it goes on with the same command.",
        epilog="--feature.NAME=VALUE sets a field of the feature (--feature.sample_rate=8000), "
        "--option.NAME=VALUE an option of the data set, --beam.NAME=VALUE one of Apache Beam "
        "(--beam.runner=FlinkRunner).",
    )
    parser.add_argument("dataset", help=f"one of {', '.join(known('data set'))}, or a module")
    parser.add_argument("--root", help="folder of the data set; by Beam also gs://…, s3://…")
    parser.add_argument("--out", required=True, help="folder of the records; likewise")
    parser.add_argument("--feature", default="log_mel", help="default: %(default)s")
    parser.add_argument("--dtype", choices=["float16", "float32"], default="float16")
    parser.add_argument("--seed", type=int, default=0, help="of the split, where none is published")
    parser.add_argument("--runner", choices=["local", "beam"], default="local", help="%(default)s")
    parser.add_argument("--workers", type=int, help="processes; default: one a core")
    parser.add_argument("--overwrite", action="store_true", help="replace records in --out")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    args = parser.parse_args(argv)
    if args.workers is not None and args.workers < 1:
        parser.error(f"Expected --workers of 1 or more. Received: {args.workers}.")
    if args.runner == "beam" and args.workers is not None:
        raise UsageError(
            "Expected --workers with --runner local. Received: it with beam. Say "
            f"--beam.direct_num_workers={args.workers} --beam.direct_running_mode=multi_processing."
        )
    if args.runner == "local":
        if beam_flags:
            name = next(iter(beam_flags))
            raise UsageError(f"Expected --beam.{name} with --runner beam. Received: it without.")
        if remote := [place for place in (args.root, args.out) if place and "://" in place]:
            raise UsageError(f"Expected --runner beam for an object store. Received: {remote[0]}.")
    feature = override(feature_class(args.feature)(), fields, "feature")
    dataset_options = options(reader_of(args.dataset)[0], flags, "option")
    settings = {
        "dataset_options": dataset_options,
        "dtype": args.dtype,
        "seed": args.seed,
        "overwrite": args.overwrite,
        "quiet": args.quiet,
    }
    if args.runner == "beam":
        manifest = extract_with_beam(
            args.dataset, args.root, args.out, feature, flags=beam_flags, **settings
        )
    else:
        root = None if args.root is None else Path(args.root)
        manifest = extract(
            args.dataset, root, Path(args.out), feature, workers=args.workers, **settings
        )
    for name, split in manifest.splits.items():
        length = f"{split.frames / feature.frame_rate / 60:9.1f} min"
        if isinstance(feature, BeatSynchronous):
            length = f"{split.frames:9} beats"
        print(f"{name:10} {split.tracks:6} tracks {length} {len(split.shards):4} shards")
    report(manifest)
    print(args.out)
    return 1 if manifest.failed else 0


def _remove_records(out: Path) -> None:
    """Remove records, and nothing else, from a folder."""
    only_records([path.name for path in out.iterdir()] if out.is_dir() else [], out)
    if out.exists():
        shutil.rmtree(out)


if __name__ == "__main__":
    sys.exit(command.run(main))
