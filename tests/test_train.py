"""Training: the run folder, resuming, repeatability, settings that are refused."""

from __future__ import annotations

import csv
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

import zoo
from kmir import command, train
from kmir.errors import UsageError
from kmir.presets import check_golden, from_preset
from kmir.run import TrainConfig, prepare

SMALL = {
    "train.epochs": "4",
    "train.batch_size": "4",
    "model.filters": "4,4,4,4",
    "pipeline.clip_seconds": "0.5",
    "pipeline.freq_masks": "1",
    "pipeline.time_masks": "1",
    "pipeline.mixup": "0.3",
}


def weights(run: Path) -> np.ndarray:
    """All weights of a run's preset, in one vector."""
    arrays: list[np.ndarray] = []
    with h5py.File(run / "preset" / "model.weights.h5") as file:
        file.visititems(
            lambda _, item: (
                arrays.append(item[()].ravel()) if isinstance(item, h5py.Dataset) else None
            )
        )
    return np.concatenate(arrays)


def log(run: Path) -> list[dict[str, str]]:
    with (run / "log.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def finished(tiny_records: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run, never interrupted."""
    workdir = tmp_path_factory.mktemp("runs") / "finished"
    return train.train(
        "zoo.crnn_tagger", data=str(tiny_records), workdir=workdir, flags=SMALL, quiet=True
    )


def test_run_folder_tells_its_story(finished: Path, tiny_records: Path) -> None:
    config = json.loads((finished / "config.json").read_text())["config"]
    assert config["train"]["epochs"] == 4
    assert config["model"]["filters"] == [4, 4, 4, 4]
    story = json.loads((finished / "run.json").read_text())
    assert story["wall_seconds"] > 0
    assert story["records"] == str(tiny_records)
    assert story["versions"]["keras"].startswith("3.")
    assert [int(row["epoch"]) for row in log(finished)] == [1, 2, 3, 4]
    assert (finished / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert list((finished / "tensorboard" / "train").glob("events.*"))
    with (finished / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 + 1  # the test split and the mean
    assert rows[-1]["track"] == "mean"
    assert 0 <= float(rows[-1]["roc_auc"]) <= 1


def test_preset_is_whole_and_without_optimizer(finished: Path) -> None:
    check_golden(finished)
    preset = from_preset(finished)
    assert preset.labels == ("click", "loud", "noise", "tone")
    assert weights(finished).size == preset.model.count_params()


def test_same_seed_same_weights_and_another_seed_others(
    finished: Path, tiny_records: Path, tmp_path: Path
) -> None:
    settings = {"data": str(tiny_records), "quiet": True}
    again = train.train("zoo.crnn_tagger", workdir=tmp_path / "a", flags=SMALL, **settings)
    np.testing.assert_allclose(weights(again), weights(finished), atol=1e-6)
    assert log(again) == log(finished)
    other = SMALL | {"train.seed": "1", "train.epochs": "1"}
    other_run = train.train("zoo.crnn_tagger", workdir=tmp_path / "b", flags=other, **settings)
    assert np.abs(weights(other_run) - weights(finished)).max() > 1e-3


def test_more_epochs_go_on_from_the_last(
    finished: Path, tiny_records: Path, tmp_path: Path
) -> None:
    for epochs in ("2", "4"):
        train.train(
            "zoo.crnn_tagger",
            data=str(tiny_records),
            workdir=tmp_path,
            flags=SMALL | {"train.epochs": epochs},
            quiet=True,
        )
    assert log(tmp_path) == log(finished)
    np.testing.assert_allclose(weights(tmp_path), weights(finished), atol=1e-6)


def test_a_finished_run_is_only_scored_again(
    finished: Path, tiny_records: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (finished / "checkpoints" / "last.npz").stat().st_mtime_ns
    train.train(
        "zoo.crnn_tagger", data=str(tiny_records), workdir=finished, flags=SMALL, quiet=True
    )
    assert (finished / "checkpoints" / "last.npz").stat().st_mtime_ns == before
    assert "roc_auc" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_killed_and_resumed_equals_uninterrupted(
    tiny_records: Path, tmp_path: Path, precision: str
) -> None:
    flags = SMALL | {"train.epochs": "8", "train.precision": precision}
    words = [f"--config.{name}={value}" for name, value in flags.items()]

    def run(workdir: Path) -> subprocess.Popen[bytes]:
        program = [sys.executable, "-m", "kmir.train", "zoo.crnn_tagger", "--quiet"]
        data = ["--data", str(tiny_records), "--workdir", str(workdir)]
        return subprocess.Popen([*program, *data, *words], start_new_session=True)

    assert run(tmp_path / "whole").wait() == 0
    killed = 0
    while killed < 2:
        process = run(tmp_path / "killed")
        rows = len(log(tmp_path / "killed")) if (tmp_path / "killed" / "log.csv").exists() else 0
        while process.poll() is None:
            path = tmp_path / "killed" / "log.csv"
            if path.exists() and path.read_text().count("\n") > rows + 2:
                os.killpg(process.pid, signal.SIGKILL)
            time.sleep(0.002)
        killed += process.wait() == -signal.SIGKILL
        assert process.returncode in (0, -signal.SIGKILL)
        if process.returncode == 0:
            break
    assert killed
    assert run(tmp_path / "killed").wait() == 0
    assert log(tmp_path / "killed") == log(tmp_path / "whole")
    np.testing.assert_allclose(weights(tmp_path / "killed"), weights(tmp_path / "whole"), atol=1e-6)


@pytest.mark.parametrize(
    ("argv", "code", "line"),
    [
        (["zoo.crnn_tager"], 2, "Did you mean 'crnn_tagger'?"),
        (["crnn_tagger", "--config.train.lerning_rate=1"], 2, "Did you mean 'learning_rate'?"),
        (["crnn_tagger", "--config.train.epochs=many"], 2, "as a whole number. Received: 'many'"),
        (["crnn_tagger", "--config.train.epochs=0"], 2, "epochs of 1 or more. Received: 0"),
        (["crnn_tagger", "--config.train.precision=fp8"], 2, "one of float32, mixed_bfloat16"),
        (["crnn_tagger", "--config.train.monitor=val_los"], 2, "Did you mean 'val_loss'?"),
        (["crnn_tagger", "--config.pipeline.clip_seconds=-1"], 2, "above 0. Received: -1.0"),
        (["crnn_tagger", "--config.pipeline.clip_seconds=nan"], 2, "above 0. Received: nan"),
        (["crnn_tagger", "--config.pipeline.clip_seconds=none"], 2, "Expected a clip length"),
        (["crnn_tagger", "--config.pipeline.shuffle_buffer=0"], 2, "shuffle_buffer of 1 or more"),
        (["crnn_tagger", "--config.train.seed=-1"], 2, "Expected a seed from 0"),
        (["crnn_tagger", "--config.train.plateau_factor=2"], 2, "in (0, 1). Received: 2.0"),
        (["crnn_tagger", "--config.model.dropout=1.5"], 2, "settings that crnn_tagger can be"),
        (["crnn_tagger", "--data", "no/such/records"], 1, "Expected a records folder"),
        (["crnn_tagger", "--data", "sinthetic"], 2, "Did you mean 'synthetic'?"),
    ],
)
def test_bad_settings_are_one_line(
    tiny_records: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    argv: list[str],
    code: int,
    line: str,
) -> None:
    data = [] if "--data" in argv else ["--data", str(tiny_records)]
    argv = [*argv, *data, "--workdir", str(tmp_path / "run")]
    assert command.run(train.main, argv) == code
    told = capsys.readouterr().err.strip()
    assert line in told
    assert len(told.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_folder_of_another_run_is_refused(
    finished: Path, tiny_records: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"--config.{name}={value}" for name, value in (SMALL | {"train.seed": "5"}).items()]
    argv = ["crnn_tagger", "--data", str(tiny_records), "--workdir", str(finished), *words]
    assert command.run(train.main, argv) == 2
    assert "config.train.seed = 0. Received: 5" in capsys.readouterr().err


def test_a_model_with_another_input_is_refused(
    tiny_records: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = (Path(zoo.__path__[0]) / "crnn_tagger.py").read_text()
    (tmp_path / "odd_tagger").mkdir()
    (tmp_path / "odd_tagger" / "model.py").write_text(source.replace('"features"', '"feats"'))
    monkeypatch.syspath_prepend(tmp_path)
    argv = ["odd_tagger.model", "--data", str(tiny_records), "--workdir", str(tmp_path / "run")]
    assert command.run(train.main, argv) == 2
    assert "an input named 'features'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_diverged_run_says_so(
    tiny_records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--config.train.learning_rate=1e38", "--config.train.epochs=1", "--quiet"]
    argv = ["dense_baseline", "--data", str(tiny_records), "--workdir", str(tmp_path / "run")]
    assert command.run(train.main, [*argv, *words]) == 1
    assert "Received: [nan]. The run diverged" in capsys.readouterr().err


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_damaged_shard_is_named(
    tiny_records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], split: str
) -> None:
    data = tmp_path / "records"
    shutil.copytree(tiny_records, data)
    shard = sorted(data.glob(f"{split}-*.tfrecord"))[0]
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    argv = ["dense_baseline", "--data", str(data), "--workdir", str(tmp_path / "run"), "--quiet"]
    assert command.run(train.main, [*argv, "--config.train.epochs=1"]) == 1
    told = capsys.readouterr().err
    assert f"kmir: error: Expected {shard} with sha256" in told


def test_a_lost_log_is_missed(
    finished: Path, tiny_records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    (run / "log.csv").unlink()
    words = [f"--config.{name}={value}" for name, value in SMALL.items()]
    argv = ["crnn_tagger", "--data", str(tiny_records), "--workdir", str(run), *words]
    assert command.run(train.main, argv) == 1
    assert "with the 4 epochs of checkpoints/last.npz. Received: 0" in capsys.readouterr().err


def test_a_model_of_ones_own_trains(
    tiny_records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_models").mkdir()
    (tmp_path / "my_models" / "tagger.py").write_text(
        "from zoo.dense_baseline import Config, build_model, search_space\nTASK = 'tagging'\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    argv = ["my_models.tagger", "--data", str(tiny_records), "--workdir", "run", "--quiet"]
    assert command.run(train.main, [*argv, "--config.train.epochs=1"]) == 0
    assert from_preset("run").predict(np.zeros(8000, np.float32), 8000).tags is not None


def test_layers_without_cudnn_are_named(
    tiny_records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = "stepped through frame by frame, without cuDNN: gru1 (reset_after=False), gru2"
    for before, gpu in itertools.product((True, False), (True, False)):
        flags = SMALL | {"model.reset_after": str(not before).lower()}
        run = prepare("zoo.crnn_tagger", data=str(tiny_records), root=None, flags=flags, quiet=True)
        monkeypatch.setattr(train, "has_gpu", lambda gpu=gpu: gpu)
        assert (slow in train.announcement(run, 0)) == (before and gpu)


def test_chosen_epochs_are_averaged(tiny_records: Path, tmp_path: Path) -> None:
    """The preset holds the mean of what the same run had after these epochs."""
    settings = SMALL | {"train.epochs": "3", "train.averaged_epochs": "1,3"}
    run = train.train(
        "zoo.crnn_tagger", data=str(tiny_records), workdir=tmp_path, flags=settings, quiet=True
    )
    states = [np.load(run / "checkpoints" / f"epoch-{n}.npz") for n in (1, 3)]
    model = from_preset(run).model
    for i, variable in enumerate(model.variables):
        if "seed_generator" not in variable.path:
            mean = sum(np.asarray(state[f"{i:05d}"], np.float64) for state in states) / 2
            np.testing.assert_allclose(variable, mean, rtol=1e-5, atol=1e-6)


def test_averaged_epochs_must_be_of_the_run() -> None:
    with pytest.raises(UsageError, match=r"Expected averaged_epochs from 1 to 4. Received: \(5,\)"):
        TrainConfig(epochs=4, averaged_epochs=(5,))
