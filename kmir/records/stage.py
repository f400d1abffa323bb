"""Features of many tracks, computed in parallel, one file each until the shards are written."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path

import numpy as np
from tqdm import tqdm

from kmir.datasets import Track
from kmir.errors import KmirError, RecordError
from kmir.features.base import Feature

STAGING = ".staging"  # name of the folder


@dataclass(frozen=True)
class Staging:
    """Folder of staged tracks inside a records folder that is being made.

    Args:
        folder: Where the arrays stand; it goes when the records are finished.
        feature: What is extracted.
        dtype: Of the stored features.
    """

    folder: Path
    feature: Feature
    dtype: str

    def open(self, source: str) -> None:
        """Make the folder, or take up the one that an interrupted run left.

        Raises:
            RecordError: If it was left by a run over other data or with other settings.
        """
        stamp = self.folder / "source"
        if stamp.exists() and not self.holds(source):
            raise begun_otherwise(self.folder.parent)
        if not stamp.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            temporary = stamp.with_suffix(".tmp")
            temporary.write_text(source)
            temporary.replace(stamp)

    def holds(self, source: str) -> bool:
        """Whether an unfinished extraction of just this stands here."""
        stamp = self.folder / "source"
        return stamp.exists() and stamp.read_text() == source

    def close(self) -> None:
        """Remove the folder, if it is there."""
        if self.folder.exists():
            shutil.rmtree(self.folder)

    def path(self, track: Track) -> Path:
        """File of one track."""
        return self.folder / f"{hashlib.sha256(track.id.encode()).hexdigest()[:24]}.npy"

    def fill(self, tracks: Sequence[Track], *, workers: int, quiet: bool) -> dict[str, str]:
        """Stage what is not staged yet.

        Args:
            tracks: All tracks.
            workers: Number of processes.
            quiet: No progress bar.

        Returns:
            Reason by track id, for tracks that could not be read.
        """
        missing = [track for track in tracks if not self.path(track).exists()]
        failed = {}
        done = len(tracks) - len(missing)
        silent = True if quiet else None  # None: only where a terminal watches
        with tqdm(
            total=len(tracks), initial=done, desc="extract", unit="track", disable=silent
        ) as bar:
            for track, reason in self._outcomes(missing, workers):
                bar.update()
                if reason:
                    failed[track.id] = reason
        return dict(sorted(failed.items()))

    def stage(self, track: Track) -> None:
        """Compute the features of one track and store them, atomically.

        Raises:
            AudioError: If the audio can't be read, or its features are of another shape or not
                finite.
        """
        stored = track.read(self.feature, self.dtype)
        temporary = self.path(track).with_suffix(f".{os.getpid()}.tmp")
        with temporary.open("wb") as file:
            np.save(file, stored)
        temporary.replace(self.path(track))

    def _outcomes(
        self, tracks: Sequence[Track], workers: int
    ) -> Iterator[tuple[Track, str | None]]:
        """Stage tracks; each, as it is done, with the reason why it could not be or None."""
        if workers == 1 or len(tracks) < 2:
            for track in tracks:
                yield track, failure(track, partial(self.stage, track))
            return
        workers = min(workers, len(tracks))
        context = get_context("spawn")
        with (
            single_threaded_blas(),
            ProcessPoolExecutor(workers, context, initializer=_end_with_parent) as pool,
        ):
            futures: dict[Future[str | None], Track] = {}
            try:
                # The reason is made where the work is done: not every exception can travel.
                futures = {
                    pool.submit(failure, track, partial(self.stage, track)): track
                    for track in tracks
                }
                for future in as_completed(futures):
                    yield futures[future], _received(futures[future], future)
            finally:
                pool.shutdown(cancel_futures=True)


def begun_otherwise(out: object) -> RecordError:
    """What to say of a folder in which an extraction of something else was begun."""
    return RecordError(
        f"Expected to go on with the extraction begun in {out}. Received: other data, feature or "
        "settings. Give the same ones, or add --overwrite."
    )


def failure(track: Track, work: Callable[[], object]) -> str | None:
    """Do some work on a track; the reason why it could not be done, or None."""
    try:
        work()
    except KmirError as error:
        return str(error)
    except Exception as error:  # one bad file must not stop a thousand good ones
        return f"{track.audio or track.id}: {type(error).__name__}: {error}"
    return None


def _received(track: Track, future: Future[str | None]) -> str | None:
    """The reason that came from a worker, or why the work could not be sent to it."""
    try:
        return future.result()
    except BrokenProcessPool:
        raise RecordError(
            "An extraction worker was killed, perhaps for lack of memory. Run the same command "
            "again to go on, with fewer --workers."
        ) from None
    except Exception as error:  # features that can't be pickled
        return f"{track.id}: {type(error).__name__}: {error}"


def _end_with_parent() -> None:
    """In a worker: end when the process that started it is killed, instead of waiting for ever."""
    parent = parent_process()
    assert parent is not None  # only workers call this

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Children started inside run NumPy on one thread: more slow the mel product 7 times down."""
    before = os.environ.get("OPENBLAS_NUM_THREADS")
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["OPENBLAS_NUM_THREADS"]
        else:
            os.environ["OPENBLAS_NUM_THREADS"] = before
