"""Arrangements of MIDI files, before they are played: other tempi, other instruments, a band.

A file is stretched in its notes, so that beats stay exact whatever the tempo.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kmir.annotations import Beats, Segments
from kmir.annotations.chords import Chord, parse
from kmir.integrity import sha256
from kmir.synthesis.drummer import Groove, bars_of
from kmir.synthesis.midi_file import read_midi, write_midi

VERSION = 2  # of what `Band` plays: another number, another sound
VOLUME = 7  # the controller
EARLY = 0.1  # beats: a chord that begins so soon after a note is what the note belongs to
# General MIDI, from 0.
RIFF = (0, 0, 0, 0, 3, 5, 7, 10, 12, -5, -2)  # semitones from the chord's note
DISTORTED = (29, 30)  # these play roots and fifths: thirds would growl


@dataclass(frozen=True)
class Band:
    """A song with other instruments, in another tempo, and with a band where one is wanted.

    Args:
        speed: Factor of the tempo.
        programs: Pairs of a part's number in the file and the General MIDI program that plays it.
        muted: Numbers of parts that are not heard.
        seed: Of volumes and rhythms.
        beats: Of the song, in the file's time; the band plays in its bars of four beats.
        chords: Likewise; what bass and rhythm guitar play.
        groove: What the drummer plays, bar by bar and again from the start; None: no drums.
        kit: Of the drummer.
        bass: Program of the bass; None: no bass.
        guitar: Program of the rhythm guitar; None: no guitar.
    """

    speed: float = 1.0
    programs: tuple[tuple[int, int], ...] = ()
    muted: tuple[int, ...] = ()
    seed: int = 0
    beats: Beats | None = None
    chords: Segments | None = None
    groove: Groove | None = None
    kit: int = 0
    bass: int | None = None
    guitar: int | None = None

    def __call__(self, midi: Path, out: Path) -> None:
        """Write a MIDI file that plays another one in this way."""
        song, programs = read_midi(midi), dict(self.programs)
        rng = np.random.default_rng(self.seed)
        parts = []
        for number, part in enumerate(song.instruments):
            part.program = programs.get(number, part.program)
            if number not in self.muted:
                parts.append(part)
        bars = _bars(self.beats)
        if self.beats is not None and len(bars):
            parts = [*parts, *self._joining(parts, bars, self.beats.times, rng)]
        write_midi(parts, out, self.speed)

    @property
    def fingerprint(self) -> str:
        """Hash of all that decides what is played, but for the file that is arranged."""
        beats = self.beats and [self.beats.times.tolist(), self.beats.positions.tolist()]
        chords = self.chords and [self.chords.intervals.tolist(), self.chords.labels]
        groove = self.groove and [sha256(self.groove.midi), self.groove.bpm]
        how = [self.speed, self.programs, self.muted, self.seed, beats, chords, groove]
        text = f"band {VERSION} {[*how, self.kit, self.bass, self.guitar]}"
        return hashlib.sha256(text.encode()).hexdigest()

    def _joining(
        self, song: list[Any], bars: np.ndarray, grid: np.ndarray, rng: np.random.Generator
    ) -> list[Any]:
        """Parts of the band; the song's own parts make room for them."""
        band, drums = [], []
        if self.bass is not None:
            band.append(self._plucked(self.bass, bars, grid, rng, _bass_notes))
        if self.guitar is not None:
            voicing = _power_chord if self.guitar in DISTORTED else _close_chord
            band.append(self._plucked(self.guitar, bars, grid, rng, voicing))
        if self.groove is not None:
            drums.append(self._drums(bars, grid, rng))
            _take_breaks(song, band, grid[bars], rng)
        for parts, softest in ((song, 40), (band, 60), (drums, 70)):
            for part in parts:
                # Two voices of a piano and ten of a band: someone is always too loud.
                part.control_changes.append(_volume(int(rng.integers(softest, 128))))
        return [*band, *drums]

    def _drums(self, bars: np.ndarray, grid: np.ndarray, rng: np.random.Generator) -> Any:
        """The groove's bars, one after the other, bent to the song's beats."""
        import pretty_midi

        assert self.groove is not None
        part = pretty_midi.Instrument(self.kit, is_drum=True)
        played = bars_of(self.groove)
        for number in np.flatnonzero(_heard(len(bars), rng)):
            for place, pitch, velocity in played[number % len(played)]:
                start = _at(grid, bars[number] + place)
                part.notes.append(
                    pretty_midi.Note(velocity, pitch, start, start + 0.1 * self.speed)
                )
        return part

    def _plucked(
        self, program: int, bars: np.ndarray, grid: np.ndarray, rng: np.random.Generator,
        voicing: Any,
    ) -> Any:  # fmt: skip
        """The chords in a pattern of eighths, another for every eight bars."""
        import pretty_midi

        part = pretty_midi.Instrument(program)
        length = rng.uniform(0.4, 1.0)
        known = Segments(np.zeros((0, 2)), ()) if self.chords is None else self.chords
        chords = [*(parse(label) for label in known.labels), None]  # the last one is for no chord
        for number, first in enumerate(bars):
            if number % 8 == 0:
                rhythm, steps = _pattern(rng)
                accent = int(rng.integers(0, 25))
            bar = slice(8 * number % len(rhythm), 8 * number % len(rhythm) + 8)
            onsets = np.flatnonzero(rhythm[bar])
            where = known.at(np.array([_at(grid, first + i / 2 + EARLY) for i in onsets]))
            sounding = [chords[i] for i in where]
            for onset, end, chord in zip(onsets, [*onsets[1:], 8], sounding, strict=False):
                start, stop = _at(grid, first + onset / 2), _at(grid, first + end / 2)
                if chord is None or chord.root is None:
                    continue
                velocity = int(rng.integers(70, 90)) + (accent if onset == 0 else 0)
                stop = start + (stop - start) * length
                # A chord of all its notes keeps them; a line, or a power chord, walks.
                step = 0 if voicing is _close_chord else int(steps[bar][onset])
                part.notes += [
                    pretty_midi.Note(velocity, pitch + step, start, stop)
                    for pitch in voicing(chord)
                ]
        return part


