"""The contract of a task, both ways: annotations → targets, and outputs → annotations.

A task is one file in this folder with one subclass of `Task` and one of `PipelineConfig`. It says
which feature it wants, what a model must put out, how annotations become targets and outputs become
annotations again, and how the two are scored. `encode` and `decode` are NumPy only, and inverses up
to the frame grid. NaN in a target marks what is not known: it counts neither in the loss nor in a
metric.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from kmir.annotations import Annotations
from kmir.config import from_dict
from kmir.errors import UsageError
from kmir.features.base import Feature
from kmir.lookup import find_class
from kmir.nn import Output
from kmir.records.spec import Manifest, Spec
from kmir.scoring import Score

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class PipelineConfig:
    """How records become batches; a task adds settings of its own.

    Args:
        clip_seconds: Length of a training clip; None takes every track whole.
        hop_seconds: From the start of one training clip to the next: an epoch shows all of them.
            None cuts one clip of each stored piece an epoch, at a random place.
        context_seconds: Before each clip, that the model hears without being judged on it.
        shuffle_buffer: Pieces that are shuffled at a time where they don't all fit the cache.
        cache_megabytes: Features that are kept in memory at most.
        deterministic: Same seed, same batches in the same order; false is a little faster on
            many cores.
        freq_masks: Number of frequency masks on a training clip (SpecAugment).
        freq_mask_bins: Bins that a frequency mask spans at most.
        time_masks: Number of time masks.
        time_mask_seconds: Seconds that a time mask spans at most.
        mixup: Alpha of mixup's beta distribution; 0 mixes nothing.
        transpose: Rotate chroma by 0 to 11 semitones, labels with it.
        gain_db: Clips of a feature that is `linear` are made louder or softer by up to this.
        noise: Standard deviation of what is added to such features, before they are cut at zero.
    """

    clip_seconds: float | None = 10.0
    hop_seconds: float | None = None
    context_seconds: float = 0.0
    shuffle_buffer: int = 1024
    cache_megabytes: int = 2048
    deterministic: bool = True
    freq_masks: int = 0
    freq_mask_bins: int = 12
    time_masks: int = 0
    time_mask_seconds: float = 0.5
    mixup: float = 0.0
    transpose: bool = False
    gain_db: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        if self.clip_seconds is not None and not 0 < self.clip_seconds < math.inf:
            raise UsageError(f"Expected clip_seconds above 0. Received: {self.clip_seconds}.")
        if self.hop_seconds is not None and not (self.clip_seconds and self.hop_seconds > 0):
            raise UsageError("Expected hop_seconds above 0, with clip_seconds.")
        for name in ("mixup", "context_seconds", "gain_db", "noise"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError(f"Expected {name} of 0 or more. Received: {getattr(self, name)}.")
        if self.shuffle_buffer < 1:
            raise UsageError(f"Expected shuffle_buffer of 1 or more. Got: {self.shuffle_buffer}.")
        if self.freq_mask_bins < 1 or self.time_mask_seconds <= 0:
            raise UsageError("Expected masks that span at least one bin and more than 0 seconds.")


class Task(abc.ABC):
    """What a model is asked to do, bound to its settings and labels.

    Attributes:
        name: Name of the module that defines the task.
        Config: Its settings, a subclass of `PipelineConfig`.
        feature: The feature it wants where nobody says otherwise.
        invariant_to: Effects on labels that its targets bear: an augmentation with another effect
            is refused. See `pipelines.augment`.
        training: Settings of a run that suit the task, where they are not the usual ones.
        window_seconds: A model of frame outputs reads a recording in overlapping windows of this
            length …
        margin_seconds: … of which it gives away this much at inner borders, for lack of context.
        decoding: Settings that say how outputs are decoded; they may be changed in a preset.
        learned: What `learn` found; a preset keeps it.
    """

    name: ClassVar[str]
    Config: ClassVar[type[PipelineConfig]]
    feature: ClassVar[Feature]
    invariant_to: ClassVar[frozenset[str]] = frozenset({"keeps"})
    training: ClassVar[Mapping[str, Any]] = {}
    decoding: ClassVar[tuple[str, ...]] = ()
    window_seconds: ClassVar[float] = 24.0
    margin_seconds: ClassVar[float] = 3.0

    def __init__(self, config: PipelineConfig, labels: Sequence[str]):
        self.config = config
        self.labels = tuple(labels)
        self.learned: dict[str, np.ndarray] = {}

    @classmethod
    @abc.abstractmethod
    def labels_of(cls, spec: Spec, config: PipelineConfig) -> tuple[str, ...]:
        """Labels that a model learns from records with this spec, under these settings.

        Raises:
            RecordError: If the records hold no such annotations.
        """

    @abc.abstractmethod
    def outputs(self) -> dict[str, Output]:
        """What a model must put out, by name."""

    @abc.abstractmethod
    def encode(self, annotations: Annotations, times: np.ndarray) -> dict[str, np.ndarray]:
        """Targets by output name, float32: ``(size,)`` a clip or ``(frames, size)``; NaN = unknown.

        Args:
            annotations: Of the whole track.
            times: ``(frames,)`` seconds of the frames asked for.
        """

    def transpositions(self) -> dict[str, np.ndarray]:
        """How targets move with the music, for tasks whose targets can be transposed.

        Returns:
            ``(12, size)`` by output: row k says which unit each takes its target from, when the
            music is moved up by k semitones.
        """
        return {}

    def learn(self, annotations: Iterable[Annotations], frame_rate: float) -> None:
        """Learn from the annotations of the training tracks what `decode` needs beside a model.

        Args:
            annotations: Of each training track.
            frame_rate: Frames per second of the outputs.
        """
        del annotations, frame_rate

    @abc.abstractmethod
    def decode(self, activations: Mapping[str, np.ndarray], times: np.ndarray) -> Annotations:
        """Annotations from a model's outputs over a whole track; inverse of `encode`.

        Args:
            activations: By name, of outputs that are `decoded`: ``(size,)`` where the level is
                ``"clip"``, else ``(frames, size)``.
            times: ``(frames,)`` seconds.
        """

    @property
    def companion(self) -> str:
        """Preset that goes on where `decode` ends, by its name; empty where there is none."""
        return ""

    def conclude(
        self,
        found: Annotations,
        activations: Mapping[str, np.ndarray],
        times: np.ndarray,
        heard: Mapping[str, np.ndarray],
    ) -> Annotations:
        """What `decode` found, and what the companion heard between the beats of that.

        Args:
            found: By `decode`, from the same activations and times.
            activations: As for `decode`.
            times: As for `decode`.
            heard: ``(beats, size)`` by name: outputs of the companion's model; empty where there is
                no companion, or nothing for it to hear.
        """
        del activations, times, heard
        return found

    @abc.abstractmethod
    def losses(self, manifest: Manifest) -> dict[str, keras.losses.Loss]:
        """A loss for each output; the manifest tells how rare each label is."""

    @abc.abstractmethod
    def metrics(self) -> dict[str, list[keras.metrics.Metric]]:
        """Metrics for each output, shown while training."""

    @abc.abstractmethod
    def score(self, reference: Annotations, estimate: Annotations) -> dict[str, Any]:
        """One row of ``scores.csv``: how well one track was read."""

    def draw(  # noqa: B027  # most tasks draw nothing
        self,
        out: Path,
        references: Sequence[Annotations],
        estimates: Sequence[Annotations],
        features: np.ndarray,
        feature: Feature,
    ) -> None:
        """Draw what says more than figures do, if anything.

        Args:
            out: Path of ``scores.csv``; pictures go beside it (``scores_timeline.png``).
            references: Of all tracks.
            estimates: Likewise.
            features: ``(frames, *shape)`` of the first track.
            feature: What they are.
        """

    @abc.abstractmethod
    def summarise(
        self, references: Sequence[Annotations], estimates: Sequence[Annotations]
    ) -> tuple[list[Score], list[dict[str, Any]]]:
        """Scores over all tracks with confidence intervals, and a row per label."""


def task_class(name: str) -> type[Task]:
    """Class of the task with this name (``"tagging"`` → ``Tagging``).

    Raises:
        UsageError: If there is none.
    """
    return find_class("task", name, Task)


def task_from_config(name: str, config: Mapping[str, Any], labels: Sequence[str]) -> Task:
    """Task as a preset stores it."""
    cls = task_class(name)
    return cls(from_dict(cls.Config, config), labels)
