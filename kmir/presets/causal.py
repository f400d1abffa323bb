"""Causal models rebuilt with memory, so that they go on where they stopped.

A model is causal here if each of its layers is: what acts on every frame by itself, recurrent
layers that read forward, and convolutions over time that are padded before the first frame only.
Recurrent layers then keep their state from call to call; in place of the zeros before the first
frame, convolutions read the last frames of the call before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from kmir.errors import PresetError
from kmir.nn import fused

RECURRENT = (fused.GRU, fused.LSTM, layers.GRU, layers.LSTM, layers.SimpleRNN)
CONVOLUTIONS = (layers.Conv1D, layers.Conv2D)
PADDINGS = (layers.ZeroPadding1D, layers.ZeroPadding2D)


class Past(layers.Layer):
    """Puts the last frames of the call before in front: ``(1, n, …)`` → ``(1, count + n, …)``.

    Args:
        count: Of those frames; zeros in the first call.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Memory for the frames."""
        self.past = self.add_weight(
            shape=(1, self.count, *input_shape[2:]), initializer="zeros", trainable=False
        )

    def call(self, x: Any) -> Any:
        """Joins and remembers."""
        joined = ops.concatenate([ops.cast(self.past, x.dtype), x], axis=1)
        self.past.assign(joined[:, -self.count :])
        return joined

    def reset_state(self) -> None:
        """Zeros, as before the first frame."""
        self.past.assign(ops.zeros_like(self.past))


def carried_copy(model: keras.Model, name: str) -> keras.Model:
    """Copy of a causal model for one recording at a time, its state carried from call to call.

    Args:
        model: A functional model from ``features`` ``(batch, frames, *shape)``, for any number of
            frames.
        name: Of the preset, for errors.

    Raises:
        PresetError: If the model looks ahead, or can't be known not to.
    """
    features, *others = model.inputs
    if others or features.name != "features" or features.shape[1] is not None:
        raise PresetError(
            "Expected a model that reads features alone, any number of frames, to carry its state. "
            f"Received: {name}, which reads {[(t.name, t.shape[1:]) for t in model.inputs]}."
        )
    # Frames that a tensor has before the first new one; those that are not in it have none.
    early: dict[int, int] = {}
    called: set[str] = set()

    def renewed(layer: Any) -> Any:
        if type(layer) not in RULES:
            raise _not_causal(layer, name)
        own: dict[str, Any] = {}
        if type(layer) in RECURRENT:
            own["stateful"] = True
        elif type(layer) is layers.ZeroPadding1D:
            own["padding"] = 0
        elif type(layer) is layers.ZeroPadding2D:
            own["padding"] = ((0, 0), layer.padding[1])
        elif type(layer) in CONVOLUTIONS and layer.padding == "causal":
            own["padding"] = "valid"
        return type(layer).from_config(layer.get_config() | own)

    def call(layer: Any, *arguments: Any, **keywords: Any) -> Any:
        original = model.get_layer(layer.name)
        past, reach = _past(original), _reach(original)
        inputs = keras.tree.flatten((arguments, keywords.get("initial_state")))
        inputs = [x for x in inputs if isinstance(x, keras.KerasTensor)]
        before = {early.get(id(x), 0) for x in inputs}
        alike = len(before) == 1 and len({len(x.shape) for x in inputs}) == 1
        # One state a layer: no second call, nothing from outside, no frame that was read before.
        once = layer.name not in called and len(inputs) == 1 and before == {0}
        states = past or (type(layer) in RECURRENT)
        called.add(layer.name)
        if not alike or min(before) + past < reach or (states and not once):
            raise _not_causal(original, name)
        outputs = layer(Past(past)(inputs[0])) if past else layer(*arguments, **keywords)
        shapes = [x.shape for x in (inputs[0], keras.tree.flatten(outputs)[0])]
        if not RULES[type(layer)](original, *shapes):
            raise _not_causal(original, name)
        early[id(outputs)] = min(before) + past - reach
        return outputs

    # Without what the model was compiled with: it would be rebuilt too.
    bare = keras.Model(features, model.output, name=model.name)
    entry = keras.Input(batch_shape=(1, *features.shape[1:]), name="features")
    copy = keras.models.clone_model(bare, entry, clone_function=renewed, call_function=call)
    for tensor in copy.outputs:
        if early.get(id(tensor), 0):
            raise PresetError(f"Expected an output a frame of {name}. Received: more; unpad less.")
    for layer in bare.layers:
        copy.get_layer(layer.name).set_weights(layer.get_weights())
    return copy


def forget(model: keras.Model) -> None:
    """Begin another recording: the state of a carried copy is that before its first frame."""
    for layer in model.layers:
        if isinstance(layer, Past | layers.RNN):
            layer.reset_state()


def _past(layer: Any) -> int:
    """Frames of zeros that a layer puts before the first one."""
    if type(layer) in PADDINGS:
        before = layer.padding[0]
        return int(before if type(layer) is layers.ZeroPadding1D else before[0])
    causal = type(layer) in CONVOLUTIONS and layer.padding == "causal"
    return _reach(layer) if causal else 0


def _reach(layer: Any) -> int:
    """Frames beside its own that a convolution reads for each one."""
    if type(layer) not in CONVOLUTIONS:
        return 0
    return int((layer.kernel_size[0] - 1) * layer.dilation_rate[0])


# Kinds of layers that may be causal, with whether one is: it keeps the frames, and looks at none
# that are still to come. Given the layer and the shapes before and after it. Padded convolutions
# are judged by `_past` and `_reach` besides.
Rule = Callable[[Any, tuple[Any, ...], tuple[Any, ...]], bool]
RULES: dict[type, Rule] = {
    **dict.fromkeys(
        (
            layers.Activation, layers.Add, layers.AlphaDropout, layers.Average, layers.Dense,
            layers.Dropout, layers.ELU, layers.GaussianDropout, layers.GaussianNoise,
            layers.Identity, layers.LeakyReLU, layers.Maximum, layers.Minimum, layers.Multiply,
            layers.ReLU, layers.Rescaling, layers.SpatialDropout1D, layers.SpatialDropout2D,
            layers.Subtract,
        ),
        lambda *_: True,
    ),
    **dict.fromkeys(
        (
            layers.BatchNormalization, layers.Concatenate, layers.LayerNormalization,
            layers.Softmax, layers.UnitNormalization,
        ),
        lambda layer, before, _: bool(np.all(np.atleast_1d(layer.axis) % len(before) > 1)),
    ),
    **dict.fromkeys(
        RECURRENT,
        lambda layer, *_: (
            layer.return_sequences and not (layer.go_backwards or layer.return_state)
        ),
    ),
    **dict.fromkeys(
        CONVOLUTIONS,
        lambda layer, *_: (
            layer.data_format == "channels_last"
            and layer.strides[0] == 1
            and (layer.padding != "same" or _reach(layer) == 0)
        ),
    ),
    **dict.fromkeys(
        (layers.AveragePooling2D, layers.MaxPooling2D),
        lambda layer, *_: (
            layer.data_format == "channels_last" and layer.pool_size[0] == layer.strides[0] == 1
        ),
    ),
    layers.ZeroPadding1D: lambda layer, *_: layer.padding[1] == 0,
    layers.ZeroPadding2D: lambda layer, *_: (
        layer.data_format == "channels_last" and layer.padding[0][1] == 0
    ),
    layers.Permute: lambda layer, *_: layer.dims[0] == 1,
    layers.Reshape: lambda _, before, after: (
        after[1] is None and np.prod(before[2:]) == np.prod(after[2:])
    ),
}  # fmt: skip


def _not_causal(layer: Any, name: str) -> PresetError:
    return PresetError(
        "Expected layers that look only back and keep one state each. Received: "
        f"'{layer.name}' ({type(layer).__name__}) of {name}; take a causal preset, such as "
        "beat_gru_pop909."
    )
