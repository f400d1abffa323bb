"""Dense baseline: the same few dense layers at every frame, alone or with its neighbours.

Layers d1 (one frame) and d2 (frames of context) of K. Choi, G. Fazekas, K. Cho, M. Sandler: "A
tutorial on deep learning for music information retrieval", arXiv 1709.04396, 2018. What a model
with a sense of time or of shift in frequency has to beat.

Shapes, as (frames, values)::

    features        1366 × 96     any number of frames, known or ``None``; channels side by side
    normalised      1366 × 96     batch norm; average frames where the mask is 0
    hidden 1        1366 × 256    context · 96 → 256, ReLU, dropout
    hidden 2        1366 × 256    dense, ReLU, dropout
    mean                   256    over the frames whose mask is 1
    tags                    50

The mean of the hidden layer is taken before the last dense layer. That layer is affine, so this
is the mean of the frames' logits, then one activation: a clip-long "no" can outvote one loud
frame, gradients don't pass through 1366 saturated sigmoids, and the mean vector is an embedding.
Outputs of level ``"frame"`` skip the mean.

    python -m kmir.train zoo.dense_baseline
    python -m kmir.train zoo.dense_baseline --config.model.context=15

Time and score: see the README's zoo table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from kmir.errors import UsageError
from kmir.nn import Output

TASK = "tagging"


@dataclass(frozen=True)
class Config:
    """A frame dense network of two layers.

    Args:
        context: Odd number of frames, centred on each, that the first layer sees; beyond the
            ends of a clip are average frames.
        units: Units of the hidden layers.
        dropout: Rate after each hidden layer, in [0, 1).
        batch_norm_momentum: Weight of the old moving average of the input's statistics in the
            new one, in [0, 1).
    """

    context: int = 1
    units: tuple[int, ...] = (256, 256)
    dropout: float = 0.2
    # Keras' 0.99 still holds 8 % of the initial values after 250 steps.
    batch_norm_momentum: float = 0.9


def build_model(
    config: Config, inputs: tuple[int | None, ...], outputs: Mapping[str, Output]
) -> keras.Model:
    """Dense layers over frames, to one vector a clip or a frame for each output.

    Args:
        config: Context, sizes and rates.
        inputs: ``(frames, bins)`` or ``(frames, bins, channels)``; frames may be ``None``.
        outputs: Heads by name, of either level.

    Returns:
        Model of the inputs ``{"features": (batch, *inputs), "mask": (batch, frames)}``; the mask
        is 1 where a frame is real and 0 where it pads the batch, which changes no prediction.
        One output comes as a tensor ``(batch, size)`` or ``(batch, frames, size)``, several as a
        dictionary of them.

    Raises:
        UsageError: If the context is not odd and positive, or there is no hidden layer.
    """
    if config.context < 1 or config.context % 2 == 0:
        raise UsageError(
            f"Expected an odd context of at least 1 frame. Received: {config.context}. "
            f"Take {max(config.context, 0) + 1}, centred on its frame."
        )
    if not config.units:
        raise UsageError("Expected at least one hidden layer. Received: units=(). Give its units.")

    # === Input: one vector a frame, normalised; where the mask is 0, the average frame ===
    # The norm is in float32: at 40 dB the steps of bfloat16 are a quarter of a decibel.
    features = keras.Input(inputs, name="features")
    mask = keras.Input(inputs[:1], name="mask")
    x = layers.Reshape((-1, math.prod(features.shape[2:])), name="vectors")(features)
    x = layers.BatchNormalization(
        momentum=config.batch_norm_momentum, dtype="float32", name="input_norm"
    )(x)
    x = layers.Multiply(name="masked")([x, layers.Reshape((-1, 1), name="mask_column")(mask)])

    # === Hidden layers ===
    # A dense layer on a window of frames is a convolution that is as long as the window.
    for i, units in enumerate(config.units, start=1):
        width = config.context if i == 1 else 1
        x = layers.Conv1D(units, width, padding="same", activation="relu", name=f"hidden{i}")(x)
        x = layers.Dropout(config.dropout, name=f"dropout{i}")(x)

    # === Outputs ===
    # The mean is in float32: bfloat16 can't count frames past 256.
    if any(head.level == "clip" for head in outputs.values()):
        mean = layers.GlobalAveragePooling1D(dtype="float32", name="embedding")(x, mask=mask)
        embeddings = {"clip": mean, "frame": x}
    else:
        embeddings = {"frame": layers.Identity(name="embedding")(x)}
    heads = {
        name: layers.Dense(head.size, activation=head.activation, dtype="float32", name=name)(
            embeddings[head.level]
        )
        for name, head in outputs.items()
    }
    return keras.Model(
        {"features": features, "mask": mask},
        heads if len(heads) > 1 else next(iter(heads.values())),
        name="dense_baseline",
    )


def search_space(hp: Any) -> Config:
    """What is worth trying.

    Args:
        hp: ``keras_tuner.HyperParameters``.
    """
    units = hp.Choice("units", [64, 128, 256, 512], default=256)
    return Config(
        context=hp.Choice("context", [1, 5, 15, 45], default=1),
        units=(units,) * hp.Int("layers", 1, 3, default=2),
        dropout=hp.Float("dropout", 0.0, 0.5, step=0.1, default=0.2),
    )
