"""The optimizer of replicas; what several of them do together is in ``tests/test_distribution``."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from kmir.nn.optimizer import ReplicatedAdam


@pytest.mark.parametrize("norm", [0.5, 100.0])
def test_one_replica_steps_as_adam_does(norm: float) -> None:
    options = {"learning_rate": 0.1, "weight_decay": 0.01, "global_clipnorm": norm}
    gradients = [np.array([3.0, -4.0], np.float32), np.array([[12.0]], np.float32)]  # norm 13
    found = []
    strategy = tf.distribute.OneDeviceStrategy("CPU:0")
    for adam in (keras.optimizers.Adam, ReplicatedAdam):
        with strategy.scope():
            variables = [keras.Variable(np.ones((2,))), keras.Variable(np.ones((1, 1)))]
            # With a large epsilon the length of a gradient shows, which Adam would hide.
            optimizer = adam(**options, epsilon=1.0)
            optimizer.build(variables)
            for scale in (1.0, 0.1):
                scaled = [tf.constant(scale * gradient) for gradient in gradients]
                strategy.run(optimizer.apply, args=(scaled,))
        found.append(np.concatenate([np.asarray(v).ravel() for v in variables]))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6)
    assert (found[0] != 1).all()
