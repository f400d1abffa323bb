"""Which recurrent layers fused kernels, such as cuDNN's, can compute."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers


def obstacles(layer: layers.LSTM | layers.GRU) -> list[str]:
    """Settings of a layer that cuDNN doesn't know, and `kmir.nn.fused` doesn't either.

    Returns:
        Such as ``["recurrent_dropout=0.2"]``; none if the layer can be fast.
    """
    found = [
        f"{name}={keras.activations.serialize(getattr(layer, name))}"
        for name, known in (("activation", "tanh"), ("recurrent_activation", "sigmoid"))
        if getattr(layer, name) is not keras.activations.get(known)
    ]
    if layer.recurrent_dropout:
        found.append(f"recurrent_dropout={layer.recurrent_dropout}")
    usual = {"use_bias": True, "unroll": False, "reset_after": True}
    return found + [
        f"{name}={not value}"
        for name, value in usual.items()
        if getattr(layer, name, value) is not value
    ]


def without_cudnn(model: keras.Model) -> list[str]:
    """Recurrent layers that a GPU has to step through, as cuDNN doesn't know what they do.

    Returns:
        Such as ``["gru1 (recurrent_dropout=0.2)", "simple_rnn1 (SimpleRNN)"]``.
    """
    found = []
    for layer in _recurrent_layers(model):
        if isinstance(layer, layers.LSTM | layers.GRU):
            reasons = obstacles(layer) + ([] if layer.use_cudnn else ["use_cudnn=False"])
        else:
            reasons = [type(layer).__name__]
        if reasons:
            found.append(f"{layer.name} ({', '.join(reasons)})")
    return found


def _recurrent_layers(layer: Any) -> list[layers.RNN]:
    """All in a model, those of models in it and of layers around them too."""
    if isinstance(layer, layers.RNN):
        return [layer]
    inner = list(getattr(layer, "layers", []))
    if isinstance(layer, layers.Bidirectional):
        inner = [layer.forward_layer, layer.backward_layer]
    elif isinstance(layer, layers.Wrapper):
        inner = [layer.layer]
    return [found for each in inner for found in _recurrent_layers(each)]
