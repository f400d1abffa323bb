"""Auto-tagging: words for a whole track, from clips of it.

A track has any number of tags; a model gives each a probability of its own (sigmoid, binary
cross-entropy), and a track's tags are the mean over its clips. Where every track has exactly one
tag the tags are classes, and the accuracy of the highest one is scored as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np
from sklearn.metrics import average_precision_score

from kmir.annotations import Annotations, Tags
from kmir.errors import RecordError
from kmir.features.log_mel import LogMel
from kmir.nn import Output
from kmir.nn.losses import WeightedBinaryCrossentropy
from kmir.records.spec import Manifest, Spec
from kmir.scoring import Score
from kmir.scoring.tagging import per_tag, tagging_scores
from pipelines.base import PipelineConfig, Task

RAREST = 10.0  # a positive of the rarest tag counts at most this many times


@dataclass(frozen=True)
class TaggingConfig(PipelineConfig):
    """Settings of the tagging stream.

    Args:
        clip_seconds: 29.12 s are 1366 frames of the default feature, as in Choi et al. (2017).
        class_weights: ``"balanced"`` makes the positives of rare tags count more, by the ratio
            of negatives to positives in the training tracks, at most 10.
    """

    clip_seconds: float | None = 29.12
    class_weights: Literal["none", "balanced"] = "none"


class Tagging(Task):
    """Tags of a track."""

    name = "tagging"
    Config = TaggingConfig
    feature = LogMel()
    invariant_to = frozenset({"keeps", "mixes"})
    config: TaggingConfig

    @classmethod
    def labels_of(cls, spec: Spec, config: PipelineConfig) -> tuple[str, ...]:
        """All tags of the records, sorted."""
        del config
        if not spec.tags:
            has = ", ".join(spec.known) or "no annotations"
            raise RecordError(f"Expected records with tags. Received: records with {has}.")
        return spec.tags

    def outputs(self) -> dict[str, Output]:
        """One probability a tag."""
        return {"tags": Output(len(self.labels), "sigmoid", "clip")}

    def encode(self, annotations: Annotations, times: np.ndarray) -> dict[str, np.ndarray]:
        """``(tags,)`` of 0 and 1: tags of the vocabulary with a score of at least 0.5 hold."""
        del times  # tags hold for the whole track
        if annotations.tags is None:
            return {"tags": np.full(len(self.labels), np.nan, np.float32)}
        tags = zip(annotations.tags.labels, annotations.tags.scores, strict=True)
        held = [label for label, score in tags if score >= 0.5]
        return {"tags": np.isin(self.labels, held).astype(np.float32)}

    def decode(self, activations: Mapping[str, np.ndarray], times: np.ndarray) -> Annotations:
        """All tags with their probabilities, highest first."""
        del times
        return Annotations(tags=Tags(self.labels, activations["tags"]).top(len(self.labels)))

    def losses(self, manifest: Manifest) -> dict[str, keras.losses.Loss]:
        """Binary cross-entropy, weighted if configured."""
        if self.config.class_weights == "none":
            return {"tags": keras.losses.BinaryCrossentropy()}
        train = manifest.splits["train"]
        counts = np.array([train.tag_counts.get(tag, 0) for tag in self.labels])
        ratio = (train.tracks - counts) / np.maximum(counts, 1)
        return {"tags": WeightedBinaryCrossentropy(np.clip(ratio, 1.0, RAREST).tolist())}

    def metrics(self) -> dict[str, list[keras.metrics.Metric]]:
        """Macro areas under the ROC and precision–recall curves, over clips."""
        size = len(self.labels)
        return {
            "tags": [
                keras.metrics.AUC(name="roc_auc", multi_label=True, num_labels=size),
                keras.metrics.AUC(name="pr_auc", curve="PR", multi_label=True, num_labels=size),
            ]
        }

    def score(self, reference: Annotations, estimate: Annotations) -> dict[str, Any]:
        """Reference tags, as many estimated ones, and how well the ranking puts the former first.

        ``accuracy`` is 1 where the highest tag is the track's only one, 0 where not, and empty for
        a track with several tags or none.
        """
        if reference.tags is None or estimate.tags is None:
            return {}
        truth = reference.tags.labels
        best = estimate.tags.top(max(1, len(truth))).labels
        hits = np.isin(estimate.tags.labels, truth)
        precision = average_precision_score(hits, estimate.tags.scores) if hits.any() else None
        return {
            "reference": "|".join(truth),
            "estimate": "|".join(best),
            "accuracy": int(best[0] == truth[0]) if len(truth) == 1 else None,
            "average_precision": precision,
        }

    def summarise(
        self, references: Sequence[Annotations], estimates: Sequence[Annotations]
    ) -> tuple[list[Score], list[dict[str, Any]]]:
        """Areas over tracks, macro and per tag, and accuracy where tags are classes.

        Raises:
            RecordError: If no track has tags.
        """
        pairs = [
            (self.encode(reference, np.zeros(0))["tags"], self._table(estimate))
            for reference, estimate in zip(references, estimates, strict=True)
            if reference.tags is not None
        ]
        if not pairs:
            raise RecordError(
                "Expected at least one track with tags to score against. Received: none. "
                "Evaluate on records of a data set with tags."
            )
        truth, scores = (np.stack(rows) for rows in zip(*pairs, strict=True))
        rows = per_tag(truth, scores)
        named = [{"tag": tag} | row for tag, row in zip(self.labels, rows, strict=True)]
        return tagging_scores(truth, scores), named

    def _table(self, estimate: Annotations) -> np.ndarray:
        assert estimate.tags is not None  # decode gives them always
        by_tag = dict(zip(estimate.tags.labels, estimate.tags.scores, strict=True))
        return np.array([by_tag[tag] for tag in self.labels])
