"""keras-tuner's oracles, which choose what to try next, made to be killed at any moment.

As they come (1.4.8), an oracle writes its state and each of its trials to files of their own, one
after the other and in place, so that a kill in between repeats finished trials or leaves files that
can't be read; a grid search forgets where it was. Here all that an oracle knows is one file,
replaced as a whole whenever a trial begins or ends, and what is not in it follows from the trials.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import keras_tuner
import numpy as np
from keras_tuner.engine.trial import Trial as Drawn
from keras_tuner.oracles import (
    BayesianOptimizationOracle,
    GridSearchOracle,
    HyperbandOracle,
    RandomSearchOracle,
)

from kmir.integrity import write_json

NEVER = 10**9  # a count that is not reached
FACTOR = 3  # of Hyperband: one in three goes on, three times as long


class Kept(keras_tuner.Oracle):
    """What every oracle here has; mixed into those of keras-tuner.

    Args:
        path: Of the file that holds all it knows.
        trials: How many there may be.
        begin: Called with each trial that is drawn, before anyone else hears of it.
        end: Called with each trial that has ended; it may give a reason to stop the search.
        **options: Of keras-tuner's oracle.
    """

    def __init__(
        self,
        *,
        path: Path,
        trials: int,
        begin: Callable[[Drawn], None],
        end: Callable[[Drawn], str | None],
        **options: Any,
    ):
        self.path, self.wanted, self._begin, self._end = path, trials, begin, end
        self.stopped_for = ""
        super().__init__(max_consecutive_failed_trials=NEVER, **options)
        self._display.verbose = 0

    # === What comes next ===

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """The next values; as long as a trial runs, nobody is sent away, for it may be lost."""
        response: dict[str, Any] = {"status": "STOPPED"}
        if len(self.trials) < self.wanted and not self.stopped_for:
            response = super().populate_space(trial_id)
        if response["status"] == "STOPPED" and self.ongoing_trials:
            response = {"status": "IDLE"}
        return response

    def _random_values(self) -> dict[str, Any] | None:
        """The first trial is the usual settings: what there is to beat."""
        if not self.trials:
            space = self.hyperparameters
            return {hp.name: hp.default for hp in space.space if space.is_active(hp)}
        values: dict[str, Any] | None = super()._random_values()
        return values

    @keras_tuner.synchronized
    def end_trial(self, trial: Drawn) -> None:
        """Take a trial that was finished or has failed; one that has ended before is left alone."""
        if trial.trial_id in self.end_order:
            return
        if trial.trial_id in self._retry_queue:
            self._retry_queue.remove(trial.trial_id)
        super().end_trial(trial)
        self.stopped_for = self._end(self.trials[trial.trial_id]) or self.stopped_for

    @keras_tuner.synchronized
    def release(self, tuner_id: str) -> None:
        """Let others have the trial of someone who is gone."""
        self.tuner_ids.discard(tuner_id)
        if trial := self.ongoing_trials.pop(tuner_id, None):
            self._retry_queue.append(trial.trial_id)
            self.save()

    # === Files ===

    def get_state(self) -> dict[str, Any]:
        """All it knows, as JSON values."""
        trials = {name: trial.get_state() for name, trial in self.trials.items()}
        state: dict[str, Any] = super().get_state()
        ongoing = state["ongoing_trials"]  # with the one that has just ended: it leaves after this
        ongoing = {tuner: name for tuner, name in ongoing.items() if name not in self.end_order}
        return state | {"trials": trials, "ongoing_trials": ongoing}

    def set_state(self, state: dict[str, Any]) -> None:
        """Inverse of `get_state`."""
        self.trials = {name: Drawn.from_state(one) for name, one in state["trials"].items()}
        super().set_state(state)

    def save(self) -> None:
        """Write the file; keras-tuner calls this whenever a trial begins or ends."""
        write_json(self.path, self.get_state())

    def _save_trial(self, trial: Drawn) -> None:
        """keras-tuner calls this when a trial is drawn, before `save`, and when it has changed."""
        if trial.status == "RUNNING" and not trial.metrics.metrics:
            self._begin(trial)

    def restore(self) -> None:
        """Go on where the file says, if there is one; trials then running keep their tuners."""
        if self.path.exists():
            self.set_state(json.loads(self.path.read_text(encoding="utf-8")))


class Random(Kept, RandomSearchOracle):
    """Values drawn evenly."""


class Bayesian(Kept, BayesianOptimizationOracle):
    """Values that a Gaussian process expects to be good, or knows least about."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """The next values; what is random follows from the number of trials."""
        self._random_state = np.random.RandomState(self.seed + len(self.trials))
        return super().populate_space(trial_id)


class Grid(Kept, GridSearchOracle):
    """All values one after the other, beginning with the usual ones."""

    def set_state(self, state: dict[str, Any]) -> None:
        """Inverse of `get_state`; keras-tuner leaves out what has been walked through."""
        super().set_state(state)

        def compare(one: str, other: str) -> int:
            values = [self.trials[name].hyperparameters.values for name in (one, other)]
            order: int = self._compare(*values)
            return order

        for name in sorted(self.trials, key=functools.cmp_to_key(compare)):
            self._ordered_ids.insert(name)
        # Of those whose successor has been tried nothing comes, so all may be asked again.
        self._populate_next = list(self.trials)


class Hyperband(Kept, HyperbandOracle):
    """Many short trials, of which the best go on, three times as long.

    keras-tuner's first bracket begins with one epoch and tens of trials; with fewer trials than
    that, none would ever go on. So there are only as many rounds of halving as fit in.
    """

    def _get_num_brackets(self) -> int:
        most: int = super()._get_num_brackets()
        fits = [n for n in range(1, most + 1) if self._trials_of_bracket(n - 1) <= self.wanted]
        return max(fits, default=1)

    def _trials_of_bracket(self, number: int) -> int:
        return sum(self._get_size(number, round_num) for round_num in range(number + 1))


Oracle = Random | Bayesian | Grid | Hyperband
Algorithm = Literal["hyperband", "bayesian", "random", "grid"]


def make_oracle(
    algorithm: Algorithm,
    hyperparameters: keras_tuner.HyperParameters,
    *,
    direction: Literal["min", "max"],
    epochs: int,
    seed: int,
    trials: int,
    **hooks: Any,
) -> Oracle:
    """An oracle that knows of no trial yet.

    Args:
        algorithm: How it chooses.
        hyperparameters: What it chooses.
        direction: Whether small or large scores are good.
        epochs: Of a trial at most; Hyperband begins with fewer.
        seed: Of all that is random, from 0.
        trials: How many there may be.
        **hooks: ``path``, ``begin`` and ``end``, as `Kept` has them.
    """
    common: dict[str, Any] = {
        "objective": keras_tuner.Objective("score", direction),
        "hyperparameters": hyperparameters,
        "seed": seed + 1,  # 0 would be another one every time
        "trials": trials,
    }
    common |= hooks
    if algorithm == "hyperband":
        rounds = {"max_epochs": epochs, "factor": FACTOR, "hyperband_iterations": NEVER}
        return Hyperband(**common | rounds)
    if algorithm == "bayesian":
        # A third at random; keras-tuner's own choice is three for each hyperparameter.
        first = max(3, math.ceil(trials / 3))
        return Bayesian(max_trials=None, num_initial_points=first, **common)
    kind: type[Random] | type[Grid] = Random if algorithm == "random" else Grid
    return kind(max_trials=None, **common)
