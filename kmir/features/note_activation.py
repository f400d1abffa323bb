"""Approximate transcription: how strongly each note sounds, by non-negative least squares.

A spectrum is a vector of log-frequency bins, three to the semitone: bin b stands for the MIDI
pitch ``20 + b / 3``. The notes are the 84 semitones from A0, MIDI 21, so note k lies on bin
``3 * (k + 1)``, the middle one of its three.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

BINS = 256
NOTES = 84
BINS_PER_SEMITONE = 3
LOWEST_BIN = 20.0  # MIDI pitch of bin 0

RUNNING = 19  # bins of the running mean and standard deviation: half an octave and one

PARTIALS = 20

# Steps of the solver per square root of the condition number: the error shrinks by exp(-10) at
# least, and by far more where, as in music, few notes sound.
STEPS = 10


def whiten(tuned: np.ndarray, exponent: float) -> np.ndarray:
    """Spectra freed of their background: what rises above the running mean, in running deviations.

    Args:
        tuned: ``(frames, BINS)`` float32.
        exponent: Of the running standard deviation, 0 to 1.

    Returns:
        ``(frames, BINS)`` float32, 0 or above.
    """
    average = _running_average()
    above = tuned - tuned @ average
    deviation = np.sqrt(np.square(above) @ average)
    if exponent != 1:
        deviation **= np.float32(exponent)
    rises = (above > 0) & (deviation > 0)
    return np.divide(above, deviation, out=np.zeros_like(above), where=rises)


def dictionary(spectral_shape: float) -> np.ndarray:
    """Spectra of single notes with geometrically decaying partials.

    Mauch & Dixon, "Approximate note transcription for the improved identification of difficult
    chords", ISMIR 2010. Partial h has the height ``spectral_shape ** (h - 1)`` and is a raised
    cosine three bins wide.

    Args:
        spectral_shape: Ratio of a partial's height to that of the one below, 0 to 1; the paper
            uses 0.5 to 0.9.

    Returns:
        ``(BINS, NOTES)`` float64, a column for each note.
    """
    partials = np.arange(1, PARTIALS + 1)
    fundamentals = BINS_PER_SEMITONE * (np.arange(NOTES) + 1)
    centres = fundamentals[:, np.newaxis] + 12 * BINS_PER_SEMITONE * np.log2(partials)
    distance = np.arange(BINS)[:, np.newaxis, np.newaxis] - centres
    half = BINS_PER_SEMITONE / 2
    peaks = np.where(np.abs(distance) < half, 0.5 + 0.5 * np.cos(np.pi * distance / half), 0.0)
    columns: np.ndarray = peaks @ spectral_shape ** (partials - 1.0)
    return columns


def sounding(spectra: np.ndarray) -> np.ndarray:
    """Notes that can be active: those with anything in one of their three bins.

    Args:
        spectra: ``(frames, BINS)``, 0 or above.

    Returns:
        ``(frames, NOTES)`` bool.
    """
    first = BINS_PER_SEMITONE - 1
    bins = spectra[:, first : first + NOTES * BINS_PER_SEMITONE]
    return np.any(bins.reshape(-1, NOTES, BINS_PER_SEMITONE) > 0, axis=2)


class NonNegativeLeastSquares:
    """Minimises ``|columns @ x - y|`` over ``x >= 0``, for many y at once.

    Nesterov's accelerated projected gradient with the constant momentum of a strongly convex
    problem: a step is one matrix product for all frames together, which is what makes it many
    times faster than an active set for each frame.

    Args:
        columns: ``(bins, notes)``, linearly independent.
    """

    def __init__(self, columns: np.ndarray) -> None:
        gram = columns.T @ columns
        curvature = np.linalg.eigvalsh(gram)
        condition = math.sqrt(curvature[-1] / curvature[0])
        self._steps = math.ceil(STEPS * condition)
        self._momentum = np.float32((condition - 1) / (condition + 1))
        self._step = (np.eye(len(gram)) - gram / curvature[-1]).astype(np.float32)
        self._pull = (columns / curvature[-1]).astype(np.float32)

    def __call__(self, spectra: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """Activations of the notes.

        Args:
            spectra: ``(frames, bins)`` float32.
            candidates: ``(frames, notes)`` bool; the activation of all others is 0.

        Returns:
            ``(frames, notes)`` float32, 0 or above.
        """
        pull = spectra @ self._pull
        pull[~candidates] = -np.inf
        best = np.maximum(pull, 0)
        ahead, moved = best.copy(), np.empty_like(best)
        for _ in range(self._steps):
            np.matmul(ahead, self._step, out=moved)
            moved += pull
            np.maximum(moved, 0, out=moved)
            np.subtract(moved, best, out=ahead)
            ahead *= self._momentum
            ahead += moved
            best, moved = moved, best
        return best


@lru_cache(maxsize=1)
def _running_average() -> np.ndarray:
    """Average under a Hamming window, ``(BINS, BINS)`` float32; it stands still at both ends."""
    window = np.hamming(RUNNING) / np.hamming(RUNNING).sum()
    half = RUNNING // 2
    matrix = np.zeros((BINS, BINS), np.float32)
    for column, centre in enumerate(np.clip(np.arange(BINS), half, BINS - 1 - half)):
        matrix[centre - half : centre + half + 1, column] = window
    matrix.flags.writeable = False
    return matrix
