"""Oracles that are killed: whatever was written when, the search is the one of an unbroken one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
import pytest
import scipy.optimize
from keras_tuner.oracles import BayesianOptimizationOracle
from scipy.optimize import OptimizeResult
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern

from kmir.integrity import write_json
from kmir.tuning.oracle import FACTOR, make_oracle
from kmir.tuning.trial import Result, Trial
from kmir.tuning.workers import work

ALGORITHMS = ("hyperband", "bayesian", "random", "grid")
every_algorithm = pytest.mark.parametrize("algorithm", ALGORITHMS)


def space() -> keras_tuner.HyperParameters:
    hp = keras_tuner.HyperParameters()
    hp.Choice("units", [8, 16, 32], default=16)
    hp.Float("dropout", 0.0, 0.4, step=0.1, default=0.2)
    hp.Float("rate", 1e-4, 1e-1, sampling="log", default=1e-3)
    hp.Int("layers", 1, 3, default=2)
    hp.Boolean("both", default=True)
    return hp


def score(values: dict[str, Any]) -> float:
    """Best at 32 units, little dropout, and a rate near 1e-2."""
    return float(values["units"] / 32 - values["dropout"] - abs(values["rate"] - 0.01))


@pytest.fixture(autouse=True)
def _guesses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the best of fifty guesses, instead of seconds of descent from each of them."""

    real = scipy.optimize.minimize

    def minimize(function: Any, x0: np.ndarray, **options: Any) -> OptimizeResult:
        if "jac" in options:  # of the Gaussian process' own kernel
            return real(function, x0, **options)
        return OptimizeResult(x=x0, fun=float(np.squeeze(function(x0))))

    monkeypatch.setattr(scipy.optimize, "minimize", minimize)
    monkeypatch.setattr(
        BayesianOptimizationOracle,
        "_make_gpr",
        lambda self: GaussianProcessRegressor(Matern(nu=2.5), normalize_y=True, alpha=self.alpha),
    )


class Killed(BaseException):
    """As sudden as SIGKILL: nothing that is written afterwards is written."""


