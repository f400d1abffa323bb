"""An optimizer for replicas of a model that clips what one device would clip."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class ReplicatedAdam(keras.optimizers.Adam):
    """Adam for replicas under ``tf.distribute``: gradients are summed first, then clipped.

    Keras clips the gradient of each replica by itself and adds them up then, so that the sum is
    longer than the norm asked for, and points elsewhere.

    Args:
        *args: Of `keras.optimizers.Adam`.
        global_clipnorm: Sums whose global norm is larger are scaled down to it.
        **kwargs: Of `keras.optimizers.Adam`.
    """

    def __init__(self, *args: Any, global_clipnorm: float, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._clipnorm_of_sum = global_clipnorm

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """One step, with the gradients of this replica."""
        replica = tf.distribute.get_replica_context()
        total = replica.all_reduce(tf.distribute.ReduceOp.SUM, list(grads))
        total, _ = tf.clip_by_global_norm(total, self._clipnorm_of_sum)
        # Keras adds the replicas' gradients up once more.
        share = [gradient / replica.num_replicas_in_sync for gradient in total]
        super().apply(share, trainable_variables)
