"""A search from the command to the preset: what it leaves, what goes on, what is refused."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from kmir import command
from kmir import tune as kmir_tune
from kmir.errors import RunError, UsageError
from kmir.nn.callbacks import RunLog
from kmir.presets import from_preset
from kmir.train import fit
from kmir.tune import only_one, tune
from kmir.tuning import trial as trial_module
from kmir.tuning.trial import Result, Runner, Trial, run_trial

SMALL = '''
"""A small model; one of its settings can't be built."""
from dataclasses import dataclass
import keras
TASK = "tagging"

@dataclass(frozen=True)
class Config:
    units: int = 4
    kind: str = "good"

def build_model(config, inputs, outputs):
    if config.kind == "bad":
        raise ValueError("No such kind.")
    if config.kind == "fatal":
        import os
        os.kill(os.getpid(), 9)
    features = keras.Input(inputs, name="features")
    x = keras.layers.Dense(config.units, activation="relu")(features)
    x = keras.layers.Dropout(0.2)(x)
    x = keras.layers.GlobalAveragePooling1D(name="embedding")(x)
    ((name, output),) = outputs.items()
    return keras.Model(features, keras.layers.Dense(output.size, output.activation, name=name)(x))

def search_space(hp):
    return Config(units=hp.Choice("units", [2, 4, 8], default=4),
                  kind=hp.Choice("kind", ["good", KIND], default="good"))
