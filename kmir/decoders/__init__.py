"""From what a model puts out to events in time: NumPy and SciPy, nothing of Keras."""

from kmir.decoders.smoothing import median_smooth, runs
from kmir.decoders.viterbi import count_transitions, log_transitions, viterbi

__all__ = ["count_transitions", "log_transitions", "median_smooth", "runs", "viterbi"]
