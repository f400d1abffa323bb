"""Chords against a reference: mir_eval's comparisons, segmentation, and what is taken for what.

All scores are those of ``mir_eval.chord.evaluate``: the share of the reference's time in which two
chords agree by a rule (Raffel et al., "mir_eval", ISMIR 2014). The conventions at the edges, where
mir_eval leaves a choice, scores an accident, or gives up:

- ``X`` in the reference counts in no comparison. A gap between two segments of the reference is an
  ``X``; mir_eval holds the chord before it.
- The estimate is cut to the span of the reference; where it says nothing, inside or beyond its
  ends, it says ``N``. mir_eval holds the chord before an inner gap, and refuses to measure the
  segmentation where an estimate ends before the reference begins.
- ``X`` in the estimate is wrong, but as in mir_eval it agrees with ``N`` in `root` and `mirex`,
  and with every chord of three or more pitches in `mirex`: don't put it out.
- A bass from outside the chord counts as one more pitch of it: `majmin` leaves ``C:maj/2`` out, and
  `sevenths` reads ``C:maj/b7`` as ``C:7``; vocabularies in `kmir.annotations` say ``C:maj``.
- Where no time of the reference can be compared (`majmin` of a song of ``sus4`` chords) there is no
  score; mir_eval gives 0.
- Neighbours that overlap or part by a rounding error, `TOLERANCE`, meet; mir_eval refuses overlaps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import mir_eval
import numpy as np

from kmir.annotations import Segments
from kmir.annotations.chords import NO_CHORD, UNKNOWN, parse
from kmir.decoders import runs
from kmir.errors import AnnotationError, UsageError
from kmir.scoring.score import Score, bootstrap

COMPARISONS = {
    name: getattr(mir_eval.chord, name)
    for name in ("root", "thirds", "majmin", "triads", "sevenths", "tetrads", "mirex")
}
MEASURES = (*COMPARISONS, "overseg", "underseg", "seg")
TOLERANCE = 0.002  # seconds: two times that were each rounded to a millisecond


def chord_scores(reference: Segments, estimate: Segments) -> dict[str, float | None]:
    """All measures of one track.

    Args:
        reference: Chords in Harte syntax, in order and without overlaps.
        estimate: Likewise.

    Returns:
        Each of `MEASURES`, from 0 to 1, or None where the reference has no time to compare; and
        ``duration``, the seconds of the reference in which a chord, or ``N``, is known.

    Raises:
        AnnotationError: If segments overlap, or a label is no chord in Harte's syntax.
    """
    pairs = seconds_of_pairs(reference, estimate)
    for label in {label for pair in pairs for label in pair}:
        parse(label)  # refuses what mir_eval would stumble over, in kmir's words
    references, estimates = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    seconds = np.array(list(pairs.values()))
    scores: dict[str, float | None] = dict.fromkeys(MEASURES)
    if pairs:
        for name, compare in COMPARISONS.items():
            agree = compare(references, estimates)
            counted = agree >= 0
            total = seconds[counted].sum()
            scores[name] = float(agree[counted] @ seconds[counted] / total) if total else None
        truth, guess = (
            _changes(segments, reference, filler)
            for segments, filler in ((reference, UNKNOWN), (estimate, NO_CHORD))
        )
        over = float(mir_eval.chord.overseg(truth, guess))
        under = float(mir_eval.chord.underseg(truth, guess))
        scores |= {"overseg": over, "underseg": under, "seg": min(over, under)}
    known = (lasts for (label, _), lasts in pairs.items() if label != UNKNOWN)
    return scores | {"duration": float(sum(known))}


def chord_summary(rows: Sequence[Mapping[str, float | None]]) -> list[Score]:
    """Mean of each measure over the tracks that have it, with its confidence interval.

    Args:
        rows: What `chord_scores` gave for each track.

    Returns:
        A score for each of `MEASURES`; NaN where no track has it.

    Raises:
        UsageError: If there are no tracks.
    """
    if not rows:
        raise UsageError("Expected at least one track to score. Received: none.")

    def summary(measure: str) -> Score:
        values = np.array([row[measure] for row in rows], np.float64)  # None becomes NaN

        def mean(tracks: np.ndarray) -> float:
            known = values[tracks][~np.isnan(values[tracks])]
            return float(known.mean()) if known.size else float("nan")

        return bootstrap(measure, mean, len(rows))

    return [summary(measure) for measure in MEASURES]


def confusion(
    references: Sequence[Segments],
    estimates: Sequence[Segments],
    label_of: Callable[[str], int],
    labels: Sequence[str],
) -> np.ndarray:
    """For how long each label of a vocabulary was taken for each other one.

    Args:
        references: Chords of each track.
        estimates: Likewise, in the same order.
        label_of: Index of a chord in the vocabulary; -1 for what does not count.
        labels: The vocabulary.

    Returns:
        ``(labels, labels)`` seconds; references in rows, estimates in columns.

    Raises:
        UsageError: If there are not as many estimates as references.
        AnnotationError: If segments overlap.
    """
    if len(references) != len(estimates):
        raise UsageError(
            f"Expected an estimate for each of {len(references)} references. "
            f"Received: {len(estimates)}."
        )
    index = cache(label_of)
    matrix = np.zeros((len(labels), len(labels)))
    for reference, estimate in zip(references, estimates, strict=True):
        for (truth, guess), seconds in seconds_of_pairs(reference, estimate).items():
            row, column = index(truth), index(guess)
            if row >= 0 and column >= 0:
                matrix[row, column] += seconds
    return matrix


def per_label(matrix: np.ndarray, labels: Sequence[str]) -> list[dict[str, Any]]:
    """How well each label of a vocabulary was found.

    Args:
        matrix: ``(labels, labels)`` seconds, as `confusion` gives them.
        labels: The vocabulary.

    Returns:
        For each label ``chord``, ``seconds`` in the references, ``recall`` and ``precision`` (None
        where it is never in the references or never estimated), and ``taken_for``: the wrong label
        it was given longest, empty where it was never given one.
    """
    wrong = matrix * (1 - np.eye(len(labels)))
    given, found = matrix.sum(axis=1), matrix.sum(axis=0)
    return [
        {
            "chord": label,
            "seconds": float(given[i]),
            "recall": float(matrix[i, i] / given[i]) if given[i] else None,
            "precision": float(matrix[i, i] / found[i]) if found[i] else None,
            "taken_for": labels[int(wrong[i].argmax())] if wrong[i].any() else "",
        }
        for i, label in enumerate(labels)
    ]


def seconds_of_pairs(reference: Segments, estimate: Segments) -> dict[tuple[str, str], float]:
    """For how long each pair of labels, of the reference and of the estimate, sounds together.

    Songs repeat their chords: a hundred pairs stand for a thousand stretches of time.

    Args:
        reference: Labelled segments; ``X`` fills its gaps.
        estimate: Labelled segments; ``N`` fills what it leaves of the span of the reference.

    Raises:
        AnnotationError: If segments overlap, or are not in order.
    """
    edges = np.union1d(_edges(reference, reference), _edges(estimate, reference))
    truth = _labels_at(reference, edges[:-1], UNKNOWN)
    guess = _labels_at(estimate, edges[:-1], NO_CHORD)
    seconds: dict[tuple[str, str], float] = {}
    for pair, lasts in zip(zip(truth, guess, strict=True), np.diff(edges), strict=True):
        seconds[pair] = seconds.get(pair, 0.0) + float(lasts)
    return seconds


def _edges(segments: Segments, span: Segments) -> np.ndarray:
    """Times from the start to the end of `span` at which a segment starts or ends, ascending."""
    if not span.intervals.size:
        return np.empty(0)
    times = np.append(_met(segments), [span.intervals.min(), span.intervals.max()])
    return np.unique(times.clip(span.intervals.min(), span.intervals.max()))


def _labels_at(segments: Segments, times: np.ndarray, filler: str) -> list[str]:
    """Label that holds from each time on; the filler where none does."""
    starts, ends = _met(segments).T
    last = np.searchsorted(starts, times, side="right") - 1
    inside = (last >= 0) & (times < np.append(ends, -np.inf)[last])
    return [segments.labels[i] if i >= 0 else filler for i in np.where(inside, last, -1)]


def _met(segments: Segments) -> np.ndarray:
    """``(n, 2)`` intervals in which neighbours that miss each other by a rounding error meet."""
    starts, ends = segments.intervals.T
    apart = starts[1:] - ends[:-1]
    wrong = np.flatnonzero((apart < -TOLERANCE) | (starts[1:] < starts[:-1]))
    if wrong.size:
        (start, end), (other_start, other_end) = segments.intervals[wrong[0] : wrong[0] + 2]
        raise AnnotationError(
            "Expected segments in order that don't overlap. "
            f"Received: {start:g} to {end:g}, then {other_start:g} to {other_end:g}."
        )
    ends = ends.copy()
    ends[:-1] = np.where(np.abs(apart) <= TOLERANCE, starts[1:], ends[:-1])
    return np.stack([starts, ends], axis=1)


def _changes(segments: Segments, span: Segments, filler: str) -> np.ndarray:
    """``(n, 2)`` intervals over `span` from one change of the chord to the next."""
    edges = _edges(segments, span)
    spellings = [_spelling(label) for label in _labels_at(segments, edges[:-1], filler)]
    number = {spelling: i for i, spelling in enumerate(dict.fromkeys(spellings))}
    starts, ends, _ = runs(np.array([number[spelling] for spelling in spellings]))
    return np.stack([edges[starts], edges[ends]], axis=1)


@cache
def _spelling(label: str) -> tuple[int, tuple[int, ...], int]:
    """Root, pitch classes above it, and bass: equal for labels of the same chord."""
    root, pitches, bass = mir_eval.chord.encode(label, reduce_extended_chords=True)
    return int(root), tuple(pitches), int(bass)
