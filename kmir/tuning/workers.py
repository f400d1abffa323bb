"""Who runs the trials: one process alone, or several that ask a chief, here or on other machines.

Chief and workers speak keras-tuner's protocol (gRPC). What keras-tuner leaves open is done here: a
chief that ends with its workers' last trial instead of some time later, and a worker that dies: its
trial is given to another, who goes on from the last checkpoint.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol

import grpc
from keras_tuner.engine.trial import Trial as Drawn
from keras_tuner.src import protos
from keras_tuner.src.distribute import oracle_client
from keras_tuner.src.distribute.oracle_chief import OracleServicer

from kmir import command
from kmir.errors import RunError, UsageError
from kmir.process import ending, start
from kmir.tuning.oracle import Oracle
from kmir.tuning.trial import Result, Runner, Trial

ALONE = "alone"
CHIEF = "chief"
BEAT = 10.0  # seconds between two signs of life of a worker
LOST = 120.0  # seconds without one, after which its trial is given to another
PAUSE = 1.0  # seconds until a worker without work asks again
PATIENCE = 600.0  # seconds that a worker waits for its chief; keras-tuner waits an hour
HOST, PORT, TUNER = "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT", "KERASTUNER_TUNER_ID"


class Source(Protocol):
    """Where trials come from: an oracle, or keras-tuner's client of one."""

    def create_trial(self, tuner_id: str) -> Drawn: ...  # noqa: D102
    def get_trial(self, trial_id: str) -> Drawn: ...  # noqa: D102
    def update_trial(self, trial_id: str, metrics: dict[str, float]) -> Any: ...  # noqa: D102
    def end_trial(self, trial: Drawn) -> None: ...  # noqa: D102


def work(
    source: Source,
    folder: Path,
    run: Callable[[Trial, Callable[[], Any], float], Result],
    name: str = ALONE,
) -> None:
    """Run trials as long as there are some.

    Args:
        source: Whom to ask for them.
        folder: That holds their folders.
        run: Runs one, or goes on with it; see `kmir.tuning.trial.Runner`.
        name: Of the one who asks.
    """
    while (drawn := source.create_trial(name)).status != "STOPPED":
        if drawn.status == "IDLE":
            time.sleep(PAUSE)
            continue
        trial = Trial.read(folder / drawn.trial_id)

        def alive(trial_id: str = drawn.trial_id) -> None:
            source.get_trial(trial_id)

        result = trial.result or run(trial, alive, BEAT)
        drawn.status, drawn.message = "FAILED", result.error
        if result.status == "finished":
            assert result.score is not None
            source.update_trial(drawn.trial_id, {"score": result.score})
            drawn.status = "COMPLETED"
        source.end_trial(drawn)


# === The chief ===


class Chief(OracleServicer):
    """Answers workers, and knows when each of them was last heard of."""

    def __init__(self, oracle: Oracle):
        super().__init__(oracle)
        self.heard = dict.fromkeys(oracle.ongoing_trials, time.monotonic())
        self.error: Exception | None = None

    def CreateTrial(self, request: Any, context: Any) -> Any:
        """A trial for a worker."""
        self.heard[request.tuner_id] = time.monotonic()
        try:
            response = super().CreateTrial(request, context)
        except Exception as error:
            self.error = error
            raise
        if response.trial.status == protos.get_proto().TrialStatus.STOPPED:
            self.forget(request.tuner_id)
        return response

    def GetTrial(self, request: Any, context: Any) -> Any:
        """A worker's sign of life, while it runs a trial."""
        for name, trial in list(self.oracle.ongoing_trials.items()):
            if trial.trial_id == request.trial_id:
                self.heard[name] = time.monotonic()
        return super().GetTrial(request, context)

    def forget(self, name: str) -> None:
        """Wait no longer for a worker; its trial, if it has one, is for the others."""
        self.heard.pop(name, None)
        self.oracle.release(name)

    @property
    def done(self) -> bool:
        """Whether all trials have ended, and every worker was told so or is gone."""
        for name, when in list(self.heard.items()):
            if time.monotonic() - when > LOST:
                self.forget(name)
        if self.error is not None:
            raise self.error
        return self.stop_triggered and not self.oracle.ongoing_trials and not self.heard


