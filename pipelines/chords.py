"""Chord recognition: a chord for every frame, and segments of equal chords from them.

A model gives each frame the probabilities of the chords of a vocabulary, and with ``structured``
also those of its root, its bass and the pitch classes that sound, which help it to tell chords
apart that share notes (B. McFee, J. Bello, "Structured training for large-vocabulary chord
recognition", ISMIR 2017). What a vocabulary can't say is masked. Decoders make segments of the
probabilities; the Viterbi decoder learns from the training tracks how chords follow each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import keras
import numpy as np

from kmir.annotations import Annotations, Segments
from kmir.annotations.chords import UNKNOWN, indices, parse, vocabulary
from kmir.decoders import count_transitions, log_transitions, median_smooth, runs, viterbi
from kmir.errors import RecordError, UsageError
from kmir.features.base import Feature
from kmir.features.nnls_chroma import NNLSChroma
from kmir.nn import Output
from kmir.pictures.chords import draw_confusion, draw_timeline
from kmir.records.spec import Manifest, Spec
from kmir.scoring import Score
from kmir.scoring.chords import chord_scores, chord_summary, confusion, per_label
from pipelines.base import PipelineConfig, Task

SMALLEST = 1e-7  # probability below which a chord is as good as excluded


@dataclass(frozen=True)
class ChordsConfig(PipelineConfig):
    """Settings of the chord stream and decoder.

    Args:
        clip_seconds: 11.88 s are 256 frames of NNLS chroma, about six bars.
        transpose: Rotate training clips by 0 to 11 semitones.
        gain_db: Loudness of training clips, up or down.
        vocabulary: ``"majmin"`` (25 chords) or ``"large"`` (170).
        structured: Ask the model for root, bass and pitch classes too.
        decoder: ``"viterbi"``, ``"median"`` (running median of the probabilities), or ``"none"``.
        transition_weight: Exponent of the transitions beside the model's probabilities (Viterbi).
        median_seconds: Window of the median.
    """

    clip_seconds: float | None = 11.88
    transpose: bool = True
    gain_db: float = 3.0
    vocabulary: Literal["majmin", "large"] = "majmin"
    structured: bool = True
    decoder: Literal["viterbi", "median", "none"] = "viterbi"
    transition_weight: float = 0.5
    median_seconds: float = 0.7

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.transition_weight < 0 or self.median_seconds <= 0:
            raise UsageError("Expected transition_weight from 0 and median_seconds above 0.")


class Chords(Task):
    """Chords over time."""

    name = "chords"
    Config = ChordsConfig
    feature = NNLSChroma()
    invariant_to = frozenset({"keeps", "transposes"})
    decoding = ("decoder", "transition_weight", "median_seconds")
    training: ClassVar[Mapping[str, Any]] = {
        "batch_size": 16,
        "steps_per_epoch": 125,
        "epochs": 30,
        "schedule": "one_cycle",
        "learning_rate": 2e-3,
        "monitor": "val_chord_accuracy",
    }
    config: ChordsConfig

    def __init__(self, config: ChordsConfig, labels: Sequence[str]):
        super().__init__(config, labels)
        self.vocabulary = vocabulary(config.vocabulary)

    @classmethod
    def labels_of(cls, spec: Spec, config: PipelineConfig) -> tuple[str, ...]:
        """All chords of the vocabulary."""
        assert isinstance(config, ChordsConfig)
        if "chords" not in spec.known:
            has = ", ".join(spec.known) or "no annotations"
            raise RecordError(f"Expected records with chords. Received: records with {has}.")
        return vocabulary(config.vocabulary).labels

    def outputs(self) -> dict[str, Output]:
        """Probabilities of chords; then of root and bass (from C, then none), and pitch classes."""
        outputs = {"chord": Output(len(self.labels), "softmax", "frame")}
        if self.config.structured:
            helping = partial(Output, level="frame", loss_weight=0.3, decoded=False)
            outputs |= {
                "root": helping(13, "softmax"),
                "bass": helping(13, "softmax"),
                "pitch_classes": helping(12, "sigmoid"),
            }
        return outputs

    # === Annotations → targets ===

    def encode(self, annotations: Annotations, times: np.ndarray) -> dict[str, np.ndarray]:
        """``(frames, classes)`` of 0 and 1 by output; NaN where no chord is known.

        A frame has the chord that sounds at its time; at a border, the later one.
        """
        known = annotations.chords
        if known is None:
            sizes = {name: output.size for name, output in self.outputs().items()}
            return {n: np.full((len(times), s), np.nan, np.float32) for n, s in sizes.items()}
        distinct = sorted(set(known.labels))
        tables = self._targets(distinct)
        where = known.at(times)
        number = np.array([distinct.index(label) for label in known.labels] + [len(distinct)])
        return {name: table[number[where]] for name, table in tables.items()}

    def _targets(self, labels: Sequence[str]) -> dict[str, np.ndarray]:
        """A row of targets for each label, and a last one for no label at all."""
        chords = [parse(label) for label in labels]
        classes = indices(self.vocabulary, labels)
        targets = {"chord": _one_hot([*classes, -1], len(self.labels))}
        if self.config.structured:
            unknown = np.full(12, np.nan, np.float32)
            roots = [-1 if c is None else 12 if c.root is None else c.root for c in chords]
            basses = [-1 if c is None else 12 if c.bass is None else c.bass for c in chords]
            sounding = [unknown if c is None else c.pitch_classes for c in chords]
            targets |= {
                "root": _one_hot([*roots, -1], 13),
                "bass": _one_hot([*basses, -1], 13),
                "pitch_classes": np.stack([*sounding, unknown]),
            }
        return targets

    def transpositions(self) -> dict[str, np.ndarray]:
        """Where each class comes from: k semitones up, G takes what was at G − k."""
        pitches = np.stack([(np.arange(12) - k) % 12 for k in range(12)])
        or_none = np.hstack([pitches, np.full((12, 1), 12)])
        tables = {"root": or_none, "bass": or_none, "pitch_classes": pitches}
        tables["chord"] = np.stack([self.vocabulary.transposition(-k) for k in range(12)])
        return tables

    # === Outputs → annotations ===

    def learn(self, annotations: Iterable[Annotations], frame_rate: float) -> None:
        """Transitions between chords, the same in all twelve keys."""

        def sequences() -> Iterable[np.ndarray]:
            for track in annotations:
                if track.chords is not None and len(track.chords.labels):
                    times = np.arange(0, track.chords.intervals[-1, 1], 1 / frame_rate)
                    classes = indices(self.vocabulary, track.chords.labels)
                    yield np.append(classes, -1)[track.chords.at(times)]

        counts = count_transitions(sequences(), len(self.labels))
        moves = [self.vocabulary.transposition(k) for k in range(12)]
        counts = sum(counts[np.ix_(move, move)] for move in moves)
        self.learned = {"log_transition": log_transitions(counts)}

    def decode(self, activations: Mapping[str, np.ndarray], times: np.ndarray) -> Annotations:
        """Segments of equal chords, with borders halfway between frames.

        The last ends half a frame after the last frame's time; a lone frame has no duration, so it
        makes no segment.
        """
        if len(times) < 2:
            return Annotations(chords=Segments(np.zeros((0, 2)), ()))
        classes = self._path(np.asarray(activations["chord"], np.float32), times)
        starts, ends, values = runs(classes)
        halfway = (times[:-1] + times[1:]) / 2
        borders = np.concatenate([times[:1], halfway, 2 * times[-1:] - halfway[-1:]])
        intervals = np.stack([borders[starts], borders[ends]], axis=1)
        return Annotations(chords=Segments(intervals, tuple(self.labels[i] for i in values)))

    def _path(self, probabilities: np.ndarray, times: np.ndarray) -> np.ndarray:
        """``(frames,)`` class of each frame; X is no answer, so it is never one of them."""
        answers = probabilities[:, [label != UNKNOWN for label in self.labels]]  # X is the last
        if self.config.decoder == "viterbi" and "log_transition" in self.learned:
            likelihood = np.log(np.maximum(answers, SMALLEST))
            size = answers.shape[1]
            transitions = self.learned["log_transition"][:size, :size]
            return viterbi(likelihood, self.config.transition_weight * transitions)
        if self.config.decoder == "median":
            width = round(self.config.median_seconds / (times[1] - times[0]))
            return median_smooth(answers, width // 2 * 2 + 1)
        return answers.argmax(axis=1)

    # === Training and scores ===

    def losses(self, manifest: Manifest) -> dict[str, keras.losses.Loss]:
        """Cross-entropy of each output."""
        del manifest
        kinds = {
            "softmax": keras.losses.CategoricalCrossentropy,
            "sigmoid": keras.losses.BinaryCrossentropy,
        }
        return {name: kinds[output.activation]() for name, output in self.outputs().items()}

    def metrics(self) -> dict[str, list[keras.metrics.Metric]]:
        """Share of known frames whose chord is right."""
        return {"chord": [keras.metrics.CategoricalAccuracy(name="accuracy")]}

    def score(self, reference: Annotations, estimate: Annotations) -> dict[str, Any]:
        """mir_eval's comparisons and segmentation, by duration."""
        if reference.chords is None or estimate.chords is None:
            return {}
        return chord_scores(reference.chords, estimate.chords)

    def summarise(
        self, references: Sequence[Annotations], estimates: Sequence[Annotations]
    ) -> tuple[list[Score], list[dict[str, Any]]]:
        """Means over tracks, and a row per chord of the vocabulary.

        Raises:
            RecordError: If no track has chords.
        """
        pairs = _with_chords(references, estimates)
        rows = [chord_scores(reference, estimate) for reference, estimate in pairs]
        return chord_summary(rows), per_label(self._confusion(pairs), self.labels)

    def draw(
        self,
        out: Path,
        references: Sequence[Annotations],
        estimates: Sequence[Annotations],
        features: np.ndarray,
        feature: Feature,
    ) -> None:
        """The confusion matrix, and the timeline of the first track if its chords are known."""
        pairs = _with_chords(references, estimates)
        path = out.with_name(f"{out.stem}_confusion.png")
        draw_confusion(self._confusion(pairs), self.labels, path, title=out.stem)
        reference, estimate = references[0].chords, estimates[0].chords
        if reference is None or estimate is None:
            return
        draw_timeline(
            features,
            feature.frame_rate,
            {"reference": reference, "estimate": estimate},
            out.with_name(f"{out.stem}_timeline.png"),
            title="first track",
            first_pitch_class=feature.first_pitch_class or 0,
        )

    def _confusion(self, pairs: Sequence[tuple[Segments, Segments]]) -> np.ndarray:
        references, estimates = zip(*pairs, strict=True)
        return confusion(references, estimates, self.vocabulary.index, self.labels)


def _one_hot(classes: Sequence[int], size: int) -> np.ndarray:
    """``(n, size)`` of 0 and 1; a row of NaN for -1."""
    rows = np.vstack([np.eye(size, dtype=np.float32), np.full((1, size), np.nan, np.float32)])
    return rows[np.asarray(classes)]


def _with_chords(
    references: Sequence[Annotations], estimates: Sequence[Annotations]
) -> list[tuple[Segments, Segments]]:
    pairs = [
        (reference.chords, estimate.chords)
        for reference, estimate in zip(references, estimates, strict=True)
        if reference.chords is not None and estimate.chords is not None
    ]
    if not pairs:
        raise RecordError(
            "Expected at least one track with chords to score against. Received: none. "
            "Evaluate on records of a data set with chords."
        )
    return pairs
