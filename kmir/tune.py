"""A search for settings: ``python -m kmir.tune zoo.gru --data RECORDS --trials 20 …``.

An oracle of keras-tuner chooses, out of the model's ``search_space`` and what every run has
(`kmir.tuning.space`), what to try next. Each trial is a run folder, ``WORKDIR/trials/N``, trained
in a process of its own on the training split and judged on the validation split. The first trial
has the usual settings. The winner is trained anew into ``WORKDIR/best`` by `kmir.train.train`,
which alone looks at the test split.

Read `tune` from top to bottom: it is the search, in the order in which it happens. The same command
on the same folder goes on where it stopped.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

from keras_tuner.engine.trial import Trial as Drawn

from kmir import command
from kmir.config import split_flags
from kmir.errors import RunError, UsageError, check_choice
from kmir.extract import cores, records_for
from kmir.integrity import sha256, write_json
from kmir.lookup import known
from kmir.run import schedule_of, settings
from kmir.story import check_same
from kmir.train import train
from kmir.tuning.oracle import Algorithm, make_oracle
from kmir.tuning.report import Report
from kmir.tuning.space import Space
from kmir.tuning.table import Row
from kmir.tuning.trial import Runner, Trial
from kmir.tuning.workers import Place, follow, lead, lead_here, work

OF_A_TRIAL = ("train.epochs", "train.averaged_epochs")  # which the winner has as any other run


def tune(
    model_name: str,
    *,
    data: str,
    root: Path | None = None,
    workdir: Path,
    trials: int = 20,
    algorithm: Algorithm = "bayesian",
    epochs: int | None = None,
    workers: int = 1,
    flags: Mapping[str, str] | None = None,
    task: str | None = None,
    data_options: Mapping[str, str] | None = None,
    quiet: bool = False,
) -> Path:
    """Search, or go on with it, and train the winner.

    Args:
        model_name: Such as ``"zoo.gru"``, or a module of one's own.
        data: Records folder, or name of a data set.
        root: Folder of the data set.
        workdir: Folder of the search.
        trials: How many there should be in the end, those that failed among them.
        algorithm: How settings are chosen.
        epochs: Of a trial at most; None are those of the run. The winner has those of the run.
        workers: Trials at a time, each with its share of the cores.
        flags: Settings that are not searched, by dotted name, as text.
        task: What the model is to do, where it is not what it was made for.
        data_options: Of the data set by name, as text.
        quiet: Nothing but the table and the winner's scores.

    Returns:
        The folder of the winner's run, with its preset; of a worker of a search on several
        machines the folder of the search.

    Raises:
        KmirError: If the data, the settings or the folder don't fit, or nothing but failures came.
    """
    fixed = dict(flags or {})
    module, task_type, usual = settings(model_name, fixed, task)
    records = records_for(data, root, task_type.feature, flags=data_options, quiet=quiet)
    here = Place.here()
    threads = max(1, cores() // workers) if workers > 1 else None
    runner = Runner(model_name, task, records.root, threads)
    folder = workdir / "trials"
    if here and not here.leads:
        follow(folder, runner)
        return workdir

    # === What is searched ===
    space = Space.of(module, task_type, usual, fixed, records)
    if not space.searched:
        raise UsageError(
            f"Expected something to search. Received: every setting of {model_name} as a flag. "
            "Leave some out."
        )
    limit = epochs or usual.train.epochs
    direction: Literal["min", "max"]
    direction = "max" if schedule_of(usual.train).larger_is_better else "min"
    plan = {
        "model": module.__name__,
        "task": task_type.name,
        "data": {"manifest_sha256": sha256(records.root / "manifest.json")},
        "algorithm": algorithm,
        "epochs": limit,
        "flags": fixed,
        "space": space.described(),
    }
    check_same(workdir / "search.json", plan, what="search")
    folder.mkdir(parents=True, exist_ok=True)
    with only_one(workdir):
        write_json(workdir / "search.json", plan)

        # === Trials ===
        report = Report(workdir, space, measure=usual.train.monitor, direction=direction,
                        quiet=quiet)  # fmt: skip

        def begin(drawn: Drawn) -> None:
            values = drawn.hyperparameters.values
            flags = space.flags(values) | {"train.epochs": str(limit), "train.averaged_epochs": ""}
            last, parent = values.get("tuner/epochs"), values.get("tuner/trial_id")
            Trial(folder / drawn.trial_id, values, flags, last, parent).write()

        oracle = make_oracle(
            algorithm,
            space.hyperparameters,
            direction=direction,
            epochs=limit,
            seed=usual.train.seed,
            trials=trials,
            path=workdir / "oracle.json",
            begin=begin,
            end=report.ended,
        )
        oracle.restore()
        with report.progress(trials, len(oracle.end_order)):
            if here:
                lead(oracle, here.address)
            else:
                for name in list(oracle.ongoing_trials):  # those who had them are no more
                    oracle.release(name)
                if workers > 1:
                    lead_here(oracle, folder, runner, workers)
                else:
                    work(oracle, folder, runner)

        # === What came out ===
        best = report.close()
        if oracle.stopped_for:
            raise RunError(oracle.stopped_for)

        # === The winner, trained to the end ===
        final = _set_up(best, report.measure, fixed, workdir)
        words = [model_name, "--data", data, *(["--root", str(root)] if root else [])]
        words += [*(["--task", task] if task else []), "--workdir", str(workdir / "best")]
        words += [f"--option.{name}={text}" for name, text in (data_options or {}).items()]
        words += [f"--config.{name}={text}" for name, text in final.items()]
        if not quiet:
            print(f"\ntraining trial {best.name} to the end")
        return train(
            model_name,
            data=data,
            root=root,
            workdir=workdir / "best",
            flags=final,
            task=task,
            data_options=data_options,
            quiet=quiet,
            argv=words,
        )


@contextmanager
def only_one(workdir: Path) -> Iterator[None]:
    """Keep others from searching in the same folder for the time of the block.

    Raises:
        RunError: If another process is at it.
    """
    with (workdir / "search.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(
                f"Expected a folder in which nobody searches. Received: {workdir}, where another "
                "process is at it. Wait for it, or give another --workdir."
            ) from None
        yield


def _set_up(best: Row, measure: str, fixed: Mapping[str, str], workdir: Path) -> dict[str, str]:
    """Write ``best.json``, and make room for the winner's run; its settings as flags."""
    path, run = workdir / "best.json", workdir / "best"
    if path.exists() and run.exists():
        before = json.loads(path.read_text(encoding="utf-8"))["trial"]
        if before != best.name:  # more trials found a better one; nothing is thrown away
            run.rename(workdir / f"best-{before}")
            if (known_before := workdir / f"best-{best.name}").exists():
                known_before.rename(run)
    flags = {n: t for n, t in best.trial.flags.items() if n not in OF_A_TRIAL}
    flags |= {n: t for n, t in fixed.items() if n in OF_A_TRIAL}
    told = {"trial": best.name, "measure": measure, "score": best.result.score}
    write_json(path, told | {"values": best.values, "flags": flags})
    return flags


