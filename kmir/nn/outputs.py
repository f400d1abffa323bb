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
        averaged: Whether of a frame output only the mean over a recording is decoded; three hours
            of distributions are then not to be kept. Live, it comes frame by frame.
        loss_weight: What its loss counts beside those of the other outputs.
    """

    size: int
    activation: str
    level: Literal["clip", "frame"] = "clip"
    loss_weight: float = 1.0
    averaged: bool = False
