"""The sizes of a benchmark's step are those of the tasks."""

from __future__ import annotations

import subprocess
import sys

import keras
import numpy as np
import pytest

from kmir.benchmarks.workloads import BILSTM, WORKLOADS, workload_of
from kmir.errors import UsageError
from kmir.lookup import find, known
from kmir.records.spec import Manifest
from kmir.run import TrainConfig
from pipelines.base import task_class

NO_RECORDS = Manifest("", "", {}, {})
LABELS = {"tagging": 50, "chords": 25, "beats": 77, "bars": 1}


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_workload_is_what_its_task_asks_for(name: str) -> None:
    task_type, workload = task_class(name), WORKLOADS[name]
    task = task_type(task_type.Config(), [str(i) for i in range(LABELS[name])])
    assert workload.outputs == task.outputs()
    seconds = task.config.clip_seconds
    assert seconds is not None
    assert workload.inputs == (task.feature.frames(seconds), *task.feature.shape)
    assert workload.batch_size == TrainConfig(**task_type.training).batch_size
    theirs = task.losses(NO_RECORDS)
    for output, loss in workload.losses().items():
        assert type(loss) is type(theirs[output])
        assert loss.get_config() == theirs[output].get_config()


def test_every_model_of_the_zoo_has_one() -> None:
    for name in known("model"):
        assert workload_of(find("model", name)) in WORKLOADS.values()


def test_a_model_for_another_task() -> None:
    with pytest.raises(UsageError, match="Expected a model for tagging, chords, beats, bars"):
        workload_of(keras)


def test_batches_are_random_clips_with_targets_that_can_be() -> None:
    x, y = WORKLOADS["beats"].batch(2)
    assert x["features"].shape == (2, 1001, 86, 2)
    assert abs(x["features"].std() - 1) < 0.01
    assert y["beat"].shape == (2, 1001, 1)
    assert set(np.unique(y["beat"])) == {0, 1}
    np.testing.assert_array_equal(y["tempo"].sum(-1), 1)
    again, _ = WORKLOADS["beats"].batch(2)
    np.testing.assert_array_equal(x["features"], again["features"])
    x, y = BILSTM.batch(32)
    assert x["features"].shape == (32, 128, 12)
    assert y["chord"].shape == (32, 128, 25)


def test_steps_need_neither_tensorflow_nor_records() -> None:
    """On a machine with Keras and another backend alone."""
    code = (
        "import sys; import kmir.benchmarks.steps, kmir.benchmarks.train;"
        "from kmir.lookup import find, known;"
        "[find('model', name) for name in known('model')];"
        "heavy = {'tensorflow', 'librosa', 'soundfile', 'soxr', 'mir_eval', 'kmir.records'};"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        env={"KERAS_BACKEND": "jax", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == "[]"