def search(
    folder: Path,
    algorithm: Any,
    *,
    trials: int = 12,
    fails: Callable[[str], bool] = lambda name: False,
    stop_for: Callable[[Any], str | None] = lambda drawn: None,
    hyperparameters: keras_tuner.HyperParameters | None = None,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Values of the trials as they were drawn, and the names of those run, by this process."""
    ran = []

    def begin(drawn: Any) -> None:
        Trial(folder / drawn.trial_id, drawn.hyperparameters.values, {}).write()

    def run(trial: Trial, alive: Any, every: float) -> Result:
        ran.append(trial.folder.name)
        result = Result("finished", score=score(trial.values))
        if fails(trial.folder.name):
            result = Result("failed", error="no luck")
        trial.end(result)
        return result

    folder.mkdir(exist_ok=True)
    oracle = make_oracle(
        algorithm,
        hyperparameters or space(),
        direction="max",
        epochs=9,
        seed=3,
        trials=trials,
        path=folder / "oracle.json",
        begin=begin,
        end=stop_for,
    )
    oracle.restore()
    for name in list(oracle.ongoing_trials):
        oracle.release(name)
    work(oracle, folder, run)
    return [Trial.read(folder / name).values for name in oracle.start_order], ran


@every_algorithm
def test_the_first_trial_is_the_usual_settings_and_none_comes_twice(
    tmp_path: Path, algorithm: str
) -> None:
    drawn, ran = search(tmp_path, algorithm)
    assert ran == [f"{number:04d}" for number in range(12)]
    plain = [{k: v for k, v in one.items() if not k.startswith("tuner/")} for one in drawn]
    usual = {"units": 16, "dropout": 0.2, "rate": 1e-3, "layers": 2, "both": True}
    assert plain[0] == usual
    fresh = [p for p, d in zip(plain, drawn, strict=True) if "tuner/trial_id" not in d]
    assert len({json.dumps(one, sort_keys=True) for one in fresh}) == len(fresh)


@every_algorithm
def test_a_search_killed_at_any_write_goes_on_as_if_it_had_not_been(
    tmp_path: Path, algorithm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed just before a write, again and again, so that every write has its turn."""
    trials = 4 if algorithm == "bayesian" else 8  # a Gaussian process takes its time
    whole, _ = search(tmp_path / "whole", algorithm, trials=trials)
    left = 0

    def write(path: Path, value: Any) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed
        write_json(path, value)

    monkeypatch.setattr("kmir.tuning.oracle.write_json", write)
    monkeypatch.setattr("kmir.tuning.trial.write_json", write)
    for pause in (5, 6, 7, 9):  # writes until the next kill; a trial takes four
        kills, drawn = 0, None
        while drawn is None:
            left = pause
            try:
                drawn, _ = search(tmp_path / f"killed-{pause}", algorithm, trials=trials)
            except Killed:
                kills += 1
        assert drawn == whole
        assert kills >= trials // 3


@every_algorithm
def test_finished_trials_are_not_run_again(tmp_path: Path, algorithm: str) -> None:
    _, first = search(tmp_path, algorithm, trials=5)
    drawn, then = search(tmp_path, algorithm, trials=9)  # more of them on the same folder
    assert (first, then) == ([f"{n:04d}" for n in range(5)], [f"{n:04d}" for n in range(5, 9)])
    assert search(tmp_path, algorithm, trials=9) == (drawn, [])


@every_algorithm
def test_failed_trials_are_kept_and_the_search_goes_on(tmp_path: Path, algorithm: str) -> None:
    fails = {"0000", "0003", "0004"}
    _, ran = search(tmp_path, algorithm, trials=10, fails=lambda name: name in fails)
    assert len(ran) == 10
    state = json.loads((tmp_path / "oracle.json").read_text())
    statuses = {name: trial["status"] for name, trial in state["trials"].items()}
    assert {name for name, status in statuses.items() if status == "FAILED"} == fails
    assert list(statuses.values()).count("COMPLETED") == 7
    assert Trial.read(tmp_path / "0003").result == Result("failed", error="no luck")


def test_a_reason_to_stop_stops(tmp_path: Path) -> None:
    def stop(drawn: Any) -> str | None:
        return "enough" if drawn.trial_id == "0003" else None

    _, ran = search(tmp_path, "random", stop_for=stop)
    assert len(ran) == 4


def test_hyperband_lets_the_best_go_on(tmp_path: Path) -> None:
    """Of eleven trials with 9 epochs at most two rounds fit: the best third goes on."""
    drawn, _ = search(tmp_path, "hyperband", trials=11)
    promoted = [values for values in drawn if "tuner/trial_id" in values]
    begun = [values for values in drawn if "tuner/trial_id" not in values]
    first = [values for values in begun if values["tuner/bracket"] == 1]
    assert promoted and {v["tuner/epochs"] for v in promoted} == {9}
    assert {v["tuner/epochs"] for v in first} == {9 / FACTOR}
    scores = sorted(map(score, first), reverse=True)
    assert [score(v) for v in promoted] == scores[: len(promoted)]
    for values in promoted:
        parent = drawn[int(values["tuner/trial_id"])]
        assert all(values[name] == parent[name] for name in ("units", "rate", "dropout"))
        assert values["tuner/initial_epoch"] == parent["tuner/epochs"]


def test_bayesian_search_finds_more_than_chance(tmp_path: Path) -> None:
    best = {}
    for algorithm in ("bayesian", "random"):
        drawn, _ = search(tmp_path / algorithm, algorithm, trials=20)
        best[algorithm] = max(map(score, drawn))
    assert best["bayesian"] > best["random"]


def test_a_grid_is_walked_through_to_its_end(tmp_path: Path) -> None:
    def small() -> keras_tuner.HyperParameters:
        hp = keras_tuner.HyperParameters()
        hp.Choice("units", [8, 16, 32], default=16)
        hp.Fixed("rate", 0.01)
        hp.Float("dropout", 0.0, 0.2, step=0.1, default=0.1)
        return hp

    search(tmp_path, "grid", trials=4, hyperparameters=small())
    drawn, _ = search(tmp_path, "grid", trials=50, hyperparameters=small())
    assert len(drawn) == 9
    assert {(v["units"], round(v["dropout"], 1)) for v in drawn} == {
        (units, dropout) for units in (8, 16, 32) for dropout in (0.0, 0.1, 0.2)
    }


def test_a_trial_that_was_lost_is_taken_up_by_another(tmp_path: Path) -> None:
    ended: list[str] = []
    oracle = make_oracle(
        "random", space(), direction="max", epochs=9, seed=0, trials=2, path=tmp_path / "o.json",
        begin=lambda drawn: None, end=lambda drawn: ended.append(drawn.trial_id),
    )  # fmt: skip
    lost, other = oracle.create_trial("lost"), oracle.create_trial("other")
    assert oracle.create_trial("lost").trial_id == lost.trial_id  # its own, as long as it runs
    assert oracle.create_trial("third").status == "IDLE"  # for one may be lost
    oracle.release("lost")
    assert oracle.create_trial("third").trial_id == lost.trial_id
    for trial in (other, lost, lost):  # the one believed lost comes back: once is enough
        oracle.update_trial(trial.trial_id, {"score": 0.5})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    assert ended == [other.trial_id, lost.trial_id]
    assert oracle.create_trial("third").status == "STOPPED"
