"""The bar pointer model: a hidden Markov model over tempo and position in the bar, solved exactly.

A hidden pointer walks through the bar, one position a frame; a tempo is the whole number of frames
that it takes from beat to beat, and changes at beats only, the less the more likely (Krebs, Böck &
Widmer, "An efficient state space model for joint tempo and meter tracking", ISMIR 2015). In the
first part of a beat, its head, the frame is expected to look like a beat, elsewhere like none
(Böck, Krebs & Widmer, "Joint beat and downbeat tracking with recurrent neural networks", 2016).

Between two beats nothing is left to choose, so Viterbi's maximum is taken over whole beats instead
of frames and positions. Of each path's log-probability the part that all paths share is left out:
what remains is, beat by beat, one transition and the log-odds of the frames in the head. A beat is
at least the shortest interval long, so that many frames are solved at once. So that a song of hours
takes little memory, the way back through it is kept for one segment only, and solved again for the
others from the scores at their starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kmir.errors import UsageError

# Changes of tempo less likely than this, relative to none, don't happen: |ratio - 1| > 36 / lambda.
NEVER = np.spacing(1.0)
# Numbers in the table of candidates that are maximised in one go: 1 MB, the size of a cache.
CANDIDATES = 1 << 17
# Frames whose back-pointers are kept at a time: songs up to here, five minutes at 100 frames a
# second, are solved once, longer ones twice.
SEGMENT = 1 << 15


@dataclass(frozen=True)
class Tempi:
    """The tempi that the pointer can walk at.

    Args:
        intervals: ``(tempi,)`` frames from beat to beat, increasing.
        heads: ``(tempi,)`` frames at the start of a beat that look like one, 1 to the interval.
        log_transition: ``(tempi, tempi)`` log-probability at a beat, from the row to the column.
    """

    intervals: np.ndarray
    heads: np.ndarray
    log_transition: np.ndarray


@dataclass(frozen=True)
class BeatPath:
    """The most likely walk, as the beats that it consists of.

    Args:
        starts: ``(beats,)`` frame in which each begins; the first may begin before frame 0.
        heads: ``(beats,)`` frames in the head of each.
        positions: ``(beats,)`` position in the bar, from 0.
        score: Log-probability of the path, less that of no frame being in the head of a beat.
    """

    starts: np.ndarray
    heads: np.ndarray
    positions: np.ndarray
    score: float


def beat_intervals(
    frame_rate: float, min_bpm: float, max_bpm: float, tempi: int | None = None
) -> np.ndarray:
    """Whole frames from beat to beat that a range of tempi allows.

    Args:
        frame_rate: Frames per second.
        min_bpm: Slowest tempo, beats per minute.
        max_bpm: Fastest.
        tempi: How many to keep, spaced evenly in their logarithm; None for all.

    Returns:
        ``(intervals,)`` int64, increasing. Fewer than `tempi` only where the range has no more.

    Raises:
        UsageError: If a number is out of range, or the fastest beats are shorter than a frame.
    """
    if not 0 < frame_rate < np.inf:
        raise UsageError(f"Expected a frame rate above 0. Received: {frame_rate}.")
    if not 0 < min_bpm < max_bpm < np.inf:
        raise UsageError(f"Expected 0 < min_bpm < max_bpm. Received: {min_bpm} and {max_bpm}.")
    if tempi is not None and tempi < 1:
        raise UsageError(f"Expected 1 tempo or more, or None for all. Received: {tempi}.")
    shortest, longest = 60 * frame_rate / max_bpm, 60 * frame_rate / min_bpm
    first, last = round(shortest), round(longest)
    if first < 1:
        raise UsageError(
            f"Expected beats of one frame or more. Received: {max_bpm} beats a minute at "
            f"{frame_rate} frames a second; lower max_bpm."
        )
    every = np.arange(first, last + 1)
    if tempi is None or tempi >= len(every):
        return every
    # Neighbours that round to the same interval count once, so that more points may be needed.
    points = tempi
    while True:
        spaced = np.unique(np.round(np.geomspace(shortest, longest, points)).astype(np.int64))
        if len(spaced) >= tempi:
            return spaced
        points += 1


def tempo_states(
    intervals: np.ndarray, *, transition_lambda: float, observation_lambda: float
) -> Tempi:
    """Tempi with how long their heads are, and how they follow each other.

    Args:
        intervals: ``(tempi,)`` frames from beat to beat.
        transition_lambda: How firmly the tempo is kept: a change from interval a to b has
            probability ``exp(-transition_lambda * |b / a - 1|)``, scaled to sum to 1 over b.
        observation_lambda: The head is the first ``1 / observation_lambda`` of a beat.

    Raises:
        UsageError: If a lambda is out of range.
    """
    if not 0 <= transition_lambda < np.inf:
        raise UsageError(f"Expected transition_lambda from 0. Received: {transition_lambda}.")
    if not 1 < observation_lambda < np.inf:
        raise UsageError(f"Expected observation_lambda above 1. Received: {observation_lambda}.")
    ratios = intervals[None, :] / intervals[:, None]
    likelihood = np.exp(-transition_lambda * np.abs(ratios - 1))
    likelihood[likelihood <= NEVER] = 0
    with np.errstate(divide="ignore"):  # -inf is the logarithm meant
        log_transition = np.log(likelihood / likelihood.sum(axis=1, keepdims=True))
    heads = np.ceil(intervals / observation_lambda).astype(np.int64)
    return Tempi(intervals, heads, log_transition)


def best_path(log_odds: np.ndarray, bar: Sequence[int], tempi: Tempi) -> BeatPath:
    """The most likely walk of the pointer, of all that begin anywhere in the bar at any tempo.

    Args:
        log_odds: ``(frames, kinds)``, one frame or more, finite: how much likelier each frame is
            in the head of a beat of each kind than outside of all heads.
        bar: The kind of each beat of the bar.
        tempi: What the pointer can do.

    Returns:
        The path; of equally likely ones that with the earlier beat of the bar, then the faster
        tempo, then the later start.
    """
    frames, kinds = log_odds.shape
    beats, count, longest = len(bar), len(tempi.intervals), int(tempi.intervals[-1])
    # sums[kind, longest + frame] is the sum before that frame. A beat cut off at either end of the
    # song is charged for what is heard of its head: all that is outside adds nothing.
    sums = np.zeros((kinds, longest + frames + int(tempi.heads[-1]) + 1))
    np.cumsum(log_odds.T, axis=1, out=sums[:, longest + 1 : longest + frames + 1])
    sums[:, longest + frames + 1 :] = sums[:, longest + frames, None]

    # begun[beat, frame % longest] is the score of the best path into a beat that begins there. What
    # began before the song costs nothing.
    begun = np.zeros((beats, longest, count))
    segments = [range(frames)[first : first + SEGMENT] for first in range(0, frames, SEGMENT)]
    restarts = []
    for segment in segments:
        restarts.append(begun.copy())
        previous = _advance(begun, segment, sums, bar, tempi)

    beat, tempo, position, score = _last_state(begun, sums, bar, tempi, frames)
    start = frames - 1 - position
    path = [(start, tempi.heads[tempo], beat)]
    for segment, restart in zip(reversed(segments), reversed(restarts), strict=True):
        if segment is not segments[-1]:
            previous = _advance(restart, segment, sums, bar, tempi)
        while start >= segment.start:
            tempo = int(previous[start - segment.start, beat, tempo])
            beat = (beat - 1) % beats
            start -= int(tempi.intervals[tempo])
            path.append((start, tempi.heads[tempo], beat))
    steps = np.array(path[::-1], np.int64)
    every_state = beats * int(tempi.intervals.sum())  # as likely as each other before the song
    return BeatPath(steps[:, 0], steps[:, 1], steps[:, 2], score - float(np.log(every_state)))


def _advance(
    begun: np.ndarray, segment: range, sums: np.ndarray, bar: Sequence[int], tempi: Tempi
) -> np.ndarray:
    """The tempo of the beat before each that can begin in a segment; `begun` moves on to its end.

    Args:
        begun: ``(beats, longest, tempi)`` scores of what began in the `longest` frames before the
            segment; written over by those before its end.
        segment: Frames to solve.
        sums: ``(kinds, longest + frames + heads)`` log-odds, summed up.
        bar: As for `best_path`.
        tempi: As for `best_path`.

    Returns:
        ``(segment, beats, tempi)`` back-pointers, of the smallest integers that hold them.
    """
    intervals = tempi.intervals
    beats, longest, count = begun.shape
    previous = np.empty((len(segment), beats, count), np.min_scalar_type(count - 1))
    into = np.ascontiguousarray(tempi.log_transition.T)
    every = np.arange(count)
    step = min(int(intervals[0]), max(1, CANDIDATES // count**2))
    ended = np.empty((beats, step, count))
    candidates = np.empty((step, count, count))
    for done in range(0, len(segment), step):
        frames = np.array(segment[done : done + step])
        size = len(frames)
        starts = frames[:, None] - intervals
        place, ring = starts + longest, starts % longest
        gains = sums[:, place + tempi.heads] - sums[:, place]
        for beat, kind in enumerate(bar):
            ended[beat, :size] = begun[beat, ring, every] + gains[kind]
        for beat in range(beats):
            scores = np.add(ended[beat - 1, :size, None], into, out=candidates[:size])
            best = scores.argmax(axis=2)
            previous[done : done + size, beat] = best
            best_scores = np.take_along_axis(scores, best[:, :, None], axis=2)
            begun[beat, frames % longest] = best_scores[:, :, 0]
    return previous


def _last_state(
    begun: np.ndarray, sums: np.ndarray, bar: Sequence[int], tempi: Tempi, frames: int
) -> tuple[int, int, int, float]:
    """Beat, tempo, frames since the beat and score of the best of all states of the last frame.

    Args:
        begun: ``(beats, longest, tempi)`` scores of what began in the last `longest` frames.
        sums: ``(kinds, longest + frames + heads)`` log-odds, summed up.
        bar: As for `best_path`.
        tempi: As for `best_path`.
        frames: Of the song.
    """
    count, longest = len(tempi.intervals), int(tempi.intervals[-1])
    positions = np.arange(longest)[None, :]
    starts = np.broadcast_to(frames - 1 - positions, (count, longest))
    place = starts + longest
    scores = begun[:, starts % longest, np.arange(count)[:, None]]
    scores += (sums[:, place + tempi.heads[:, None]] - sums[:, place])[list(bar)]
    scores[:, positions >= tempi.intervals[:, None]] = -np.inf
    beat, tempo, position = np.unravel_index(scores.argmax(), scores.shape)
    return int(beat), int(tempo), int(position), float(scores.max())
