"""Records to a trained preset: ``python -m kmir.train zoo.crnn_tagger --data RECORDS``.

Read `train` and `fit` from top to bottom: they are the run, in the order in which it happens.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import keras
import tensorflow as tf

from kmir import command
from kmir.config import split_flags, table
from kmir.distribution import ALONE, Distribution, distribute
from kmir.errors import RunError, UsageError
from kmir.evaluate import evaluate
from kmir.evaluate import table as score_table
from kmir.lookup import find, known
from kmir.nn.callbacks import RunKeeper, RunLog
from kmir.nn.checkpoint import load_mean, load_state
from kmir.nn.cudnn import without_cudnn
from kmir.nn.device import has_gpu
from kmir.nn.schedule import Verdict
from kmir.pictures.curves import draw_curves
from kmir.presets import Preset, save_preset
from kmir.records.read import Records
from kmir.run import Run, prepare, schedule_of
from kmir.story import Story


def train(
    model_name: str,
    *,
    data: str = "synthetic",
    root: Path | None = None,
    workdir: Path,
    flags: Mapping[str, str] | None = None,
    task: str | None = None,
    data_options: Mapping[str, str] | None = None,
    quiet: bool = False,
    argv: list[str] | None = None,
    distribution: Distribution = ALONE,
) -> Path:
    """Train a model and leave a finished preset in ``workdir/preset``.

    Args:
        model_name: Such as ``"zoo.crnn_tagger"``, or a module of one's own.
        data: Records folder, or name of a data set.
        root: Folder of the data set.
        workdir: Run folder; a run begun in it is taken up where it stopped.
        flags: Settings by dotted name, as text: ``{"train.epochs": "3"}``.
        task: What the model is to do, where it is not what it was made for.
        data_options: Of the data set by name, as text: ``{"programs": "random"}``.
        quiet: No progress bar.
        argv: The command line, for the record.
        distribution: Devices and hosts; of several hosts, the first writes the run folder, which
            all of them must see.

    Returns:
        The run folder.

    Raises:
        KmirError: If the data, the settings or the run folder don't fit.
    """
    quiet = quiet or not distribution.first
    run = prepare(
        model_name,
        data=data,
        root=root,
        flags=flags or {},
        task_name=task,
        data_options=data_options,
        quiet=quiet,
        distribution=distribution,
    )
    config, records, model = run.config, run.records, run.model
    story = Story.begin(
        workdir, run.module.__name__, config, records, argv, writes=distribution.first
    )
    fit(run, workdir, title=f"{model_name}, {records.spec.dataset}", quiet=quiet)
    weights = model.get_weights()
    distribution.end()
    if not distribution.first:
        return workdir

    # === Preset and scores ===
    plain = run.build()  # in float32, and without an optimizer
    plain.set_weights(weights)
    truths = (annotations for _, _, annotations in records.tracks("train"))
    run.task.learn(truths, records.feature.frame_rate)
    card = {
        "data": records.spec.dataset,
        "licence": licence_of(records.spec.dataset),
        "seed": config.train.seed,
        "command": story.command,
    }
    preset = Preset(str(workdir), plain, records.feature, run.task, card)
    split = "test" if "test" in records.manifest.splits else "validation"
    scores = evaluate(preset, records, split, workdir / "scores.csv", quiet=quiet)
    without = f", without {run.task.companion}" if run.task.companion else ""
    told = ", ".join(f"{s.name} {s.value:.3f}" for s in scores)
    card["score"] = f"{told} ({split} split{without})"
    golden = next(frames for _, frames, _ in records.tracks(split))[: run.training.clip_frames]
    names = {"model_name": run.module.__name__, "model_config": config.model}
    save_preset(workdir / "preset", preset, golden=golden, **names)
    story.end(scores)
    print(score_table(scores, f"{split} split"))
    return workdir


def fit(
    run: Run, workdir: Path, *, title: str, last_epoch: int | None = None, quiet: bool = False
) -> Verdict:
    """Train, or go on, until the schedule ends it; the model has the best or mean weights then.

    Args:
        run: What to train.
        workdir: Run folder: ``log.csv``, ``curves.png``, ``checkpoints`` and ``tensorboard``.
        title: Above the curves.
        last_epoch: Number, from 1, of the epoch to stop after for now; the learning rate is planned
            for all epochs of the settings. None goes on to their end.
        quiet: No progress bar.

    Returns:
        What the schedule says in the end: why it stopped, and which epoch was the best.

    Raises:
        RunError: If the folder holds another run, or the run diverged.
    """
    config, records, model = run.config, run.records, run.model

    # === Where it stands ===
    workdir.mkdir(parents=True, exist_ok=True)
    checkpoints = workdir / "checkpoints"
    place = run.distribution
    log = RunLog(workdir / "log.csv", writes=place.first)
    epochs_done = restore(model, checkpoints / "last.npz")
    place.check_equal("the checkpoint of the first in a --workdir that all see", epochs_done)
    if epochs_done > len(log.rows):
        raise RunError(
            f"Expected {log.path} with the {epochs_done} epochs of checkpoints/last.npz. Received: "
            f"{len(log.rows)}. Give another --workdir, or remove the folder."
        )
    log.keep(epochs_done)
    if not quiet:
        print(announcement(run, len(log.rows)))

    # === Training ===
    schedule = schedule_of(config.train)
    monitor = config.train.monitor
    verdict = schedule.after(log.column(monitor))
    epochs = min(last_epoch or config.train.epochs, config.train.epochs)
    if len(log.rows) < epochs and not verdict.stop:
        callbacks: list[keras.callbacks.Callback] = [
            RunKeeper(
                log,
                schedule,
                monitor=monitor,
                checkpoints=checkpoints,
                kept=config.train.averaged_epochs,
            )
        ]
        if place.first:
            folder = workdir / "tensorboard"
            callbacks.append(keras.callbacks.TensorBoard(folder, write_graph=False))
        with damage_named(records), place.scope():
            model.fit(
                run.batches(len(log.rows)),
                steps_per_epoch=run.steps,
                initial_epoch=len(log.rows),
                epochs=epochs,
                validation_data=run.validation_batches(),
                callbacks=callbacks,
                shuffle=False,  # the stream has shuffled
                verbose=verbosity(quiet),
            )
        verdict = schedule.after(log.column(monitor))
        place.gathered(0)  # the first has written all that is read now
    if verdict.best_epoch is None:
        raise RunError(
            f"Expected {monitor} to be a number in some epoch. Received: {log.column(monitor)}. "
            "The run diverged: try a smaller --config.train.learning_rate and another --workdir."
        )
    if config.train.averaged_epochs:
        load_mean(model, [checkpoints / f"epoch-{n}.npz" for n in config.train.averaged_epochs])
    else:
        load_state(model, checkpoints / "best.npz")
    if not place.first:
        return verdict
    draw_curves(log.rows, workdir / "curves.png", title=title)
    if not quiet:
        print(f"finished: {verdict.stop or 'all epochs done'}; best epoch {verdict.best_epoch + 1}")
    return verdict


def licence_of(dataset: str) -> str:
    """What a preset may be used for: as the data set says, where it is one that has a name here."""
    try:
        return str(find("data set", dataset.partition(":")[0]).LICENSE)
    except (UsageError, AttributeError):
        return "that of the training data"


def restore(model: keras.Model, checkpoint: Path) -> int:
    """Set a model to where an interrupted run stopped; the number of epochs that were done."""
    if not checkpoint.exists():
        return 0
    return load_state(model, checkpoint)


@contextmanager
def damage_named(records: Records) -> Iterator[None]:
    """Where reading fails in the block, find the shard that is damaged.

    Raises:
        RecordError: If a shard is not as it was written.
    """
    try:
        yield
    except tf.errors.OpError:
        records.verify()
        raise


def announcement(run: Run, epochs_done: int) -> str:
    """What is about to be trained: settings, data, size."""
    splits = run.records.manifest.splits
    tracks = ", ".join(f"{split.tracks} {name}" for name, split in splits.items())
    frames, feature = run.training.clip_frames, run.records.feature
    length = "whole tracks" if frames is None else f"{frames / feature.frame_rate:.2f} s"
    lines = [
        table(run.config),
        f"data: {run.records.root}, {tracks} tracks, {len(run.task.labels)} labels",
        f"clips: {length}, {frames} frames of {feature.name}",
        f"model: {run.model.count_params():,} parameters, {run.model.dtype_policy.name}",
    ]
    if reach := getattr(run.module, "receptive_field", None):
        seen = reach(run.config.model)
        lines.append(f"receptive field: {seen} frames, {seen / feature.frame_rate:.1f} s")
    if has_gpu() and (slow := without_cudnn(run.model)):
        lines.append(f"stepped through frame by frame, without cuDNN: {', '.join(slow)}")
    if epochs_done:
        lines.append(f"resuming after epoch {epochs_done}")
    return "\n".join(lines)


def verbosity(quiet: bool) -> int:
    """Keras' bar on a terminal, a line an epoch elsewhere, or nothing."""
    if quiet:
        return 0
    return 1 if sys.stdout.isatty() else 2


