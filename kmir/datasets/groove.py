"""Groove MIDI: 1,150 performances of ten drummers on an electronic kit, 13.6 hours, to a metronome.

Get ``groove-v1.0.0-midionly.zip`` of https://magenta.tensorflow.org/datasets/groove and give its
folder ``groove``, or the one above::

    root/
        info.csv        drummer,session,id,style,bpm,beat_type,time_signature,midi_filename,…,split
        drummer1/session1/1_funk_80_beat_4-4.mid …

Audio is made from the MIDI files while features are extracted, by FluidSynth with a General MIDI
soundfont, and removed again; the recordings of the full release are not read. ``pretty_midi`` reads
the files: ``pip install kmir[midi]``.

**Beats** are those of the metronome: beat k lies at k · 60 / bpm, and bars begin at 0. Measured:
tempo and metre of every file are those of the table, from its first tick to its end; of grooves in
4/4, 59 % of the crashes fall on the first sixteenth of a bar, and 43 % of the snares on beats 2 and
4. The median stroke of half of the grooves lies 0 to 17 ms before the nearest sixteenth, of none
more than 50 ms off. Beats that nobody hears, more than `NEAR` seconds before the first stroke or
after the last, are left out.

**Metre**: in x/4 a beat is a quarter, which bpm counts. 6/8 is compound: a beat is a dotted
quarter, two a bar. In 5/8, one performance, it is the eighth, 324 a minute. pretty_midi counts so.

**Left out** are the strays that `kmir.datasets.groove_table` names, and three fills without a
stroke near a beat.

**Groups** are the performances, for the published split, which is used, parts sessions: fills,
breaks of mostly a bar, train where grooves of their session test. The ten grooves that four
drummers played each (``eval_session``) all test.
"""

from __future__ import annotations

import logging
import math
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from kmir.annotations import Annotations, Beats, Tags
from kmir.datasets.groove_table import KINDS, Performance, read_performances
from kmir.datasets.track import Track
from kmir.errors import AudioError, DatasetError, check_choice, check_values, listed
from kmir.synthesis.casting import KITS
from kmir.synthesis.drummer import Drummer
from kmir.synthesis.midi import Rendering, find_soundfonts
from kmir.synthesis.midi_file import read_midi

BIBTEX = """\
@inproceedings{gillick2019learning,
  title     = {Learning to Groove with Inverse Sequence Transformations},
  author    = {Gillick, Jon and Roberts, Adam and Engel, Jesse and Eck, Douglas and Bamman, David},
  booktitle = {International Conference on Machine Learning (ICML)},
  year      = {2019}
}
"""
LICENSE = "CC BY 4.0, Google LLC 2019: the performances. The sound is as free as the soundfont."

NEAR = 0.07  # seconds: the window within which a beat counts as found
log = logging.getLogger("kmir")


def tracks(
    root: Path,
    *,
    beat_type: str = "beat",
    soundfonts: str = "",
    kits: str = "standard",
    speed: float = 1.0,
    renditions: int = 1,
    gain: float = 0.5,
    sample_rate: int = 44100,
    seed: int = 0,
) -> Iterator[Track]:
    """Performances of Groove MIDI, in the order of the table; audio is made when it is needed.

    Args:
        root: Folder with ``info.csv``, or with a folder ``groove`` that has it.
        beat_type: ``"beat"``, grooves of some length, ``"fill"``, mostly a bar, or ``"all"``.
        soundfonts: General MIDI soundfonts, separated by commas; each rendition draws one. By
            default one that the system has installed.
        kits: ``"standard"``, or ``"random"``: each rendition draws one of the drum kits of General
            MIDI; soundfonts that lack it play their standard kit.
        speed: Largest factor by which a performance is played faster or slower, from 1, drawn
            evenly (as a logarithm). Exact, since it is the strokes that move.
        renditions: How often each performance is played, from 1, each time with other draws.
        gain: Level, above 0.
        sample_rate: Of the audio, Hz.
        seed: Of all draws, from 0. A rendition is the same whatever the other performances.

    Returns:
        Tracks ``drummer1/session1/1`` …, with beats, tempo and the style as a tag; those of
        further renditions are ``drummer1/session1/1-2`` …, of the same group.

    Raises:
        DatasetError: If the folder is not laid out as above; the message lists all of it.
        UsageError: If an option is out of range, or FluidSynth, a soundfont or the library
            pretty_midi is missing.
    """
    check_choice("beat_type", beat_type, (*KINDS, "all"))
    check_choice("kits", kits, ("standard", "random"))
    rules = (
        ("speed", 1 <= speed <= 4, "from 1 to 4"),
        ("renditions", renditions >= 1, "from 1"),
        ("gain", 0 < gain < math.inf, "above 0"),
        ("sample_rate", 8000 <= sample_rate <= 96000, "from 8000 to 96000 Hz"),
        ("seed", seed >= 0, "from 0"),
    )
    check_values(locals(), rules)
    wanted = KINDS if beat_type == "all" else (beat_type,)
    performances = _performances(Path(root), wanted)
    fonts = find_soundfonts(soundfonts)

    def rendition(performance: Performance, known: Annotations, index: int) -> Track:
        name = performance.id
        rng = np.random.default_rng([seed, zlib.crc32(name.encode()), index])
        # All are drawn, whether they are used or not: one option doesn't change another's draws.
        font = fonts[int(rng.integers(len(fonts)))]
        factor = float(speed ** rng.uniform(-1, 1))
        kit = int(rng.choice(KITS))
        arrange = Drummer(speed=factor, kit=kit if kits == "random" else 0)
        return Track(
            name if index == 0 else f"{name}-{index + 1}",
            known.at_speed(factor),
            render=Rendering(
                performance.midi, font, arrange=arrange, gain=gain, sample_rate=sample_rate
            ),
            group=name,
            split=performance.split,
        )

    return (
        rendition(performance, known, index)
        for performance, known in performances
        for index in range(renditions)
    )


def _performances(root: Path, wanted: tuple[str, ...]) -> list[tuple[Performance, Annotations]]:
    """Performances with what is known of them, or all that is wrong with them."""
    problems: list[str] = []
    home, rows = read_performances(root, wanted, problems)
    known = []
    for row in tqdm(rows, desc="groove", unit="file", disable=None):
        beats, tempo = _beats(row, problems), row.bpm / row.metre[1]
        known.append((row, Annotations(tags=Tags((row.style,)), beats=beats, tempo=tempo)))
    if problems:
        raise DatasetError(listed(home, problems))
    heard = [(row, what) for row, what in known if what.beats and len(what.beats.times)]
    if silent := len(known) - len(heard):
        log.info("Groove: %d performances without a stroke near a beat, left out.", silent)
    return heard


def _beats(row: Performance, problems: list[str]) -> Beats | None:
    """Beats of the metronome, from the first stroke to the last; None if there is a problem."""
    try:
        parts = read_midi(row.midi).instruments
    except AudioError as error:
        problems.append(f"{row.place}: {error}")
        return None
    strokes = [note.start for part in parts if part.is_drum for note in part.notes]
    if not strokes:
        problems.append(
            f"{row.place}: Expected strokes on channel 10 in {row.midi}. Received: none."
        )
        return None
    per_bar, quarters = row.metre
    period = quarters * 60 / row.bpm
    first = max(0, math.ceil((min(strokes) - NEAR) / period))
    beats = np.arange(first, math.floor((max(strokes) + NEAR) / period) + 1)
    return Beats(beats * period, 1 + beats % per_bar)
