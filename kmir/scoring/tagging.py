"""Tags over a set of tracks: areas under the ROC and precision–recall curves, and accuracy.

Areas are macro averages over the tags that some but not all tracks have; scikit-learn computes
them. Accuracy stands where every track has exactly one tag: the share of tracks whose highest tag
is theirs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from kmir.errors import UsageError
from kmir.scoring.score import Score, bootstrap

AREAS = {"roc_auc": roc_auc_score, "pr_auc": average_precision_score}


def validate(reference: np.ndarray, estimate: np.ndarray) -> None:
    """Check two tables of tags.

    Args:
        reference: ``(tracks, tags)`` of 0 and 1.
        estimate: ``(tracks, tags)`` of finite scores, higher = surer.

    Raises:
        UsageError: If they can't be compared.
    """
    if reference.shape != estimate.shape or reference.ndim != 2:
        raise UsageError(
            f"Expected two tables (tracks, tags). Received: {reference.shape}, {estimate.shape}."
        )
    if not len(reference):
        raise UsageError(f"Expected at least one track. Received: {reference.shape}.")
    if not np.isin(reference, (0, 1)).all() or not np.isfinite(estimate).all():
        raise UsageError("Expected references of 0 and 1 and finite estimates.")


def per_tag(reference: np.ndarray, estimate: np.ndarray) -> list[dict[str, Any]]:
    """Positives, ROC-AUC and PR-AUC (average precision) of each tag; NaN where one class is absent.

    Args:
        reference: ``(tracks, tags)`` of 0 and 1.
        estimate: ``(tracks, tags)`` scores.
    """
    validate(reference, estimate)
    return [
        {"tracks": int(truth.sum())} | {area: _area(area, truth, scores) for area in AREAS}
        for truth, scores in zip(reference.T, estimate.T, strict=True)
    ]


def tagging_scores(reference: np.ndarray, estimate: np.ndarray) -> list[Score]:
    """Macro ROC-AUC and PR-AUC, and accuracy where every track has exactly one tag.

    Args:
        reference: ``(tracks, tags)`` of 0 and 1.
        estimate: ``(tracks, tags)`` scores.

    Returns:
        Scores with intervals and the level of chance: 0.5 for the ROC, the mean share of positive
        tracks for precision–recall, the share of the most frequent tag for accuracy.
    """
    validate(reference, estimate)

    def macro(area: str, rows: np.ndarray) -> float:
        # A resample, or a small set, may lack a tag altogether: its area does not exist.
        tags = zip(reference[rows].T, estimate[rows].T, strict=True)
        areas = [_area(area, truth, scores) for truth, scores in tags]
        return float(np.nanmean(areas)) if not np.isnan(areas).all() else float("nan")

    tracks = len(reference)
    present = reference[:, (reference.sum(0) > 0) & (reference.sum(0) < tracks)]
    prevalence = float(present.mean()) if present.size else float("nan")
    scores = [
        bootstrap("roc_auc", lambda rows: macro("roc_auc", rows), tracks, chance=0.5),
        bootstrap("pr_auc", lambda rows: macro("pr_auc", rows), tracks, chance=prevalence),
    ]
    if (reference.sum(1) == 1).all() and reference.shape[1] > 1:
        right = reference.argmax(1) == estimate.argmax(1)
        majority = float(reference.mean(0).max())
        mean = bootstrap(
            "accuracy", lambda rows: float(right[rows].mean()), tracks, chance=majority
        )
        scores.insert(0, mean)
    return scores


def _area(area: str, truth: np.ndarray, scores: np.ndarray) -> float:
    return float(AREAS[area](truth, scores)) if 0 < truth.sum() < len(truth) else float("nan")
