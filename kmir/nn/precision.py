"""Which number format a run computes in."""

from __future__ import annotations

import re
from typing import Literal

import keras

from kmir.nn.device import has_gpu

Precision = Literal["float32", "mixed_bfloat16", "mixed_float16", "auto"]


def dtype_policy(precision: Precision) -> str:
    """Keras dtype policy for a precision.

    Args:
        precision: ``"auto"`` is mixed_bfloat16 on GPUs whose tensor cores take it (compute
            capability 8 and up), mixed_float16 on other GPUs, and float32 on CPUs: bfloat16 saves
            a fifth of a step of the CRNN where the CPU has it, and costs more where it has not.
    """
    if precision != "auto":
        return precision
    if not has_gpu():
        return "float32"
    return "mixed_bfloat16" if _takes_bfloat16() else "mixed_float16"


def _takes_bfloat16() -> bool:
    return _compute_capability() >= (8, 0)


def _compute_capability() -> tuple[int, ...]:
    """Of the first GPU; of one that has none, such as AMD's, (0,)."""
    if keras.backend.backend() == "torch":
        import torch

        return tuple(torch.cuda.get_device_capability())
    if keras.backend.backend() == "jax":
        import jax

        text = str(getattr(jax.devices("gpu")[0], "compute_capability", ""))
        return tuple(map(int, text.split("."))) if re.fullmatch(r"\d+\.\d+", text) else (0,)
    import tensorflow as tf

    details = tf.config.experimental.get_device_details(tf.config.list_physical_devices("GPU")[0])
    return tuple(details.get("compute_capability", (0,)))
