"""Reading and writing the notes of MIDI files.

By ``pretty_midi``, which is an extra: ``pip install kmir[midi]``.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from kmir.errors import AudioError, UsageError

TICKS = 960  # of a beat of half a second: half a millisecond each


def require_pretty_midi() -> Any:
    """The module ``pretty_midi``.

    Raises:
        UsageError: If the library is not installed.
    """
    try:
        import pretty_midi
    except ImportError as error:
        raise UsageError(
            f"Expected the library pretty_midi to arrange MIDI files. Received: {error}. "
            "Install it: pip install kmir[midi]."
        ) from None
    return pretty_midi


def read_midi(path: Path) -> Any:
    """A ``pretty_midi.PrettyMIDI``.

    Raises:
        AudioError: If it is no MIDI file.
        UsageError: If the library is not installed.
    """
    pretty_midi = require_pretty_midi()
    try:
        return pretty_midi.PrettyMIDI(str(path))
    except Exception as error:  # whatever a damaged file makes the reader stumble over
        raise AudioError(
            f"Expected a MIDI file. Received: {path} ({type(error).__name__}: {error}); "
            "fetch it again."
        ) from None


def write_midi(parts: list[Any], path: Path, speed: float = 1.0) -> None:
    """Write instruments of ``pretty_midi``, everything `speed` times as early."""
    import pretty_midi

    piece = pretty_midi.PrettyMIDI(resolution=TICKS)
    for part in copy.deepcopy(parts):
        for note in part.notes:
            note.start, note.end = note.start / speed, note.end / speed
        for event in (*part.control_changes, *part.pitch_bends):
            event.time /= speed
        piece.instruments.append(part)
    piece.write(str(path))
