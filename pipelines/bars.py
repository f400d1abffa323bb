"""Bars over beats that are known: which beats begin one, heard from what sounds between them.

A model gives each beat the probability that it is a downbeat, from the means of a few parts of it
(F. Krebs, S. Böck, M. Dorfer, G. Widmer, "Downbeat tracking using beat-synchronous features and
recurrent networks", ISMIR 2016); a hidden Markov model over the positions in a bar makes bars of
them. Frames are beats here, and all times are on the beat clock: second t is beat t.

Of chroma, this hears harmony: chords that change, basses that come home. So it learns from
recordings of which nothing but chroma is published, such as Billboard's, and a preset for beats
can ask it where the bars begin (`pipelines.beats`, decoder ``"dbn_bars"``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import numpy as np

from kmir.annotations import Annotations, Beats
from kmir.decoders import bars_from_downbeats
from kmir.errors import RecordError, check_values
from kmir.features.beat_synchronous import BeatSynchronous
from kmir.nn import Output
from kmir.records.spec import Manifest, Spec
from kmir.scoring import Score
from kmir.scoring.beats import DOWNBEATS, beat_scores, beat_summary
from pipelines.base import PipelineConfig, Task

NAME = "downbeat"


@dataclass(frozen=True)
class BarsConfig(PipelineConfig):
    """Settings of the stream of beats, and of the decoder.

    Args:
        clip_seconds: Beats of a clip: a second is a beat.
        shuffle_buffer: Songs.
        transpose: Move clips to keys that are drawn, which leaves bars as they are.
        gain_db: Range of a gain that is drawn, likewise.
        beats_per_bar: Metres that a song may have. A preset for beats that asks this one goes by
            its own.
        change: Probability that a bar is broken off or prolonged at a beat.
    """

    clip_seconds: float | None = 48.0
    transpose: bool = True
    gain_db: float = 6.0
    beats_per_bar: tuple[int, ...] = (3, 4)
    change: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        rules = (
            ("beats_per_bar", min(self.beats_per_bar, default=0) >= 1, "with one metre or more"),
            ("change", 0 < self.change < 1, "above 0 and below 1"),
        )
        check_values(vars(self), rules)


class Bars(Task):
    """Positions in the bar of beats that are known."""

    name = "bars"
    Config = BarsConfig
    feature = BeatSynchronous(subdivisions=4)
    invariant_to = frozenset({"keeps", "transposes"})
    window_seconds = 512.0
    margin_seconds = 64.0
    decoding = ("beats_per_bar", "change")
    training: ClassVar[Mapping[str, Any]] = {
        "batch_size": 32,
        "steps_per_epoch": 80,
        "epochs": 24,
        "schedule": "one_cycle",
        "weight_decay": 0.01,
    }
    config: BarsConfig

    @classmethod
    def labels_of(cls, spec: Spec, config: PipelineConfig) -> tuple[str, ...]:
        """The one label that there is."""
        del config
        if "beats" not in spec.known or spec.feature["name"] != BeatSynchronous.name:
            has = ", ".join(spec.known) or "no annotations"
            raise RecordError(
                f"Expected records of {BeatSynchronous.name}, with beats. Received: records of "
                f"{spec.feature['name']}, with {has}. Extract them with that feature."
            )
        return (NAME,)

    def outputs(self) -> dict[str, Output]:
        """Probability of a downbeat."""
        return {NAME: Output(1, "sigmoid", "frame")}

    def transpositions(self) -> dict[str, np.ndarray]:
        """Downbeats stay where they are in all keys."""
        return {NAME: np.zeros((12, 1), int)}

    def encode(self, annotations: Annotations, times: np.ndarray) -> dict[str, np.ndarray]:
        """``(beats, 1)``: 1 for a downbeat, NaN where the position is not known."""
        target = np.full((len(times), 1), np.nan, np.float32)
        if annotations.beats is not None:
            places = np.rint(times).astype(int)
            there = (places >= 0) & (places < len(annotations.beats.positions))
            positions = annotations.beats.positions[places[there]]
            target[there, 0] = np.where(positions == 0, np.nan, positions == 1)
        return {NAME: target}

    def decode(self, activations: Mapping[str, np.ndarray], times: np.ndarray) -> Annotations:
        """Beats on the beat clock, with positions."""
        downbeat = np.asarray(activations[NAME], np.float64)[:, 0].clip(0, 1)
        c = self.config
        positions = bars_from_downbeats(downbeat, c.beats_per_bar, change=c.change)
        return Annotations(beats=Beats(times, positions))

    def losses(self, manifest: Manifest) -> dict[str, keras.losses.Loss]:
        """Cross-entropy of each beat."""
        del manifest
        return {NAME: keras.losses.BinaryCrossentropy()}

    def metrics(self) -> dict[str, list[keras.metrics.Metric]]:
        """Share of beats that are told right."""
        return {NAME: [keras.metrics.BinaryAccuracy(name="accuracy")]}

    def score(self, reference: Annotations, estimate: Annotations) -> dict[str, Any]:
        """mir_eval's measures of downbeats, on the beat clock and from the first beat on."""
        if reference.beats is None or estimate.beats is None:
            return {}
        every = beat_scores(reference.beats, estimate.beats, trim_seconds=0.0)
        return {measure: every[measure] for measure in DOWNBEATS}

    def summarise(
        self, references: Sequence[Annotations], estimates: Sequence[Annotations]
    ) -> tuple[list[Score], list[dict[str, Any]]]:
        """Means over tracks.

        Raises:
            RecordError: If no track has downbeats.
        """
        rows = [self.score(*pair) for pair in zip(references, estimates, strict=True)]
        known = [score for score in beat_summary(rows) if score.name in DOWNBEATS]
        if not known:
            raise RecordError(
                "Expected at least one track with downbeats to score against. Received: none. "
                "Evaluate on records of a data set with bars."
            )
        return known, []
