"""``spec.json`` and ``manifest.json``: what the fields say, and files that were changed by hand."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from kmir.errors import RecordError, UsageError
from kmir.features.log_mel import LogMel
from kmir.integrity import write_json
from kmir.records.spec import Split, read_manifest, read_spec


@pytest.fixture
def copied(tiny_records: Path, tmp_path: Path) -> Any:
    return shutil.copytree(tiny_records, tmp_path / "records")


def test_lengths_add_up() -> None:
    split = Split(3, ((100, 1), (250, 4)), {}, False, ())
    assert (split.pieces, split.frames, split.longest) == (5, 1100, 250)


def test_spec_tells_what_the_records_hold(tiny_records: Path, tiny_feature: LogMel) -> None:
    spec, feature = read_spec(tiny_records)
    assert feature == tiny_feature
    assert spec.dataset == "folder"
    assert spec.dtype == "float16"
    assert spec.known == ("tags",)
    assert spec.tags == ("click", "loud", "noise", "tone")
    assert spec.feature["name"] == "log_mel"
    assert spec.feature["hop_length"] == 128


def test_manifest_tells_how_much(tiny_records: Path) -> None:
    manifest = read_manifest(tiny_records)
    assert list(manifest.splits) == ["train", "validation", "test"]
    train = manifest.splits["train"]
    assert train.lengths == ((63, 6),)
    assert train.tag_counts == {"click": 2, "loud": 3, "noise": 2, "tone": 2}
    assert manifest.splits["validation"].tag_counts == {"click": 1, "noise": 1, "tone": 1}
    assert manifest.splits["validation"].one_tag_each
    assert manifest.failed == {}
    assert re.fullmatch("[0-9a-f]{64}", manifest.source)


@pytest.mark.parametrize(
    ("name", "change", "received"),
    [
        ("spec.json", lambda values: values.pop("tags"), "KeyError 'tags'"),
        ("spec.json", lambda values: values.pop("dataset"), "missing 1 required"),
        ("spec.json", lambda values: values.update(colour="red"), "argument 'colour'"),
        ("spec.json", lambda values: values["feature"].pop("name"), "KeyError 'name'"),
        ("manifest.json", lambda values: values.pop("source"), "missing 1 required"),
        ("manifest.json", lambda values: values.pop("splits"), "KeyError 'splits'"),
        ("manifest.json", lambda values: values.update(splits=3), "TypeError"),
        ("manifest.json", lambda values: values.update(splits={"dev": {}}), "ValueError"),
        ("manifest.json", lambda values: values["splits"]["train"].pop("shards"), "'shards'"),
        ("manifest.json", lambda values: values["splits"]["train"].update(lengths=3), "TypeError"),
    ],
)
def test_what_kmir_did_not_write_is_refused(
    copied: Path, name: str, change: Any, received: str
) -> None:
    path = copied / name
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
    reading = read_spec if name == "spec.json" else read_manifest
    with pytest.raises(RecordError, match=re.escape(received)) as caught:
        reading(copied)
    assert str(caught.value).startswith(f"Expected {path} as kmir writes it. Received: ")
    assert "\n" not in str(caught.value)


def test_a_field_or_a_feature_that_is_not_there_is_named(copied: Path) -> None:
    path = copied / "spec.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"feature": values["feature"] | {"n_mel": 3}}))
    message = r"^Unknown field 'n_mel' of feature 'log_mel'\. Did you mean 'n_mels'\?$"
    with pytest.raises(RecordError, match=message):
        read_spec(copied)
    path.write_text(json.dumps(values | {"feature": values["feature"] | {"name": "log_mal"}}))
    with pytest.raises(UsageError, match=r"Received: 'log_mal'\. Did you mean 'log_mel'\?$"):
        read_spec(copied)


def test_json_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"b": 1, "a": "é"})
    assert json.loads(path.read_text()) == {"a": "é", "b": 1}
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]
