"""POP909: piano arrangements of 909 Chinese pop songs as MIDI, with chords and beats.

Get https://github.com/music-x-lab/POP909-Dataset and give its folder ``POP909``, or the one above::

    root/
        001/
            001.mid            tracks MELODY, BRIDGE and PIANO
            chord_midi.txt     start, end, chord; seconds of the MIDI file
            beat_midi.txt      seconds of a beat, and two flags; the second marks downbeats
        002/ …

Audio is made from the MIDI files while features are extracted, by FluidSynth with a General MIDI
soundfont (``apt-get install fluidsynth fluid-soundfont-gm``), about 150 times as fast as it
plays, and removed again. ``chord_audio.txt``, ``beat_audio.txt`` and ``key_audio.txt`` follow the
commercial recordings, whose time is another: they are never read. Nor is the key of the MIDI
files, which is C in all that have one, whatever the song; nor the folder ``versions``.

**Chords** were found from the notes by a program: mostly triads, with their bass.

**Beats**: the bar of a song, 4 beats (or 6, in 26 songs), is the most frequent distance of its
downbeats. Beats are counted in bars no longer than that; in longer ones, where a downbeat is
missing or the metre changes, all positions but the downbeat are unknown. Beats before the first
downbeat are counted backwards. ``tempo`` follows from the distances of beats.

**Groups** are the songs. There is no published split.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from kmir.annotations import Annotations, Beats
from kmir.annotations.beats_file import tempo_of
from kmir.annotations.lab import cut, read_chords, read_text, seconds
from kmir.datasets.groove_table import drum_grooves
from kmir.datasets.track import Track
from kmir.errors import DatasetError, check_choice, check_values, listed
from kmir.synthesis.band import Band
from kmir.synthesis.casting import band_for, tempo_factor
from kmir.synthesis.midi import Rendering, find_soundfonts
from kmir.synthesis.midi_file import require_pretty_midi

BIBTEX = """\
@inproceedings{wang2020pop909,
  title     = {{POP909}: A Pop-Song Dataset for Music Arrangement Generation},
  author    = {Wang, Ziyu and Chen, Ke and Jiang, Junyan and Zhang, Yiyi and Xu, Maoran and Dai,
               Shuqi and Gu, Xianbin and Xia, Gus},
  booktitle = {Proceedings of the 21st International Society for Music Information Retrieval
               Conference (ISMIR)},
  year      = {2020}
}
"""
LICENSE = "MIT, Music X Lab 2020: files and annotations. The sound is as free as the soundfont."

CHORDS, BEATS = "chord_midi.txt", "beat_midi.txt"
MELODY, BRIDGE, PIANO = range(3)  # channels of the MIDI files
PROGRAMS = ("piano", "random", "mixed")
# General MIDI, from 0: sounds that hold a tune, and sounds that play chords. Left out are drums,
# effects, and basses, which would put what a right hand plays under the chord's bass.
TUNES = (
    *range(12),
    *range(16, 32),
    *range(40, 47),
    *range(48, 55),
    *range(56, 88),
    *range(104, 112),
)
HARMONIES = (*range(8), 11, *range(16, 29), 46, *range(48, 55), 62, 63, *range(88, 96))  # fmt: skip
Programs = tuple[tuple[int, int], ...]


def tracks(
    root: Path,
    *,
    soundfonts: str = "",
    programs: str = "piano",
    melody: bool = True,
    detune: float = 0.0,
    speed: float = 1.0,
    groove: str = "",
    band: float = 0.5,
    band_speed: float = 1.0,
    renditions: int = 1,
    gain: float = 0.5,
    gain_db: float = 0.0,
    drive: float = 0.0,
    sample_rate: int = 44100,
    seed: int = 0,
) -> Iterator[Track]:
    """Songs of POP909, by number; their audio is made when it is needed.

    Args:
        root: Folder with the folders 001 to 909, or with a folder POP909 that has them; some may
            be missing.
        soundfonts: General MIDI soundfonts, separated by commas; each rendition draws one. By
            default one that the system has installed.
        programs: ``"piano"``, as the files say, ``"random"``: each track draws an instrument, or
            ``"mixed"``: one or the other.
        melody: Whether the track MELODY is heard; the chords rest on BRIDGE and PIANO too.
        detune: Renditions are tuned up to this many cents higher or lower, 0 to 100.
        speed: Largest factor by which a song is played faster or slower, from 1. Exact, since it
            is the notes that move.
        groove: Folder of Groove MIDI: songs in 4/4 are joined by its drummers, and by a bass and a
            rhythm guitar that play the chords. Not, if empty. All of its grooves in 4/4 play along,
            whatever their split there: don't score a model that was trained on them on Groove's
            test split.
        band: Share of the renditions that a band joins, 0 to 1.
        band_speed: As `speed`, for those that a band joins; their tempi are spread evenly over 60
            to 190 bpm as far as it reaches, since it is the drums that tell how fast they are. A
            ballad alone at twice its tempo is a ballad whose beats are halved.
        renditions: How often each song is played, from 1, each time with other draws.
        gain: Level, above 0.
        gain_db: Renditions are up to this much louder or softer, decibels from 0.
        drive: Renditions with a band saturate like a loud production, driven up to this far; 0:
            they don't.
        sample_rate: Of the audio, Hz.
        seed: Of all draws, from 0. A rendition is the same whatever the other songs.

    Returns:
        Tracks ``001`` …; those of further renditions are ``001-2`` …, of the same group.

    Raises:
        DatasetError: If the folder is not laid out as above or annotations are malformed; the
            message lists all of it.
        UsageError: If an option is out of range, or FluidSynth or a soundfont is missing, or, with
            `groove` or another `speed`, the library pretty_midi.
    """
    check_choice("programs", programs, PROGRAMS)
    rules = (
        ("detune", 0 <= detune <= 100, "from 0 to 100 cents"),
        ("speed", 1 <= speed <= 4, "from 1 to 4"),
        ("band", 0 <= band <= 1, "from 0 to 1"),
        ("band_speed", 1 <= band_speed <= 4, "from 1 to 4"),
        ("gain_db", 0 <= gain_db <= 60, "from 0 to 60 dB"),
        ("drive", 0 <= drive <= 100, "from 0 to 100"),
        ("sample_rate", 8000 <= sample_rate <= 96000, "from 8000 to 96000 Hz"),
        ("renditions", renditions >= 1, "from 1"),
        ("gain", 0 < gain < math.inf, "above 0"),
        ("seed", seed >= 0, "from 0"),
    )
    check_values(locals(), rules)
    if groove or speed > 1:
        require_pretty_midi()  # now, and not for each song
    songs = _songs(Path(root))
    fonts = find_soundfonts(soundfonts)
    grooves = drum_grooves(Path(groove).expanduser()) if groove else []

    def rendition(midi: Path, known: Annotations, index: int) -> Track:
        rng = np.random.default_rng([seed, int(midi.stem), index])
        # All are drawn, whether they are used or not: one option doesn't change another's draws.
        font = fonts[int(rng.integers(len(fonts)))]
        cents = float(rng.uniform(-1, 1)) * detune
        tune, bridge, harmony = (int(rng.choice(those)) for those in (TUNES, TUNES, HARMONIES))
        level = gain * 10 ** (float(rng.uniform(-1, 1)) * gain_db / 20)
        joined, chance, driven = rng.random(3)
        alone = not grooves or joined >= band
        factor = speed ** float(rng.uniform(-1, 1))
        if not alone:
            factor = tempo_factor(known.tempo, band_speed, rng)
        drawn: Programs = ((MELODY, tune), (BRIDGE, bridge), (PIANO, harmony))
        if programs == "piano" or (programs == "mixed" and chance < 0.5):
            drawn = ()
        muted = () if melody else (MELODY,)
        arrange: Band | None = None
        if not alone:
            arrange = replace(band_for(grooves, known, factor, rng), programs=drawn, muted=muted)
        elif factor != 1:
            arrange = Band(factor, drawn, muted)
        return Track(
            midi.stem if index == 0 else f"{midi.stem}-{index + 1}",
            known if factor == 1 else known.at_speed(factor),
            render=Rendering(
                midi,
                font,
                programs=() if arrange else drawn,
                muted=() if arrange else muted,
                detune=cents,
                gain=level,
                sample_rate=sample_rate,
                arrange=arrange,
                drive=drive * float(driven) if arrange and arrange.groove else 0.0,
            ),
            group=midi.stem,
        )

    return (rendition(*song, index) for song in songs for index in range(renditions))


def _songs(root: Path) -> list[tuple[Path, Annotations]]:
    """MIDI files of all songs with their annotations, or all that is wrong with them."""
    home = root / "POP909" if (root / "POP909").is_dir() else root
    folders = sorted(home.glob("[0-9][0-9][0-9]"))
    if not folders:
        raise DatasetError(
            f"Expected folders 001 to 909 in '{root}' or in a folder POP909 there. "
            "Received: none of them."
        )
    problems: list[str] = []
    songs = []
    for folder in folders:
        files = [folder / name for name in (f"{folder.name}.mid", CHORDS, BEATS)]
        names = [f"{folder.name}/{path.name}" for path in files]
        if not files[0].is_file():
            problems.append(f"{names[0]}: Expected a MIDI file. Received: none. Fetch it again.")
        chords = read_chords(files[1], problems, names[1])
        beats, tempo = _read_beats(files[2], problems, names[2])
        songs.append((files[0], Annotations(chords=chords, beats=beats, tempo=tempo)))
    if problems:
        raise DatasetError(listed(home, problems))
    return songs


def _read_beats(path: Path, problems: list[str], name: str) -> tuple[Beats | None, float | None]:
    """Beats with positions, and the tempo; None where there are problems."""
    before = len(problems)
    times: list[float] = []
    downbeats = []
    text = read_text(path, problems, name) or ""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        place, (time, *flags) = f"{name}:{number}", [seconds(word) for word in line.split()]
        if time is None or time < 0 or len(flags) != 2 or not set(flags) <= {0, 1}:
            problems.append(
                f"{place}: Expected seconds from 0 and two flags of 0 or 1. "
                f"Received: '{cut(line.strip())}'. Correct the line."
            )
        elif times and time <= times[-1]:
            problems.append(
                f"{place}: Expected a time after {times[-1]:g}. Received: {time:g}. "
                "Correct the line."
            )
        else:
            times.append(time)
            downbeats.append(flags[1] == 1)
    if not times and len(problems) == before:
        problems.append(f"{name}: Expected one beat or more. Received: none. Fetch it again.")
    if len(problems) > before:
        return None, None
    beats = Beats(np.array(times), count_beats(np.array(downbeats)))
    return beats, tempo_of(beats)


def count_beats(downbeats: np.ndarray) -> np.ndarray:
    """Place in the bar of each beat.

    Args:
        downbeats: ``(n,)`` bool, true where a bar begins.

    Returns:
        ``(n,)`` int, 1 for downbeats, 0 where it is not known; see the top of this file.

    Example:
        >>> count_beats(np.array([0, 1, 0, 0, 1, 0, 0, 1, 0, 1, 0, 0, 0, 0]) == 1)
        array([3, 1, 2, 3, 1, 2, 3, 1, 2, 1, 0, 0, 0, 0])
    """
    positions = np.zeros(len(downbeats), int)
    firsts = np.flatnonzero(downbeats)
    if not len(firsts):
        return positions
    bars = np.diff(firsts)
    positions[firsts] = 1
    if not len(bars):
        return positions
    values, counts = np.unique(bars, return_counts=True)
    bar = int(values[np.argmax(counts)])
    for first, length in zip(firsts, [*bars, len(downbeats) - firsts[-1]], strict=True):
        if length <= bar:
            positions[first : first + length] = 1 + np.arange(length)
    pickup = firsts[0]
    if pickup < bar:
        positions[:pickup] = bar + 1 - np.arange(pickup, 0, -1)
    return positions
