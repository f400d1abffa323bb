"""Which policy a precision means, on which device."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any, get_args

import keras
import pytest
import tensorflow as tf

from kmir.nn import device, precision
from kmir.nn.precision import Precision, dtype_policy

TENSORFLOW = keras.backend.backend() == "tensorflow"


@pytest.mark.parametrize("asked", [p for p in get_args(Precision) if p != "auto"])
def test_what_is_asked_for_is_given(monkeypatch: pytest.MonkeyPatch, asked: Any) -> None:
    for gpu in (False, True):
        monkeypatch.setattr(precision, "has_gpu", lambda gpu=gpu: gpu)
        assert dtype_policy(asked) == asked
        assert keras.DTypePolicy(dtype_policy(asked)).variable_dtype == "float32"


def test_a_cpu_computes_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_gpu", lambda: False)
    assert dtype_policy("auto") == "float32"


@pytest.mark.skipif(not TENSORFLOW, reason="asks TensorFlow for the device")
@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ({"compute_capability": (9, 0)}, "mixed_bfloat16"),
        ({"compute_capability": (8, 0)}, "mixed_bfloat16"),
        ({"compute_capability": (12, 0)}, "mixed_bfloat16"),
        ({"compute_capability": (7, 5)}, "mixed_float16"),
        ({"device_name": "unknown"}, "mixed_float16"),
    ],
)
def test_a_gpu_takes_what_its_tensor_cores_take(
    monkeypatch: pytest.MonkeyPatch, details: dict[str, Any], expected: str
) -> None:
    monkeypatch.setattr(precision, "has_gpu", lambda: True)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["a GPU"])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: details)
    assert dtype_policy("auto") == expected


@pytest.mark.parametrize(
    ("capability", "expected"),
    [((9, 0), "mixed_bfloat16"), ((8, 6), "mixed_bfloat16"), ((7, 5), "mixed_float16")],
)
def test_other_backends_are_asked_too(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], expected: str
) -> None:
    text = "{}.{}".format(*capability)
    cuda = SimpleNamespace(get_device_capability=lambda: capability)
    jax = SimpleNamespace(devices=lambda kind: [SimpleNamespace(compute_capability=text)])
    monkeypatch.setattr(precision, "has_gpu", lambda: True)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    monkeypatch.setitem(sys.modules, "jax", jax)
    for backend in ("torch", "jax"):
        monkeypatch.setattr(keras.backend, "backend", lambda backend=backend: backend)
        assert dtype_policy("auto") == expected


@pytest.mark.parametrize("names", [{}, {"compute_capability": "gfx90a"}])
def test_a_gpu_without_compute_capability_takes_float16(
    monkeypatch: pytest.MonkeyPatch, names: dict[str, str]
) -> None:
    jax = SimpleNamespace(devices=lambda kind: [SimpleNamespace(**names)])
    monkeypatch.setattr(precision, "has_gpu", lambda: True)
    monkeypatch.setitem(sys.modules, "jax", jax)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert dtype_policy("auto") == "mixed_float16"


@pytest.mark.parametrize(("devices", "expected"), [(["gpu:0"], True), ([], False)])
def test_a_gpu_is_one_that_the_backend_lists(
    monkeypatch: pytest.MonkeyPatch, devices: list[str], expected: bool
) -> None:
    monkeypatch.setattr(keras.distribution, "list_devices", lambda *kind: devices)
    assert device.has_gpu() is expected


@pytest.mark.parametrize(("backend", "expected"), [("jax", True), ("tensorflow", False)])
def test_xla_is_for_jax(monkeypatch: pytest.MonkeyPatch, backend: str, expected: bool) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    assert device.compile_with_xla() is expected
