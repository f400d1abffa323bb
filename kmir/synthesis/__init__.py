"""Music made by a program: scores with exact truth, and the sound of them."""

from kmir.synthesis.composer import VERSION, compose
from kmir.synthesis.instruments import SAMPLE_RATE
from kmir.synthesis.render import render
from kmir.synthesis.score import Score
from kmir.synthesis.truth import MELODY_HOP, TAGS, TIMBRE_TAGS, TIME_TAGS, annotate

__all__ = [
    "MELODY_HOP",
    "SAMPLE_RATE",
    "TAGS",
    "TIMBRE_TAGS",
    "TIME_TAGS",
    "VERSION",
    "Score",
    "annotate",
    "compose",
    "render",
]
