"""Records to a trained preset: ``python -m kmir.train zoo.crnn_tagger --data RECORDS``.

Read `train` from top to bottom: it is the run, in the order in which it happens.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import tensorflow as tf

from kmir import command
from kmir.config import override, split_flags, table
from kmir.curves import draw_curves
from kmir.errors import RunError, UsageError, nearest
from kmir.evaluate import evaluate
from kmir.evaluate import table as score_table
from kmir.extract import records_for
from kmir.lookup import find, known
from kmir.nn.callbacks import RunKeeper, RunLog
from kmir.nn.checkpoint import load_state
from kmir.nn.device import compile_with_xla
from kmir.nn.precision import Precision, dtype_policy
from kmir.nn.schedule import Schedule
from kmir.presets import Preset, save_preset
from kmir.records.read import Records
from kmir.story import Story
from pipelines.base import Task, task_class
from pipelines.stream import Stream, for_model


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a training run.

    Args:
        epochs: At most.
        batch_size: Clips a step.
        learning_rate: Of Adam, to begin with.
        seed: Of weights, batches and dropout.
        precision: ``"auto"`` takes what the device is good at; see `kmir.nn.precision`.
        clip_norm: Gradients whose global norm is larger are scaled down to it.
        monitor: Measure that the schedule follows; one with ``auc`` or ``accuracy`` in its name
            should rise, another fall.
        plateau_patience: Epochs without improvement after which the rate is reduced.
        plateau_factor: By this factor.
        learning_rate_floor: A reduction below it ends the run instead.
        stop_patience: Epochs without improvement that end the run.
        steps_per_epoch: Steps between validations; None is one pass over the records.
    """

    epochs: int = 60
    batch_size: int = 8
    learning_rate: float = 1e-3
    seed: int = 0
    precision: Precision = "auto"
    clip_norm: float = 1.0
    monitor: str = "val_loss"
    plateau_patience: int = 4
    plateau_factor: float = 0.3
    learning_rate_floor: float = 1e-5
    stop_patience: int = 12
    steps_per_epoch: int | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "plateau_patience", "stop_patience"):
            if getattr(self, name) < 1:
                raise UsageError(f"Expected {name} of 1 or more. Received: {getattr(self, name)}.")
        for name in ("learning_rate", "clip_norm"):
            if not getattr(self, name) > 0:
                raise UsageError(f"Expected {name} above 0. Received: {getattr(self, name)}.")


@dataclass(frozen=True)
class RunConfig:
    """All settings of a run, by whom they concern: ``--config.train.epochs=3``."""

    model: Any
    pipeline: Any
    train: TrainConfig = field(default_factory=TrainConfig)


@dataclass(frozen=True)
class Run:
    """All that a training run needs, made from its settings.

    `build` makes another model like `model`, in float32, with weights of its own.
    """

    module: ModuleType
    config: RunConfig
    records: Records
    task: Task
    training: Stream
    validation: Stream
    model: keras.Model
    build: Callable[[], keras.Model]

    def batches(self, first_epoch: int) -> Iterator[Any]:
        """Training batches as the model takes them, without end."""
        for batch in self.training.epochs(first_epoch, self.config.train.steps_per_epoch):
            yield for_model(self.model, batch)

    def validation_batches(self) -> tf.data.Dataset:
        """All clips of the validation split, as the model takes them."""
        return self.validation.windows().map(lambda *batch: for_model(self.model, batch))


def prepare(
    model_name: str, *, data: str, root: Path | None, flags: Mapping[str, str], quiet: bool
) -> Run:
    """Settings, data, streams and a compiled model; arguments as for `train`."""
    module = find("model", model_name)
    task_type = task_class(module.TASK)
    config = override(RunConfig(module.Config(), task_type.Config()), flags, "config")
    keras.utils.set_random_seed(config.train.seed)

    records = records_for(data, root, task_type.feature, quiet=quiet)
    task = task_type(config.pipeline, task_type.labels_of(records.spec))
    sizes = {"batch_size": config.train.batch_size, "seed": config.train.seed}
    training = Stream(records, task, "train", **sizes)
    validation = Stream(records, task, "validation", **sizes)

    inputs = (training.clip_frames, *records.feature.shape)
    build = partial(module.build_model, config.model, inputs, task.outputs())
    keras.config.set_dtype_policy(dtype_policy(config.train.precision))
    model = build()
    keras.config.set_dtype_policy("float32")
    compile_model(model, task, records, config.train)
    return Run(module, config, records, task, training, validation, model, build)


