"""Published weights: the network against NumPy, and the outputs that were published with them."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

import zoo
from kmir.config import from_dict
from kmir.errors import PresetError
from kmir.features.base import feature_from_config
from kmir.nn import Output
from kmir.presets import choi_msd
from zoo import crnn_tagger

TAGGING = {"tags": Output(50, "sigmoid")}
FOLDER = Path(zoo.__path__[0]) / "presets" / "crnn_tagger_msd"
PRESET = json.loads((FOLDER / "config.json").read_text())
CONFIG = from_dict(crnn_tagger.Config, PRESET["model"]["config"])
INPUTS = tuple(PRESET["model"]["inputs"])
TAGS = (FOLDER / "labels.txt").read_text().splitlines()

# Layout of the published file: layer → its arrays and their shapes.
NORM = ("gamma_1", "beta_1", "running_mean_1", "running_std_1")
LAYOUT: dict[str, dict[str, tuple[int, ...]]] = {
    "bn_0_freq": dict.fromkeys(NORM, (1440,)),
    "output": {"W_1": (32, 50), "b_1": (50,)},
}
for i, (channels, filters) in enumerate([(1, 64), (64, 128), (128, 128), (128, 128)], start=1):
    LAYOUT[f"conv{i}"] = {"W_1": (filters, channels, 3, 3), "b_1": (filters,)}
    LAYOUT[f"bn{i}"] = dict.fromkeys(NORM, (filters,))
for i, size in enumerate([128, 32], start=1):
    LAYOUT[f"gru{i}"] = {
        f"{matrix}_{gate}": shape
        for gate in "zrh"
        for matrix, shape in {"W": (size, 32), "U": (32, 32), "b": (32,)}.items()
    }


def random_weights(seed: int) -> dict[str, dict[str, np.ndarray]]:
    """Random arrays in the layout, of sizes that keep activations of order one."""
    rng = np.random.default_rng(seed)
    weights: dict[str, dict[str, np.ndarray]] = {}
    for layer, parts in LAYOUT.items():
        weights[layer] = {}
        for part, shape in parts.items():
            scale = 1.0 if len(shape) == 1 else (2 / np.prod(shape[1:])) ** 0.5
            values = rng.normal(0.0, scale, shape)
            if part in ("gamma_1", "running_std_1"):
                values = rng.uniform(0.5, 2.0, shape)
            weights[layer][part] = values.astype(np.float32)
    return weights


def write(path: Path, weights: dict[str, dict[str, np.ndarray]]) -> Path:
    with h5py.File(path, "w") as file:
        for layer, parts in weights.items():
            for part, values in parts.items():
                file[f"{layer}/{layer}_{part}:0"] = values
    return path


def forward(weights: dict[str, dict[str, np.ndarray]], mel: np.ndarray) -> np.ndarray:
    """The network from its equations, channels first as it was published: (96, 1366) → (50,)."""

    def norm(x: np.ndarray, layer: str) -> np.ndarray:  # over the last axis
        gamma, beta, mean, variance = (weights[layer][part].astype(float) for part in NORM)
        return gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta

    def gate(x: np.ndarray) -> np.ndarray:
        return np.clip(0.2 * x + 0.5, 0, 1)

    x = norm(np.pad(mel.astype(float), ((0, 0), (37, 37))), "bn_0_freq")[None]
    for i, pool in enumerate([2, 3, 4, 4], start=1):
        kernel, bias = weights[f"conv{i}"]["W_1"], weights[f"conv{i}"]["b_1"]
        _, height, width = x.shape
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
        y = np.zeros((len(kernel), height * width))
        for row in range(3):
            for column in range(3):
                window = padded[:, row : row + height, column : column + width]
                y += kernel[:, :, row, column] @ window.reshape(len(window), -1)
        y = norm((y + bias[:, None]).T, f"bn{i}").T
        y = np.where(y > 0, y, np.expm1(np.minimum(y, 0)))
        x = y.reshape(-1, height // pool, pool, width // pool, pool).max(axis=(2, 4))

    sequence = x[:, 0].T  # (15, 128)
    for layer in ("gru1", "gru2"):
        w = weights[layer]
        state, states = np.zeros(32), []
        for step in sequence:
            z = gate(step @ w["W_z"] + state @ w["U_z"] + w["b_z"])
            r = gate(step @ w["W_r"] + state @ w["U_r"] + w["b_r"])
            candidate = np.tanh(step @ w["W_h"] + (r * state) @ w["U_h"] + w["b_h"])
            state = z * state + (1 - z) * candidate
            states.append(state)
        sequence = np.stack(states)
    return 1 / (1 + np.exp(-(state @ weights["output"]["W_1"] + weights["output"]["b_1"])))


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return crnn_tagger.build_model(CONFIG, INPUTS, TAGGING)


def test_equals_numpy(model: keras.Model, tmp_path: Path) -> None:
    weights = random_weights(seed=1)
    choi_msd.load_choi_msd(model, write(tmp_path / "weights.h5", weights))
    rng = np.random.default_rng(2)
    mels = rng.normal(0.0, 2.0, (2, 96, 1366)) + rng.normal(0.0, 4.0, (2, 96, 1))
    received = model.predict(mels.transpose(0, 2, 1), verbose=0)
    expected = np.stack([forward(weights, mel) for mel in mels])
    assert np.abs(expected[0] - expected[1]).max() > 0.1  # the two clips are told apart
    np.testing.assert_allclose(received, expected, atol=1e-4)


# As published with the weights, in the repository's README.
PUBLISHED = {
    "bensound-cute": {
        "jazz": 0.444,
        "instrumental": 0.151,
        "folk": 0.103,
        "Hip-Hop": 0.103,
        "ambient": 0.077,
    },
    "bensound-dubstep": {
        "Hip-Hop": 0.245,
        "rock": 0.183,
        "alternative": 0.081,
        "electronic": 0.076,
        "alternative rock": 0.053,
    },
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_outputs(model: keras.Model, name: str) -> None:
    if "KMIR_TEST_DATA" not in os.environ:
        pytest.skip("KMIR_TEST_DATA is not set to a folder with choi_msd/")
    folder = Path(os.environ["KMIR_TEST_DATA"]) / "choi_msd"
    if not (folder / f"{name}.npy").is_file():
        pytest.skip(f"no {name}.npy in {folder}")
    choi_msd.load_choi_msd(model, folder / PRESET["published"]["file"])
    mel = np.load(folder / f"{name}.npy")  # (1, 1, mels, frames)
    values = model.predict(mel[:, 0].transpose(0, 2, 1), verbose=0)[0]
    order = np.argsort(-values, kind="stable")[:5]
    assert [TAGS[i] for i in order] == list(PUBLISHED[name])
    np.testing.assert_allclose(values[order], list(PUBLISHED[name].values()), atol=5e-4)


def test_feature_gives_the_input() -> None:
    feature = feature_from_config(PRESET["feature"])
    assert (feature.frames(29.12), *feature.shape) == INPUTS


def test_tags_are_fifty_and_distinct() -> None:
    assert len(set(TAGS)) == len(TAGS) == 50


def test_an_unfit_file_leaves_the_model_alone(model: keras.Model, tmp_path: Path) -> None:
    before = model.get_weights()
    weights = random_weights(seed=3)
    del weights["bn3"]["running_std_1"]
    with pytest.raises(PresetError, match=r"Expected 'bn3/bn3_running_std_1:0' in .*lost\.h5"):
        choi_msd.load_choi_msd(model, write(tmp_path / "lost.h5", weights))

    weights = random_weights(seed=3)
    weights["output"]["b_1"] = np.zeros(49, np.float32)
    with pytest.raises(PresetError, match=r"layer 'tags'. Received: .*\(49,\).*small\.h5"):
        choi_msd.load_choi_msd(model, write(tmp_path / "small.h5", weights))

    (tmp_path / "page.h5").write_text("<html>")
    with pytest.raises(PresetError, match=r"weights in .*page\.h5. Received"):
        choi_msd.load_choi_msd(model, tmp_path / "page.h5")
    with pytest.raises(PresetError, match=r"weights in .*absent\.h5"):
        choi_msd.load_choi_msd(model, tmp_path / "absent.h5")

    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recurrent_activation": "sigmoid"}, "0.7311 at 1"),
        ({"reset_after": True}, "reset_after=True"),
        ({"input_norm": "none"}, "without input_norm"),
        ({"input_norm": "frequency"}, r"\(96,\).* for layer 'input_norm'. Received: \[\(1440,\)"),
        ({"rnn_units": (32,)}, "without gru2"),
        ({"rnn_units": (32, 16)}, "for layer 'gru2'"),
    ],
)
def test_another_network_is_refused(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, **change)
    model = crnn_tagger.build_model(config, INPUTS, TAGGING)
    path = write(tmp_path / "weights.h5", random_weights(seed=4))
    with pytest.raises(PresetError, match=f"(?s){message}.*Build the model as the preset"):
        choi_msd.load_choi_msd(model, path)


def test_two_outputs_are_refused(tmp_path: Path) -> None:
    outputs = {"tags": Output(50, "sigmoid"), "mood": Output(2, "softmax")}
    model = crnn_tagger.build_model(CONFIG, INPUTS, outputs)
    with pytest.raises(PresetError, match="Expected a model with one output"):
        choi_msd.load_choi_msd(model, tmp_path / "any.h5")
