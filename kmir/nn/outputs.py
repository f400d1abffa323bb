"""What a task asks a model to put out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Output:
    """One named output of a model, as the task wants it.

    Args:
        size: Number of units.
        activation: Keras name of the activation, such as ``"sigmoid"`` or ``"softmax"``.
        level: ``"clip"`` for one vector a clip, ``"frame"`` for one a frame.
        loss_weight: What its loss counts beside those of the other outputs.
        decoded: Whether the task's `decode` reads it; one that only helps to learn need not be kept
            for every frame of three hours.
    """

    size: int
    activation: str
    level: Literal["clip", "frame"] = "clip"
    loss_weight: float = 1.0
    decoded: bool = True
