"""A table of experiments, run and drawn: ``python -m kmir.study zoo.studies.gct634_chords …``.

Each experiment is trained with each seed in a run folder of its own, ``WORKDIR/NAME/seed-N``; the
same command goes on where it stopped. Then ``table.csv``, ``table.md``, ``curves.png`` and
``timelines.png`` are made of all that is finished in the folder.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from tqdm import tqdm

from kmir import command
from kmir.errors import UsageError, nearest
from kmir.integrity import write_json
from kmir.lookup import find, known
from kmir.nn.callbacks import RunLog
from kmir.pictures.chords import draw_timeline
from kmir.records.read import Records
from kmir.story import check_same
from kmir.studies.data import derive, task_of
from kmir.studies.pictures import draw_study_curves
from kmir.studies.table import flags, write_table
from kmir.studies.trial import Trial, run_trial
from zoo.studies import Study

SHOWN_SECONDS = 60.0  # of the song in timelines.png


def study(
    name: str,
    *,
    data: str,
    root: Path | None = None,
    workdir: Path,
    only: Sequence[str] = (),
    seeds: int = 3,
    jobs: int = 1,
    quick: bool = False,
    quiet: bool = False,
) -> Path:
    """Run a study, or go on with it, and write its table and pictures.

    Args:
        name: Of the study: ``"zoo.studies.gct634_chords"``, or a module of one's own.
        data: Records folder, or name of a data set.
        root: Folder of the data set.
        workdir: Folder of the study.
        only: Names of experiments; none means all.
        seeds: How many runs of each, with seeds from 0.
        jobs: Trainings at a time, each in a process with its share of the cores.
        quick: Minutes instead of hours: fewer songs, fewer epochs.
        quiet: Nothing but the table.

    Returns:
        The folder of the study.

    Raises:
        KmirError: If the study, the data or the folder don't fit.
    """
    plan: Study = find("study", name).STUDY
    for wanted in only:
        if wanted not in plan.experiments:
            remedy = nearest(wanted, plan.experiments)
            raise UsageError(f"Expected an experiment of {name}. Received: '{wanted}'. {remedy}")
    settings = {"study": name, "data": data, "quick": quick}
    check_same(workdir / "study.json", settings, what="study")
    workdir.mkdir(parents=True, exist_ok=True)
    write_json(workdir / "study.json", settings)
    songs = plan.quick_songs if quick else None
    derive(plan, data, root, workdir / "records", songs=songs, quiet=quiet)
    trials = [
        Trial(name, experiment, seed, workdir, quick)
        for experiment in only or plan.experiments
        for seed in range(seeds)
    ]
    _run(trials, jobs, quiet)
    print(_report(plan, name, workdir, quick))
    return workdir


def _run(trials: Sequence[Trial], jobs: int, quiet: bool) -> None:
    """Run what is not finished, one after the other or some at a time."""
    waiting = [trial for trial in trials if trial.result is None]
    if jobs == 1:
        for trial in waiting:
            run_trial(trial, quiet=quiet)
            _tell(trial, quiet)
        return
    threads = max(1, (os.cpu_count() or 1) // jobs)
    # A process each: TensorFlow takes its number of threads once, and gives no memory back.
    context = get_context("spawn")
    silent = True if quiet else None  # None: only where a terminal watches
    with (
        ProcessPoolExecutor(jobs, mp_context=context, max_tasks_per_child=1) as pool,
        tqdm(total=len(waiting), desc="study", unit="run", disable=silent) as bar,
    ):
        work = partial(run_trial, threads=threads, quiet=True)
        running = {pool.submit(work, trial): trial for trial in waiting}
        try:
            for done in as_completed(running):
                done.result()
                _tell(running[done], quiet)
                bar.update()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _tell(trial: Trial, quiet: bool) -> None:
    result = trial.result
    if quiet or result is None:
        return
    wrong = "".join(f"; {flag}" for flag in flags(result))
    tqdm.write(
        f"{trial.name}, seed {trial.seed}: validation {100 * result['validation']:.2f} %, "
        f"test {100 * result['test']:.2f} %, {result['epochs']} epochs, "
        f"{result['seconds'] / 60:.1f} min{wrong}",
    )


def _report(plan: Study, name: str, workdir: Path, quick: bool) -> str:
    """Table and pictures of all that is finished; the text of the table."""
    finished: dict[str, list[Trial]] = {}
    for experiment in plan.experiments:
        folders = sorted((workdir / experiment).glob("seed-*"), key=lambda f: int(f.name[5:]))
        found = [Trial(name, experiment, int(f.name[5:]), workdir, quick) for f in folders]
        if done := [trial for trial in found if trial.result is not None]:
            finished[experiment] = done
    results = {e: [t.result for t in trials if t.result] for e, trials in finished.items()}
    logs = {e: [RunLog(t.folder / "log.csv").rows for t in ts] for e, ts in finished.items()}
    draw_study_curves(logs, workdir / "curves.png", title=plan.title)

    records = Records.open(workdir / "records" / "frames")
    task, rate = task_of(plan, records), records.feature.frame_rate
    song, frames, annotations = next(records.tracks("test"))
    times = np.arange(len(frames)) / rate
    rows = {"reference": annotations.chords}
    for experiment, (first, *_) in finished.items():
        classes = np.load(first.folder / "song.npy").astype(int)
        row = f"{experiment}  {plan.experiments[experiment].title}"
        rows[row] = task.decode({"chord": np.eye(len(task.labels))[classes]}, times).chords
    middle = max(0.0, len(frames) / rate / 2 - SHOWN_SECONDS / 2)
    draw_timeline(
        frames,
        rate,
        {row: chords for row, chords in rows.items() if chords is not None},
        workdir / "timelines.png",
        title=f"{plan.title}: {song}, of the test songs",
        seconds=(middle, min(middle + SHOWN_SECONDS, len(frames) / rate)),
        first_pitch_class=records.feature.first_pitch_class or 0,
    )
    return write_table(workdir, plan, results)


def main(argv: list[str]) -> int:
    """Run the command; its last line names the folder of the study."""
    parser = argparse.ArgumentParser(
        prog="kmir study",
        description="Run a table of experiments. The same command goes on where it stopped.",
    )
    parser.add_argument("study", help=f"one of {', '.join(known('study'))}, or a module")
    parser.add_argument("--data", required=True, help="records folder, or data set by name")
    parser.add_argument("--root", type=Path, help="folder of the data set")
    parser.add_argument("--workdir", type=Path, help="default: runs/STUDY-DATA")
    parser.add_argument("--only", default="", help="experiments by name: a,f")
    parser.add_argument("--seeds", type=int, help="runs of each; default: 3, with --quick 1")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time; default: 1")
    parser.add_argument("--quick", action="store_true", help="fewer songs and epochs: minutes")
    parser.add_argument("--quiet", action="store_true", help="only the table")
    args = parser.parse_args(argv)
    seeds = args.seeds if args.seeds is not None else 1 if args.quick else 3
    if seeds < 1 or args.jobs < 1:
        parser.error("Expected --seeds and --jobs of 1 or more.")
    name = f"{args.study.rsplit('.')[-1]}-{Path(args.data).name.replace(':', '-')}"
    folder = study(
        args.study,
        data=args.data,
        root=args.root,
        workdir=args.workdir or Path("runs") / (f"{name}-quick" if args.quick else name),
        only=[word.strip() for word in args.only.split(",") if word.strip()],
        seeds=seeds,
        jobs=args.jobs,
        quick=args.quick,
        quiet=args.quiet,
    )
    print(folder)
    return 0


if __name__ == "__main__":
    sys.exit(command.run(main))