def train(
    model_name: str,
    *,
    data: str = "synthetic",
    root: Path | None = None,
    workdir: Path,
    flags: Mapping[str, str] | None = None,
    quiet: bool = False,
    argv: list[str] | None = None,
) -> Path:
    """Train a model and leave a finished preset in ``workdir/preset``.

    Args:
        model_name: Such as ``"zoo.crnn_tagger"``, or a module of one's own.
        data: Records folder, or name of a data set.
        root: Folder of the data set.
        workdir: Run folder; a run begun in it is taken up where it stopped.
        flags: Settings by dotted name, as text: ``{"train.epochs": "3"}``.
        quiet: No progress bar.
        argv: The command line, for the record.

    Returns:
        The run folder.

    Raises:
        KmirError: If the data, the settings or the run folder don't fit.
    """
    run = prepare(model_name, data=data, root=root, flags=flags or {}, quiet=quiet)
    config, records, model = run.config, run.records, run.model

    # === Run folder ===
    story = Story.begin(workdir, config, records, argv)
    checkpoints = workdir / "checkpoints"
    log = RunLog(workdir / "log.csv")
    epochs_done = restore(model, checkpoints / "last.npz")
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
    if len(log.rows) < config.train.epochs and not verdict.stop:
        with damage_named(records):
            model.fit(
                run.batches(len(log.rows)),
                steps_per_epoch=config.train.steps_per_epoch or run.training.steps,
                initial_epoch=len(log.rows),
                epochs=config.train.epochs,
                validation_data=run.validation.windows().map(
                    lambda *batch: for_model(model, batch)
                ),
                callbacks=[
                    RunKeeper(log, schedule, monitor=monitor, checkpoints=checkpoints),
                    keras.callbacks.TensorBoard(workdir / "tensorboard", write_graph=False),
                ],
                shuffle=False,  # the stream has shuffled
                verbose=verbosity(quiet),
            )
        verdict = schedule.after(log.column(monitor))
    if verdict.best_epoch is None:
        raise RunError(
            f"Expected {monitor} to be a number in some epoch. Received: {log.column(monitor)}. "
            "The run diverged: try a smaller --config.train.learning_rate and another --workdir."
        )
    load_state(model, checkpoints / "best.npz")
    draw_curves(log.rows, workdir / "curves.png", title=f"{model_name}, {records.spec.dataset}")
    if not quiet:
        print(f"finished: {verdict.stop or 'all epochs done'}; best epoch {verdict.best_epoch + 1}")

    # === Preset and scores ===
    plain = run.build()  # in float32, and without an optimizer
    plain.set_weights(model.get_weights())
    card = {
        "data": records.spec.dataset,
        "licence": "that of the training data",
        "command": story.command,
    }
    preset = Preset(str(workdir), plain, records.feature, run.task, card)
    split = "test" if "test" in records.manifest.splits else "validation"
    scores = evaluate(preset, records, split, workdir / "scores.csv", quiet=quiet)
    card["score"] = ", ".join(f"{s.name} {s.value:.3f}" for s in scores) + f" ({split} split)"
    golden = next(frames for _, frames, _ in records.tracks(split))[: run.training.clip_frames]
    names = {"model_name": run.module.__name__, "model_config": config.model}
    save_preset(workdir / "preset", preset, golden=golden, **names)
    story.end(scores)
    print(score_table(scores, f"{split} split"))
    return workdir


def compile_model(model: keras.Model, task: Task, records: Records, config: TrainConfig) -> None:
    """Compile with Adam, the task's losses and metrics, and clipped gradients.

    Raises:
        UsageError: If the monitored measure is none that the run will have.
    """
    losses, metrics = task.losses(records.manifest), task.metrics()
    single = len(losses) == 1
    names = ["loss"] + [
        metric.name if single else f"{output}_{metric.name}"
        for output, some in metrics.items()
        for metric in some
    ]
    every = [*names, *(f"val_{name}" for name in names)]
    if config.monitor not in every:
        raise UsageError(
            f"Expected train.monitor as a measure of the run. Received: '{config.monitor}'. "
            f"{nearest(config.monitor, every)}"
        )
    model.compile(
        keras.optimizers.Adam(config.learning_rate, global_clipnorm=config.clip_norm),
        loss=next(iter(losses.values())) if single else losses,
        weighted_metrics=next(iter(metrics.values())) if single else metrics,
        jit_compile=compile_with_xla(),
    )


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


def schedule_of(config: TrainConfig) -> Schedule:
    """The rules that end a run and slow it down."""
    return Schedule(
        learning_rate=config.learning_rate,
        factor=config.plateau_factor,
        patience=config.plateau_patience,
        floor=config.learning_rate_floor,
        stop_patience=config.stop_patience,
        larger_is_better="auc" in config.monitor or "accuracy" in config.monitor,
    )


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
    parser = argparse.ArgumentParser(
        prog="kmir train",
        description="Train a model. The same command on the same folder goes on where it stopped.",
        epilog="--config.train.learning_rate=1e-3, --config.pipeline.clip_seconds=5, "
        "--config.model.… set what the run prints at its start.",
    )
    parser.add_argument("model", help=f"one of {', '.join(known('model'))}, or a module")
    parser.add_argument("--data", default="synthetic", help="records folder, or data set by name")
    parser.add_argument("--root", type=Path, help="folder of the data set")
    parser.add_argument("--workdir", type=Path, help="run folder; default: runs/MODEL-DATA")
    parser.add_argument("--quiet", action="store_true", help="only the scores")
    args = parser.parse_args(rest)
    name = f"{args.model.rsplit('.')[-1]}-{Path(args.data).name}"
    workdir = args.workdir or Path("runs") / name
    folder = train(
        args.model,
        data=args.data,
        root=args.root,
        workdir=workdir,
        flags=flags,
        quiet=args.quiet,
        argv=argv,
    )
    print(folder)
    return 0


if __name__ == "__main__":
    sys.exit(command.run(main))
