"""Beat tracking: where the beats are, which of them begin a bar, and how fast they go.

A model gives each frame the probability of a beat, that of a downbeat, and a distribution over
tempi (S. Böck, M. E. P. Davies, "Deconstruct, analyse, reconstruct: how to improve tempo, beat, and
downbeat estimation", ISMIR 2020). A dynamic Bayesian network makes beats of the first two: it walks
through bars in a steady tempo (F. Krebs, S. Böck, G. Widmer, "An efficient state space model for
joint tempo and meter tracking", ISMIR 2015).

Where the position of a beat is not known, the downbeat is masked around it; so is the tempo before
the first beat and after the last one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import keras
import numpy as np

from kmir.annotations import Annotations, Beats
from kmir.annotations.beats_file import tempo_of
from kmir.errors import RecordError, check_values
from kmir.features.base import Feature
from kmir.features.log_frequency import LogFrequency
from kmir.nn import Output
from kmir.nn.losses import ShiftTolerantBinaryCrossentropy, WeightedBinaryCrossentropy
from kmir.pictures.beats import draw_beats
from kmir.records.spec import Manifest, Spec
from kmir.scoring import Score
from kmir.scoring.beats import beat_scores, beat_summary
from pipelines.base import PipelineConfig, Task
from pipelines.beat_decoding import BeatDecoding, beats_of, with_bars
from pipelines.tempo import TEMPI, tempo_targets

RANGES = (0.0, 80.0, 110.0, 140.0, math.inf)  # bpm: tempi that scores are told apart by


@dataclass(frozen=True)
class BeatsConfig(BeatDecoding):
    """Settings of the beat stream and of its losses; those of the decoder are inherited.

    Args:
        clip_seconds: Long enough to hear a metre.
        hop_seconds: An epoch goes through all recordings.
        shuffle_buffer: Clips; half a megabyte each.
        loss: ``"shift_tolerant"`` forgives a beat that comes some frames early or late,
            ``"weighted"`` compares frame by frame with widened targets.
        tolerance: Frames that are forgiven (``"shift_tolerant"``).
        widening: Frames on either side of a beat whose target is a half (``"weighted"``).
        positive_weight: What a frame with a beat counts beside one without; beats are rare.
        downbeat_weight: Likewise, for downbeats.
        tempo_spread: Standard deviation of the tempo's target, in classes of 3 %.
    """

    clip_seconds: float | None = 20.0
    hop_seconds: float | None = 20.0
    shuffle_buffer: int = 256
    freq_masks: int = 2
    freq_mask_bins: int = 16
    loss: Literal["shift_tolerant", "weighted"] = "shift_tolerant"
    tolerance: int = 2
    widening: int = 1
    positive_weight: float = 5.0
    downbeat_weight: float = 15.0
    tempo_spread: float = 1.5

    def __post_init__(self) -> None:
        super().__post_init__()
        positive = "above 0, and finite"
        rules = (
            ("tolerance", self.tolerance >= 0, "from 0"),
            ("widening", self.widening >= 0, "from 0"),
            ("positive_weight", 0 < self.positive_weight < math.inf, positive),
            ("downbeat_weight", 0 < self.downbeat_weight < math.inf, positive),
            ("tempo_spread", 0 < self.tempo_spread < math.inf, positive),
        )
        check_values(vars(self), rules)


class BeatTracking(Task):
    """Beats, downbeats and tempo."""

    name = "beats"
    Config = BeatsConfig
    feature = LogFrequency()
    window_seconds = 40.0
    margin_seconds = 5.0
    decoding = tuple(BeatDecoding.__annotations__)
    training: ClassVar[Mapping[str, Any]] = {
        "batch_size": 16,
        "steps_per_epoch": 420,
        "epochs": 10,
        "schedule": "one_cycle",
        "learning_rate": 2e-3,
    }
    config: BeatsConfig

    @classmethod
    def labels_of(cls, spec: Spec, config: PipelineConfig) -> tuple[str, ...]:
        """Tempi of the classes, beats per minute."""
        del config
        if "beats" not in spec.known:
            has = ", ".join(spec.known) or "no annotations"
            raise RecordError(f"Expected records with beats. Received: records with {has}.")
        return tuple(f"{tempo:.1f}" for tempo in TEMPI)

    def outputs(self) -> dict[str, Output]:
        """Probabilities of a beat and of a downbeat, and a distribution over `TEMPI`."""
        return {
            "beat": Output(1, "sigmoid", "frame"),
            "downbeat": Output(1, "sigmoid", "frame"),
            "tempo": Output(len(TEMPI), "softmax", "frame", loss_weight=0.05, decoded=False),
        }

    # === Annotations → targets ===

    def encode(self, annotations: Annotations, times: np.ndarray) -> dict[str, np.ndarray]:
        """``(frames, size)`` by output: 1 in the frame next to a beat, NaN where it is not known.

        With the loss ``"weighted"`` the frames around have a half.
        """
        beats = annotations.beats
        if beats is None:
            sizes = {name: output.size for name, output in self.outputs().items()}
            return {n: np.full((len(times), s), np.nan, np.float32) for n, s in sizes.items()}
        downbeat = self._marked(beats.downbeats, times)
        downbeat[_without_position(beats, times)] = np.nan
        return {
            "beat": self._marked(beats.times, times)[:, np.newaxis],
            "downbeat": downbeat[:, np.newaxis],
            "tempo": tempo_targets(beats.times, times, self.config.tempo_spread),
        }

    def _marked(self, events: np.ndarray, times: np.ndarray) -> np.ndarray:
        """``(frames,)`` of 0 and 1, and halves around each 1."""
        marks = np.zeros(len(times), np.float32)
        if len(times) < 2:
            return marks
        # A piece of a recording begins anywhere; its frames are even.
        places = np.rint((events - times[0]) / (times[1] - times[0])).astype(int)
        wide = self.config.widening if self.config.loss == "weighted" else 0
        for offset in (*range(-wide, 0), *range(1, wide + 1), 0):
            inside = places + offset
            inside = inside[(inside >= 0) & (inside < len(marks))]
            marks[inside] = 1.0 if offset == 0 else 0.5
        return marks

    # === Outputs → annotations ===

    def decode(self, activations: Mapping[str, np.ndarray], times: np.ndarray) -> Annotations:
        """Beats, with positions unless the decoder has none, and the tempo if there are beats.

        The tempo follows from the beats: the model's distribution helps it to learn, and errs where
        they don't.
        """
        beats = beats_of(self.config, activations, times)
        return Annotations(beats=beats, tempo=tempo_of(beats))

    @property
    def companion(self) -> str:
        """The preset for bars, if the decoder asks it."""
        asked = self.config.decoder == "dbn_bars" and self.config.harmony > 0
        return self.config.bars if asked else ""

    def conclude(
        self,
        found: Annotations,
        activations: Mapping[str, np.ndarray],
        times: np.ndarray,
        heard: Mapping[str, np.ndarray],
    ) -> Annotations:
        """Beats with the positions that fit the model's downbeats and the harmony best."""
        beats = found.beats
        if self.config.decoder != "dbn_bars" or beats is None or not len(beats.times):
            return found
        return replace(found, beats=with_bars(self.config, beats, activations, times, heard))

    # === Training and scores ===

    def losses(self, manifest: Manifest) -> dict[str, keras.losses.Loss]:
        """As configured for beats and downbeats; cross-entropy for the tempo."""
        del manifest
        c = self.config
        weights = {"beat": c.positive_weight, "downbeat": c.downbeat_weight}
        losses: dict[str, keras.losses.Loss] = {
            name: ShiftTolerantBinaryCrossentropy(c.tolerance, positive_weight=weight)
            if c.loss == "shift_tolerant"
            else WeightedBinaryCrossentropy((weight,))
            for name, weight in weights.items()
        }
        return losses | {"tempo": keras.losses.CategoricalCrossentropy()}

    def metrics(self) -> dict[str, list[keras.metrics.Metric]]:
        """Share of frames whose tempo is right to a class; beats are told by their losses."""
        return {"tempo": [keras.metrics.CategoricalAccuracy(name="accuracy")]}

    def score(self, reference: Annotations, estimate: Annotations) -> dict[str, Any]:
        """mir_eval's measures of beats and downbeats, and whether the tempo is right."""
        if reference.beats is None or estimate.beats is None:
            return {}
        return dict(beat_scores(reference.beats, estimate.beats, reference.tempo, estimate.tempo))

    def summarise(
        self, references: Sequence[Annotations], estimates: Sequence[Annotations]
    ) -> tuple[list[Score], list[dict[str, Any]]]:
        """Means over tracks, and a row for each range of tempi.

        Raises:
            RecordError: If no track has beats.
        """
        pairs = [
            (reference, self.score(reference, estimate))
            for reference, estimate in zip(references, estimates, strict=True)
            if reference.beats is not None and len(reference.beats.times)
        ]
        if not pairs:
            raise RecordError(
                "Expected at least one track with beats to score against. Received: none. "
                "Evaluate on records of a data set with beats."
            )
        return beat_summary([row for _, row in pairs]), _by_tempo(pairs)

    def draw(
        self,
        out: Path,
        references: Sequence[Annotations],
        estimates: Sequence[Annotations],
        features: np.ndarray,
        feature: Feature,
    ) -> None:
        """The first track's beats over its spectrogram, if they are known."""
        reference, estimate = references[0].beats, estimates[0].beats
        if reference is not None and estimate is not None:
            path = out.with_name(f"{out.stem}_timeline.png")
            rows = {"reference": reference, "estimate": estimate}
            draw_beats(features, feature.frame_rate, rows, path, title="first track")


def _without_position(beats: Beats, times: np.ndarray) -> np.ndarray:
    """``(frames,)`` bool: whether the beat next to each frame has no known position."""
    if not len(beats.times):
        return np.zeros(len(times), bool)
    if not beats.positions.any():
        return np.ones(len(times), bool)
    halfway = (beats.times[1:] + beats.times[:-1]) / 2
    return np.asarray(beats.positions[np.searchsorted(halfway, times)] == 0)


def _by_tempo(
    pairs: Sequence[tuple[Annotations, Mapping[str, Any]]],
) -> list[dict[str, Any]]:
    """Mean scores of the tracks in each range of tempi that there are tracks in."""
    rows = []
    for low, high in itertools.pairwise(RANGES):
        inside = [row for known, row in pairs if low <= (known.tempo or math.nan) < high]
        if inside:
            name = f"{low:g}–{high:g} bpm" if high < math.inf else f"from {low:g} bpm"
            scores = {score.name: score.value for score in beat_summary(inside)}
            rows.append({"tempo": name, "tracks": len(inside)} | scores)
    return rows
