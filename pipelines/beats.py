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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import keras
import numpy as np

from kmir.annotations import Annotations, Beats
from kmir.annotations.beats_file import tempo_of
from kmir.decoders import (
    bars_from_downbeats,
    beats_from_activations,
    downbeats_from_activations,
    peaks,
)
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
from pipelines.tempo import TEMPI, tempo_targets

SLOWEST, FASTEST = 55.0, 215.0  # bpm: tempi that are decoded
RANGES = (0.0, 80.0, 110.0, 140.0, math.inf)  # bpm: tempi that scores are told apart by
# The network is to see a tempo of 200 bpm in steps of 3 %, finer than frames of 20 ms.
DECODED_RATE = 100.0
TOP_BPM = 1000.0  # beats of six such frames; more is a slip
CERTAIN = 1e-4  # no downbeat is surer than this
NEAR = 0.07  # seconds: the window within which a beat counts as found


@dataclass(frozen=True)
class BeatsConfig(PipelineConfig):
    """Settings of the beat stream and decoder.

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
        decoder: ``"dbn"`` finds beats and bars together, ``"dbn_beats"`` beats, with no bars,
            ``"dbn_bars"`` beats, and then bars, of which it asks the preset `bars` too, ``"peaks"``
            both by their peaks alone.
        bars: Preset that hears in the harmony between beats where bars begin (``"dbn_bars"``).
        harmony: What it counts beside the model's own downbeats, from 0 to 1, where the model isn't
            asked (``"dbn_bars"``).
        beats_per_bar: Metres that ``"dbn"`` and ``"dbn_bars"`` may choose from.
        min_bpm: Slowest tempo of the network.
        max_bpm: Fastest tempo.
        transition_lambda: How steady the tempo is (all but ``"peaks"``).
        threshold: Activation below which there is no music at both ends (all but ``"peaks"``).
        peak_threshold: Activation below which there is no peak (``"peaks"``).
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
    decoder: Literal["dbn", "dbn_beats", "dbn_bars", "peaks"] = "dbn"
    bars: str = "bar_gru_billboard"
    harmony: float = 0.75
    beats_per_bar: tuple[int, ...] = (3, 4)
    min_bpm: float = SLOWEST
    max_bpm: float = FASTEST
    transition_lambda: float = 100.0
    threshold: float = 0.2
    peak_threshold: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        positive, slower = "above 0, and finite", f"above 0 and below max_bpm ({self.max_bpm:g})"
        rules = (
            ("tolerance", self.tolerance >= 0, "from 0"),
            ("widening", self.widening >= 0, "from 0"),
            ("positive_weight", 0 < self.positive_weight < math.inf, positive),
            ("downbeat_weight", 0 < self.downbeat_weight < math.inf, positive),
            ("tempo_spread", 0 < self.tempo_spread < math.inf, positive),
            ("harmony", 0 <= self.harmony <= 1, "from 0 to 1"),
            ("beats_per_bar", min(self.beats_per_bar, default=0) >= 1, "with one metre or more"),
            ("max_bpm", 0 < self.max_bpm <= TOP_BPM, f"above 0, to {TOP_BPM:g}"),
            ("min_bpm", 0 < self.min_bpm < self.max_bpm, slower),
            ("transition_lambda", 0 <= self.transition_lambda < math.inf, "from 0, and finite"),
            ("threshold", 0 <= self.threshold < 1, "from 0 to below 1"),
            ("peak_threshold", 0 <= self.peak_threshold < 1, "from 0 to below 1"),
        )
        check_values(vars(self), rules)


class BeatTracking(Task):
    """Beats, downbeats and tempo."""

    name = "beats"
    Config = BeatsConfig
    feature = LogFrequency()
    window_seconds = 40.0
    margin_seconds = 5.0
    decoding = (
        "decoder",
        "bars",
        "harmony",
        "beats_per_bar",
        "min_bpm",
        "max_bpm",
        "transition_lambda",
        "threshold",
        "peak_threshold",
    )
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
        beats = self._beats(activations, times)
        return Annotations(beats=beats, tempo=tempo_of(beats))

    def _beats(self, activations: Mapping[str, np.ndarray], times: np.ndarray) -> Beats:
        if len(times) < 2:
            return Beats(np.zeros(0))
        beat = np.asarray(activations["beat"], np.float64)[:, 0].clip(0, 1)
        downbeat = np.asarray(activations["downbeat"], np.float64)[:, 0].clip(0, 1)
        c, rate = self.config, 1 / (times[1] - times[0])
        if c.decoder == "peaks":
            found = peaks(beat, rate, threshold=c.peak_threshold)
            firsts = peaks(downbeat, rate, threshold=c.peak_threshold)
            return Beats(times[0] + found, _positions(found, firsts))
        step = max(1, round(DECODED_RATE / rate))
        fine = np.arange((len(times) - 1) * step + 1) / step
        beat, downbeat = (np.interp(fine, np.arange(len(times)), x) for x in (beat, downbeat))
        network: Callable[..., np.ndarray] = partial(
            downbeats_from_activations if c.decoder == "dbn" else beats_from_activations,
            frame_rate=rate * step,
            min_bpm=c.min_bpm,
            max_bpm=c.max_bpm,
            transition_lambda=c.transition_lambda,
            threshold=c.threshold,
        )
        if c.decoder != "dbn":
            return Beats(times[0] + network(beat))
        both = np.stack([np.maximum(beat - downbeat, 0.0), np.minimum(downbeat, beat)], axis=1)
        found = network(both, beats_per_bar=c.beats_per_bar)
        return Beats(times[0] + found[:, 0], found[:, 1].astype(int))

    @property
    def companion(self) -> str:
        """The preset for bars, if the decoder asks it."""
        return self.config.bars if self.config.decoder == "dbn_bars" else ""

    def conclude(
        self,
        found: Annotations,
        activations: Mapping[str, np.ndarray],
        times: np.ndarray,
        heard: Mapping[str, np.ndarray],
    ) -> Annotations:
        """Beats with the positions that fit the model's downbeats and the harmony best.

        Of the two, log-odds are averaged: who is sure decides. Without harmony the model decides.
        """
        beats = found.beats
        if self.config.decoder != "dbn_bars" or beats is None or not len(beats.times):
            return found
        rate = 1 / (times[1] - times[0])
        near = max(1, round(NEAR * rate))
        around = np.rint((beats.times - times[0]) * rate).astype(int)[:, np.newaxis]
        frames = (around + np.arange(-near, near + 1)).clip(0, len(times) - 1)
        odds = _log_odds(activations["downbeat"][frames, 0].max(axis=1))
        if "downbeat" in heard:
            share = self.config.harmony
            odds = share * _log_odds(heard["downbeat"][:, 0]) + (1 - share) * odds
        positions = bars_from_downbeats(1 / (1 + np.exp(-odds)), self.config.beats_per_bar)
        return replace(found, beats=Beats(beats.times, positions))

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


def _log_odds(probabilities: np.ndarray) -> np.ndarray:
    """Of probabilities that are certain to `CERTAIN` at most."""
    p = np.asarray(probabilities, np.float64).clip(CERTAIN, 1 - CERTAIN)
    return np.asarray(np.log(p) - np.log1p(-p))


def _positions(beats: np.ndarray, downbeats: np.ndarray) -> np.ndarray:
    """``(n,)`` position of each beat, counted from those that are downbeats; 0 before the first.

    A beat is one if a peak of downbeats lies within `NEAR` of it; peaks beside all beats are noise.
    """
    if not len(beats):
        return np.zeros(0, int)
    nearest = np.searchsorted((beats[1:] + beats[:-1]) / 2, downbeats)
    firsts = np.unique(nearest[np.abs(beats[nearest] - downbeats) <= NEAR])
    if not len(firsts):
        return np.zeros(len(beats), int)
    since = np.searchsorted(firsts, np.arange(len(beats)), side="right") - 1
    return np.where(since >= 0, np.arange(len(beats)) - firsts[since] + 1, 0)


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
