"""Same seed, same run, for whatever stands in the zoo: interrupted and resumed or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kmir.lookup import find, known
from kmir.run import Run, prepare
from kmir.train import fit
from pipelines.base import task_class

PIECES = {"pieces": "16"}
FLAGS = {
    "train.epochs": "2",
    "train.batch_size": "3",
    "train.steps_per_epoch": "3",
    "train.steps_per_execution": "1",
    "pipeline.shuffle_buffer": "8",
}


def run_of(name: str, precision: str) -> Run:
    """Everything anew from the seed; clips of a second, as augmented as the model's task is."""
    task = task_class(find("model", name).TASK)
    clips = {"pipeline.clip_seconds": "1.0"}
    if task.Config().hop_seconds is not None:
        clips["pipeline.hop_seconds"] = "1.0"
    flags = FLAGS | clips | {"train.precision": precision}
    return prepare(
        f"zoo.{name}", data="synthetic", root=None, data_options=PIECES, flags=flags, quiet=True
    )


def trained(run: Run, folder: Path, last_epoch: int | None = None) -> list[np.ndarray]:
    fit(run, folder, title="again", last_epoch=last_epoch, quiet=True)
    return [np.asarray(array) for array in run.model.get_weights()]


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("name", known("model"))
def test_resumed_equals_uninterrupted(name: str, precision: str, tmp_path: Path) -> None:
    first = run_of(name, precision)
    before = [np.array(array) for array in first.model.get_weights()]
    whole = trained(first, tmp_path / "whole")
    trained(run_of(name, precision), tmp_path / "resumed", last_epoch=1)
    resumed = trained(run_of(name, precision), tmp_path / "resumed")
    for one, other in zip(whole, resumed, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)
    assert any(not np.array_equal(*pair) for pair in zip(before, whole, strict=True))