def main(argv: list[str]) -> int:
    """Run the command; its last line names the folder of the winner."""
    flags, rest = split_flags(argv, "config")
    data_options, rest = split_flags(rest, "option")
    parser = argparse.ArgumentParser(
        prog="kmir tune",
        description="Search for settings. The same command on the same folder goes on where it "
        "stopped; with more --trials it goes on to more.",
        epilog="--config.model.…, --config.train.… and --config.pipeline.… set what is not to be "
        "searched; --option.NAME=VALUE sets an option of the data set.",
    )
    parser.add_argument("model", help=f"one of {', '.join(known('model'))}, or a module")
    tasks = ", ".join(known("task"))
    parser.add_argument("--task", help=f"one of {tasks}; default: the model's own")
    parser.add_argument("--data", required=True, help="records folder, or data set by name")
    parser.add_argument("--root", type=Path, help="folder of the data set")
    parser.add_argument("--workdir", type=Path, help="default: runs/MODEL-DATA-search")
    parser.add_argument("--trials", type=int, default=20, help="in the end; default: 20")
    kinds = ", ".join(get_args(Algorithm))
    parser.add_argument("--algorithm", default="bayesian", help=f"one of {kinds}")
    parser.add_argument("--epochs", type=int, help="of a trial at most; default: those of the run")
    parser.add_argument("--workers", type=int, default=1, help="trials at a time")
    parser.add_argument("--quiet", action="store_true", help="only the table and the scores")
    args = parser.parse_args(rest)
    check_choice("--algorithm", args.algorithm, get_args(Algorithm))
    for name in ("trials", "workers", "epochs"):
        if (value := getattr(args, name)) is not None and value < 1:
            raise UsageError(f"Expected --{name} of 1 or more. Received: {value}.")
    name = f"{args.model.rsplit('.')[-1]}-{Path(args.data).name.replace(':', '-')}-search"
    folder = tune(
        args.model,
        data=args.data,
        root=args.root,
        workdir=args.workdir or Path("runs") / name,
        trials=args.trials,
        algorithm=args.algorithm,
        epochs=args.epochs,
        workers=args.workers,
        flags=flags,
        task=args.task,
        data_options=data_options,
        quiet=args.quiet,
    )
    print(folder)
    return 0


if __name__ == "__main__":
    sys.exit(command.run(main))
