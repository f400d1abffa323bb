"""What a run folder tells, and when a run may go on in it."""

import json
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import pytest

from kmir.errors import UsageError
from kmir.integrity import sha256
from kmir.records.read import Records
from kmir.scoring import Score
from kmir.story import Story


@dataclass(frozen=True)
class Train:
    epochs: int = 3
    learning_rate: float = 1e-3


@dataclass(frozen=True)
class Config:
    train: Train = field(default_factory=Train)
    filters: tuple[int, ...] = (64, 128)


@pytest.fixture
def records(tiny_records: Path) -> Records:
    return Records.open(tiny_records)


def _told(folder: Path, name: str = "run.json") -> dict[str, Any]:
    return json.loads((folder / name).read_text(encoding="utf-8"))


def test_a_run_begins_with_settings_data_and_versions(records: Records, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "one"
    argv = ["zoo.crnn_tagger", "--workdir", "my runs/1"]
    story = Story.begin(folder, "zoo.gru", Config(), records, argv)
    assert _told(folder, "config.json") == {
        "config": {"train": {"epochs": 3, "learning_rate": 0.001}, "filters": [64, 128]},
        "model": "zoo.gru",
        "data": {"manifest_sha256": sha256(records.root / "manifest.json")},
    }
    told = _told(folder)
    assert told == story.facts
    assert told["command"] == story.command
    assert told["command"] == "python -m kmir.train zoo.crnn_tagger --workdir 'my runs/1'"
    assert told["records"] == str(records.root)
    assert told["backend"] == keras.backend.backend()
    assert set(told["versions"]) == {
        "kmir", "keras", "tensorflow", "numpy", "librosa", "soxr", "soundfile"
    }  # fmt: skip
    assert re.match(r"2\.\d+", told["versions"]["tensorflow"])  # as tensorflow-cpu, too
    assert told["versions"]["keras"].startswith("3.")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", told["started"])


def test_without_a_command_line_the_command_is_left_open(records: Records, tmp_path: Path) -> None:
    assert (
        Story.begin(tmp_path, "zoo.gru", Config(), records, None).command
        == "python -m kmir.train …"
    )
    assert _told(tmp_path)["command"] == "python -m kmir.train …"


def test_a_run_ends_with_its_time_and_scores(records: Records, tmp_path: Path) -> None:
    story = Story.begin(tmp_path, "zoo.gru", Config(), records, [])
    story.end([Score("roc_auc", 0.9, 0.8, 1.0, 0.5), Score("f1", 0.5, 0.25, 0.75)])
    told = _told(tmp_path)
    assert told.pop("scores") == [
        {"name": "roc_auc", "value": 0.9, "low": 0.8, "high": 1.0, "chance": 0.5},
        {"name": "f1", "value": 0.5, "low": 0.25, "high": 0.75, "chance": None},
    ]
    assert 0 <= told.pop("wall_seconds") < 60
    assert told == story.facts


def test_the_commit_is_that_of_where_the_run_was_started(
    records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.chdir(repository)
    assert Story.begin(tmp_path / "outside", "zoo.gru", Config(), records, []).facts["git"] is None

    def git(*argv: str) -> str:
        identity = ["-c", "user.name=kmir", "-c", "user.email=kmir@example.org"]
        done = subprocess.run(["git", *identity, *argv], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init", "--quiet")
    (repository / "model.py").write_text("1")
    git("add", "model.py")
    git("commit", "--quiet", "--message", "first")
    commit = git("rev-parse", "HEAD")
    assert Story.begin(tmp_path / "inside", "zoo.gru", Config(), records, []).facts["git"] == commit
    (repository / "model.py").write_text("2")
    dirty = Story.begin(tmp_path / "changed", "zoo.gru", Config(), records, []).facts["git"]
    assert dirty == f"{commit}-dirty"
    monkeypatch.setenv("PATH", str(tmp_path))  # no git at all
    assert Story.begin(tmp_path / "no_git", "zoo.gru", Config(), records, []).facts["git"] is None


def test_a_run_goes_on_with_the_same_settings_and_more_epochs(
    records: Records, tmp_path: Path
) -> None:
    Story.begin(tmp_path, "zoo.gru", Config(), records, [])
    Story.begin(tmp_path, "zoo.gru", Config(), records, [])
    Story.begin(tmp_path, "zoo.gru", Config(Train(epochs=9)), records, [])
    assert _told(tmp_path, "config.json")["config"]["train"]["epochs"] == 9


@pytest.mark.parametrize(
    ("config", "name", "before", "now"),
    [
        (Config(Train(learning_rate=0.1)), "config.train.learning_rate", "0.001", "0.1"),
        (Config(filters=(64,)), "config.filters", "[64, 128]", "[64]"),
        (Train(), "config.epochs", "None", "3"),
    ],
)
def test_a_run_with_other_settings_is_refused(
    records: Records, tmp_path: Path, config: Any, name: str, before: str, now: str
) -> None:
    Story.begin(tmp_path, "zoo.gru", Config(), records, [])
    kept = (tmp_path / "config.json").read_bytes()
    message = (
        f"Expected to go on with the run in {tmp_path}, where {name} = {before}. "
        f"Received: {now}. Give another --workdir, or remove the folder."
    )
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        Story.begin(tmp_path, "zoo.gru", config, records, [])
    assert (tmp_path / "config.json").read_bytes() == kept


def test_a_run_on_other_data_is_refused(records: Records, tmp_path: Path) -> None:
    Story.begin(tmp_path / "run", "zoo.gru", Config(), records, [])
    copied = shutil.copytree(records.root, tmp_path / "moved")
    Story.begin(
        tmp_path / "run", "zoo.gru", Config(), Records.open(copied), []
    )  # the same data elsewhere
    manifest = json.loads((copied / "manifest.json").read_text())
    (copied / "manifest.json").write_text(json.dumps(manifest | {"source": "other"}))
    with pytest.raises(UsageError, match=r"where data\.manifest_sha256 = [0-9a-f]{64}\. Received"):
        Story.begin(tmp_path / "run", "zoo.gru", Config(), Records.open(copied), [])


def test_a_host_that_does_not_write_still_refuses_another_run(
    tmp_path: Path, records: Records
) -> None:
    Story.begin(tmp_path / "run", "zoo.gru", Config(), records, [], writes=False)
    assert not (tmp_path / "run").exists()
    Story.begin(tmp_path / "run", "zoo.gru", Config(), records, [])
    with pytest.raises(UsageError, match="Expected to go on with the run"):
        Story.begin(tmp_path / "run", "zoo.lstm", Config(), records, [], writes=False)
