"""A preset and audio to annotations: ``python -m kmir.predict PRESET song.mp3 folder/``."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from kmir import command
from kmir.annotations import Annotations
from kmir.annotations.files import FORMATS, SUFFIXES
from kmir.annotations.recording import Recording
from kmir.errors import KmirError, UsageError
from kmir.features.audio import duration, find_audio
from kmir.features.beat_synchronous import BeatSynchronous
from kmir.features.decoding import opened
from kmir.presets import Preset, from_preset, list_presets
from kmir.synthesis.click import write_clicked

NAMES = tuple(dict.fromkeys(name for formats in FORMATS.values() for name in formats))
TOP = 5  # tags in a table


def gather(sources: Iterable[Path]) -> dict[Path, Path]:
    """Audio files to read, each with its path below the source that it came from.

    Where two sources hold a file of the same path, both get the name of their folder before it.

    Args:
        sources: Files, and folders that are searched for audio.

    Raises:
        UsageError: If a source does not exist or a folder holds no audio.
    """
    found: dict[Path, list[Path]] = {}
    for source in sources:
        if not source.exists():
            raise UsageError(f"Expected an audio file or folder. Received: {source}, no such file.")
        files = find_audio(source) if source.is_dir() else [source]
        if not files:
            raise UsageError(f"Expected a folder with audio. Received: {source}, which has none.")
        found.setdefault(source if source.is_dir() else source.parent, []).extend(files)
    stems = {base: {f.relative_to(base).with_suffix("") for f in found[base]} for base in found}
    count = Counter(stem for names in stems.values() for stem in names)
    return {
        path: Path(base.resolve().name if count[below.with_suffix("")] > 1 else "", below)
        for base, files in found.items()
        for path, below in ((path, path.relative_to(base)) for path in files)
    }


def predict(
    preset: Preset, paths: Iterable[Path], failed: dict[Path, str]
) -> Iterator[tuple[Path, Annotations]]:
    """Annotations of many files; what can't be read is left out.

    Args:
        preset: What reads them.
        paths: Audio files; long ones are read in blocks.
        failed: Is given the reason for each file that could not be read.
    """

    def features() -> Iterator[tuple[Path, list[np.ndarray]]]:
        for path in paths:
            try:
                yield path, preset.parts(path)
            except KmirError as error:
                failed[path] = str(error)
            except Exception as error:  # one bad file must not stop a thousand good ones
                failed[path] = f"{path}: {type(error).__name__}: {error}"

    yield from preset.annotate(features())


def reads(preset: Preset) -> str:
    """Which kind of annotation, of those in `FORMATS`, a preset reads.

    A moment in which the model says nothing is enough to know, before any audio is read.

    Raises:
        UsageError: If it reads nothing that can be written, or no audio by itself.
    """
    if isinstance(preset.feature, BeatSynchronous):
        raise UsageError(
            f"Expected a preset that reads audio. Received: {preset.name}, which reads what sounds "
            "between beats that are known. Take a preset for beats, which asks it: beat_tcn_pop909."
        )
    silent = {
        name: np.zeros((1, output.size) if output.level == "frame" else output.size, np.float32)
        for name, output in preset.task.outputs().items()
    }
    known = preset.task.decode(silent, np.zeros(1)).known
    for kind in FORMATS:
        if kind in known:
            return kind
    raise UsageError(
        f"Expected a preset that reads {' or '.join(FORMATS)}. Received: {preset.name}, which "
        f"reads {', '.join(known) or 'nothing'}. Use it from Python."
    )


def main(argv: list[str]) -> int:
    """Run the command; exit code 1 if some file could not be read."""
    parser = argparse.ArgumentParser(prog="kmir predict", description="Annotate audio files.")
    parser.add_argument("preset", nargs="?", help="name of a preset, or folder of a preset or run")
    parser.add_argument("audio", nargs="*", type=Path, help="files and folders")
    parser.add_argument("--format", choices=NAMES, default="table", help="default: %(default)s")
    parser.add_argument("--out", type=Path, help="folder for a file each; default: the terminal")
    parser.add_argument(
        "--click", action="store_true", help="write the audio with clicks on its beats, too"
    )
    parser.add_argument(
        "--top", type=int, help=f"tags of each; default: {TOP} in a table, else all"
    )
    parser.add_argument("--list", action="store_true", help="list the presets that come with kmir")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    args = parser.parse_args(argv)
    if args.list:
        for info in list_presets():
            print(f"{info.name}\n  {info.task}, {info.data}; {info.licence}\n  {info.score}")
        return 0
    if not args.preset or not args.audio:
        parser.error("Expected a preset and audio: kmir predict PRESET song.mp3 folder/")
    if args.top is not None and args.top < 1:
        parser.error(f"Expected --top of 1 or more. Received: {args.top}.")
    taken = (".txt", ".wav", *(f".{name}" for name in NAMES))
    if args.out and (args.out.is_file() or args.out.suffix in taken):
        parser.error(f"Expected a folder for --out. Received: {args.out}; for one file: > FILE")
    files = gather(args.audio)
    suffix = SUFFIXES.get(args.format, f".{args.format}")
    targets = _targets(files, suffix) if args.out else {}
    clicks = _click_targets(files, args.out) if args.click else {}
    preset = from_preset(args.preset)
    kind = reads(preset)
    _check_fit(preset, kind, args.format, top=args.top, click=args.click)
    form = FORMATS[kind][args.format]
    if form.single and not args.out and len(files) > 1:
        raise UsageError(
            f"Expected --out FOLDER, for {args.format} holds one recording a file. "
            f"Received: none, for {len(files)} recordings."
        )
    top = args.top or (TOP if args.format == "table" else None)
    failed: dict[Path, str] = {}
    predictions = tqdm(
        predict(preset, files, failed),
        total=len(files),
        desc="predict",
        unit="file",
        disable=True if args.quiet else None,
    )
    if args.out:
        for path, annotations in predictions:
            target = args.out / targets[path]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(form.write([_recording(path, annotations, top)]), "utf-8")
            if args.click and annotations.beats is not None:
                try:
                    with opened(path) as sound:
                        write_clicked(sound, annotations.beats, args.out / clicks[path])
                except KmirError as error:
                    failed[path] = str(error)
        print(args.out)
    else:
        found = [_recording(path, annotations, top) for path, annotations in predictions]
        print(form.write(found) if found or not form.single else "", end="")
    for reason in failed.values():
        print(f"kmir: error: {reason}", file=sys.stderr)
    return 1 if failed else 0


def _check_fit(preset: Preset, kind: str, form: str, *, top: int | None, click: bool) -> None:
    """Refuse a format, a number of tags or clicks that don't suit what a preset reads."""
    if form not in FORMATS[kind]:
        raise UsageError(
            f"Expected --format as one of {', '.join(FORMATS[kind])} for the {kind} that "
            f"{preset.name} reads. Received: {form}."
        )
    if top is not None and kind != "tags":
        raise UsageError(
            f"Expected --top with a preset that reads tags. Received: {preset.name}, which reads "
            f"{kind}. Leave it out."
        )
    if click and kind != "beats":
        raise UsageError(
            f"Expected --click with a preset that reads beats. Received: {preset.name}, which "
            f"reads {kind}. Leave it out."
        )


