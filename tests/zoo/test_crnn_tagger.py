"""The CRNN: shapes of the paper, GRUs against NumPy, any input, training."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import keras
import keras_tuner
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmir.errors import UsageError
from kmir.nn import Output
from kmir.nn.padding import PadToMultiple
from zoo.crnn_tagger import Config, build_model, hard_sigmoid, search_space

TAGS = {"tags": Output(5, "sigmoid")}
SMALL = Config(filters=(4, 6, 6, 8), rnn_units=(5, 3))


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.fixture
def bfloat16() -> Iterator[None]:
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(policy)


def test_shapes_and_parameters_of_the_paper() -> None:
    model = build_model(
        Config(input_norm="time", reset_after=False), (1366, 96), {"tags": Output(50, "sigmoid")}
    )
    shapes = {layer.name: layer.output.shape[1:] for layer in model.layers}
    assert shapes["pad"] == (1440, 96, 1)
    assert shapes["pool1"] == (720, 48, 64)
    assert shapes["pool2"] == (240, 16, 128)
    assert shapes["pool3"] == (60, 4, 128)
    assert shapes["pool4"] == (15, 1, 128)
    assert shapes["sequence"] == (15, 128)
    assert shapes["gru1"] == (15, 32)
    assert shapes["embedding"] == (32,)
    assert model.output_shape == (None, 50)
    # Counted by hand: norms 4·(1440+64+3·128), kernels 9·(64+64·128+2·128²), their biases 448,
    # GRUs 96·(128+32+1) and 96·(32+32+1), tags 33·50.
    assert model.count_params() == 7552 + 369_216 + 448 + 15_456 + 6240 + 1650


@pytest.mark.parametrize(
    ("inputs", "padded", "sequence"),
    [
        ((47, 64), (48, 96, 1), (1, 8)),
        ((96, 96, 2), (96, 96, 2), (1, 8)),
        ((200, 128), (288, 192, 1), (3, 16)),
        ((None, 40), (None, 96, 1), (None, 8)),
    ],
)
def test_any_input(
    inputs: tuple[Any, ...], padded: tuple[int, ...], sequence: tuple[int, ...]
) -> None:
    model = build_model(SMALL, inputs, TAGS)
    assert model.get_layer("pad").output.shape[1:] == padded
    assert model.get_layer("sequence").output.shape[1:] == sequence
    values = model.predict(noise(2, inputs[0] or 100, *inputs[1:]), verbose=0)
    assert values.shape == (2, 5)
    assert ((values > 0) & (values < 1)).all()


def test_unknown_and_known_length_agree() -> None:
    known, unknown = build_model(SMALL, (130, 20), TAGS), build_model(SMALL, (None, 20), TAGS)
    unknown.set_weights(known.get_weights())
    x = noise(2, 130, 20)
    np.testing.assert_allclose(
        known.predict(x, verbose=0), unknown.predict(x, verbose=0), atol=1e-6
    )


@given(length=st.integers(1, 400), multiple=st.integers(1, 100))
def test_padding_is_the_least_and_symmetric(length: int, multiple: int) -> None:
    layer = PadToMultiple((multiple,))
    padded = np.asarray(layer(np.ones((1, length, 1), np.float32)))[0, :, 0]
    assert layer.compute_output_shape((None, length, 1)) == (None, len(padded), 1)
    assert len(padded) % multiple == 0
    assert len(padded) - length < multiple
    before, after = np.flatnonzero(padded)[0], len(padded) - 1 - np.flatnonzero(padded)[-1]
    assert padded.sum() == length
    assert after - before in (0, 1)


def test_hard_sigmoid_is_that_of_keras_1() -> None:
    x = np.array([-3.0, -2.5, -1.0, 0.0, 1.0, 2.5, 3.0], np.float32)
    expected = [0.0, 0.0, 0.3, 0.5, 0.7, 1.0, 1.0]
    np.testing.assert_allclose(np.asarray(hard_sigmoid(x)), expected, atol=1e-7)
    # Keras 3 means another function by the name.
    assert float(keras.activations.hard_sigmoid(np.float32(1.0))) == pytest.approx(2 / 3)


def numpy_gru(
    sequence: np.ndarray, weights: list[np.ndarray], *, reset_after: bool, hard: bool
) -> np.ndarray:
    """GRU from its equations: ``(steps, size)`` → ``(steps, units)``."""
    kernel, recurrent, bias = weights
    units = len(recurrent)
    b_in, b_rec = bias if reset_after else (bias, np.zeros_like(bias))
    z_, r_, h_ = slice(0, units), slice(units, 2 * units), slice(2 * units, None)

    def gate(x: np.ndarray) -> np.ndarray:
        return np.clip(0.2 * x + 0.5, 0, 1) if hard else 1 / (1 + np.exp(-x))

    state, states = np.zeros(units), []
    for x in sequence:
        z = gate(x @ kernel[:, z_] + b_in[z_] + state @ recurrent[:, z_] + b_rec[z_])
        r = gate(x @ kernel[:, r_] + b_in[r_] + state @ recurrent[:, r_] + b_rec[r_])
        if reset_after:
            past = r * (state @ recurrent[:, h_] + b_rec[h_])
        else:
            past = (r * state) @ recurrent[:, h_]
        state = z * state + (1 - z) * np.tanh(x @ kernel[:, h_] + b_in[h_] + past)
        states.append(state)
    return np.stack(states)


@pytest.mark.parametrize("reset_after", [False, True])
@pytest.mark.parametrize("gates", ["sigmoid", "hard_sigmoid"])
def test_gru_equals_numpy(reset_after: bool, gates: Literal["sigmoid", "hard_sigmoid"]) -> None:
    config = dataclasses.replace(SMALL, reset_after=reset_after, recurrent_activation=gates)
    model = build_model(config, (480, 96), TAGS)
    for layer in (model.get_layer("gru1"), model.get_layer("gru2")):
        layer.set_weights([noise(*w.shape, seed=i) for i, w in enumerate(layer.weights)])
    probe = keras.Model(
        model.input, [model.get_layer("sequence").output, model.get_layer("embedding").output]
    )
    sequences, states = probe.predict(3 * noise(2, 480, 96), verbose=0)
    assert sequences.shape == (2, 5, 8)
    for sequence, state in zip(sequences, states, strict=True):
        x = sequence
        for name in ("gru1", "gru2"):
            weights = model.get_layer(name).get_weights()
            hard = gates == "hard_sigmoid"
            x = numpy_gru(x, weights, reset_after=reset_after, hard=hard)
        np.testing.assert_allclose(state, x[-1], atol=1e-5)


def test_weights_survive_a_file(tmp_path: Path) -> None:
    model = build_model(SMALL, (47, 64), TAGS)
    model.save_weights(tmp_path / "model.weights.h5")
    again = build_model(SMALL, (47, 64), TAGS)
    again.load_weights(tmp_path / "model.weights.h5")
    x = noise(2, 47, 64)
    np.testing.assert_array_equal(model.predict(x, verbose=0), again.predict(x, verbose=0))


def test_the_whole_model_survives_a_file(tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL, recurrent_activation="hard_sigmoid")
    model = build_model(config, (47, 64), TAGS)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    x = noise(2, 47, 64)
    np.testing.assert_array_equal(model.predict(x, verbose=0), again.predict(x, verbose=0))


def test_learns_from_few_clips() -> None:
    """Clips with or without a tone, 96 of them: told apart on others after 72 steps.

    With Keras' momentum of 0.99 the moving averages lag and the others score 0.5.
    """
    keras.utils.set_random_seed(1)

    def clips(seed: int) -> tuple[np.ndarray, np.ndarray]:
        targets = np.arange(96) % 2
        x = 8 * noise(96, 48, 24, seed=seed) - 40
        x[:, :, 10] += 12 * targets[:, None]
        return x, targets[:, None].astype(np.float32)

    config = Config(
        filters=(8, 8, 8, 8),
        time_pools=(2, 2, 2, 2),
        frequency_pools=(2, 2, 2, 3),
        rnn_units=(8, 8),
    )
    model = build_model(config, (48, 24), {"tone": Output(1, "sigmoid")})
    model.compile(keras.optimizers.Adam(1e-2), "binary_crossentropy", metrics=["accuracy"])
    x, y = clips(seed=0)
    model.fit(x, y, batch_size=16, epochs=12, verbose=0)
    x, y = clips(seed=1)
    _, accuracy = model.evaluate(x, y, verbose=0)
    assert accuracy > 0.95


def test_one_step_with_two_outputs_in_bfloat16(bfloat16: None) -> None:
    outputs = {"tags": Output(5, "sigmoid"), "genre": Output(3, "softmax")}
    model = build_model(SMALL, (47, 24), outputs)
    assert set(model.output) == {"tags", "genre"}
    assert model.get_layer("conv1").compute_dtype == "bfloat16"
    model.compile("adam", {"tags": "binary_crossentropy", "genre": "categorical_crossentropy"})
    y = {"tags": np.eye(5, dtype=np.float32)[:2], "genre": np.eye(3, dtype=np.float32)[:2]}
    before = model.get_layer("conv1").get_weights()[0]
    losses = model.fit(noise(2, 47, 24), y, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    assert np.abs(model.get_layer("conv1").get_weights()[0] - before).max() > 0
    values = model.predict(noise(2, 47, 24), verbose=0)
    assert {value.dtype for value in values.values()} == {np.dtype("float32")}
    np.testing.assert_allclose(values["genre"].sum(axis=-1), 1.0, atol=1e-6)


@pytest.mark.parametrize(
    ("config", "inputs", "outputs", "message"),
    [
        (SMALL, (96, 24), {"beats": Output(2, "sigmoid", "frame")}, "'beats' of level 'frame'"),
        (Config(input_norm="time"), (None, 96), TAGS, r"fixed number of frames.*\(None, 96\)"),
        (Config(filters=(4, 4)), (96, 96), TAGS, "Received: 2, 4 and 4"),
    ],
)
def test_refusals(
    config: Config, inputs: tuple[int | None, ...], outputs: dict[str, Output], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        build_model(config, inputs, outputs)


def test_search_starts_at_the_paper() -> None:
    assert search_space(keras_tuner.HyperParameters()) == Config()
