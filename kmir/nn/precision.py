"""Which number format a run computes in."""

from __future__ import annotations

from typing import Literal

import keras

from kmir.nn.device import has_gpu

Precision = Literal["float32", "mixed_bfloat16", "mixed_float16", "auto"]


def dtype_policy(precision: Precision) -> str:
    """Keras dtype policy for a precision.

    Args:
        precision: ``"auto"`` is mixed_bfloat16 on GPUs whose tensor cores take it (compute
            capability 8 and up), mixed_float16 on other GPUs, and float32 on CPUs.
    """
    if precision != "auto":
        return precision
    if not has_gpu():
        return "float32"
    return "mixed_bfloat16" if _takes_bfloat16() else "mixed_float16"


def _takes_bfloat16() -> bool:
    if keras.backend.backend() != "tensorflow":
        return True  # JAX and PyTorch run on GPUs of compute capability 7.5 and up, emulating it
    import tensorflow as tf

    details = tf.config.experimental.get_device_details(tf.config.list_physical_devices("GPU")[0])
    return bool(details.get("compute_capability", (0, 0)) >= (8, 0))
