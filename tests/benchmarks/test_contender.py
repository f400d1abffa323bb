"""Work in another process: answers, errors, and on how many cores it runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kmir.benchmarks.contender import Contender
from kmir.benchmarks.machine import (
    available,
    begin_peak,
    busy,
    check_cores,
    cores_for_children,
    missing,
    peak_memory,
)
from kmir.errors import AudioError, RunError, UsageError


class Counter:
    """Counts from a number."""

    def __init__(self, start: int) -> None:
        if start < 0:
            raise UsageError(f"Expected a start from 0. Received: {start}.")
        self.count = start

    def add(self, number: int) -> int:
        self.count += number
        return self.count

    def where(self) -> tuple[int, int, str]:
        return os.getpid(), available(), os.environ["OMP_NUM_THREADS"]

    def fail(self) -> None:
        raise AudioError("Expected a file. Received: none.")

    def end(self) -> None:
        os._exit(3)


def test_it_keeps_what_it_made_and_runs_elsewhere_on_its_cores() -> None:
    before = os.environ.get("OMP_NUM_THREADS"), available()
    with Contender(Counter, 40, cores=1) as counter:
        assert [counter.ask("add", 1), counter.ask("add", 1)] == [41, 42]
        assert counter.ready() == counter.ready() > 0
        pid, cores, threads = counter.ask("where")
        assert (cores, threads) == (1, "1")
        assert pid != os.getpid()
        with pytest.raises(RunError, match=r"Expected a file\. Received: none\."):
            counter.ask("fail")
    assert (os.environ.get("OMP_NUM_THREADS"), available()) == before


def test_what_cannot_be_made_or_ends_is_told() -> None:
    for options, method, message in (
        ((-1,), "add", r"Expected a start from 0\. Received: -1\."),
        ((), "add", "TypeError"),
        ((0,), "end", "Received: its end"),
    ):
        made = Contender(Counter, *options, cores=1)
        with made as counter, pytest.raises(RunError, match=message):
            counter.ask(method)


def test_cores_and_threads_are_as_before_after_an_error(tmp_path: Path) -> None:
    before = dict(os.environ), available()
    with pytest.raises(FileNotFoundError), cores_for_children(1):
        assert available() == 1
        (tmp_path / "nothing").stat()
    assert (dict(os.environ), available()) == before


def test_more_cores_than_there_are() -> None:
    assert check_cores(1) == 1
    with pytest.raises(UsageError, match=f"Expected 1 to {available()} cores"):
        check_cores(available() + 1)


def test_the_peak_of_memory_begins_anew() -> None:
    before = begin_peak()
    block = bytearray(64 * 2**20)
    assert 60 < peak_memory() - before < 96  # Linux counts pages by the dozen
    del block
    assert peak_memory() - before > 60
    assert begin_peak() - before < 32
    assert peak_memory() - before < 32


def test_a_busy_machine_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 9.0, 9.0))
    assert busy() is None
    monkeypatch.setattr(os, "getloadavg", lambda: (7.25, 0.0, 0.0))
    assert f"(load 7.2 on {available()} cores before the start)" in str(busy())


def test_a_word_for_what_is_not_installed() -> None:
    assert missing("numpy", "NumPy") is None
    assert missing("no_such_package", "Such") == "Such is not installed: skipped."
