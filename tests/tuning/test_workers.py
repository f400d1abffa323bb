"""A chief and its workers, over gRPC in one process, with trials that take no time."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import keras_tuner
import pytest
from keras_tuner.src.distribute.oracle_client import OracleClient

from kmir.errors import UsageError
from kmir.tuning import workers
from kmir.tuning.oracle import Oracle, make_oracle
from kmir.tuning.trial import Result, Trial
from kmir.tuning.workers import HOST, PORT, TUNER, Place, serving, work

TRIALS = 6


def oracle_in(folder: Path) -> Oracle:
    hp = keras_tuner.HyperParameters()
    hp.Float("rate", 1e-4, 1e-1, sampling="log", default=1e-3)

    def begin(drawn: Any) -> None:
        Trial(folder / drawn.trial_id, drawn.hyperparameters.values, {}).write()

    return make_oracle(
        "random", hp, direction="max", epochs=1, seed=0, trials=TRIALS,
        path=folder / "oracle.json", begin=begin, end=lambda drawn: None,
    )  # fmt: skip


def client(port: int, name: str, patch: pytest.MonkeyPatch) -> OracleClient:
    for key, value in ((HOST, "127.0.0.1"), (PORT, str(port)), (TUNER, name)):
        patch.setenv(key, value)
    return OracleClient(None)


def run(trial: Trial, alive: Any, every: float) -> Result:
    alive()
    time.sleep(0.05)
    result = Result("finished", score=trial.values["rate"])
    trial.end(result)
    return result


def wait_until_done(chief: workers.Chief) -> None:
    for _ in range(600):
        if chief.done:
            return
        time.sleep(0.05)
    raise AssertionError("The chief waits for somebody.")


def test_workers_share_the_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "PAUSE", 0.05)
    oracle = oracle_in(tmp_path)
    with serving(oracle, "127.0.0.1:0") as (chief, port):
        clients = {name: client(port, name, monkeypatch) for name in ("a", "b")}
        threads = [
            threading.Thread(target=work, args=(source, tmp_path, run, name))
            for name, source in clients.items()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        wait_until_done(chief)
    assert len(oracle.end_order) == TRIALS
    for name, trial in oracle.trials.items():  # numbers come through as they were
        assert Trial.read(tmp_path / name).values == trial.hyperparameters.values
        assert trial.score == trial.hyperparameters.values["rate"]


def test_a_worker_that_dies_does_not_hang_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "PAUSE", 0.05)
    monkeypatch.setattr(workers, "LOST", 2.0)
    oracle = oracle_in(tmp_path)
    with serving(oracle, "127.0.0.1:0") as (chief, port):
        lost = client(port, "dies", monkeypatch).create_trial("dies")
        args = (client(port, "lives", monkeypatch), tmp_path, run, "lives")
        thread = threading.Thread(target=work, args=args)
        thread.start()
        wait_until_done(chief)
        thread.join(60)
    assert sorted(oracle.end_order) == [f"{number:04d}" for number in range(TRIALS)]
    assert oracle.end_order[-1] == lost.trial_id


def test_an_error_of_the_oracle_ends_the_chief(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    oracle = oracle_in(tmp_path)

    def fail(trial_id: str) -> Any:
        raise ArithmeticError("no luck")

    monkeypatch.setattr(oracle, "populate_space", fail)
    with serving(oracle, "127.0.0.1:0") as (chief, port):
        with pytest.raises(Exception, match="no luck"):
            client(port, "a", monkeypatch).create_trial("a")
        with pytest.raises(ArithmeticError, match="no luck"):
            _ = chief.done


def test_the_place_is_as_the_environment_says() -> None:
    assert Place.here({}) is None
    environment = {HOST: "10.0.0.1", PORT: "8000", TUNER: "chief"}
    place = Place.here(environment)
    assert place == Place("chief", "10.0.0.1:8000")
    assert place.leads
    worker = Place.here(environment | {TUNER: "worker-a"})
    assert worker is not None and not worker.leads
    with pytest.raises(UsageError, match=f"Expected {TUNER} in the environment"):
        Place.here({HOST: "10.0.0.1", PORT: "8000"})


def test_an_address_that_is_taken_is_one_line(tmp_path: Path) -> None:
    message = r"Received: 203\.0\.113\.1:80\."
    with pytest.raises(UsageError, match=message), serving(oracle_in(tmp_path), "203.0.113.1:80"):
        pass
