"""Chords in Harte syntax, scales, and the progressions that the composer chooses from."""

from __future__ import annotations

from dataclasses import dataclass

NAMES = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
QUALITIES = {
    "maj": (0, 4, 7),
    "min": (0, 3, 7),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "min7": (0, 3, 7, 10),
}
DEGREES = {"1": 0, "b3": 3, "3": 4, "5": 7}
SCALES = {"maj": (0, 2, 4, 5, 7, 9, 11), "min": (0, 2, 3, 5, 7, 8, 10)}

# Written in C and transposed to the key of the piece.
PROGRESSIONS = {
    "maj": (
        "C:maj G:maj A:min F:maj",
        "C:maj A:min F:maj G:7",
        "C:maj F:maj C:maj G:maj",
        "C:maj G:maj/3 A:min F:maj",
        "D:min7 G:7 C:maj7 A:min7",
    ),
    "min": (
        "C:min Ab:maj Eb:maj Bb:maj",
        "C:min F:min G:7 C:min",
        "C:min Bb:maj Ab:maj G:maj",
        "C:min Eb:maj/3 F:min G:7",
        "C:min7 F:min7 Bb:7 Eb:maj7",
    ),
}


@dataclass(frozen=True)
class Chord:
    """A chord by its root, quality and bass.

    Args:
        root: Pitch class, 0 = C.
        quality: One of `QUALITIES`.
        degree: Which degree of the chord the bass plays, one of `DEGREES`.
    """

    root: int
    quality: str
    degree: str = "1"

    @property
    def label(self) -> str:
        """The chord in Harte syntax: ``"C:maj"``, ``"G:maj/3"``."""
        inversion = "" if self.degree == "1" else f"/{self.degree}"
        return f"{NAMES[self.root]}:{self.quality}{inversion}"

    @property
    def pitch_classes(self) -> tuple[int, ...]:
        """Pitch classes of the chord tones, from the root up."""
        return tuple((self.root + step) % 12 for step in QUALITIES[self.quality])

    @property
    def bass(self) -> int:
        """Pitch class of the bass."""
        return (self.root + DEGREES[self.degree]) % 12


def progression(text: str, tonic: int) -> tuple[Chord, ...]:
    """Chords of a progression written in C, transposed.

    Args:
        text: Chords in Harte syntax with spaces between, as in `PROGRESSIONS`.
        tonic: Pitch class of the key to transpose to.
    """
    chords = []
    for label in text.split():
        name, _, rest = label.partition(":")
        quality, _, degree = rest.partition("/")
        chords.append(Chord((NAMES.index(name) + tonic) % 12, quality, degree or "1"))
    return tuple(chords)


def voicing(pitch_classes: tuple[int, ...], lowest: int) -> tuple[int, ...]:
    """MIDI pitches of some pitch classes in the octave from `lowest`, ascending."""
    return tuple(sorted(lowest + (pc - lowest) % 12 for pc in pitch_classes))


def scale(tonic: int, mode: str, lowest: int, highest: int) -> tuple[int, ...]:
    """MIDI pitches of a scale from `lowest` to `highest`, both included.

    Args:
        tonic: Pitch class of the key.
        mode: ``"maj"`` or ``"min"`` (natural).
        lowest: First MIDI pitch that may occur.
        highest: Last MIDI pitch that may occur.
    """
    steps = {(tonic + step) % 12 for step in SCALES[mode]}
    return tuple(pitch for pitch in range(lowest, highest + 1) if pitch % 12 in steps)