def _recording(path: Path, annotations: Annotations, top: int | None) -> Recording:
    if top is not None and annotations.tags is not None:
        annotations = replace(annotations, tags=annotations.tags.top(top))
    return Recording(str(path), annotations, partial(duration, path))


def _targets(files: dict[Path, Path], ending: str) -> dict[Path, Path]:
    """Where what is written of each file goes: its name with another ending.

    It is ``song.csv``, or ``song.mp3.csv`` where two would clash.
    """
    short = [below.with_name(below.stem + ending) for below in files.values()]
    targets = {
        path: brief if short.count(brief) == 1 else below.with_name(below.name + ending)
        for (path, below), brief in zip(files.items(), short, strict=True)
    }
    for target, times in Counter(targets.values()).items():
        if times > 1:
            raise UsageError(
                f"Expected audio with names of its own for --out. Received: {times} files for "
                f"{target}. Give folders of different names, or one at a time."
            )
    return targets


def _click_targets(files: dict[Path, Path], out: Path | None) -> dict[Path, Path]:
    """Where the audio with clicks goes: ``song_click.wav``."""
    if out is None:
        raise UsageError("Expected --out FOLDER with --click, for the audio. Received: none.")
    targets = _targets(files, "_click.wav")
    sources = {path.resolve() for path in files}
    if lost := [target for target in targets.values() if (out / target).resolve() in sources]:
        raise UsageError(
            f"Expected recordings that --click does not overwrite. Received: {out / lost[0]}. "
            "Choose another folder for --out, or remove it."
        )
    return targets


if __name__ == "__main__":
    sys.exit(command.run(main))
