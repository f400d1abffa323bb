"""Compiled LSTM and GRU against those of Keras: outputs, gradients, weights, and who goes where."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from kmir.nn import fused

BATCH, FRAMES, VALUES, UNITS = 3, 7, 4, 5
NAMES = ["LSTM", "GRU"]
TENSORFLOW = keras.backend.backend() == "tensorflow"

every_cell = pytest.mark.parametrize("name", NAMES)
on_tensorflow = pytest.mark.skipif(not TENSORFLOW, reason="other backends have Keras' own way")


@pytest.fixture(autouse=True)
def _float32_afterwards() -> Iterator[None]:
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the layers that were compiled since the test began."""
    found: list[str] = []

    def spied(layer: Any, *arguments: Any) -> bool:
        answer = decide(layer, *arguments)
        found.extend([layer.name] * answer)
        return answer

    decide = fused._is_compiled
    monkeypatch.setattr(fused, "_is_compiled", spied)
    return found


def values(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def pair(name: str, **settings: Any) -> tuple[Any, Any]:
    """Keras' layer and ours, with the same weights; biases not zero."""
    made = [getattr(module, name)(UNITS, **settings) for module in (layers, fused)]
    for layer in made:
        layer.build((BATCH, FRAMES, VALUES))
        layer.set_weights([0.5 * values(*w.shape, seed=i) for i, w in enumerate(layer.weights)])
    return made[0], made[1]


def answers(layer: Any, *, states: int = 0, **call: Any) -> list[np.ndarray]:
    """All outputs, and the gradients of a loss by inputs, states and weights."""
    inputs = [tf.constant(values(BATCH, FRAMES, VALUES, seed=9))]
    inputs += [tf.constant(values(BATCH, UNITS, seed=10 + i)) for i in range(states)]

    @tf.function
    def answer() -> Any:
        weights = [weight.value for weight in layer.weights]
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            found = layer(inputs[0], initial_state=inputs[1:] or None, training=True, **call)
            outputs = tf.nest.flatten(found)
            loss = sum(tf.reduce_sum(tf.sin(2 * tf.cast(y, tf.float32))) for y in outputs)
        return outputs + tape.gradient(loss, inputs + weights)

    return [np.asarray(value, np.float32) for value in answer()]


# === The same numbers ===


@on_tensorflow
@every_cell
@pytest.mark.parametrize(
    "settings",
    [
        {"return_sequences": True},
        {"return_sequences": True, "go_backwards": True},
        {},
        {"go_backwards": True, "return_state": True},
        {"return_sequences": True, "return_state": True},
    ],
    ids=str,
)
def test_outputs_and_gradients_are_those_of_keras(
    name: str, settings: dict[str, Any], compiled: list[str]
) -> None:
    plain, ours = pair(name, **settings)
    states = {"LSTM": 2, "GRU": 1}[name] if settings.get("return_state") else 0
    expected = answers(plain, states=states)
    received = answers(ours, states=states)
    assert compiled == [ours.name]
    assert len(expected) > 3
    for one, other in zip(received, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5, rtol=1e-5)


@on_tensorflow
@every_cell
@pytest.mark.parametrize(("dtype", "tolerance"), [("bfloat16", 0.02), ("float16", 0.003)])
def test_half_precision_is_near_float32(
    name: str, dtype: str, tolerance: float, compiled: list[str]
) -> None:
    exact, _ = pair(name, return_sequences=True)
    _, ours = pair(name, return_sequences=True, dtype=f"mixed_{dtype}")
    assert ours(values(1, 2, VALUES)).dtype == dtype
    expected, received = answers(exact), answers(ours)
    assert compiled == [ours.name]
    for one, other in zip(received, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=tolerance * max(1, np.abs(other).max()))


@on_tensorflow
@every_cell
def test_states_go_from_call_to_call(name: str) -> None:
    """In two halves what it is in one piece, trained through or not."""
    _, whole = pair(name, return_sequences=True)
    _, halves = pair(name, return_sequences=True, stateful=True)
    clip = values(BATCH, FRAMES + 3, VALUES)
    for training in (False, True):
        halves.reset_state()
        parts = [halves(part, training=training) for part in (clip[:, :4], clip[:, 4:])]
        np.testing.assert_allclose(
            np.concatenate(parts, axis=1), whole(clip, training=training), atol=1e-6
        )


def both_ways(module: Any, name: str) -> keras.Model:
    keras.utils.set_random_seed(3)
    features = keras.Input((None, VALUES), name="features")
    x = layers.Bidirectional(getattr(module, name)(UNITS, return_sequences=True))(features)
    x = getattr(module, name)(UNITS)(x)
    model = keras.Model(features, layers.Dense(2)(x))
    model.compile(
        keras.optimizers.Adam(0.01), "mse", jit_compile=not TENSORFLOW, steps_per_execution=2
    )
    return model


def clips(size: int = 4) -> tf.data.Dataset:
    x, y = values(24, FRAMES, VALUES), values(24, 2, seed=1)
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(size)


@every_cell
def test_a_run_is_that_of_keras(name: str, compiled: list[str]) -> None:
    """Both ways, fed by tf.data, two steps an execution, frames unknown when it was built."""
    histories = []
    for module in (layers, fused):
        model = both_ways(module, name)
        histories.append(model.fit(clips(), epochs=3, verbose=0).history["loss"])
    np.testing.assert_allclose(histories[1], histories[0], rtol=1e-5)
    assert histories[1][2] < histories[1][0]
    assert len(set(compiled)) == (3 if TENSORFLOW else 0)


@every_cell
def test_a_last_batch_may_be_smaller(name: str) -> None:
    losses = [both_ways(m, name).fit(clips(7), verbose=0).history["loss"] for m in (layers, fused)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)


# === Weights ===


@every_cell
def test_weights_have_the_same_names_in_the_same_places(name: str, tmp_path: Path) -> None:
    plain, ours = both_ways(layers, name), both_ways(fused, name)
    assert [w.shape for w in ours.weights] == [w.shape for w in plain.weights]
    assert [w.name for w in ours.weights] == [w.name for w in plain.weights]
    for source, target in ((plain, ours), (ours, plain)):
        source.set_weights([w + 1 for w in target.get_weights()])
        source.save_weights(tmp_path / "model.weights.h5")
        target.load_weights(tmp_path / "model.weights.h5")
        for one, other in zip(source.get_weights(), target.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


@every_cell
def test_a_model_comes_back_with_its_layers(name: str, tmp_path: Path) -> None:
    model = both_ways(fused, name)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(again(values(2, 5, VALUES)), model(values(2, 5, VALUES)))
    assert type(again.layers[2]) is getattr(fused, name)
    assert type(again.layers[1].backward_layer) is getattr(fused, name)


# === Keras' own way ===


FALLBACKS: dict[str, tuple[dict[str, Any], Callable[[], dict[str, Any]]]] = {
    "mask": ({}, lambda: {"mask": np.tri(BATCH, FRAMES, 4, dtype=bool)}),
    "dropout": ({"dropout": 0.3, "seed": 1}, dict),
    "recurrent dropout": ({"recurrent_dropout": 0.3, "seed": 1}, dict),
    "another activation": ({"activation": "relu"}, dict),
    "other gates": ({"recurrent_activation": "hard_sigmoid"}, dict),
    "no bias": ({"use_bias": False}, dict),
    "unrolled": ({"unroll": True}, dict),
    "float64": ({"dtype": "float64"}, dict),
}


@on_tensorflow
@every_cell
@pytest.mark.parametrize("case", FALLBACKS)
def test_what_is_not_compiled_is_what_keras_makes_of_it(
    name: str, case: str, compiled: list[str]
) -> None:
    settings, call = FALLBACKS[case]
    plain, ours = pair(name, return_sequences=True, **settings)
    for one, other in zip(answers(ours, **call()), answers(plain, **call()), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not compiled


@on_tensorflow
def test_the_first_gru_resets_before(compiled: list[str]) -> None:
    plain, ours = pair("GRU", reset_after=False)
    for one, other in zip(answers(ours), answers(plain), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not compiled


@on_tensorflow
@every_cell
def test_unknown_lengths_are_not_compiled_anew(name: str, compiled: list[str]) -> None:
    plain, ours = pair(name)

    @tf.function(input_signature=[tf.TensorSpec((None, None, VALUES))])
    def call(x: Any) -> Any:
        return ours(x, training=True)

    for frames in (3, 11):
        x = values(2, frames, VALUES)
        np.testing.assert_array_equal(call(x), plain(x))
    assert not compiled


@every_cell
def test_predictions_and_gpus_go_the_way_of_keras(
    name: str, compiled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, ours = pair(name)
    x = values(BATCH, FRAMES, VALUES)
    np.testing.assert_array_equal(ours(x), plain(x))
    monkeypatch.setattr(fused, "has_gpu", lambda: True)
    np.testing.assert_array_equal(ours(x, training=True), plain(x, training=True))
    assert not compiled
