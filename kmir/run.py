"""All that a training run needs, made from its settings: data, streams, a compiled model."""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import keras
import tensorflow as tf

from kmir.config import override
from kmir.distribution import ALONE, Distribution
from kmir.errors import UsageError, nearest
from kmir.extract import records_for
from kmir.integrity import sha256
from kmir.lookup import find, known
from kmir.nn.device import compile_with_xla
from kmir.nn.optimizer import ReplicatedAdam
from kmir.nn.precision import Precision, dtype_policy
from kmir.nn.schedule import OneCycle, Schedule
from kmir.records.read import Records
from pipelines.base import Task, task_class
from pipelines.lanes import Share, evened
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
        weight_decay: Share of every weight, but for biases and norms, that a step takes away, times
            the learning rate.
        schedule: ``"plateau"`` slows down and stops by the next five settings, ``"one_cycle"``
            plans the rate over all `epochs` and stops at the last.
        clip_norm: Gradients whose global norm is larger are scaled down to it.
        monitor: Measure that the schedule follows; one with ``auc`` or ``accuracy`` in its name
            should rise, another fall.
        plateau_patience: Epochs without improvement after which the rate is reduced.
        plateau_factor: By this factor.
        learning_rate_floor: A reduction below it ends the run instead.
        stop_patience: Epochs without improvement that end the run.
        averaged_epochs: Epochs, from 1, whose weights are averaged in the end; none keeps the best.
        steps_per_epoch: Steps between validations; None is one pass over the records.
        steps_per_execution: Steps that run without coming back to Python. Where a step takes less
            than some milliseconds, 50 are faster; epochs grow to a multiple of it.
    """

    epochs: int = 48
    batch_size: int = 8
    learning_rate: float = 2e-3
    seed: int = 0
    precision: Precision = "auto"
    weight_decay: float = 0.0
    schedule: Literal["plateau", "one_cycle"] = "plateau"
    clip_norm: float = 1.0
    monitor: str = "val_loss"
    plateau_patience: int = 4
    plateau_factor: float = 0.3
    learning_rate_floor: float = 1e-5
    stop_patience: int = 12
    averaged_epochs: tuple[int, ...] = ()
    steps_per_epoch: int | None = None
    steps_per_execution: int = 1

    def __post_init__(self) -> None:
        least_one = ("epochs", "batch_size", "plateau_patience", "stop_patience")
        for name in (*least_one, "steps_per_execution"):
            if getattr(self, name) < 1:
                raise UsageError(f"Expected {name} of 1 or more. Received: {getattr(self, name)}.")
        for name in ("learning_rate", "clip_norm"):
            if not 0 < getattr(self, name) < math.inf:
                raise UsageError(f"Expected {name} above 0. Received: {getattr(self, name)}.")
        if not 0 <= self.weight_decay < 1:
            raise UsageError(f"Expected weight_decay in [0, 1). Received: {self.weight_decay}.")
        if not 0 < self.plateau_factor < 1:
            raise UsageError(f"Expected plateau_factor in (0, 1). Received: {self.plateau_factor}.")
        if any(not 1 <= epoch <= self.epochs for epoch in self.averaged_epochs):
            raise UsageError(
                f"Expected averaged_epochs from 1 to {self.epochs}. "
                f"Received: {self.averaged_epochs}."
            )
        if self.seed < 0 or (self.steps_per_epoch is not None and self.steps_per_epoch < 1):
            raise UsageError("Expected a seed from 0 and steps_per_epoch of 1 or more, or none.")


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
    distribution: Distribution = ALONE

    @property
    def steps(self) -> int:
        """Steps of an epoch: whole executions, so that none reaches into the next epoch."""
        steps = self.config.train.steps_per_epoch or self.training.steps
        together: int = self.model.steps_per_execution
        return -(-steps // together) * together

    def batches(self, first_epoch: int) -> Iterator[Any] | tf.data.Dataset:
        """Training batches as the model takes them, without end."""
        # With replicas Keras reads a batch to look at it, and begins again: a generator would not.
        if self.model.steps_per_execution > 1 or self.distribution.mirrored:
            return self._batches_together(first_epoch)
        epochs = self.training.epochs(first_epoch, self.steps)
        return (for_model(self.model, batch) for batch in epochs)

    def _batches_together(self, first_epoch: int) -> tf.data.Dataset:
        """The same batches; Python, which takes a millisecond for each, takes many at once."""

        def together(epoch: int) -> tf.data.Dataset:
            batches = self.training.epoch(epoch, self.steps)
            return batches.batch(self.model.steps_per_execution, drop_remainder=True)

        def every() -> Iterator[Any]:
            for epoch in itertools.count(first_epoch):
                yield from together(epoch)

        spec = together(first_epoch).element_spec
        batches = tf.data.Dataset.from_generator(every, output_signature=spec).unbatch()
        return batches.map(lambda *batch: for_model(self.model, batch)).prefetch(2)

    def validation_batches(self) -> tf.data.Dataset:
        """All clips of the validation split, as the model takes them; each host has its share."""
        batches, place = self.validation.windows(), self.distribution
        if place.replicas > 1:  # whose shares must be equal
            size = self.validation.batch_size
            rows = size // place.hosts
            steps = max(place.gathered(-(-self.validation.own_windows() // rows)))
            factor = steps * size / self.validation.window_count
            batches = evened(batches, rows=rows, steps=steps, factor=factor)
        return batches.map(lambda *batch: for_model(self.model, batch))


def prepare(
    model_name: str,
    *,
    data: str,
    root: Path | None,
    flags: Mapping[str, str],
    quiet: bool,
    task_name: str | None = None,
    data_options: Mapping[str, str] | None = None,
    distribution: Distribution = ALONE,
) -> Run:
    """Settings, data, streams and a compiled model; arguments as for `kmir.train.train`."""
    module, task_type, config = settings(model_name, flags, task_name)
    distribution.check_batch_size(config.train.batch_size)
    keras.utils.set_random_seed(config.train.seed)

    if distribution.hosts > 1 and data in known("data set"):
        raise UsageError(
            "Expected --data as a records folder where there are several hosts, which can't all "
            f"make it at once. Received: '{data}'. Make it first: "
            f"python -m kmir.extract {data} --out records/{data}"
        )
    records = records_for(data, root, task_type.feature, flags=data_options, quiet=quiet)
    task = task_type(config.pipeline, task_type.labels_of(records.spec, config.pipeline))
    config = replace(config, train=_with_keras_names(config.train, task))
    same = f"{model_name} {config} {sha256(records.root / 'manifest.json')}".encode()
    # Before the model is built: JAX wants all hosts to begin with the same weights.
    distribution.check_equal("the same settings and records", zlib.crc32(same) >> 1)
    sizes = {"batch_size": config.train.batch_size, "seed": config.train.seed}
    share = Share(distribution.host, distribution.hosts)
    training = Stream(records, task, "train", **sizes, share=share)
    validation = Stream(records, task, "validation", **sizes, share=share)

    frames, outputs = training.clip_frames, task.outputs()
    _check_pitch_class(config.model, records)
    inputs = (frames and frames + training.context_frames, *records.feature.shape)
    if all(output.level == "frame" for output in outputs.values()):
        inputs = (None, *records.feature.shape)  # one model for clips and for whole recordings
    build = partial(module.build_model, config.model, inputs, outputs)
    keras.config.set_dtype_policy(dtype_policy(config.train.precision))
    try:
        with distribution.scope():
            model = build()
    except ValueError as error:  # Keras refuses a setting of the model
        first_line = str(error).strip().splitlines()[0]
        raise UsageError(f"Expected settings that {model_name} can be. {first_line}") from None
    finally:
        keras.config.set_dtype_policy("float32")
    names = {tensor.name for tensor in model.inputs}
    if "features" not in names or names - {"features", "mask"}:
        raise UsageError(
            f"Expected {model_name} to have an input named 'features', and if it wants one 'mask'. "
            f"Received: {', '.join(sorted(names))}."
        )
    if frames is None and distribution.hosts > 1:
        raise UsageError(
            "Expected a clip length where there are several hosts, whose batches must be equally "
            "long. Received: clip_seconds = None. Add --config.pipeline.clip_seconds=10"
        )
    if distribution.mirrored and config.train.steps_per_execution > 1:
        raise UsageError(
            "Expected steps_per_execution of 1 where TensorFlow has several devices. Received: "
            f"{config.train.steps_per_execution}. Leave it out, or take another backend: "
            "KERAS_BACKEND=jax"
        )
    if frames is None and "mask" not in names:
        raise UsageError(
            f"Expected a clip length for {model_name}, which can't tell padding from music. "
            "Received: clip_seconds = None."
        )
    steps = config.train.steps_per_epoch or training.steps
    together = min(config.train.steps_per_execution, steps)
    distribution.prepare(model)
    with distribution.scope():
        compile_model(model, task, records, config.train, steps_per_execution=together)
    return Run(module, config, records, task, training, validation, model, build, distribution)


def settings(
    model_name: str, flags: Mapping[str, str], task_name: str | None = None
) -> tuple[ModuleType, type[Task], RunConfig]:
    """Module of the model, its task, and all settings; arguments as for `prepare`."""
    module = find("model", model_name)
    task_type = task_class(task_name or module.TASK)
    usual = RunConfig(module.Config(), task_type.Config(), TrainConfig(**task_type.training))
    return module, task_type, override(usual, flags, "config")


def _with_keras_names(config: TrainConfig, task: Task) -> TrainConfig:
    """Keras leaves the name of a lone output out: ``val_chord_accuracy`` is ``val_accuracy``."""
    main, *others = task.outputs()
    return config if others else replace(config, monitor=config.monitor.replace(f"{main}_", "", 1))


def _check_pitch_class(config: Any, records: Records) -> None:
    """A model that treats all keys alike can't learn with which one its input begins."""
    expected = getattr(config, "first_pitch_class", None)
    feature = records.feature
    if None in (expected, feature.first_pitch_class) or expected == feature.first_pitch_class:
        return
    raise UsageError(
        f"Expected chroma that begin with pitch class {expected}. Received: {feature.name}, which "
        f"begins with {feature.first_pitch_class}. "
        f"Add --config.model.first_pitch_class={feature.first_pitch_class}"
    )


