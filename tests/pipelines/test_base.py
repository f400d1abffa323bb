"""Tasks by name, and as presets store them."""

from __future__ import annotations

import json

import pytest

from kmir.config import to_dict
from kmir.errors import UsageError
from kmir.lookup import known
from pipelines.base import PipelineConfig, Task, task_class, task_from_config
from pipelines.tagging import Tagging, TaggingConfig


def test_a_task_is_found_by_its_module() -> None:
    assert task_class("tagging") is Tagging
    assert task_class("pipelines.tagging") is Tagging


@pytest.mark.parametrize(
    ("name", "near"),
    [("base", "bars"), ("stream", "tagging"), ("taging", "tagging")],
)
def test_what_is_no_task_is_refused(name: str, near: str) -> None:
    with pytest.raises(UsageError, match=f"name of a task. Received: '{name}'. .*{near}"):
        task_class(name)


@pytest.mark.parametrize("name", known("task"))
def test_every_task_declares_itself(name: str) -> None:
    task = task_class(name)
    assert issubclass(task, Task)
    assert task.name == name
    assert issubclass(task.Config, PipelineConfig)
    assert "keeps" in task.invariant_to
    assert task.invariant_to <= {"keeps", "mixes", "transposes", "rescales"}
    assert not task.__abstractmethods__
    for key, output in task(task.Config(), ("a", "b", "c")).outputs().items():
        assert key.isidentifier()
        assert output.size > 0


def test_a_task_survives_its_config_as_json() -> None:
    config = TaggingConfig(clip_seconds=None, freq_masks=2, class_weights="balanced", mixup=0.3)
    stored = json.loads(json.dumps(to_dict(config)))
    task = task_from_config("tagging", stored, ["b", "a"])
    assert isinstance(task, Tagging)
    assert task.config == config
    assert task.labels == ("b", "a")  # the order of the model's output, never sorted


def test_an_unknown_setting_offers_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"'clip_second' of TaggingConfig\. .*'clip_seconds'"):
        task_from_config("tagging", {"clip_second": 3.0}, ["a"])
