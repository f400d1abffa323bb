"""Extraction by Apache Beam: ``python -m kmir.extract … --runner beam``, on one machine or many."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stderr
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from kmir.datasets.beat_clock import on_beat_clock
from kmir.datasets.named import read_tracks, reader_of
from kmir.datasets.track import Track
from kmir.errors import RecordError, UsageError
from kmir.features.base import Feature
from kmir.lookup import find
from kmir.quiet import muted_stderr
from kmir.records.spec import Manifest
from kmir.records.stage import single_threaded_blas
from kmir.records.write import plan_records

if TYPE_CHECKING:
    from apache_beam import Pipeline

    from kmir.records.beam import Job

EVERY = 2.0  # seconds between two looks at what is staged
# Worker processes on this machine warn of settings that only containers have.
WORKER_WARNS = "Worker: severity: WARN"


def extract_with_beam(
    dataset: str,
    root: str | None,
    out: str,
    feature: Feature,
    *,
    flags: Mapping[str, str] | None = None,
    dataset_options: Mapping[str, Any] | None = None,
    dtype: str = "float16",
    seed: int = 0,
    overwrite: bool = False,
    quiet: bool = False,
) -> Manifest:
    """Extract a feature from a data set, as `kmir.extract.extract` does and with the same bytes.

    Args:
        dataset: As for `kmir.extract.extract`.
        root: Folder of the data set, or its URL in an object store.
        out: Folder of the records, or its URL; this machine and all workers must reach it.
        feature: What to extract.
        flags: Options of Beam and of its runner, as text by name.
        dataset_options: Keyword arguments of the data set's ``tracks``.
        dtype: ``"float16"`` or ``"float32"``.
        seed: Of the split, where the data set publishes none.
        overwrite: As for `kmir.extract.extract`.
        quiet: No progress bar, and of Beam only errors.

    Returns:
        The manifest; tracks that could not be read stand in its ``failed``.

    Raises:
        DatasetError: If the data set is not laid out as expected.
        RecordError: If the folder holds other records, no track could be read, or the pipeline
            failed.
        UsageError: If Beam is not installed or an option is wrong, or the data set can't be read
            from an object store.
    """
    with _beam_told(quiet=True):  # it warns of extras that are not installed
        try:
            import apache_beam as beam
        except ModuleNotFoundError as error:
            raise UsageError(
                f"Expected the library apache-beam for --runner beam. Received: {error}. "
                "Install it: pip install kmir[beam]."
            ) from None
        from kmir.beam_options import pipeline_options
        from kmir.records.beam import Job
        from kmir.remote import Folder
    with _beam_told(quiet=quiet):
        options = pipeline_options(flags or {})
        try:
            pipeline = beam.Pipeline(options=options)  # the file systems have their options now
        except (ImportError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise UsageError(
                f"Expected --beam.runner with what it needs. Received: {reason}"
            ) from None
        folder = Folder(out if "://" in out else str(Path(out).absolute()))
        tracks = on_beat_clock(feature, _tracks(dataset, root, dataset_options or {}, quiet=quiet))
        spec, splits, source = plan_records(
            tracks, feature, dataset=dataset, dtype=dtype, seed=seed
        )
        job = Job(folder, feature, spec, source)
        if manifest := job.open(overwrite=overwrite):
            return manifest
        job.pipeline(pipeline, job.send(tracks, splits))
        with _workers_muted(), single_threaded_blas(), _progress(job, len(tracks), quiet=quiet):
            _run(pipeline)
        return job.close()


def _tracks(
    dataset: str, root: str | None, dataset_options: Mapping[str, Any], *, quiet: bool
) -> list[Track]:
    if root is None or "://" not in root:
        return read_tracks(dataset, None if root is None else Path(root), dataset_options)
    from kmir.datasets.remote import remote_tracks

    reader_of(dataset)  # so that a wrong name is told as such
    if not getattr(find("data set", dataset.partition(":")[0]), "AUDIO_UNOPENED", False):
        raise UsageError(
            f"Expected --root on a disc for data set '{dataset}', which reads more than labels to "
            f"tell its tracks. Received: {root}. Copy it to a disc that all workers see."
        )
    read = partial(read_tracks, dataset, dataset_options=dataset_options)
    return remote_tracks(root, read, quiet=quiet)


def _run(pipeline: Pipeline) -> None:
    """Run the pipeline to its end.

    Raises:
        RecordError: If it failed.
    """
    try:
        state = pipeline.run().wait_until_finish()
    except Exception as error:  # each runner has its own
        # What was raised on a worker comes as the text of its traceback.
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        told = [line for line in lines if "Error: " in line]
        told = told or [f"{type(error).__name__}: {' '.join(lines[:1])}"]
        raise _broken(told[-1]) from error
    if state not in (None, "DONE"):
        raise _broken(f"state {state}")


def _broken(received: str) -> RecordError:
    return RecordError(
        f"Expected the Beam pipeline to end well. Received: {received}. Run the same command "
        "again: what is staged is not computed again."
    )


@contextmanager
def _progress(job: Job, total: int, *, quiet: bool) -> Iterator[None]:
    """A bar of the tracks that are staged, whichever machines work on them."""
    with tqdm(total=total, desc="extract", unit="track", disable=True if quiet else None) as bar:
        if bar.disable:
            yield
            return
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(EVERY):
                bar.update(job.staged() - bar.n)

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
            bar.update(job.staged() - bar.n)
        finally:
            ended.set()
            thread.join()


@contextmanager
def _workers_muted() -> Iterator[None]:
    """Processes started inside don't talk on this terminal: Beam's log every step of theirs.

    Their warnings and errors come to this process, which goes on talking.
    """
    with os.fdopen(os.dup(2), "w", buffering=1) as terminal, muted_stderr():
        # Not where somebody else listens, such as a test.
        own = sys.stderr is sys.__stderr__
        with redirect_stderr(terminal) if own else nullcontext():
            yield


class _BeamHandler(logging.Handler):
    """Tells what Beam logs, a plain line each, wherever stderr is at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.name.partition(".")[0] != "kmir" and not text.startswith(WORKER_WARNS):
            print(f"beam: {text}", file=sys.stderr)


@contextmanager
def _beam_told(*, quiet: bool) -> Iterator[None]:
    """Put Beam's warnings on stderr; only errors if quiet.

    Without a handler Beam would set one up for the whole process, which tells kmir's lines twice.
    """
    handler = _BeamHandler(logging.ERROR if quiet else logging.WARNING)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
