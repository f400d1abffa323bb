"""Studies: an experiment table as one file of named configurations, run by ``kmir.study``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Experiment:
    """One row of the table.

    Args:
        title: What it is, in a few words.
        model: Such as ``"zoo.bilstm"``.
        flags: Settings as ``kmir.train`` takes them: ``{"train.epochs": "200"}``. Where
            ``pipeline.hop_seconds`` is longer than a clip, training and the validation after each
            epoch are thinned alike; the accuracies of the table never are.
        quick: Settings that ``--quick`` changes.
        beats: Learn from one mean and one label a beat.
        reading: Settings of the model with which it reads whole songs, where they are not those
            that it was trained with. The weights must fit.
        window: Frames of a song that are read at a time, and how many of them are given away at
            inner borders.
        published: What the table's source reports, by column: ``validation`` and ``test`` in per
            cent, ``time``, ``convergence``.
    """

    title: str
    model: str
    flags: Mapping[str, str]
    quick: Mapping[str, str] = field(default_factory=dict)
    beats: bool = False
    reading: Mapping[str, str] = field(default_factory=dict)
    window: tuple[int, int] = (1024, 0)
    published: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """A table.

    Args:
        title: Above the table.
        source: Of the published numbers.
        task: What all models are asked to do.
        experiments: By name.
        shares: Split and its share of the songs, dealt in this order to the songs by sorted id.
        quick_songs: How many songs ``--quick`` takes.
    """

    title: str
    source: str
    task: str
    experiments: Mapping[str, Experiment]
    shares: tuple[tuple[str, float], ...]
    quick_songs: int = 30