def compile_model(
    model: keras.Model,
    task: Task,
    records: Records,
    config: TrainConfig,
    *,
    steps_per_execution: int,
) -> None:
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
    adam = ReplicatedAdam if tf.distribute.has_strategy() else keras.optimizers.Adam
    optimizer = adam(
        config.learning_rate,
        weight_decay=config.weight_decay or None,
        global_clipnorm=config.clip_norm,
    )
    if config.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
    model.compile(
        optimizer,
        loss=next(iter(losses.values())) if single else losses,
        loss_weights=None if single else {n: o.loss_weight for n, o in task.outputs().items()},
        weighted_metrics=next(iter(metrics.values())) if single else metrics,
        jit_compile=compile_with_xla(),
        steps_per_execution=steps_per_execution,
    )


def schedule_of(config: TrainConfig) -> Schedule | OneCycle:
    """The rules that end a run and slow it down."""
    rises = "auc" in config.monitor or "accuracy" in config.monitor
    if config.schedule == "one_cycle":
        return OneCycle(config.learning_rate, config.epochs, larger_is_better=rises)
    return Schedule(
        learning_rate=config.learning_rate,
        factor=config.plateau_factor,
        patience=config.plateau_patience,
        floor=config.learning_rate_floor,
        stop_patience=config.stop_patience,
        larger_is_better=rises,
    )
