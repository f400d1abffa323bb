"""What the device at hand is good at."""

from __future__ import annotations

import keras


def has_gpu() -> bool:
    """Whether the backend sees a GPU."""
    if keras.backend.backend() == "torch":
        import torch

        return bool(torch.cuda.is_available())
    # Without a kind, as JAX refuses to list devices of a kind that it has none of.
    return any(name.startswith("gpu") for name in keras.distribution.list_devices())


def compile_with_xla() -> bool:
    """Whether to compile steps with XLA.

    TensorFlow's XLA makes convolutional and recurrent models 2 to 5 times slower on a CPU; JAX
    knows nothing else.
    """
    return keras.backend.backend() == "jax"
