"""Where the time of extraction goes, format by format: decoding, which both need, and the rest."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from kmir.benchmarks.contender import Contender
from kmir.benchmarks.report import Table
from kmir.benchmarks.timing import in_turns, ratios, spread

WARM, TURNS = 2, 9
FRAMES = 2**16  # decoded at once: they stay near the processor
COLUMNS = {
    "format": "format",
    "decoding": "decoding alone",
    "kmir": "kmir, file to log-mel",
    "librosa": "librosa, file to log-mel",
    "ratio": "librosa / kmir",
    "decoding_percent": "decoding, % of kmir's",
}


class FileStages:
    """Ways through one file, for a `Contender`; each gives the seconds that it took."""

    def decoding(self, path: str) -> float:
        """Samples as they stand in the file, by libsndfile."""
        import numpy as np
        import soundfile

        began = time.perf_counter()
        with soundfile.SoundFile(path) as sound:
            taken = np.empty((FRAMES, sound.channels), np.float32)
            while len(sound.read(FRAMES, dtype="float32", always_2d=True, out=taken)):
                pass
        return time.perf_counter() - began

    def kmir(self, path: str) -> float:
        """As extraction does it."""
        from kmir.features.log_mel import LogMel

        began = time.perf_counter()
        LogMel().from_file(path, "float16")
        return time.perf_counter() - began

    def librosa(self, path: str) -> float:
        """As the loop does it."""
        from kmir.benchmarks.librosa_loop import log_mel
        from kmir.features.log_mel import LogMel

        f = LogMel()
        began = time.perf_counter()
        log_mel(Path(path), f.sample_rate, f.n_fft, f.hop_length, f.n_mels)
        return time.perf_counter() - began


def by_format(files: Sequence[Path], *, with_librosa: bool) -> Table:
    """A row for each format, measured on its first file, on one core.

    Args:
        files: Recordings, of one format or several.
        with_librosa: Whether librosa is installed.
    """
    ways = ["decoding", "kmir", *(["librosa"] if with_librosa else [])]
    firsts = {file.suffix.lower().removeprefix("."): file for file in reversed(files)}
    rows = []
    with Contender(FileStages, cores=1) as stages:
        for name, file in sorted(firsts.items()):
            work = {way: partial(stages.ask, way, str(file)) for way in ways}
            in_turns(work, WARM)
            times = in_turns(work, TURNS)
            row: dict[str, Any] = {
                way: spread([1e3 * taken for taken in every]) for way, every in times.items()
            }
            row["decoding_percent"] = 100 * ratios(times["decoding"], times["kmir"]).median
            if with_librosa:
                row["ratio"] = ratios(times["librosa"], times["kmir"])
            rows.append({"format": name} | row)
    title = "Where the time goes: one file of each format, milliseconds on one core"
    return Table(title, COLUMNS, rows)
