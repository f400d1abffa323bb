"""Drum performances of Groove MIDI: alone, or bar by bar for a band."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kmir.synthesis.midi_file import read_midi, write_midi

# The pitches of Groove's electronic drum kit that General MIDI knows by another number or not at
# all (the data set's page lists them): rims, edges and bows of the same drums and cymbals.
KIT = {22: 42, 26: 46, 40: 38, 52: 57, 55: 49, 58: 43}
EARLY = 0.1  # beats


@dataclass(frozen=True)
class Groove:
    """A drum performance in 4/4.

    Args:
        midi: Its MIDI file; bars begin at 0.
        bpm: Beats per minute of the metronome that it was played to.
    """

    midi: Path
    bpm: float


@dataclass(frozen=True)
class Drummer:
    """Drums alone, as Groove MIDI has them.

    Args:
        speed: Factor of the tempo.
        kit: General MIDI program of the drum kit.
    """

    speed: float = 1.0
    kit: int = 0

    def __call__(self, midi: Path, out: Path) -> None:
        """Write a MIDI file that plays another one in this way."""
        piece = read_midi(midi)
        drums = [part for part in piece.instruments if part.is_drum]
        for part in drums:
            part.program = self.kit
            part.control_changes.clear()  # the pedal of the hi-hat goes on for minutes, unheard
            for note in part.notes:
                note.pitch = KIT.get(note.pitch, note.pitch)
        write_midi(drums, out, self.speed)

    @property
    def fingerprint(self) -> str:
        """Text of all that decides what is played, but for the file that is arranged."""
        return f"drummer {self.speed} {self.kit}"


def bars_of(groove: Groove) -> list[list[tuple[float, int, int]]]:
    """Strokes of each bar: beats after its start, pitch and velocity."""
    beat = 60 / groove.bpm
    strokes = [note for part in read_midi(groove.midi).instruments for note in part.notes]
    # The last bar is often cut off in its middle.
    count = max(1, round(max((note.start for note in strokes), default=0.0) / beat / 4))
    bars: list[list[tuple[float, int, int]]] = [[] for _ in range(count)]
    for note in strokes:
        # A stroke just before a bar belongs to it, as drummers are human.
        number, place = divmod(note.start / beat + EARLY, 4)
        bars[int(number) % count].append(
            (place - EARLY, KIT.get(note.pitch, note.pitch), note.velocity)
        )
    return bars
