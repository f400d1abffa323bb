"""Arrangements: what is in the notes before they are played."""

from pathlib import Path

import numpy as np
import pytest

from kmir.annotations import Beats, Segments
from kmir.errors import AudioError
from kmir.synthesis.band import RIFF, Band
from kmir.synthesis.drummer import Drummer, Groove
from kmir.synthesis.midi_file import read_midi, write_midi

pretty_midi = pytest.importorskip("pretty_midi", reason="pretty_midi is not installed")

BEAT = 0.6  # seconds: 100 bpm
BARS = 12


def midi(path: Path, *parts: tuple[bool, list[tuple[int, float]]]) -> Path:
    """A file of parts, drums or not, of (pitch, start) notes that last 0.2 s."""
    instruments = []
    for drums, notes in parts:
        instrument = pretty_midi.Instrument(0, is_drum=drums)
        instrument.notes = [pretty_midi.Note(90, p, start, start + 0.2) for p, start in notes]
        instruments.append(instrument)
    write_midi(instruments, path)
    return path


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return midi(tmp_path / "song.mid", *[(False, [(60 + i, 0.6), (64 + i, 5.4)]) for i in range(3)])


@pytest.fixture
def groove(tmp_path: Path) -> Groove:
    """Two bars at 120 bpm: a kick on each 1, a snare on 2 and 4, in the second with a rim."""
    strokes = [(36, 0.0), (38, 0.5), (38, 1.5), (36, 1.98), (40, 2.5), (40, 3.5)]
    return Groove(midi(tmp_path / "groove.mid", (True, strokes)), 120.0)


def beats() -> Beats:
    """Twelve bars and the downbeat after them, from 0.6 s on."""
    number = np.arange(4 * BARS + 1)
    return Beats(0.6 + BEAT * number, number % 4 + 1)


def played(band: Band | Drummer, source: Path, folder: Path) -> "pretty_midi.PrettyMIDI":
    band(source, folder / "out.mid")
    return read_midi(folder / "out.mid")


@pytest.mark.parametrize("speed", [0.5, 1.0, 1.37])
def test_everything_is_stretched_alike(song, tmp_path, speed):
    parts = played(Band(speed), song, tmp_path).instruments
    assert len(parts) == 3
    for i, part in enumerate(parts):
        assert [note.pitch for note in part.notes] == [60 + i, 64 + i]
        starts = [note.start for note in part.notes]
        np.testing.assert_allclose(starts, np.array([0.6, 5.4]) / speed, atol=6e-4)
        assert part.notes[0].end == pytest.approx(0.8 / speed, abs=6e-4)


def test_programs_and_muted_parts(song, tmp_path):
    band = Band(programs=((0, 73), (2, 19)), muted=(1,))
    parts = played(band, song, tmp_path).instruments
    assert [(part.program, part.notes[0].pitch) for part in parts] == [(73, 60), (19, 62)]


def drums_of(piece: "pretty_midi.PrettyMIDI") -> list[tuple[int, float]]:
    (part,) = [part for part in piece.instruments if part.is_drum]
    return sorted((note.pitch, note.start) for note in part.notes)


def test_drums_follow_the_beats_of_the_song(song, groove, tmp_path):
    band = Band(beats=beats(), groove=groove, kit=16)
    piece = played(band, song, tmp_path)
    assert [part.program for part in piece.instruments if part.is_drum] == [16]
    strokes = drums_of(piece)
    kicks = np.array([start for pitch, start in strokes if pitch == 36])
    # A kick a hair before its bar belongs to it.
    grid = beats().downbeats[:-1]
    place = np.abs(kicks[:, None] - grid).min(axis=1)
    assert place.max() <= 0.04 / 2 * BEAT / 0.5 + 1e-3
    snares = np.array([start for pitch, start in strokes if pitch == 38])
    assert not [pitch for pitch, _ in strokes if pitch == 40]  # General MIDI has the rim elsewhere
    backbeats = beats().times[np.isin(beats().positions, (2, 4))]
    assert np.abs(snares[:, None] - backbeats).min(axis=1).max() < 1e-3


def test_drums_bend_with_a_tempo_that_wavers(song, groove, tmp_path):
    rng = np.random.default_rng(0)
    times = 0.6 + np.cumsum(rng.uniform(0.5, 0.7, 4 * BARS + 1))
    band = Band(beats=Beats(times, np.arange(len(times)) % 4 + 1), groove=groove)
    snares = [start for pitch, start in drums_of(played(band, song, tmp_path)) if pitch == 38]
    assert len(snares) >= 8
    assert np.abs(np.array(snares)[:, None] - times).min(axis=1).max() < 1e-3


def test_bars_of_another_metre_have_no_band(song, groove, tmp_path):
    number = np.arange(36)
    waltz = Beats(0.6 + BEAT * number, number % 3 + 1)
    piece = played(Band(beats=waltz, groove=groove, bass=33), song, tmp_path)
    assert not [note for part in piece.instruments[3:] for note in part.notes]


