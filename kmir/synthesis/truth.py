"""What is known of a piece, read from its score: exact, and cheap as nothing is rendered."""

from __future__ import annotations

import numpy as np

from kmir.annotations import Annotations, Beats, Notes, Pitch, Segments, Tags
from kmir.synthesis.score import Score
from kmir.synthesis.styles import FAST_TEMPO

# The sound of a moment tells the first; the second happen in time.
TIMBRE_TAGS = ("organ", "piano", "strings", "guitar", "flute", "brass", "drums")
TIME_TAGS = (
    "rock", "techno", "waltz", "ballad", "fast", "rising arpeggio", "falling arpeggio",
    "staccato", "tremolo", "vibrato", "slide",
)  # fmt: skip
TAGS: tuple[str, ...] = TIMBRE_TAGS + TIME_TAGS

# Seconds from one value of the melody's pitch to the next.
MELODY_HOP = 0.01


def tags(score: Score) -> Tags:
    """The words of `TAGS` that hold for a piece, in their order.

    Instruments count where they play at least a note; how it is played follows from the plan.
    """
    plan = score.plan
    true = {part.instrument for part in score.parts if part.notes}
    true |= {plan.style.name, plan.texture}
    true |= {"drums"} if score.hits else set()
    true |= {"fast"} if plan.tempo >= FAST_TEMPO else set()
    true |= {"vibrato"} if plan.vibrato else set()
    true |= {"slide"} if plan.slide else set()
    return Tags(tuple(tag for tag in TAGS if tag in true))


def melody_pitch(score: Score) -> Pitch:
    """Frequency of the melody with its bends, every `MELODY_HOP` seconds, 0 in rests."""
    times = np.arange(int(np.ceil(score.seconds / MELODY_HOP - 1e-9))) * MELODY_HOP
    frequencies = np.zeros(len(times))
    for note in score.melody.notes:
        first, last = np.searchsorted(times, (note.onset, note.offset))
        since_onset = times[first:last] - note.onset
        frequencies[first:last] = score.melody.frequency(note.pitch, since_onset)
    return Pitch(times, frequencies)


def annotate(score: Score) -> Annotations:
    """Everything that is known of a piece.

    Args:
        score: The piece.

    Returns:
        Annotations with every field: tags; chords that tile the piece, ``N`` where nothing
        harmonic sounds; one key segment for the piece; beats with positions; tempo; melody every
        `MELODY_HOP` seconds; the notes of melody, accompaniment and bass by onset.
    """
    notes = sorted(
        (note for part in score.parts for note in part.notes),
        key=lambda note: (note.onset, note.pitch, note.offset),
    )
    return Annotations(
        tags=tags(score),
        chords=Segments(
            np.array([(start, end) for start, end, _ in score.chords]),
            tuple(label for *_, label in score.chords),
        ),
        key=Segments(np.array([(0.0, score.seconds)]), (score.plan.key,)),
        beats=Beats(np.array(score.beats), np.array(score.positions)),
        tempo=score.plan.tempo,
        melody=melody_pitch(score),
        notes=Notes(
            np.array([(note.onset, note.offset) for note in notes]),
            np.array([note.pitch for note in notes]),
            np.array([note.velocity for note in notes]),
        ),
    )
