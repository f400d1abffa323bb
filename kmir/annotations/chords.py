"""Chord labels in Harte's syntax and the vocabularies that models learn.

Harte et al., "Symbolic representation of musical chords", ISMIR 2005; mir_eval reads the syntax.
Pitch classes count semitones from C = 0. Two vocabularies, for `vocabulary`:

- ``"majmin"``, 25 classes: 12 major, 12 minor, and N for no chord. A chord belongs to one if the
  lower eight semitones over its root are those of the triad, as in mir_eval's score; but for a bass
  from outside of the chord (C:maj/2), which mir_eval counts among its notes, and this does not.
- ``"large"``, 170 classes: 14 qualities on 12 roots, N, and X for other chords (B. McFee, J. Bello,
  "Structured training for large-vocabulary chord recognition", ISMIR 2017).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import mir_eval.chord
import numpy as np

from kmir.errors import AnnotationError, UsageError

ROOTS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
NO_CHORD, UNKNOWN = "N", "X"
QUALITIES = {
    "majmin": ("maj", "min"),
    "large": (
        *("maj", "min", "dim", "aug", "min6", "maj6", "min7"),
        *("minmaj7", "maj7", "7", "dim7", "hdim7", "sus2", "sus4"),
    ),
}


@dataclass(frozen=True)
class Chord:
    """What a label says, in pitch classes.

    Args:
        root: Pitch class of the root, 0–11; None for no chord.
        bass: Pitch class of the lowest note; None for no chord.
        intervals: 12 of 0 and 1: which semitones over the root the quality asks for; a bass that
            is none of them is left out here, so that C:maj/2 is a major chord.
    """

    root: int | None
    bass: int | None
    intervals: tuple[int, ...]

    @property
    def pitch_classes(self) -> np.ndarray:
        """``(12,)`` float32 of 0 and 1, from C: what sounds, bass included."""
        sounding = np.roll(np.array(self.intervals, np.float32), self.root or 0)
        if self.bass is not None:
            sounding[self.bass] = 1
        return sounding


@cache
def parse(label: str) -> Chord | None:
    """What a label says; None for ``X``, a chord that nobody could name.

    Raises:
        AnnotationError: If the label is not in Harte's syntax.
    """
    if label == UNKNOWN:
        return None
    try:
        root, sounding, bass = mir_eval.chord.encode(label)
        _, without_bass, _ = mir_eval.chord.encode(label.partition("/")[0])
    except (mir_eval.chord.InvalidChordException, ValueError, KeyError):
        raise AnnotationError(
            f"Expected a chord in Harte's syntax, such as A:min7/b3 or N. Received: '{label}'."
        ) from None
    if root < 0:
        return Chord(None, None, (0,) * 12)
    # Of both: the second lacks a bass from outside, the first a root that was left out, (*1).
    intervals = np.minimum(sounding, without_bass)
    return Chord(int(root), int(root + bass) % 12, tuple(int(i) for i in intervals))


def transposed(label: str, semitones: int) -> str:
    """The label some semitones higher; quality and bass degree stay as they were written.

    Example:
        >>> transposed("Bb:min7/b3", 3)
        'C#:min7/b3'
    """
    chord = parse(label)
    if chord is None or chord.root is None or semitones % 12 == 0:
        return label
    accidentals = 1 + len(label[1:]) - len(label[1:].lstrip("#b"))
    return ROOTS[(chord.root + semitones) % 12] + label[accidentals:]


@dataclass(frozen=True)
class Vocabulary:
    """Chord classes: quality after quality, twelve roots each from C, then N, then X if it is one.

    Args:
        name: ``"majmin"`` or ``"large"``.
        qualities: In the order of the classes.
        labels: Of all classes.
    """

    name: str
    qualities: tuple[str, ...]
    labels: tuple[str, ...]

    def index(self, label: str) -> int:
        """Class of a chord, or -1 if it can't be said in this vocabulary.

        In ``"large"``, chords of a quality outside of the vocabulary are class X. The label ``X``,
        which says that nobody could tell, is no class anywhere.

        Raises:
            AnnotationError: If the label is not in Harte's syntax.
        """
        return _index(self.name, label)

    def transposition(self, semitones: int) -> np.ndarray:
        """``(classes,)``: the class that each becomes some semitones higher."""
        pitched = len(self.qualities) * 12
        moved = np.arange(len(self.labels))
        quality, root = np.divmod(moved[:pitched], 12)
        moved[:pitched] = quality * 12 + (root + semitones) % 12
        return moved


@cache
def vocabulary(name: str) -> Vocabulary:
    """The vocabulary of that name.

    Raises:
        UsageError: If there is none.
    """
    if name not in QUALITIES:
        raise UsageError(f"Expected a vocabulary of {list(QUALITIES)}. Received: '{name}'.")
    pitched = [f"{root}:{quality}" for quality in QUALITIES[name] for root in ROOTS]
    others = [NO_CHORD] if name == "majmin" else [NO_CHORD, UNKNOWN]
    return Vocabulary(name, QUALITIES[name], (*pitched, *others))


@cache
def _index(name: str, label: str) -> int:
    words, chord = vocabulary(name), parse(label)
    outside = words.labels.index(UNKNOWN) if UNKNOWN in words.labels else -1
    if chord is None:
        return -1
    if chord.root is None:
        return words.labels.index(NO_CHORD)
    quality = _quality(name, chord.intervals)
    return outside if quality is None else 12 * quality + chord.root


def _quality(name: str, intervals: tuple[int, ...]) -> int | None:
    """Which of a vocabulary's qualities has these semitones over the root."""
    # A sixth or seventh leaves a triad what it is.
    compared = slice(8) if name == "majmin" else slice(12)
    for index, quality in enumerate(QUALITIES[name]):
        if tuple(mir_eval.chord.quality_to_bitmap(quality))[compared] == intervals[compared]:
            return index
    return None


def indices(words: Vocabulary, labels: Iterable[str]) -> np.ndarray:
    """``(n,)`` classes of many chords, -1 where a chord can't be said."""
    return np.array([words.index(label) for label in labels], int)
