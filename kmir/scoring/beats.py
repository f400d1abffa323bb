"""Beats, downbeats and tempo against a reference: mir_eval's measures.

Of beats and of downbeats, all by ``mir_eval.beat`` (Raffel et al., "mir_eval", ISMIR 2014), which
has them from M. Davies, N. Degara, M. Plumbley, "Evaluation methods for musical audio beat tracking
algorithms", C4DM-TR-09-06, 2009:

- ``f_measure``: within 70 ms; ``cemgil``: Gaussian error of 40 ms; ``p_score``: within 20 % of the
  median distance of beats.
- ``cmlc``, ``cmlt``: share of beats whose place and distance agree within 17.5 %, in the longest
  stretch without a mistake, and in total; ``amlc``, ``amlt`` the same, where double and half tempo
  and the off-beat are right too.
- ``information_gain``: of the histogram of errors, in parts of its most.

Of the tempo: ``tempo_accuracy1``, within 4 % of the reference, and ``tempo_accuracy2``, within 4 %
of it or of its half, double, third or triple (F. Gouyon et al., "An experimental comparison of
audio tempo induction algorithms", IEEE TASLP 14(5), 2006).

The conventions at the edges:

- Beats before `trim_seconds` don't count, 5 s as in mir_eval and published figures. Where fewer
  than two of the reference would be left, all count: of a short recording there would be no score.
- Without beats in the reference there is no score: None. An estimate without beats scores 0; a
  single one has no distance, and scores 0 where one is asked for, as in mir_eval.
- Downbeats have a score where the reference has some. A beat of the reference whose position is not
  known can't be said to be none: estimated downbeats that are nearest to such a beat are left out.
- The tempo has a score where that of the reference is given; no estimate is a wrong one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import mir_eval.beat
import numpy as np

from kmir.annotations import Beats
from kmir.errors import UsageError
from kmir.scoring.score import Score, bootstrap

BEATS = ("f_measure", "cemgil", "p_score", "cmlc", "cmlt", "amlc", "amlt", "information_gain")
DOWNBEATS = tuple(f"downbeat_{measure}" for measure in BEATS)
TEMPO = ("tempo_accuracy1", "tempo_accuracy2")
MEASURES = (*BEATS, *DOWNBEATS, *TEMPO)

TOLERANCE = 0.04  # of the tempo
FACTORS = (1, 1 / 2, 2, 1 / 3, 3)


def beat_scores(
    reference: Beats,
    estimate: Beats,
    reference_tempo: float | None = None,
    estimate_tempo: float | None = None,
    *,
    trim_seconds: float = 5.0,
) -> dict[str, float | None]:
    """All measures of one track.

    Args:
        reference: Beats, with positions if downbeats are to be scored.
        estimate: Likewise; beats without positions have no downbeats.
        reference_tempo: Beats per minute.
        estimate_tempo: Likewise.
        trim_seconds: Beats before this time don't count, in a recording that has others.

    Returns:
        Each of `MEASURES`, from 0 to 1, or None where the reference has nothing to compare.
    """
    beats = _scores(reference.times, estimate.times, trim_seconds)
    downbeats = _scores(reference.downbeats, _comparable(estimate, reference), trim_seconds)
    return {
        **dict(zip(BEATS, beats, strict=True)),
        **dict(zip(DOWNBEATS, downbeats, strict=True)),
        **dict(zip(TEMPO, _tempo_scores(reference_tempo, estimate_tempo), strict=True)),
    }


def beat_summary(rows: Sequence[Mapping[str, float | None]]) -> list[Score]:
    """Mean of each measure over the tracks that have it, with its confidence interval.

    Args:
        rows: What `beat_scores` gave for each track; what is missing in one counts as None.

    Returns:
        A score for each of `BEATS`, NaN where no track has it; then for each other of `MEASURES`
        that some track has.

    Raises:
        UsageError: If there are no tracks.
    """
    if not rows:
        raise UsageError("Expected at least one track to score. Received: none.")

    def summary(measure: str) -> Score:
        values = np.array([row.get(measure) for row in rows], np.float64)  # None becomes NaN

        def mean(tracks: np.ndarray) -> float:
            known = values[tracks][~np.isnan(values[tracks])]
            return float(known.mean()) if known.size else float("nan")

        return bootstrap(measure, mean, len(rows))

    return [
        summary(measure)
        for measure in MEASURES
        if measure in BEATS or any(row.get(measure) is not None for row in rows)
    ]


def _scores(reference: np.ndarray, estimate: np.ndarray, trim: float) -> Sequence[float | None]:
    """The measures `BEATS` of two sequences of times."""
    if not len(reference):
        return [None] * len(BEATS)
    if np.count_nonzero(reference >= trim) > 1:
        reference, estimate = (
            mir_eval.beat.trim_beats(times, min_beat_time=trim) for times in (reference, estimate)
        )
    if not len(estimate):
        return [0.0] * len(BEATS)
    f_measure = mir_eval.beat.f_measure(reference, estimate)
    cemgil, _ = mir_eval.beat.cemgil(reference, estimate)
    if min(len(reference), len(estimate)) < 2:
        return [float(f_measure), float(cemgil)] + [0.0] * (len(BEATS) - 2)
    return [
        float(value)
        for value in (
            f_measure,
            cemgil,
            _p_score(reference, estimate),
            *mir_eval.beat.continuity(reference, estimate),
            mir_eval.beat.information_gain(reference, estimate),
        )
    ]


def _p_score(reference: np.ndarray, estimate: np.ndarray) -> float:
    """``mir_eval.beat.p_score``, whose time grows with the square of that of the music.

    It correlates trains of impulses, a hundred a second; counting pairs gives the same.
    """
    first = min(reference[0], estimate[0])
    truth, guess = (
        np.unique(np.ceil((times - first) * 100).astype(int)) for times in (reference, estimate)
    )
    if len(truth) < 2:
        return 0.0
    window = int(np.round(0.2 * np.median(np.diff(truth))))
    pairs = np.searchsorted(guess, truth + window, "right") - np.searchsorted(guess, truth - window)
    return float(pairs.sum() / max(len(reference), len(estimate)))


def _comparable(estimate: Beats, reference: Beats) -> np.ndarray:
    """Estimated downbeats, but those nearest to a beat of the reference of unknown position."""
    if not len(reference.times):
        return estimate.downbeats
    middles = (reference.times[1:] + reference.times[:-1]) / 2
    nearest = np.searchsorted(middles, estimate.downbeats)
    return estimate.downbeats[reference.positions[nearest] > 0]


def _tempo_scores(reference: float | None, estimate: float | None) -> Sequence[float | None]:
    """The measures `TEMPO`."""
    if reference is None:
        return [None, None]
    if estimate is None:
        return [0.0, 0.0]
    # A little more than the tolerance, for what is exactly there.
    near = [abs(estimate / (reference * f) - 1) <= TOLERANCE + 1e-9 for f in FACTORS]
    return [float(near[0]), float(any(near))]
