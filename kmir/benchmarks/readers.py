"""What reads a recording: a preset, or librosa; each for a `kmir.benchmarks.contender.Contender`.

Nothing is imported before it is needed: what imports take belongs to the start-up that is measured.
"""

from __future__ import annotations

import time


class PresetReader:
    """A preset that is loaded, and reads a file as often as it is asked.

    Args:
        preset: Its name.
    """

    def __init__(self, preset: str) -> None:
        from kmir.presets import from_preset

        self._preset = from_preset(preset)

    def answer(self, path: str) -> tuple[float, list[str]]:
        """Seconds from audio file to annotations, and which kinds of them there are."""
        began = time.perf_counter()
        annotations = self._preset.predict(path)
        return time.perf_counter() - began, list(annotations.known)


class LibrosaBeats:
    """librosa's beat tracker (D. Ellis, 2007), at its defaults."""

    def __init__(self) -> None:
        import librosa.beat  # noqa: F401  # loads what `librosa` itself loads late

    def answer(self, path: str) -> tuple[float, list[str]]:
        """Seconds from audio file to the times of beats."""
        import librosa

        began = time.perf_counter()
        samples, rate = librosa.load(path)
        librosa.beat.beat_track(y=samples, sr=rate, units="time")
        return time.perf_counter() - began, ["beats"]
