"""LSTM and GRU that train faster on a CPU, weights and answers as those of Keras.

Keras steps through a sequence with TensorFlow's loop, and has the gradient worked out from it: some
forty small operations a frame. `kmir.nn.fused_loops` has both written out and compiled by XLA: a
step of training takes half to two thirds of the time. That needs a known number of frames, since
every other number is compiled anew. Predictions, masks, other backends, and GPUs, which have cuDNN,
take Keras' own way.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from kmir.nn.cudnn import obstacles
from kmir.nn.device import has_gpu


@keras.saving.register_keras_serializable("kmir")
class LSTM(layers.LSTM):
    """`keras.layers.LSTM`; arguments, weights and files of weights are the same."""

    def inner_loop(
        self, sequences: Any, initial_state: Any, mask: Any, training: bool = False
    ) -> tuple[Any, Any, list[Any]]:
        """Goes through the frames: the last output, all ``(batch, frames, units)``, and states."""
        if not _is_compiled(self, sequences, mask, training):
            return super().inner_loop(sequences, initial_state, mask=mask, training=training)
        from kmir.nn.fused_loops import lstm_loop  # TensorFlow, which other backends can do without

        return lstm_loop(self, sequences, initial_state)


@keras.saving.register_keras_serializable("kmir")
class GRU(layers.GRU):
    """`keras.layers.GRU`; arguments, weights and files of weights are the same."""

    def inner_loop(
        self, sequences: Any, initial_state: Any, mask: Any, training: bool = False
    ) -> tuple[Any, Any, list[Any]]:
        """Goes through the frames: the last output, all ``(batch, frames, units)``, and states."""
        if not _is_compiled(self, sequences, mask, training):
            return super().inner_loop(sequences, initial_state, mask=mask, training=training)
        from kmir.nn.fused_loops import gru_loop  # as above

        return gru_loop(self, sequences, initial_state)


def _is_compiled(layer: Any, sequences: Any, mask: Any, training: bool) -> bool:
    return (
        bool(training)
        and mask is None
        and keras.backend.backend() == "tensorflow"
        and sequences.shape[1] is not None
        and layer.compute_dtype in ("float32", "bfloat16", "float16")
        and not (layer.dropout or obstacles(layer) or has_gpu())
    )