@pytest.mark.parametrize(
    ("guitar", "chord"), [(30, (41, 48, 53)), (24, (53, 57, 60))], ids=["power", "close"]
)
def test_bass_and_guitar_play_the_chords(song, tmp_path, guitar, chord):
    end = beats().times[-1]
    chords = Segments([[0.0, 6.0], [6.0, end]], ("N", "F:maj/3"))
    begun, lines, roots = 0, set(), set()
    for seed in range(20):
        band = Band(seed=seed, beats=beats(), chords=chords, bass=33, guitar=guitar)
        bass, strings = played(band, song, tmp_path).instruments[3:]
        for part in (bass, strings):
            starts = np.array([note.start for note in part.notes])
            assert starts.min() >= 6.0 - BEAT / 2
            eighths = (starts - 0.6) / (BEAT / 2)
            np.testing.assert_allclose(eighths, np.rint(eighths), atol=0.01)
        downbeats = beats().downbeats
        bars = downbeats[(downbeats >= 6.0) & (downbeats < end)]
        starts = np.array([note.start for note in bass.notes])
        first = [bass.notes[i].pitch for i in np.flatnonzero(np.abs(starts - bars[0]) < 1e-3)]
        begun += bool(first)
        roots |= set(first)
        lines |= {note.pitch - 33 for note in bass.notes}  # from A, the third below
        stacks: dict[float, list[int]] = {}
        for note in strings.notes:
            stacks.setdefault(round(note.start, 3), []).append(note.pitch)
        steps = {min(stack) - chord[0] for stack in stacks.values()}
        assert {tuple(sorted(p - min(s) for p in s)) for s in stacks.values()} == {
            tuple(pitch - chord[0] for pitch in chord)
        }
        assert steps <= ({0} if guitar == 24 else set(RIFF))
    assert begun >= 15
    assert roots >= {33}
    assert {0, 7, 12} < lines <= set(RIFF)


def test_the_drummer_is_left_alone_now_and_then(tmp_path, groove):
    """By eight bars, in which either all notes of a part are played or none is."""
    number = np.arange(4 * 40 + 1)
    known = Beats(0.6 + BEAT * number, number % 4 + 1)
    song = midi(tmp_path / "song.mid", (False, [(60, time) for time in known.times]))
    chords = Segments([[0.0, known.times[-1]]], ("C:maj",))
    silent = {"song": 0, "bass": 0}
    for seed in range(40):
        band = Band(seed=seed, beats=known, chords=chords, groove=groove, bass=33)
        parts = {(p.is_drum, p.program): p.notes for p in played(band, song, tmp_path).instruments}
        assert parts[True, 0]
        heard = {}
        for name, program in (("song", 0), ("bass", 33)):
            onsets = np.array([note.start for note in parts.get((False, program), [])])
            section = np.floor((onsets - 0.6 + 1e-3) / (32 * BEAT)).astype(int)
            heard[name] = np.bincount(section, minlength=6)[:5] if len(onsets) else np.zeros(5)
            silent[name] += int((heard[name] == 0).sum())
        assert set(heard["song"]) <= {0, 32}
    # A third throughout, and 15 % of the rest; half of those without the band.
    assert 60 < silent["song"] < 120
    assert 5 < silent["bass"] < 30


def test_a_seed_is_a_band(song, groove, tmp_path):
    def notes(seed: int) -> list[tuple[int, float, int]]:
        chords = Segments([[0.0, 100.0]], ("C:maj",))
        band = Band(seed=seed, beats=beats(), chords=chords, groove=groove, bass=33, guitar=25)
        parts = played(band, song, tmp_path).instruments
        return [(n.pitch, n.start, n.velocity) for part in parts for n in part.notes]

    assert notes(1) == notes(1) != notes(2)


def test_the_fingerprint_says_all_that_is_heard(groove):
    one = Band(1.2, ((0, 3),), seed=4, beats=beats(), groove=groove, kit=8, bass=33)
    assert one.fingerprint == Band(
        1.2, ((0, 3),), seed=4, beats=beats(), groove=groove, kit=8, bass=33
    ).fingerprint  # fmt: skip
    others = [
        Band(1.3, ((0, 3),), seed=4, beats=beats(), groove=groove, kit=8, bass=33),
        Band(1.2, ((0, 3),), seed=5, beats=beats(), groove=groove, kit=8, bass=33),
        Band(1.2, ((0, 3),), seed=4, beats=beats(), kit=8, bass=33),
        Drummer(1.2),
        Drummer(1.2, 8),
    ]
    assert len({band.fingerprint for band in [one, *others]}) == 6


def test_a_drummer_alone_has_another_kit_and_tempo(groove, tmp_path):
    (part,) = played(Drummer(speed=2.0, kit=25), groove.midi, tmp_path).instruments
    assert part.is_drum
    assert part.program == 25
    strokes = [(note.pitch, round(note.start, 3)) for note in part.notes]
    assert sorted(strokes, key=lambda stroke: stroke[1]) == [
        (36, 0.0), (38, 0.25), (38, 0.75), (36, 0.99), (38, 1.25), (38, 1.75),
    ]  # fmt: skip


def test_what_is_no_midi_file_is_told(tmp_path):
    broken = tmp_path / "song.mid"
    broken.write_bytes(b"MThd, and then nothing of the kind")
    with pytest.raises(AudioError, match=r"Expected a MIDI file\. Received: .*song\.mid"):
        Band()(broken, tmp_path / "out.mid")
