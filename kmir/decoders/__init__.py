"""From what a model puts out to events in time: NumPy and SciPy, nothing of Keras."""

from kmir.decoders.bars import bars_from_downbeats
from kmir.decoders.beats import beats_from_activations, downbeats_from_activations
from kmir.decoders.peaks import peaks
from kmir.decoders.smoothing import median_smooth, runs
from kmir.decoders.viterbi import count_transitions, log_transitions, viterbi

__all__ = [
    "bars_from_downbeats",
    "beats_from_activations",
    "count_transitions",
    "downbeats_from_activations",
    "log_transitions",
    "median_smooth",
    "peaks",
    "runs",
    "viterbi",
]
