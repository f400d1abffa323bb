"""The last layers: names, shapes, precision, and who reads whom."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np
import pytest

from kmir.nn import Output
from kmir.nn.heads import heads

OUTPUTS = {
    "chord": Output(25, "softmax", "frame"),
    "root": Output(13, "softmax", "frame"),
    "pitch_classes": Output(12, "sigmoid", "frame"),
}


@pytest.fixture(autouse=True)
def _float32_afterwards() -> Iterator[None]:
    yield
    keras.config.set_dtype_policy("float32")


def model(outputs: dict[str, Output]) -> keras.Model:
    x = keras.Input((None, 7), name="features")
    return keras.Model(x, heads(x, outputs))


def test_one_output_is_a_tensor() -> None:
    alone = model({"chord": OUTPUTS["chord"]})
    assert alone.output_shape == (None, None, 25)
    assert alone.output_names == ["chord"]
    assert alone.get_layer("chord").kernel.shape == (7, 25)
    assert "evidence" not in {layer.name for layer in alone.layers}


@pytest.mark.parametrize("order", [("chord", "root", "pitch_classes"), ("root", "chord")])
def test_the_first_reads_what_the_others_found(order: tuple[str, ...]) -> None:
    outputs = {name: OUTPUTS[name] for name in order}
    several = model(outputs)
    assert sorted(several.output_names) == sorted(order)
    first, *others = order
    for name in others:
        assert several.get_layer(name).kernel.shape == (7, outputs[name].size)
    evidence = 7 + sum(outputs[name].size for name in others)
    assert several.get_layer(first).kernel.shape == (evidence, outputs[first].size)
    features = np.random.default_rng(0).normal(size=(2, 3, 7)).astype(np.float32)
    found = several.predict(features, verbose=0)
    joined = np.concatenate([features, *(found[name] for name in others)], axis=-1)
    head = several.get_layer(first)
    logits = joined @ np.asarray(head.kernel) + np.asarray(head.bias)
    expected = np.asarray(keras.ops.softmax(logits))
    np.testing.assert_allclose(found[first], expected, atol=1e-5)


def test_outputs_are_float32_in_mixed_precision() -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    several = model(OUTPUTS)
    assert {tensor.dtype for tensor in several.outputs} == {"float32"}
    found = several.predict(np.ones((1, 2, 7), np.float32), verbose=0)
    np.testing.assert_allclose(found["chord"].sum(-1), 1, rtol=1e-6)
    assert {name: value.shape[-1] for name, value in found.items()} == {
        "chord": 25, "root": 13, "pitch_classes": 12
    }  # fmt: skip


def test_clips_have_heads_too() -> None:
    x = keras.Input((7,), name="features")
    outputs = {"tags": Output(3, "sigmoid"), "mood": Output(2, "softmax")}
    assert {n: t.shape for n, t in heads(x, outputs).items()} == {
        "tags": (None, 3), "mood": (None, 2)
    }  # fmt: skip
