"""What the device at hand is good at."""

from __future__ import annotations

import keras


def has_gpu() -> bool:
    """Whether the backend sees a GPU."""
    return bool(keras.distribution.list_devices("gpu"))


def compile_with_xla() -> bool:
    """Whether to compile steps with XLA.

    TensorFlow's XLA makes convolutional and recurrent models 2 to 5 times slower on a CPU; JAX
    knows nothing else.
    """
    return keras.backend.backend() == "jax"