@contextmanager
def serving(oracle: Oracle, address: str) -> Iterator[tuple[Chief, int]]:
    """Answer workers for the time of the block; the chief, and the port that it listens at.

    Raises:
        UsageError: If the address can't be listened at.
    """
    chief = Chief(oracle)
    server = grpc.server(ThreadPoolExecutor(max_workers=1))
    protos.get_service_grpc().add_OracleServicer_to_server(chief, server)
    try:
        port = server.add_insecure_port(address)
    except RuntimeError:
        raise UsageError(
            f"Expected an address of this machine with a free port. Received: {address}. "
            f"See {HOST} and {PORT}."
        ) from None
    server.start()
    try:
        yield chief, port
    finally:
        server.stop(grace=None).wait()


def lead(oracle: Oracle, address: str) -> None:
    """Answer workers on other machines until the search is done."""
    with serving(oracle, address) as (chief, _):
        while not chief.done:
            time.sleep(PAUSE)


def lead_here(oracle: Oracle, folder: Path, runner: Runner, workers: int) -> None:
    """Start workers on this machine, and answer them until the search is done.

    Raises:
        RunError: If none is left before that.
    """
    with serving(oracle, "127.0.0.1:0") as (chief, port):
        processes: dict[str, BaseProcess] = {}
        for number in range(workers):
            name = f"worker-{number}"
            # Several on one GPU must not each take all of its memory.
            place = {HOST: "127.0.0.1", PORT: str(port), TUNER: name}
            place["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
            processes[name] = start(_worker, folder, runner, environment=place)
        try:
            while not chief.done:
                time.sleep(PAUSE / 4)
                gone = [name for name, process in processes.items() if not process.is_alive()]
                for name in gone:
                    chief.forget(name)
                if len(gone) == workers and not chief.done:
                    ends = ", ".join(ending(process.exitcode) for process in processes.values())
                    raise RunError(
                        f"Expected a worker until the search is done. Received: {ends}. "
                        "Run the same command again to go on."
                    )
        finally:
            for process in processes.values():
                process.terminate()
            for process in processes.values():
                process.join()


# === A worker ===


def _worker(folder: Path, runner: Runner) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the chief, who ends its workers

    def main(_: list[str]) -> int:
        follow(folder, runner)
        return 0

    sys.exit(command.run(main, []))


def follow(folder: Path, runner: Runner) -> None:
    """Run trials that the chief gives, as long as there are some.

    Raises:
        RunError: If the chief doesn't answer.
    """
    oracle_client.TIMEOUT = PATIENCE
    place = Place.here()
    assert place is not None
    try:
        work(oracle_client.OracleClient(None), folder, runner, place.name)
    except grpc.RpcError as error:
        raise RunError(
            f"Expected an answer of the chief at {place.address}. Received: {error.code().name}. "
            f"Start it first, with {TUNER}=chief."
        ) from None


@dataclass(frozen=True)
class Place:
    """Which part of a search on several machines this process plays, as keras-tuner has it."""

    name: str
    address: str

    @classmethod
    def here(cls, environment: Mapping[str, str] = os.environ) -> Place | None:
        """As the environment says; None where it says nothing.

        Raises:
            UsageError: If it says only half of it.
        """
        if HOST not in environment:
            return None
        for needed in (PORT, TUNER):
            if needed not in environment:
                raise UsageError(
                    f"Expected {needed} in the environment, beside {HOST}. Received: none. "
                    f"Every process needs {HOST}, {PORT} and a {TUNER} of its own, one of "
                    f"them '{CHIEF}'."
                )
        return cls(environment[TUNER], f"{environment[HOST]}:{environment[PORT]}")

    @property
    def leads(self) -> bool:
        """Whether this is the chief."""
        return CHIEF in self.name
