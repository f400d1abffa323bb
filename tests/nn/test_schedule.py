"""The schedule against the two Keras callbacks whose rules it has."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmir.nn.schedule import OneCycle, Schedule, Verdict

# Multiples of 1/64 are exact in the float32 in which Keras compares.
GRID = 64
losses = st.lists(st.integers(-12, 12).map(lambda n: n / GRID), min_size=1, max_size=40)


def keras_says(
    values: list[float], schedule: Schedule, monitor: str = "val_x"
) -> list[tuple[float, bool]]:
    """Learning rate and stop after each epoch, up to the one that ends the run."""
    mode = "max" if schedule.larger_is_better else "min"
    model = SimpleNamespace(
        optimizer=SimpleNamespace(learning_rate=schedule.learning_rate), stop_training=False
    )
    callbacks = [
        keras.callbacks.ReduceLROnPlateau(
            monitor, schedule.factor, schedule.patience, mode=mode, min_delta=schedule.min_delta
        ),
        keras.callbacks.EarlyStopping(monitor, patience=schedule.stop_patience, mode=mode),
    ]
    for callback in callbacks:
        callback.set_model(model)
        callback.on_train_begin()
    said = []
    for epoch, value in enumerate(values):
        for callback in callbacks:
            callback.on_epoch_end(epoch, {monitor: value})
        said.append((model.optimizer.learning_rate, model.stop_training))
        if model.stop_training:
            break
    return said


@given(
    values=losses,
    factor=st.sampled_from([0.1, 0.3, 0.5]),
    patience=st.integers(1, 5),
    stop_patience=st.integers(1, 9),
    min_delta=st.sampled_from([0.0, 1e-4, 1 / GRID, 3 / GRID]),
    larger_is_better=st.booleans(),
)
def test_equals_keras(
    values: list[float],
    factor: float,
    patience: int,
    stop_patience: int,
    min_delta: float,
    larger_is_better: bool,
) -> None:
    schedule = Schedule(1e-2, factor, patience, 0.0, stop_patience, min_delta, larger_is_better)
    said = keras_says(values, schedule)
    for epochs, (rate, stop) in enumerate(said, start=1):
        verdict = schedule.after(values[:epochs])
        assert bool(verdict.stop) == stop
        if not stop:  # Keras still slows down a run that is over
            assert verdict.learning_rate == pytest.approx(rate)
    best = (np.argmax if larger_is_better else np.argmin)(values)
    assert schedule.after(values).best_epoch == best


@given(values=losses, cut=st.integers(0, 40))
def test_whatever_was_logged_decides(values: list[float], cut: int) -> None:
    """An interrupted run asks a new object with the log it has."""
    schedule = Schedule(1e-2, 0.3, 2, 1e-4, 5)
    schedule.after(values)
    again = Schedule(1e-2, 0.3, 2, 1e-4, 5)
    assert schedule.after(tuple(values[:cut])) == again.after(values[:cut])


@given(values=losses)
def test_rates_only_fall_and_never_below_the_floor(values: list[float]) -> None:
    schedule = Schedule(1e-2, 0.5, 1, 1e-3, 30)
    rates = [schedule.after(values[:n]).learning_rate for n in range(len(values) + 1)]
    assert rates[0] == 1e-2
    assert all(later in (rate, rate * 0.5) for rate, later in pairwise(rates))
    assert min(rates) >= 1e-3


def test_by_hand() -> None:
    schedule = Schedule(0.1, 0.5, patience=2, floor=0.03, stop_patience=9, min_delta=0.1)
    rates = [0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05]
    #        best  better, but by too little, twice: a plateau; then better; then a wait of one
    values = [1.0, 0.95, 0.91, 0.5, 0.45]
    for epochs in range(1, len(values) + 1):
        assert schedule.after(values[:epochs]).learning_rate == rates[epochs]
    assert schedule.after(values) == Verdict(0.05, "", best_epoch=4)
    stopped = schedule.after([*values, 0.45])
    assert stopped.stop == "learning rate 5.0e-02 would fall below its floor 3.0e-02"


def test_patience_ends_a_run() -> None:
    schedule = Schedule(0.1, 0.5, patience=99, floor=0.0, stop_patience=3)
    assert schedule.after([1.0, 1.1, 1.1]).stop == ""
    assert schedule.after([1.0, 1.1, 1.1, 1.0]) == Verdict(0.1, "no improvement in 3 epochs", 0)


def test_before_the_first_epoch() -> None:
    assert Schedule(0.1, 0.5, 1, 0.0, 1).after([]) == Verdict(0.1, "", None)


def test_what_is_not_a_number_is_no_improvement() -> None:
    """Keras takes a NaN of the first epoch as the best there is, and nothing beats it after."""
    schedule = Schedule(0.1, 0.5, patience=2, floor=0.0, stop_patience=3)
    nan = float("nan")
    assert schedule.after([nan, 1.0, nan]) == Verdict(0.1, "", 1)
    assert schedule.after([nan, nan]) == Verdict(0.05, "", None)
    assert schedule.after([nan, nan, nan]) == Verdict(0.05, "no improvement in 3 epochs", None)


# === One cycle ===


def test_a_golden_cycle() -> None:
    """Up in two epochs, down along half a cosine in eight; each at its middle."""
    cycle = OneCycle(1.0, epochs=10)
    rates = [cycle.after([1.0] * done).learning_rate for done in range(10)]
    down = [(1 + np.cos(np.pi * (epoch + 0.5) / 8)) / 2 for epoch in range(8)]
    np.testing.assert_allclose(rates, [0.25, 0.75, *down])
    assert cycle.after([]) == Verdict(rates[0], "", None)


@given(
    epochs=st.integers(1, 60),
    rise=st.sampled_from([0.1, 0.2, 0.5]),
    values=st.lists(st.floats(0, 1), max_size=70),
)
def test_a_cycle_depends_on_nothing_but_the_number_of_epochs(
    epochs: int, rise: float, values: list[float]
) -> None:
    cycle = OneCycle(2e-3, epochs, rise)
    verdict = cycle.after(values)
    assert verdict.learning_rate == cycle.after([0.0] * len(values)).learning_rate
    assert 0 < verdict.learning_rate <= 2e-3
    assert verdict.stop == ""
    planned = [cycle.after([0.0] * done).learning_rate for done in range(epochs)]
    top = int(np.argmax(planned))
    assert (np.diff(planned[: top + 1]) > 0).all()
    assert (np.diff(planned[top:]) < 0).all()
    if epochs >= 10:
        assert max(planned) > 0.9 * 2e-3
        assert planned[-1] < 0.03 * 2e-3
        assert abs(top + 0.5 - rise * epochs) <= 1


def test_the_best_epoch_of_a_cycle() -> None:
    values = [0.5, float("nan"), 0.9, 0.2, 0.9, 0.2]
    assert OneCycle(1, 9).after(values).best_epoch == 3
    assert OneCycle(1, 9, larger_is_better=True).after(values).best_epoch == 2
    assert OneCycle(1, 9).after([float("nan"), float("inf")]).best_epoch is None
