"""The most likely path through a hidden Markov model, and transitions learned from sequences.

Everything is in natural logarithms; ``-inf`` stands for what can't happen.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from kmir.errors import UsageError


def viterbi(
    log_likelihood: np.ndarray,
    log_transition: np.ndarray,
    log_initial: np.ndarray | None = None,
) -> np.ndarray:
    """Path of states that makes what was observed most likely (Viterbi, 1967).

    The maximum is exact, in float64. No back-pointers are kept: on the way back the best
    predecessor of the one state that the path is in is found again, which costs ``states`` a frame
    where back-pointers for every state cost ``states ** 2``.

    Args:
        log_likelihood: ``(frames, states)``.
        log_transition: ``(states, states)``, from the row to the column.
        log_initial: ``(states,)`` of the first frame; None for all alike.

    Returns:
        ``(frames,)`` int64. Of equally likely predecessors the lowest is taken.

    Raises:
        UsageError: If shapes don't agree, something is NaN or above all bounds, or no path is
            possible.
    """
    observed = np.asarray(log_likelihood, np.float64)
    if observed.ndim != 2 or not observed.shape[1]:
        raise UsageError(f"Expected log-likelihoods (frames, states). Received: {observed.shape}.")
    frames, states = observed.shape
    transition = np.ascontiguousarray(log_transition, np.float64)
    initial = np.zeros(states) if log_initial is None else np.asarray(log_initial, np.float64)
    if transition.shape != (states, states) or initial.shape != (states,):
        raise UsageError(
            f"Expected transitions ({states}, {states}) and initial ({states},) for "
            f"{states} states. Received: {transition.shape}, {initial.shape}."
        )
    for name, values in (("likelihood", observed), ("transition", transition),
                         ("initial", initial)):  # fmt: skip
        # NaN fails the comparison as well.
        if not (values < np.inf).all():
            raise UsageError(f"Expected each log {name} below infinity. Received: NaN or inf.")
    if not frames:
        return np.empty(0, np.int64)

    best = np.empty((frames, states))  # log-probability of the best path into each state
    best[0] = initial + observed[0]
    arrivals = np.empty((states, states))
    for frame in range(1, frames):
        np.add(best[frame - 1][:, None], transition, out=arrivals)
        np.maximum.reduce(arrivals, axis=0, out=best[frame])
        best[frame] += observed[frame]
    if best[-1].max() == -np.inf:
        raise UsageError(
            f"Expected a possible path through {frames} frames. Received: every path meets a "
            "log-probability of -inf; smooth the transitions."
        )

    path = np.empty(frames, np.int64)
    path[-1] = best[-1].argmax()
    into = np.ascontiguousarray(transition.T)
    for frame in range(frames - 1, 0, -1):
        path[frame - 1] = (best[frame - 1] + into[path[frame]]).argmax()
    return path


def count_transitions(sequences: Iterable[np.ndarray], states: int) -> np.ndarray:
    """How often each state follows each, over some sequences.

    Args:
        sequences: Each ``(frames,)`` integers below `states`; -1 where the state is not known:
            a pair that touches it does not count.
        states: Number of states.

    Returns:
        ``(states, states)`` float64, from the row to the column.

    Raises:
        UsageError: If a sequence is not of such integers.
    """
    counts = np.zeros((states, states))
    for sequence in sequences:
        labels = np.asarray(sequence)
        if labels.ndim != 1 or (labels.size and labels.dtype.kind not in "iu"):
            raise UsageError(
                f"Expected integer labels, (frames,). Received: {labels.dtype} of shape "
                f"{labels.shape}."
            )
        outside = labels[(labels < -1) | (labels >= states)]
        if outside.size:
            raise UsageError(f"Expected labels from -1 to {states - 1}. Received: {outside[0]}.")
        before, after = labels[:-1].astype(np.int64), labels[1:].astype(np.int64)
        known = (before >= 0) & (after >= 0)
        pairs = before[known] * states + after[known]
        counts += np.bincount(pairs, minlength=states * states).reshape(states, states)
    return counts


def log_transitions(counts: np.ndarray, *, smoothing: float = 1.0) -> np.ndarray:
    """Log-probabilities of what follows each state, from counts.

    Args:
        counts: ``(states, states)``, from the row to the column.
        smoothing: Added to every count, so that what was never seen remains possible.

    Returns:
        ``(states, states)`` float32; the probabilities of each row sum to 1.

    Raises:
        UsageError: If counts are not square or negative, `smoothing` is negative, or a state has
            no counts and no smoothing.
    """
    counts = np.asarray(counts, np.float64)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise UsageError(f"Expected counts (states, states). Received: {counts.shape}.")
    if not (counts >= 0).all() or not 0 <= smoothing < np.inf:
        raise UsageError(
            f"Expected counts and smoothing of 0 or more. Received: smoothing {smoothing}."
        )
    smoothed = counts + smoothing
    totals = smoothed.sum(axis=1, keepdims=True)
    if not totals.all():
        state = int(np.flatnonzero(totals == 0)[0])
        raise UsageError(
            f"Expected every state to be followed. Received: none after {state}; set smoothing "
            "above 0."
        )
    with np.errstate(divide="ignore"):  # -inf is the logarithm meant
        return np.log(smoothed / totals).astype(np.float32)