def main(argv: list[str]) -> int:
    """Run the command; its last line names the run folder."""
    flags, rest = split_flags(argv, "config")
    data_options, rest = split_flags(rest, "option")
    parser = argparse.ArgumentParser(
        prog="kmir train",
        description="Train a model. The same command on the same folder goes on where it stopped.",
        epilog="--config.train.learning_rate=1e-3, --config.pipeline.clip_seconds=5, "
        "--config.model.… set what the run prints at its start; --option.NAME=VALUE sets an option "
        "of the data set.",
    )
    parser.add_argument("model", help=f"one of {', '.join(known('model'))}, or a module")
    tasks = ", ".join(known("task"))
    parser.add_argument("--task", help=f"one of {tasks}; default: the model's own")
    parser.add_argument("--data", default="synthetic", help="records folder, or data set by name")
    parser.add_argument("--root", type=Path, help="folder of the data set")
    parser.add_argument("--workdir", type=Path, help="run folder; default: runs/MODEL-DATA")
    parser.add_argument("--quiet", action="store_true", help="only the scores")
    parser.add_argument("--devices", type=int, default=1, help="of each host; default: 1")
    parser.add_argument("--hosts", default="", help="address:port of each, a comma between them")
    parser.add_argument("--host-index", type=int, help="which of the --hosts this is, from 0")
    args = parser.parse_args(rest)
    name = f"{args.model.rsplit('.')[-1]}-{Path(args.data).name.replace(':', '-')}"
    workdir = args.workdir or Path("runs") / name
    hosts = [address for address in args.hosts.split(",") if address]
    distribution = distribute(args.devices, hosts, args.host_index)
    folder = train(
        args.model,
        data=args.data,
        root=args.root,
        workdir=workdir,
        flags=flags,
        task=args.task,
        data_options=data_options,
        quiet=args.quiet,
        argv=argv,
        distribution=distribution,
    )
    print(folder)
    return 0


if __name__ == "__main__":
    sys.exit(command.run(main))