# === The bars of a song ===


def _bars(beats: Beats | None) -> np.ndarray:
    """Numbers of the beats on which bars of four begin."""
    if beats is None:
        return np.zeros(0, int)
    places = beats.positions
    return np.array(
        [i for i in range(len(places) - 4) if places[i : i + 5].tolist() == [1, 2, 3, 4, 1]], int
    )


def _at(grid: np.ndarray, beat: float) -> float:
    """Seconds of a place between beats, and a little before the first."""
    if beat < 0:
        return float(max(0.0, grid[0] + beat * (grid[1] - grid[0])))
    return float(np.interp(beat, np.arange(len(grid)), grid))


def _heard(bars: int, rng: np.random.Generator) -> np.ndarray:
    """Whether the drums play in each bar: often not from the start, and not all the time."""
    heard = np.ones(bars, bool)
    heard[: int(rng.choice([0, 0, 4, 8]))] = False
    for start in range(8, bars, 8):
        if rng.random() < 0.1:
            heard[start : start + 8] = False
    return heard


def _take_breaks(
    song: list[Any], band: list[Any], starts: np.ndarray, rng: np.random.Generator
) -> None:
    """Leave the drummer alone now and then, or with the band: then a bar is told by its drums.

    Args:
        song: Parts that are silent in breaks, and in one piece of three throughout.
        band: Parts that are silent in every other break.
        starts: ``(bars,)`` seconds where bars begin.
        rng: Draws.
    """
    sections = np.append(-np.inf, starts[8::8])  # what comes before the first bar is of the first
    throughout, breaks = rng.random() < 1 / 3, rng.random(len(sections)) < 0.15
    alone = breaks & (rng.random(len(sections)) < 0.5)
    for parts, silent in ((song, breaks | throughout), (band, alone)):
        for part in parts:
            onsets = [note.start for note in part.notes]
            where = np.searchsorted(sections, onsets, side="right") - 1
            part.notes = [note for note, i in zip(part.notes, where, strict=True) if not silent[i]]


# === What is played to a chord ===


def _pattern(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Which eighths of a bar, or of two, are played, and how many semitones from the chord's note.

    Half of the patterns stay on it, some go to the fifth in the middle of a bar, others are riffs.
    """
    eighths = 8 * int(rng.integers(1, 3))
    rhythm = rng.random(eighths) < rng.choice([0.2, 0.5, 0.8, 1.0])
    rhythm[0] |= rng.random() < 0.85  # most of them begin with the bar
    steps, style = np.zeros(eighths, int), rng.random()
    if style < 0.2:
        steps = np.where(np.arange(eighths) % 8 >= 4, rng.choice([-5, 7]), 0)
    elif style < 0.5:
        steps = rng.choice(RIFF, eighths)
        steps[0] = 0
    return rhythm, steps


def _bass_notes(chord: Chord) -> list[int]:
    return [28 + (int(chord.root if chord.bass is None else chord.bass) - 4) % 12]  # type: ignore[arg-type]


def _power_chord(chord: Chord) -> list[int]:
    root = 40 + (int(chord.root) - 4) % 12  # type: ignore[arg-type]
    return [root, root + 7, root + 12]


def _close_chord(chord: Chord) -> list[int]:
    return [52 + (int(pitch) - 4) % 12 for pitch in np.flatnonzero(chord.pitch_classes)]


def _volume(value: int) -> Any:
    import pretty_midi

    return pretty_midi.ControlChange(VOLUME, value, 0.0)
