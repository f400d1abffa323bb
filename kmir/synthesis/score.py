"""A piece on paper: everything the renderer needs, and everything that is known of the piece."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kmir.synthesis.harmony import NAMES, Chord
from kmir.synthesis.styles import Style

# Depth in semitones either way: wider than a singer's, to show in a mel spectrogram.
VIBRATO_DEPTH = 0.7
# Seconds from the onset over which the vibrato grows, so that the attack is in tune.
VIBRATO_RAMP = 0.08
# A slide reaches the note from this many semitones below, in this many seconds.
SLIDE_DEPTH, SLIDE_SECONDS = 5.0, 0.25


@dataclass(frozen=True)
class Plan:
    """What is decided before a note is written; the tags follow from it.

    Args:
        style: Metre and patterns.
        tempo: Beats per minute.
        tonic: Pitch class of the key.
        mode: ``"maj"`` or ``"min"``.
        chords: The progression, repeated to the end.
        chord_beats: Beats that a chord lasts.
        texture: What the accompaniment does, one of the composer's `TEXTURES`.
        accompaniment: Instrument of the accompaniment.
        lead: Instrument of the melody.
        bass: Instrument of the bass.
        drums: Whether there are drums.
        intro: Whether the drums play the first bar alone.
        vibrato: Rate of the melody's vibrato in Hz, 0 for none.
        slide: Whether each note of the melody is reached by a slide.
        tremolo: Rate of the accompaniment's tremolo in Hz, 0 for none.
        colour: Gains of the recording in dB, at frequencies evenly spaced on the mel scale.
    """

    style: Style
    tempo: float
    tonic: int
    mode: str
    chords: tuple[Chord, ...]
    chord_beats: int
    texture: str
    accompaniment: str
    lead: str
    bass: str
    drums: bool
    intro: bool
    vibrato: float
    slide: bool
    tremolo: float
    colour: tuple[float, ...]

    @property
    def key(self) -> str:
        """The key as a label: ``"C:maj"``, ``"A:min"``."""
        return f"{NAMES[self.tonic]}:{self.mode}"

    @property
    def beat(self) -> float:
        """Seconds from one beat to the next."""
        return 60.0 / self.tempo


@dataclass(frozen=True)
class Note:
    """A note: onset and offset in seconds, MIDI pitch, MIDI velocity."""

    onset: float
    offset: float
    pitch: int
    velocity: int


@dataclass(frozen=True)
class Part:
    """The notes of one instrument.

    Args:
        instrument: Name of the timbre.
        notes: Sorted by onset.
        vibrato: Rate in Hz, 0 for none.
        slide: Whether each note is reached by a slide.
        tremolo: Rate in Hz, 0 for none.
    """

    instrument: str
    notes: tuple[Note, ...]
    vibrato: float = 0.0
    slide: bool = False
    tremolo: float = 0.0

    @property
    def bends(self) -> bool:
        """Whether a note has another frequency than its pitch at any time."""
        return bool(self.vibrato) or self.slide

    def frequency(self, pitch: int, since_onset: np.ndarray) -> np.ndarray:
        """Fundamental frequency of a note; the truth and the sound both come from here.

        Args:
            pitch: MIDI pitch.
            since_onset: ``(n,)`` seconds since the onset.

        Returns:
            ``(n,)`` Hz.
        """
        semitones = np.full(len(since_onset), pitch - 69.0)
        if self.vibrato:
            depth = VIBRATO_DEPTH * np.clip(since_onset / VIBRATO_RAMP, 0.0, 1.0)
            semitones += depth * np.sin(2 * np.pi * self.vibrato * since_onset)
        if self.slide:
            semitones -= SLIDE_DEPTH * np.clip(1.0 - since_onset / SLIDE_SECONDS, 0.0, 1.0)
        return 440.0 * 2.0 ** (semitones / 12)


@dataclass(frozen=True)
class Hit:
    """A stroke on a drum: seconds, name of the drum, MIDI velocity."""

    time: float
    drum: str
    velocity: int


@dataclass(frozen=True)
class Score:
    """A whole piece.

    Args:
        plan: What was decided for it.
        seconds: Duration, with the silence before and after the music.
        beats: Seconds of each beat.
        positions: Place of each beat in its bar, 1 for the downbeat.
        chords: Start and end in seconds and Harte label; they tile the piece.
        melody: The leading voice, one note at a time.
        accompaniment: The chords.
        bass: The bass, one note at a time.
        hits: Strokes of the drums, by time.
    """

    plan: Plan
    seconds: float
    beats: tuple[float, ...]
    positions: tuple[int, ...]
    chords: tuple[tuple[float, float, str], ...]
    melody: Part
    accompaniment: Part
    bass: Part
    hits: tuple[Hit, ...]

    @property
    def parts(self) -> tuple[Part, Part, Part]:
        """Melody, accompaniment and bass."""
        return self.melody, self.accompaniment, self.bass