'''
FIXED = {
    "train.epochs": "4",
    "train.batch_size": "3",
    "train.weight_decay": "0",
    "train.precision": "float32",
    "train.plateau_patience": "99",
    "train.stop_patience": "99",
    "pipeline.clip_seconds": "0.5",
    "pipeline.freq_masks": "0",
    "pipeline.time_masks": "0",
    "pipeline.mixup": "0",
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Package of models of one's own: ``good`` always trains, others fail for some settings."""
    root = tmp_path_factory.mktemp("models")
    (root / "own_tuned").mkdir()
    (root / "own_tuned" / "__init__.py").touch()
    for kind in ("good", "bad", "fatal"):
        code = SMALL.replace("KIND", repr(kind)).replace('["good", "good"]', '["good"]')
        (root / "own_tuned" / f"{kind}.py").write_text(code)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(root)
        patch.setenv("PYTHONPATH", f"{root}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        yield "own_tuned"


def in_this_process(runner: Runner, trial: Trial, *_: Any) -> Result:
    trial_module._work(runner, trial)
    assert trial.result is not None
    return trial.result


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the start of a process for each trial."""
    monkeypatch.setattr(Runner, "__call__", in_this_process)


def search(model: str, records: Path, workdir: Path, **options: Any) -> Path:
    common: dict[str, Any] = {"algorithm": "random", "trials": 2, "epochs": 2, "flags": FIXED}
    return tune(model, data=str(records), workdir=workdir, quiet=True, **common | options)


def rows(workdir: Path) -> list[dict[str, str]]:
    with (workdir / "trials.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def finished(models: str, tiny_records: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two trials of two epochs, and the winner's three."""
    workdir = tmp_path_factory.mktemp("searches") / "finished"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Runner, "__call__", in_this_process)
        flags = FIXED | {"train.epochs": "3"}
        folder = search(f"{models}.good", tiny_records, workdir, flags=flags)
    assert folder == workdir / "best"
    return workdir


# === What a search leaves ===


def test_the_table_has_the_figures_of_the_logs(finished: Path) -> None:
    table = rows(finished)
    assert [row["trial"] for row in table] == ["0000", "0001"]
    assert (table[0]["units"], table[0]["train.learning_rate"]) == ("4", "0.002")  # the usual ones
    for row in table:
        log = RunLog(finished / "trials" / row["trial"] / "log.csv").rows
        assert (row["status"], row["error"], row["goes_on_from"]) == ("finished", "", "")
        assert float(row["score"]) == min(line["val_loss"] for line in log)
        assert int(row["epochs"]) == len(log) == 2
        assert float(row["seconds"]) == pytest.approx(sum(line["seconds"] for line in log))
        assert float(row["memory_mb"]) > 100
    assert list(table[0])[-3:] == ["units", "train.learning_rate", "error"]
    assert not (finished / "trials" / "0000" / "scores.csv").exists()  # nobody saw the test split


def test_the_winner_is_trained_to_the_end(finished: Path) -> None:
    best = json.loads((finished / "best.json").read_text())
    scores = {row["trial"]: float(row["score"]) for row in rows(finished)}
    assert best["trial"] == min(scores, key=scores.__getitem__)
    assert (best["measure"], best["score"]) == ("val_loss", min(scores.values()))
    config = json.loads((finished / "best" / "config.json").read_text())["config"]
    assert config["model"]["units"] == best["values"]["units"]
    assert config["train"]["epochs"] == 3
    assert len(RunLog(finished / "best" / "log.csv").rows) == 3
    preset = from_preset(str(finished / "best"))
    command_line = preset.card["command"]
    assert command_line.startswith("python -m kmir.train own_tuned.good --data ")
    for name, text in best["flags"].items():
        assert f"--config.{name}={text}" in command_line


def test_tensorboard_shows_each_trial(finished: Path) -> None:
    for row in rows(finished):
        events = EventAccumulator(str(finished / "tensorboard" / row["trial"])).Reload()
        (score,) = events.Tensors("val_loss")
        assert score.tensor_proto.float_val[0] == pytest.approx(float(row["score"]))
        assert score.step == int(row["epochs"])
        metadata = events.SummaryMetadata("_hparams_/session_start_info")
        data = plugin_data_pb2.HParamsPluginData.FromString(metadata.plugin_data.content)
        told = data.session_start_info
        assert told.group_name == row["trial"]
        assert told.hparams["units"].number_value == int(row["units"])
        rate = told.hparams["train.learning_rate"].number_value
        assert rate == float(row["train.learning_rate"])
    events = EventAccumulator(str(finished / "tensorboard" / "search")).Reload()
    content = events.SummaryMetadata("_hparams_/experiment").plugin_data.content
    experiment = plugin_data_pb2.HParamsPluginData.FromString(content).experiment
    infos = {info.name: info for info in experiment.hparam_infos}
    assert [v.number_value for v in infos["units"].domain_discrete.values] == [2, 4, 8]
    ends = infos["train.learning_rate"].domain_interval
    assert (ends.min_value, ends.max_value) == (2e-3 / 8, 2e-3 * 4)
    assert [info.name.tag for info in experiment.metric_infos] == ["val_loss"]


def test_there_is_a_picture(finished: Path) -> None:
    assert (finished / "search.png").read_bytes()[:4] == b"\x89PNG"


# === What goes on ===


def test_the_same_command_repeats_nothing_and_more_trials_go_on(
    finished: Path,
    models: str,
    tiny_records: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = rows(finished)
    flags = FIXED | {"train.epochs": "3"}
    with monkeypatch.context() as patch:
        patch.setattr(Runner, "__call__", None)  # would fail if it were called
        search(f"{models}.good", tiny_records, finished, flags=flags)
    assert rows(finished) == before
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split()[:3] == ["trial", "val_loss", "epochs"]
    scores = [float(line.split()[1]) for line in printed[1:3]]
    assert scores == sorted(scores)

    # A third trial, so good that another winner stood in `best` before.
    first = json.loads((finished / "best.json").read_text())["trial"]

    def lucky(runner: Runner, trial: Trial, *_: Any) -> Result:
        result = Result("finished", score=0.0, epochs=1)
        trial.end(result)
        return result

    monkeypatch.setattr(Runner, "__call__", lucky)
    search(f"{models}.good", tiny_records, finished, flags=flags, trials=3)
    assert [row["trial"] for row in rows(finished)] == ["0000", "0001", "0002"]
    assert json.loads((finished / "best.json").read_text())["trial"] == "0002"
    assert (finished / f"best-{first}" / "preset").exists()
    assert (finished / "best" / "preset").exists()


def test_a_promoted_trial_goes_on_as_one_that_was_never_stopped(
    models: str, tiny_records: Path, tmp_path: Path
) -> None:
    """As Hyperband has it: one epoch, and in a trial of its own two more, or three at once."""
    runner = Runner(f"{models}.good", None, tiny_records)
    flags = FIXED | {"train.epochs": "3"}
    for name, last, parent in (("0000", 1, None), ("0001", 3, "0000"), ("0002", 3, None)):
        trial = Trial(tmp_path / name, {}, flags, last, parent)
        trial.write()
        assert Trial.read(trial.folder) == trial
        result = run_trial(runner, trial)
        assert (result.status, result.epochs) == ("finished", last)
    first, promoted, whole = (
        [{k: v for k, v in row.items() if k != "seconds"} for row in RunLog(path).rows]
        for path in sorted(tmp_path.glob("*/log.csv"))
    )
    assert promoted == whole
    assert promoted[:1] == first


def test_an_interrupted_trial_goes_on_from_its_checkpoint(
    models: str, tiny_records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the first of two epochs: the second alone is trained then."""
    monkeypatch.setattr(Runner, "__call__", in_this_process)

    def killed_after_one(run: Any, folder: Path, **options: Any) -> Any:
        fit(run, folder, **options | {"last_epoch": 1})
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("kmir.tuning.trial.fit", killed_after_one)
        search(f"{models}.good", tiny_records, tmp_path, trials=1)
    assert not (tmp_path / "trials" / "0000" / "result.json").exists()
    log = tmp_path / "trials" / "0000" / "log.csv"
    first = RunLog(log).rows
    search(f"{models}.good", tiny_records, tmp_path, trials=1)
    assert RunLog(log).rows[:1] == first
    assert len(RunLog(log).rows) == 2


# === What fails, and what is refused ===


def test_a_failed_trial_is_kept_with_its_error(
    models: str, tiny_records: Path, tmp_path: Path, quick: None
) -> None:
    flags = FIXED | {"model.units": "2", "train.learning_rate": "1e-3", "train.epochs": "1"}
    options: dict[str, Any] = {"trials": 5, "epochs": 1, "algorithm": "grid", "flags": flags}
    search(f"{models}.bad", tiny_records, tmp_path, **options)
    table = rows(tmp_path)
    assert [(row["kind"], row["status"]) for row in table] == [
        ("good", "finished"),
        ("bad", "failed"),
    ]  # the whole grid
    expected = "UsageError: Expected settings that own_tuned.bad can be. No such kind."
    assert (table[1]["error"], table[1]["score"]) == (expected, "")


def test_too_many_failures_end_a_search(
    models: str, tiny_records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(runner: Runner, trial: Trial, *_: Any) -> Result:
        result = Result("failed", error="no luck")
        if trial.folder.name == "0000":
            result = Result("finished", score=1.0, epochs=1)
        trial.end(result)
        return result

    monkeypatch.setattr(Runner, "__call__", fail)
    with pytest.raises(RunError, match=r"5 failures in a row, the last one in .*0005 \(no luck\)"):
        search(f"{models}.good", tiny_records, tmp_path, trials=20)
    assert len(rows(tmp_path)) == 6
    monkeypatch.setattr(
        Runner, "__call__", lambda runner, trial, *_: trial.end(Result("failed")) or trial.result
    )
    with pytest.raises(RunError, match="all failed"):
        search(f"{models}.good", tiny_records, tmp_path / "other", trials=2)


def test_another_search_is_refused(finished: Path, models: str, tiny_records: Path) -> None:
    flags = FIXED | {"train.epochs": "3"}
    for change, message in (
        ({"algorithm": "grid"}, "where algorithm = random. Received: grid."),
        ({"epochs": 1}, "where epochs = 2. Received: 1."),
        ({"flags": flags | {"train.batch_size": "2"}}, "flags.train.batch_size = 3. Received: 2."),
    ):
        options = {"flags": flags} | change
        with pytest.raises(UsageError, match=re.escape(message)):
            search(f"{models}.good", tiny_records, finished, **options)
    with pytest.raises(UsageError, match=r"Expected to go on with the search in .*model = "):
        search(f"{models}.fatal", tiny_records, finished, flags=flags)


def test_wrong_usage_is_one_line(
    tiny_records: Path, tmp_path: Path, models: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"{models}.good", "--data", str(tiny_records), "--workdir", str(tmp_path / "w")]
    assert command.run(kmir_tune.main, [*words, "--algorithm", "bayes"]) == 2
    assert "Did you mean 'bayesian'?" in capsys.readouterr().err
    assert command.run(kmir_tune.main, [*words, "--trials", "0"]) == 2
    everything = ["--config.model.units=2", "--config.train.learning_rate=1e-3"]
    everything += [f"--config.{name}={text}" for name, text in FIXED.items()]
    assert command.run(kmir_tune.main, [*words, *everything]) == 2
    assert "Received: every setting of own_tuned.good as a flag." in capsys.readouterr().err
    assert not (tmp_path / "w").exists()


def test_two_searches_do_not_share_a_folder(tmp_path: Path) -> None:
    message = "where another process is at it"
    with only_one(tmp_path), pytest.raises(RunError, match=message), only_one(tmp_path):
        pass
    with only_one(tmp_path):
        pass


# === Processes ===


def start(model: str, records: Path, workdir: Path, *words: str) -> subprocess.Popen[str]:
    """The command in a process group of its own."""
    flags = [f"--config.{name}={text}" for name, text in FIXED.items()]
    return subprocess.Popen(
        [sys.executable, "-m", "kmir.tune", model, "--data", str(records), "--workdir",
         str(workdir), *flags, *words],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def wait_for(what: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    for _ in range(24_000):
        if what():
            return
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    raise AssertionError("It takes too long.")


@pytest.mark.slow
def test_a_search_killed_three_times_ends_like_one_that_was_not(
    models: str, tiny_records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--trials", "4", "--epochs", "3", "--algorithm", "hyperband")
    finished: dict[str, int] = {}  # when the result of a trial was written
    for kill in range(3):
        process = start(f"{models}.good", tiny_records, tmp_path / "killed", *words)
        log = tmp_path / "killed" / "trials" / f"{kill:04d}" / "log.csv"
        wait_for(log.exists, process)  # in the middle of a trial, or shortly after
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        for path in (tmp_path / "killed").glob("trials/*/result.json"):
            finished.setdefault(path.parent.name, path.stat().st_mtime_ns)
    assert finished
    process = start(f"{models}.good", tiny_records, tmp_path / "killed", *words)
    output = process.communicate()[0]
    assert process.returncode == 0, output
    assert output.splitlines()[-1] == str(tmp_path / "killed" / "best")
    for name, written in finished.items():  # none was run again
        result = tmp_path / "killed" / "trials" / name / "result.json"
        assert result.stat().st_mtime_ns == written

    monkeypatch.setattr(Runner, "__call__", in_this_process)
    search(f"{models}.good", tiny_records, tmp_path / "whole", trials=4, epochs=3,
           algorithm="hyperband")  # fmt: skip
    timeless = [
        [{k: v for k, v in row.items() if k not in ("seconds", "memory_mb")} for row in table]
        for table in (rows(tmp_path / "killed"), rows(tmp_path / "whole"))
    ]
    assert timeless[0] == timeless[1]
    assert len(timeless[0]) == 4
    assert [row["goes_on_from"] for row in timeless[0]][:3] == ["", "", ""]
    assert timeless[0][3]["goes_on_from"]  # three of one epoch, of which the best goes on to three


@pytest.mark.slow
def test_a_trial_whose_process_is_killed_has_failed(
    models: str, tiny_records: Path, tmp_path: Path
) -> None:
    flags = FIXED | {"model.units": "2", "train.learning_rate": "1e-3", "train.epochs": "1"}
    search(f"{models}.fatal", tiny_records, tmp_path, algorithm="grid", epochs=1, flags=flags)
    good, fatal = rows(tmp_path)
    assert (good["status"], fatal["status"]) == ("finished", "failed")
    assert fatal["error"].startswith("killed by SIGKILL; see ")


@pytest.mark.slow
def test_two_workers_share_a_search_and_one_may_die(
    models: str, tiny_records: Path, tmp_path: Path
) -> None:
    words = ("--trials", "6", "--epochs", "2", "--algorithm", "random", "--workers", "2")
    process = start(f"{models}.good", tiny_records, tmp_path, *words)
    wait_for((tmp_path / "trials" / "0001" / "log.csv").exists, process)
    workers = children(process.pid)
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    output = process.communicate()[0]
    assert process.returncode == 0, output
    table = rows(tmp_path)
    assert [row["status"] for row in table] == ["finished"] * 6
    assert (tmp_path / "best" / "preset").exists()


@pytest.mark.slow
def test_a_cluster_shares_a_search(models: str, tiny_records: Path, tmp_path: Path) -> None:
    """The same command three times, each with its place in the environment."""
    words = ("--trials", "4", "--epochs", "1", "--algorithm", "random")
    processes = {}
    for name in ("chief", "worker-a", "worker-b"):
        place = {"KERASTUNER_TUNER_ID": name, "KERASTUNER_ORACLE_IP": "127.0.0.1"}
        with pytest.MonkeyPatch.context() as patch:
            for key, value in (place | {"KERASTUNER_ORACLE_PORT": "18917"}).items():
                patch.setenv(key, value)
            processes[name] = start(f"{models}.good", tiny_records, tmp_path, *words)
    outputs = {name: process.communicate()[0] for name, process in processes.items()}
    assert [process.returncode for process in processes.values()] == [0, 0, 0], outputs
    assert len(rows(tmp_path)) == 4
    assert outputs["chief"].splitlines()[-1] == str(tmp_path / "best")


def children(pid: int) -> list[int]:
    """Processes that a process has started, but for multiprocessing's own helpers."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
            line = (path.parent / "cmdline").read_text()
        except OSError:
            continue
        if int(fields[1]) == pid and "spawn_main" in line:
            found.append(int(path.parent.name))
    return sorted(found)
