"""The log and the keeper: rows, rates, best and last weights, the end of a run."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmir.nn.callbacks import RunKeeper, RunLog
from kmir.nn.checkpoint import load_state
from kmir.nn.schedule import Schedule

SCHEDULE = Schedule(0.1, 0.5, patience=2, floor=0.01, stop_patience=4)
VALUES = [1.0, 0.8, 0.9, 0.95, 0.7, 0.75, 0.75, 0.75, 0.75, 0.75]


@given(
    st.lists(
        st.fixed_dictionaries(
            {"loss": st.floats(), "roc auc, macro": st.floats(0, 1), "n": st.integers(0, 99)}
        ),
        max_size=5,
    )
)
def test_the_log_reads_what_it_wrote(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, float]]
) -> None:
    path = tmp_path_factory.mktemp("log") / "log.csv"
    log = RunLog(path)
    for row in rows:
        log.append(row)
    np.testing.assert_equal(RunLog(path).rows, rows)
    if rows:
        np.testing.assert_equal(RunLog(path).column("loss"), [row["loss"] for row in rows])


def test_the_log_forgets_lost_epochs_and_is_as_if_they_had_never_been(tmp_path: Path) -> None:
    rows = [{"epoch": n + 1, "loss": 1 / (n + 1)} for n in range(4)]
    interrupted, whole = RunLog(tmp_path / "a.csv"), RunLog(tmp_path / "b.csv")
    for row in rows[:3]:
        interrupted.append(row)
    again = RunLog(tmp_path / "a.csv")
    again.keep(2)
    assert again.rows == rows[:2]
    for row in rows[2:]:
        again.append(row)
    for row in rows:
        whole.append(row)
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()
    assert (tmp_path / "a.csv").read_text().splitlines()[:2] == ["epoch,loss", "1,1.0"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.csv", "b.csv"]


def test_a_log_without_rows_can_be_read(tmp_path: Path) -> None:
    RunLog(tmp_path / "log.csv").keep(0)
    assert RunLog(tmp_path / "log.csv").rows == []


class Driven:
    """A run of a model of one weight, which is the number of the epoch."""

    def __init__(self, folder: Path):
        self.model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
        self.model.compile(keras.optimizers.Adam(0.1), "mse")
        self.folder = folder
        self.log = RunLog(folder / "log.csv")
        self.keeper = RunKeeper(
            self.log, SCHEDULE, monitor="val_loss", checkpoints=folder / "checkpoints"
        )
        self.keeper.set_model(self.model)

    def epoch(self, number: int) -> None:
        self.keeper.on_epoch_begin(number)
        self.model.set_weights([np.full((1, 1), number, np.float32)])
        self.keeper.on_epoch_end(number, {"loss": np.float32(0.5), "val_loss": VALUES[number]})

    def kept(self, name: str) -> tuple[int, float]:
        """Epochs of a checkpoint, and its weight."""
        epochs = load_state(self.model, self.folder / "checkpoints" / f"{name}.npz")
        return epochs, float(self.model.get_weights()[0][0, 0])


def test_a_run_is_logged_and_kept(tmp_path: Path) -> None:
    run = Driven(tmp_path)
    best = [0, 1, 1, 1, 4, 4]
    for number, best_so_far in enumerate(best):
        run.epoch(number)
        assert run.kept("last") == (number + 1, number)
        assert run.kept("best") == (best_so_far + 1, best_so_far)
        assert not run.model.stop_training
    rows = RunLog(tmp_path / "log.csv").rows
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row["val_loss"] for row in rows] == VALUES[:6]
    # Epochs 2 and 3 bring nothing, so epoch 4 has half the rate.
    rates = [0.1, 0.1, 0.1, 0.1, 0.05, 0.05]
    assert [row["learning_rate"] for row in rows] == pytest.approx(rates)
    assert all(row["seconds"] >= 0 for row in rows)


def test_a_run_stops_where_the_schedule_says(tmp_path: Path) -> None:
    run = Driven(tmp_path)
    for number in range(len(VALUES)):
        run.epoch(number)
        if run.model.stop_training:
            break
    assert number == 8  # four epochs after the best
    assert run.model.stop_training is True


def test_a_resumed_run_goes_on_with_the_rate_it_had(tmp_path: Path) -> None:
    run = Driven(tmp_path)
    for number in range(4):
        run.epoch(number)
    resumed = Driven(tmp_path)
    resumed.keeper.on_epoch_begin(4)
    assert float(resumed.model.optimizer.learning_rate) == pytest.approx(0.05)


def test_the_keeper_works_in_fit_with_a_scaled_loss(tmp_path: Path) -> None:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, dtype="float32")])
        model.add(keras.layers.Dense(1))
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile(keras.optimizers.Adam(0.1), "mse")
    log = RunLog(tmp_path / "log.csv")
    keeper = RunKeeper(log, SCHEDULE, monitor="val_loss", checkpoints=tmp_path)
    data = (np.ones((4, 3), np.float32), np.ones((4, 1), np.float32))
    model.fit(*data, validation_data=data, epochs=3, callbacks=[keeper], verbose=0)
    assert list(log.rows[0]) == ["epoch", "learning_rate", "seconds", "loss", "val_loss"]
    assert log.column("learning_rate") == pytest.approx([0.1, 0.1, 0.1])
    assert load_state(model, tmp_path / "last.npz") == 3


def test_a_host_that_does_not_write_keeps_the_log_in_mind(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "log.csv", writes=False)
    log.append({"epoch": 1, "val_loss": 0.5})
    log.append({"epoch": 2, "val_loss": 0.4})
    log.keep(1)
    assert log.column("val_loss") == [0.5]
    assert not list(tmp_path.iterdir())
