"""Weights of K. Choi's CRNN tagger, trained on the Million Song Dataset, as published in 2016.

K. Choi, G. Fazekas, M. Sandler, K. Cho: "Convolutional recurrent neural networks for music
classification", ICASSP 2017; https://github.com/keunwoochoi/music-auto_tagging-keras, MIT licence.

The file was written by Keras 1 with channels first. What differs from Keras 3 today:

- images are (mels, frames) there and (frames, mels) here, kernels ``(out, in, mels, frames)``;
- ``running_std`` holds the variance;
- a GRU has its gates z, r, h as separate matrices, gates with clip(0.2·x + 0.5, 0, 1), and resets
  before the recurrent product;
- the input's batch norm is over the 1440 frames of the padded clip;
- its mels are 20·log10 of the *power*, a slip of that release, and what its weights know.

Where the file comes from, the front end, the model's settings and the tags stand in the preset,
``zoo/presets/crnn_tagger_msd/config.json``.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import keras
import numpy as np

from kmir.errors import PresetError

# Layer of the model → layer of the file and its kind. The output layer has the name of the output.
LAYERS = {
    "input_norm": ("bn_0_freq", "norm"),
    "conv1": ("conv1", "conv"),
    "bn1": ("bn1", "norm"),
    "conv2": ("conv2", "conv"),
    "bn2": ("bn2", "norm"),
    "conv3": ("conv3", "conv"),
    "bn3": ("bn3", "norm"),
    "conv4": ("conv4", "conv"),
    "bn4": ("bn4", "norm"),
    "gru1": ("gru1", "gru"),
    "gru2": ("gru2", "gru"),
}
PARTS = {
    "norm": ("gamma_1", "beta_1", "running_mean_1", "running_std_1"),
    "conv": ("W_1", "b_1"),
    "gru": tuple(f"{matrix}_{gate}" for matrix in "WUb" for gate in "zrh"),
    "dense": ("W_1", "b_1"),
}


def load_choi_msd(model: keras.Model, path: Path) -> None:
    """Sets the weights of a CRNN to the published ones.

    Args:
        model: CRNN of the preset, with one output of 50 tags.
        path: The published file, ``music_tagger_crnn_weights_tensorflow.h5``.

    Raises:
        PresetError: If the file can't be read or has another layout, or the model is another one.
            The model is unchanged then.
    """
    if len(model.output_names) != 1:
        raise PresetError(
            f"Expected a model with one output. Received: {', '.join(model.output_names)}. "
            "The published weights are for 50 tags alone."
        )
    pairs = LAYERS | {model.output_names[0]: ("output", "dense")}
    layers = {layer.name: layer for layer in model.layers}
    _check_model(layers, list(pairs))
    weights: dict[str, list[np.ndarray]] = {}
    try:
        with h5py.File(path) as file:
            for name, (source, kind) in pairs.items():
                arrays = [_read(file, f"{source}/{source}_{part}:0") for part in PARTS[kind]]
                weights[name] = _convert(kind, arrays)
    except OSError as error:
        raise PresetError(
            f"Expected the published weights in {path}. Received: {error}. Remove the file and "
            "fetch it again."
        ) from error

    for name, arrays in weights.items():
        received = [array.shape for array in arrays]
        expected = [tuple(weight.shape) for weight in layers[name].weights]
        if received != expected:
            raise PresetError(
                f"Expected weights of shapes {expected} for layer '{name}'. "
                f"Received: {received} (from {path}). {_REMEDY}"
            )
    for name, arrays in weights.items():
        layers[name].set_weights(arrays)


_REMEDY = "Build the model as the preset crnn_tagger_msd has it."


def _check_model(layers: dict[str, keras.Layer], names: list[str]) -> None:
    """Checks what shapes of weights can't tell: the layers' names and the GRUs' variant."""
    missing = [name for name in names if name not in layers]
    if missing:
        raise PresetError(
            f"Expected a CRNN with layers {', '.join(names)}. "
            f"Received: a model without {', '.join(missing)}. {_REMEDY}"
        )
    for name in ("gru1", "gru2"):
        gate = float(keras.ops.convert_to_numpy(layers[name].recurrent_activation(np.float32(1))))
        if layers[name].reset_after or abs(gate - 0.7) > 1e-6:
            raise PresetError(
                f"Expected layer '{name}' with reset_after=False and gates clip(0.2·x + 0.5, 0, 1)"
                f", 0.7 at 1. Received: reset_after={layers[name].reset_after}, {gate:.4f} at 1. "
                f"{_REMEDY}"
            )


def _read(file: h5py.File, key: str) -> np.ndarray:
    """Array of the file."""
    if not isinstance(file.get(key), h5py.Dataset):
        raise PresetError(
            f"Expected '{key}' in {file.filename}. Received: {', '.join(sorted(file)) or 'nothing'}"
            ". Remove the file and fetch it again."
        )
    return file[key][()]


def _convert(kind: str, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """A layer's arrays in the order of `PARTS` → its weights in the order of Keras 3."""
    if kind == "conv":
        kernel, bias = arrays
        return [kernel.T, bias]  # (out, in, mels, frames) → (frames, mels, in, out)
    if kind == "gru":
        # Keras 3 holds the gates in one matrix, in the same order.
        return [np.concatenate(arrays[i : i + 3], axis=-1) for i in (0, 3, 6)]
    return arrays
