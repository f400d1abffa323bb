"""Beats and downbeats from the activations of a network, by the bar pointer model.

The parameters are those of Böck, Krebs & Widmer, "Joint beat and downbeat tracking with recurrent
neural networks", ISMIR 2016.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kmir.decoders.bar_pointer import BeatPath, beat_intervals, best_path, tempo_states
from kmir.decoders.bars import checked_metres
from kmir.errors import UsageError

# A probability of 0 or 1, which a sigmoid in float32 does reach, is certain only to this. Else one
# frame could rule out every path.
CERTAIN = 1e-10
# What two classes that share a frame may sum to: 1, and the rounding of float16.
MOST = 1.001


def beats_from_activations(
    activations: np.ndarray,
    frame_rate: float,
    *,
    min_bpm: float = 55,
    max_bpm: float = 215,
    tempi: int | None = None,
    transition_lambda: float = 100,
    observation_lambda: float = 16,
    threshold: float = 0.0,
    correct: bool = True,
) -> np.ndarray:
    """Times of beats: of all beats with a tempo that changes little, those that fit best.

    Args:
        activations: ``(frames,)`` probability of a beat, in [0, 1].
        frame_rate: Frames per second.
        min_bpm: Slowest tempo, beats per minute.
        max_bpm: Fastest.
        tempi: Number of tempi, spaced evenly in their logarithm; None for every whole number of
            frames.
        transition_lambda: How firmly the tempo is kept from beat to beat.
        observation_lambda: A frame is expected to be active in the first ``1 /
            observation_lambda`` of a beat.
        threshold: Nothing is decoded before the first frame and after the last that reach it. 0
            decodes all; 0.05 keeps silence at both ends free of beats.
        correct: Put a beat where the activation is highest in its first part; else where that
            begins, if it does in the frames that are decoded after the first.

    Returns:
        ``(n,)`` seconds, increasing; none where all activations are 0.

    Raises:
        UsageError: If activations are no numbers in [0, 1] of that shape, or an option is out of
            range.
    """
    activations = _checked(activations, 1)
    _check_threshold(threshold)
    intervals = beat_intervals(frame_rate, min_bpm, max_bpm, tempi)
    states = tempo_states(
        intervals, transition_lambda=transition_lambda, observation_lambda=observation_lambda
    )
    first, heard = _heard(activations[:, None], threshold)
    if not heard.any():
        return np.empty(0)
    path = best_path(_log_odds(heard, observation_lambda), [0], states)
    frames, _ = _frames(path, heard, correct)
    return (frames + first) / frame_rate


def downbeats_from_activations(
    activations: np.ndarray,
    frame_rate: float,
    beats_per_bar: Sequence[int] = (3, 4),
    *,
    min_bpm: float = 55,
    max_bpm: float = 215,
    tempi: int | None = 60,
    transition_lambda: float = 100,
    observation_lambda: float = 16,
    threshold: float = 0.05,
    correct: bool = True,
) -> np.ndarray:
    """Times of beats with their positions in the bar, for the metre that fits the whole best.

    Args:
        activations: ``(frames, 2)`` probability of a beat that is no downbeat, and of a downbeat,
            in [0, 1], together at most 1.
        frame_rate: Frames per second.
        beats_per_bar: The metres to choose from; one holds for all the song.
        min_bpm: Slowest tempo, beats per minute.
        max_bpm: Fastest.
        tempi: As for `beats_from_activations`; so are the options below.
        transition_lambda: How firmly the tempo is kept from beat to beat.
        observation_lambda: As above.
        threshold: As above; either of the two may reach it.
        correct: As above; the higher of the two counts.

    Returns:
        ``(n, 2)`` seconds, increasing, and position in the bar, 1 for the downbeat.

    Raises:
        UsageError: If activations are no such probabilities, or an option is out of range.
    """
    activations = _checked(activations, 2)
    _check_threshold(threshold)
    metres = checked_metres(beats_per_bar)
    intervals = beat_intervals(frame_rate, min_bpm, max_bpm, tempi)
    states = tempo_states(
        intervals, transition_lambda=transition_lambda, observation_lambda=observation_lambda
    )
    first, heard = _heard(activations, threshold)
    if not heard.any():
        return np.empty((0, 2))
    log_odds = _log_odds(heard, observation_lambda)
    bars = [[1] + [0] * (beats - 1) for beats in metres]  # the downbeat, then the others
    path = max((best_path(log_odds, bar, states) for bar in bars), key=lambda path: path.score)
    frames, positions = _frames(path, heard, correct)
    return np.column_stack([(frames + first) / frame_rate, positions + 1])


def _checked(activations: np.ndarray, dimensions: int) -> np.ndarray:
    """Activations, if they are probabilities of the shape that is wanted."""
    activations = np.asarray(activations)
    wanted = ("(frames,)", "(frames, 2)")[dimensions - 1]
    if activations.ndim != dimensions or (dimensions == 2 and activations.shape[1] != 2):
        raise UsageError(f"Expected activations {wanted}. Received: shape {activations.shape}.")
    if activations.dtype.kind not in "fiub":
        raise UsageError(f"Expected activations that are numbers. Received: {activations.dtype}.")
    if np.isnan(activations).any():
        frame = int(np.argwhere(np.isnan(activations))[0, 0])
        raise UsageError(f"Expected activations that are numbers. Received: NaN in frame {frame}.")
    outside = activations[(activations < 0) | (activations > 1)]
    if outside.size:
        raise UsageError(
            f"Expected activations in [0, 1]. Received: {outside[0]:g}; apply a sigmoid to logits."
        )
    if dimensions == 2 and (most := _total(activations).max(initial=0)) > MOST:
        raise UsageError(
            f"Expected beat and downbeat activations that sum to 1 at most. Received: {most:g}; "
            "take the downbeat's from the beat's if that counts downbeats too."
        )
    return activations


def _total(activations: np.ndarray) -> np.ndarray:
    """``(frames, 1)`` probability of any class; float64, whatever the activations are."""
    return activations.sum(axis=1, keepdims=True, dtype=np.float64)


def _check_threshold(threshold: float) -> None:
    if not 0 <= threshold <= 1:
        raise UsageError(f"Expected a threshold in [0, 1]. Received: {threshold}.")


def _heard(activations: np.ndarray, threshold: float) -> tuple[int, np.ndarray]:
    """First frame in which a class reaches the threshold, and the frames from there to the last."""
    # A plain float would be rounded to the activations' precision.
    loud = np.greater_equal(activations, np.float64(threshold)).any(axis=1)
    if not loud.any():
        return 0, activations[:0]
    first = int(loud.argmax())
    return first, activations[first : len(loud) - int(loud[::-1].argmax())]


def _log_odds(activations: np.ndarray, observation_lambda: float) -> np.ndarray:
    """How much likelier each class is than none of them, which the rest of a beat shares."""
    none = np.maximum(1 - _total(activations), CERTAIN)
    none /= observation_lambda - 1
    log_odds = np.maximum(activations, CERTAIN, dtype=np.float64)
    np.log(log_odds, out=log_odds)  # in place: a song may have a million frames
    log_odds -= np.log(none, out=none)
    return log_odds


def _frames(
    path: BeatPath, activations: np.ndarray, correct: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Frames of the beats of a path, and their positions in the bar."""
    if not correct:
        begun = path.starts > 0
        return path.starts[begun], path.positions[begun]
    ends = path.starts + path.heads
    seen = ends > 0
    starts = np.maximum(path.starts[seen], 0)
    peaks = [
        start + int(activations[start:end].max(axis=1).argmax())
        for start, end in zip(starts, ends[seen], strict=True)
    ]
    return np.array(peaks, np.int64), path.positions[seen]
