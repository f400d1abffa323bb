"""Audio to measure with, made by kmir once and kept in the cache."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from kmir.cache import cache_dir
from kmir.features.audio import resample
from kmir.synthesis import SAMPLE_RATE, VERSION, compose, render

RATE = 44100  # what music is sold at
FORMATS = ("wav", "flac", "mp3")
SEED = 5


def recordings(count: int, seconds: float) -> list[Path]:
    """Stereo recordings at 44.1 kHz, wav, flac and mp3 by turns, each another piece.

    Args:
        count: How many, from 1.
        seconds: Duration of each, from 1.
    """
    return [recording(i, seconds, FORMATS[i % len(FORMATS)]) for i in range(count)]


def recording(index: int, seconds: float, form: str) -> Path:
    """One piece as a stereo recording at 44.1 kHz.

    Args:
        index: Number of the piece.
        seconds: Its duration, from 1.
        form: One of `FORMATS`.
    """
    folder = cache_dir() / "benchmark" / f"{seconds:g}s-v{VERSION}"
    path = folder / f"{index:03d}.{form}"
    if not path.exists():
        left = resample(render(compose(SEED, index, seconds=seconds)), SAMPLE_RATE, RATE)
        # The right channel is a little late, as on a wide stage: equal ones would compress better.
        stereo = np.stack([left, np.roll(left, RATE // 100)], axis=1).clip(-1, 1)
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{path.stem}.{os.getpid()}.{form}")
        try:
            soundfile.write(unfinished, stereo, RATE)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    return path


def linked(folder: Path, files: Sequence[Path], count: int) -> Path:
    """A folder with so many recordings: links to the files, again and again.

    Args:
        folder: Is made, with two sub-folders: a data set of two classes.
        files: At least one.
        count: Of the links, from 2.
    """
    for index in range(count):
        file, inside = files[index % len(files)], folder / ("even", "odd")[index % 2]
        inside.mkdir(parents=True, exist_ok=True)
        (inside / f"{index:05d}{file.suffix.lower()}").symlink_to(file.resolve())
    return folder
