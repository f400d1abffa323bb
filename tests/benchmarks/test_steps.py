"""Steps are timed one by one, and train."""

from __future__ import annotations

import numpy as np
import pytest

from kmir.benchmarks.steps import KerasSteps
from kmir.errors import UsageError


def test_steps_of_a_model() -> None:
    steps = KerasSteps("zoo.dense_baseline", "float32")
    facts = steps.facts()
    assert facts["batch_size"] == 8
    layers = 96 * 256 + 256, 256 * 256 + 256, 256 * 50 + 50
    assert facts["parameters"] == 2 * 96 + sum(layers)  # the norm's two, without its statistics
    before = [np.asarray(w) for w in steps._model.trainable_weights]
    assert steps.start(2) > 0
    times = steps.steps(4)
    assert len(times) == 4
    assert min(times) > 0
    after = steps._model.trainable_weights
    assert all((old != np.asarray(new)).any() for old, new in zip(before, after, strict=True))
    assert steps.memory() >= 0


def test_mixed_is_bfloat16_on_a_processor() -> None:
    steps = KerasSteps("zoo.bilstm", "mixed", True)
    if steps.facts()["gpu"] is None:
        assert steps.facts()["policy"] == "mixed_bfloat16"
    assert steps.facts()["batch_size"] == 32
    assert steps._model.get_layer("embedding").compute_dtype == "bfloat16"


def test_an_unknown_model() -> None:
    with pytest.raises(UsageError, match="Did you mean 'bilstm'"):
        KerasSteps("zoo.bilstn", "float32")
