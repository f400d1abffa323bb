"""Who joins a song, and how fast it is then played: draws for `kmir.synthesis.band`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from kmir.annotations import Annotations
from kmir.synthesis.band import Band
from kmir.synthesis.drummer import Groove

# General MIDI, from 0.
KITS = (0, 8, 16, 24, 25, 32, 40)
BASSES = (*range(32, 40), 87)
GUITARS = (*range(24, 31), 16, 18, 4, 0)  # what plays chords in a band
TEMPI = (60.0, 190.0)  # bpm that stretched songs are spread over
CLOSE = 1.35  # a drummer's tempo and a song's differ by this factor at most, where there is choice


def tempo_factor(tempo: float | None, limit: float, rng: np.random.Generator) -> float:
    """Factor that takes a song to a tempo drawn from `TEMPI`, as far as it may.

    Args:
        tempo: Of the song, beats per minute; None where it is not known: then it is not changed.
        limit: Largest factor, either way.
        rng: Draws the tempo.
    """
    low, high = np.log(TEMPI)
    wanted = math.exp(rng.uniform(low, high))
    return 1.0 if tempo is None else float(np.clip(wanted / tempo, 1 / limit, limit))


def band_for(
    grooves: Sequence[Groove], known: Annotations, speed: float, rng: np.random.Generator
) -> Band:
    """A band for a song: a drummer of about its tempo, a bass and a guitar more often than not.

    Args:
        grooves: To draw the drummer's from.
        known: Beats, chords and tempo of the song.
        speed: Factor at which it is played.
        rng: Draws.
    """
    tempo = (known.tempo or 100.0) * speed
    distance = np.array([abs(math.log(tempo / groove.bpm)) for groove in grooves])
    near = np.flatnonzero(distance <= max(math.log(CLOSE), np.sort(distance)[:20][-1]))
    return Band(
        speed,
        seed=int(rng.integers(2**31)),
        beats=known.beats,
        chords=known.chords,
        groove=grooves[int(rng.choice(near))],
        kit=int(rng.choice(KITS)),
        bass=int(rng.choice(BASSES)) if rng.random() < 0.8 else None,
        guitar=int(rng.choice(GUITARS)) if rng.random() < 0.7 else None,
    )
