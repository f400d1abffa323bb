"""A composer with a seed: the same seed and index give the same score, and no audio is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from kmir.synthesis.harmony import PROGRESSIONS, Chord, progression, scale, voicing
from kmir.synthesis.score import Hit, Note, Part, Plan, Score
from kmir.synthesis.styles import STYLES

# Part of the name of cached audio: raise it when a change alters any score or any sound.
VERSION = 1

TEXTURES = ("pad", "rising arpeggio", "falling arpeggio", "staccato", "tremolo")
ORNAMENTS = ("plain", "vibrato", "slide")
ACCOMPANIMENTS = ("organ", "piano", "strings", "guitar")
LEADS = ("flute", "brass", "synth")
BASSES = ("bass", "synth bass")

# Lowest pitch of each voice; bass and chords fill the octave from there, and an arpeggio's top note
# may reach into the next.
BASS_LOWEST, CHORD_LOWEST, MELODY_LOWEST, MELODY_HIGHEST = 40, 55, 74, 90
# Seconds that a staccato chord lasts, whatever the tempo.
STACCATO_SECONDS = 0.08
# Beats that a note of an arpeggio lasts: it overlaps the next, a quarter beat later.
ARPEGGIO_LENGTH = 0.4
# Standard deviation of the gains that colour a recording. As with real microphones and rooms, the
# average spectrum then says less about what is played: 5 dB cost a model of single frames 0.07
# ROC-AUC and a CRNN 0.03 (one run each).
COLOUR_DECIBELS = 5.0
# Seconds; a note that the end of the piece would cut shorter than this is not played.
SHORTEST = 0.05


@dataclass(frozen=True)
class _Grid:
    """Where the beats of a piece fall: music sounds from `start` to `end`, in seconds."""

    plan: Plan
    start: float
    end: float

    def time(self, beat: float) -> float:
        """Seconds of a beat, counted from the start of the music."""
        return self.start + beat * self.plan.beat

    @property
    def bars(self) -> range:
        """First beats of all bars, the last of which may be cut short."""
        beats = int(np.ceil((self.end - self.start) / self.plan.beat))
        return range(0, beats, self.plan.style.meter)

    @property
    def intro_beats(self) -> int:
        """Beats before anything harmonic sounds; an intro needs three more bars to be one."""
        meter = self.plan.style.meter
        return meter if self.plan.intro and self.time(4 * meter) < self.end else 0

    def chord(self, beat: float) -> Chord:
        """The chord that holds at a beat after the intro."""
        count = int((beat - self.intro_beats) // self.plan.chord_beats)
        return self.plan.chords[count % len(self.plan.chords)]

    def notes(self, beat: float, length: float, pitches: tuple[int, ...]) -> Iterator[Note]:
        """Notes struck together; accented on the bar, cut at the end of the music."""
        onset = self.time(beat)
        offset = min(onset + length * self.plan.beat, self.end)
        velocity = 120 if beat % self.plan.style.meter == 0 else 88
        if offset - onset >= SHORTEST:
            yield from (Note(onset, offset, pitch, velocity) for pitch in pitches)


def draw_plan(random: np.random.Generator) -> Plan:
    """Decide on a piece.

    Args:
        random: Source of all choices.
    """
    style = STYLES[random.choice(len(STYLES), p=[style.share for style in STYLES])]
    tempo = round(random.uniform(*style.tempi[random.integers(len(style.tempi))]), 1)
    tonic, mode = int(random.integers(12)), str(random.choice(["maj", "min"], p=[0.6, 0.4]))
    texture = str(random.choice(TEXTURES, p=[0.12, 0.22, 0.22, 0.22, 0.22]))
    drums = bool(random.random() < style.drums_share)
    intro = bool(random.random() < 0.2)
    ornament = str(random.choice(ORNAMENTS, p=[0.3, 0.35, 0.35]))
    return Plan(
        style=style,
        tempo=tempo,
        tonic=tonic,
        mode=mode,
        chords=progression(str(random.choice(PROGRESSIONS[mode])), tonic),
        # A slow piece changes chords within the bar, to have more than two in eight seconds.
        chord_beats=2 if style.name == "ballad" else style.meter,
        texture=texture,
        accompaniment=str(random.choice(ACCOMPANIMENTS)),
        lead=str(random.choice(LEADS)),
        bass=str(random.choice(BASSES, p=[0.6, 0.4])),
        drums=drums,
        intro=intro and drums,
        vibrato=round(random.uniform(5.5, 6.5), 2) if ornament == "vibrato" else 0.0,
        slide=ornament == "slide",
        tremolo=round(random.uniform(6.5, 8.0), 2) if texture == "tremolo" else 0.0,
        colour=tuple(random.normal(0.0, COLOUR_DECIBELS, 5).tolist()),
    )


def _drums(grid: _Grid) -> Iterator[Hit]:
    for bar in grid.bars if grid.plan.drums else ():
        for drum, beats in grid.plan.style.drums.items():
            for beat in beats:
                if grid.time(bar + beat) < grid.end - SHORTEST:
                    yield Hit(grid.time(bar + beat), drum, 120 if beat == 0 else 100)


def _bass(grid: _Grid, bar: int) -> Iterator[Note]:
    for onset, length in grid.plan.style.bass:
        beat = bar + onset
        yield from grid.notes(beat, length, voicing((grid.chord(beat).bass,), BASS_LOWEST))


def _accompaniment(grid: _Grid, bar: int) -> Iterator[Note]:
    style, texture = grid.plan.style, grid.plan.texture
    if texture.endswith("arpeggio"):
        for count in range((style.meter - style.rest) * 4):
            beat = bar + style.rest + count / 4
            pitches = voicing(grid.chord(beat).pitch_classes, CHORD_LOWEST)
            run = (*pitches, pitches[0] + 12)[:: 1 if texture.startswith("rising") else -1]
            yield from grid.notes(beat, ARPEGGIO_LENGTH, (run[count % len(run)],))
        return
    strokes = style.pad
    if texture == "staccato":
        strokes = tuple((beat, STACCATO_SECONDS / grid.plan.beat) for beat in style.stabs)
    elif texture == "tremolo":  # held as long as the chord lasts, for the tremolo to be heard
        held = grid.plan.chord_beats
        strokes = tuple(
            (float(beat + style.rest), float(held - style.rest))
            for beat in range(0, style.meter, held)
        )
    for onset, length in strokes:
        beat = bar + onset
        yield from grid.notes(beat, length, voicing(grid.chord(beat).pitch_classes, CHORD_LOWEST))


def _melody(grid: _Grid, random: np.random.Generator) -> Callable[[int], Iterator[Note]]:
    """Writer of a bar of melody: chord tones on the beat, steps of the scale between."""
    plan = grid.plan
    steps = scale(plan.tonic, plan.mode, MELODY_LOWEST, MELODY_HIGHEST)
    sung = plan.vibrato or plan.slide
    rhythms = plan.style.long_rhythms if sung else plan.style.rhythms
    last = int(random.choice(steps))

    def bar_of_melody(bar: int) -> Iterator[Note]:
        nonlocal last
        rhythm = rhythms[random.integers(len(rhythms))]
        for onset, following in pairwise((*rhythm, float(plan.style.meter))):
            beat = bar + onset
            aim = last + int(random.choice([-4, -2, -1, 1, 2, 4]))
            tones = [
                pitch
                for pitch in range(MELODY_LOWEST, MELODY_HIGHEST + 1)
                if pitch % 12 in grid.chord(beat).pitch_classes
            ]
            choice = tones if beat % 1 == 0 else steps
            last = min(choice, key=lambda pitch: (abs(pitch - aim), pitch))
            yield from grid.notes(beat, following - onset, (last,))

    return bar_of_melody


def _chords(grid: _Grid, seconds: float) -> Iterator[tuple[float, float, str]]:
    beat = grid.intro_beats
    onset = grid.time(beat)
    yield 0.0, onset, "N"
    while onset < grid.end - SHORTEST:
        label = grid.chord(beat).label
        beat += grid.plan.chord_beats
        offset = grid.time(beat) if grid.time(beat) < grid.end - SHORTEST else grid.end
        yield onset, offset, label
        onset = offset
    yield onset, seconds, "N"


def compose(seed: int, index: int, *, seconds: float = 8.0) -> Score:
    """Write a piece.

    Args:
        seed: Seed of the data set, from 0.
        index: Number of the piece; a piece does not depend on the ones before it.
        seconds: Duration, from 1. It changes how much is written, not how the piece is planned.

    Returns:
        The score.
    """
    random = np.random.default_rng((seed, index))
    plan = draw_plan(random)
    start, end = random.uniform((0.1, -0.45), (0.4, -0.2))
    grid = _Grid(plan, min(start, 0.1 * seconds), seconds - min(-end, 0.1 * seconds))
    beats = [
        beat for beat in range(len(grid.bars) * plan.style.meter) if grid.time(beat) < grid.end
    ]
    bars = [bar for bar in grid.bars if bar >= grid.intro_beats]
    write_melody = _melody(grid, random)

    def notes(write: Callable[[int], Iterator[Note]]) -> tuple[Note, ...]:
        return tuple(note for bar in bars for note in write(bar))

    return Score(
        plan=plan,
        seconds=seconds,
        beats=tuple(grid.time(beat) for beat in beats),
        positions=tuple(beat % plan.style.meter + 1 for beat in beats),
        chords=tuple(_chords(grid, seconds)),
        melody=Part(plan.lead, notes(write_melody), vibrato=plan.vibrato, slide=plan.slide),
        accompaniment=Part(
            plan.accompaniment,
            notes(lambda bar: _accompaniment(grid, bar)),
            tremolo=plan.tremolo,
        ),
        bass=Part(plan.bass, notes(lambda bar: _bass(grid, bar))),
        hits=tuple(sorted(_drums(grid), key=lambda hit: (hit.time, hit.drum))),
    )
