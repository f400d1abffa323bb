"""The styles that pieces are written in, as patterns of beats within a bar.

Rock, techno and waltz use the same drums and differ in *when* they are struck, so that an average
spectrum says little about the style and the order in time says all.
"""

from __future__ import annotations

from dataclasses import dataclass

Beats = tuple[float, ...]


@dataclass(frozen=True)
class Style:
    """How a style fills a bar; all positions are beats from the start of the bar.

    Args:
        name: The tag.
        share: How often it is chosen; shares of all styles sum to 1.
        meter: Beats in a bar.
        tempi: Slower and faster range of the tempo in beats per minute; one of them is drawn.
        rest: Beats at the start of a bar in which the accompaniment leaves the bass alone.
        drums_share: How often there are drums.
        drums: Onsets for each drum.
        bass: Onset and length of each bass note.
        pad: Onset and length of each chord of a held accompaniment.
        stabs: Onsets of the chords of a staccato accompaniment.
        rhythms: Onsets of the melody, one tuple is drawn for each bar.
        long_rhythms: The same with few long notes, for melodies with vibrato or slides.
    """

    name: str
    share: float
    meter: int
    tempi: tuple[tuple[float, float], ...]
    rest: int
    drums_share: float
    drums: dict[str, Beats]
    bass: tuple[tuple[float, float], ...]
    pad: tuple[tuple[float, float], ...]
    stabs: Beats
    rhythms: tuple[Beats, ...]
    long_rhythms: tuple[Beats, ...]


# A tempo from here on is tagged "fast"; no style has a tempo between 90 and this.
FAST_TEMPO = 120.0

EIGHTHS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5)

# Every bass sounds about half of the time, and the drums of rock and techno have as many strokes a
# bar: what differs between styles is the order.
STYLES = (
    Style(
        name="rock",
        share=0.23,
        meter=4,
        tempi=((72.0, 90.0), (150.0, 180.0)),
        rest=0,
        drums_share=0.75,
        drums={"kick": (0.0, 0.5, 2.0, 2.5), "snare": (1.0, 3.0), "hat": EIGHTHS},
        bass=tuple((beat, 0.25) for beat in EIGHTHS),
        pad=tuple((beat, 0.5) for beat in EIGHTHS),
        stabs=EIGHTHS,
        rhythms=((0.0, 1.0, 1.5, 2.0, 3.0), (0.0, 1.5, 2.0, 3.0), (0.0, 0.5, 1.0, 2.0, 3.0, 3.5)),
        long_rhythms=((0.0, 2.0), (0.0, 3.0), (0.0, 1.0, 2.0)),
    ),
    Style(
        name="techno",
        share=0.23,
        meter=4,
        tempi=((126.0, 150.0),),
        rest=0,
        drums_share=0.75,
        drums={
            "kick": (0.0, 1.0, 2.0, 3.0),
            "snare": (1.0, 3.0),
            "hat": (0.5, 0.75, 1.5, 1.75, 2.5, 2.75, 3.5, 3.75),
        },
        bass=tuple((count / 4, 0.16) for count in range(16)),
        pad=((0.0, 1.5), (1.5, 1.5), (3.0, 1.0)),
        stabs=(0.0, 0.75, 1.5, 2.25, 3.0),
        rhythms=((0.0, 0.75, 1.5, 2.0, 2.75, 3.5), (0.0, 0.75, 1.5, 3.0), (0.0, 1.5, 2.0, 3.5)),
        long_rhythms=((0.0, 1.5), (0.0, 3.0), (0.0, 1.5, 3.0)),
    ),
    Style(
        name="waltz",
        share=0.27,
        meter=3,
        tempi=((72.0, 90.0), (150.0, 184.0)),
        rest=1,
        drums_share=0.35,
        drums={
            "kick": (0.0,),
            "snare": (1.0, 2.0),
            "hat": (0.0, 1.0, 2.0),
        },
        bass=((0.0, 1.5),),
        pad=((1.0, 1.0), (2.0, 1.0)),
        stabs=(1.0, 2.0),
        rhythms=((0.0, 2.0), (0.0, 1.0, 2.0), (0.0, 1.0), (0.0, 2.0, 2.5)),
        long_rhythms=((0.0,), (0.0, 2.0)),
    ),
    Style(
        name="ballad",
        share=0.27,
        meter=4,
        tempi=((56.0, 70.0),),
        rest=0,
        drums_share=0.25,
        drums={"kick": (0.0,), "snare": (2.0,), "hat": (0.0, 1.0, 2.0, 3.0)},
        bass=((0.0, 1.0), (2.0, 1.0)),
        pad=((0.0, 2.0), (2.0, 2.0)),
        stabs=EIGHTHS,
        rhythms=((0.0, 2.0), (0.0, 1.5, 2.0), (0.0, 2.0, 3.0), (0.0, 1.0, 2.0, 3.0)),
        long_rhythms=((0.0, 2.0), (0.0, 1.5, 2.0)),
    ),
)
