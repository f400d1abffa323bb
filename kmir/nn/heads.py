"""The last layers of a model: one for each output that the task asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras import layers

from kmir.nn.outputs import Output


def heads(embedding: Any, outputs: Mapping[str, Output]) -> Any:
    """A dense layer for each output, in float32; the first output reads what the others found.

    Args:
        embedding: ``(batch, …, units)``.
        outputs: By name; the first is what the model is for, the others help it.

    Returns:
        One output as a tensor ``(batch, …, size)``, several as a dictionary of them.
    """
    (main, *_), found = outputs, {}
    for name, output in outputs.items():
        if name != main:
            found[name] = layers.Dense(
                output.size, activation=output.activation, dtype="float32", name=name
            )(embedding)
    if found:
        joined = layers.Concatenate(dtype="float32", name="evidence")([embedding, *found.values()])
    else:
        joined = embedding
    head = outputs[main]
    chosen = layers.Dense(head.size, activation=head.activation, dtype="float32", name=main)(joined)
    return {main: chosen} | found if found else chosen
