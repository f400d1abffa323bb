"""What a search may change: the model's own space, and the settings of the run.

A model says in its ``search_space(hp)`` what is worth trying of it. What every run has, learning
rate, batches, clips and augmentation, is said once, in `_of_the_run`, in terms of what the task and
its feature can bear. Hyperparameters of the run bear the names of their settings
(``train.learning_rate``); a setting that was given as a flag is not searched.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import ModuleType
from typing import Any

import keras_tuner

from kmir.config import changes, text_of
from kmir.records.read import Records
from kmir.run import RunConfig
from pipelines.base import Task

Values = Mapping[str, Any]
OF_THE_ORACLE = "tuner/"  # what Hyperband adds to the values of a trial begins with this


@dataclass(frozen=True)
class Space:
    """What a search may change.

    Args:
        module: Of the model.
        usual: Settings of a run that changes nothing, flags of the user among them.
        fixed: These flags, by dotted name.
        hyperparameters: All there are; those that can only change what is fixed are fixed too.
    """

    module: ModuleType
    usual: RunConfig
    fixed: Mapping[str, str]
    hyperparameters: keras_tuner.HyperParameters

    @classmethod
    def of(
        cls,
        module: ModuleType,
        task: type[Task],
        usual: RunConfig,
        fixed: Mapping[str, str],
        records: Records,
    ) -> Space:
        """The space of a model, for a task, on records; other arguments as of the class."""
        of_model = keras_tuner.HyperParameters()
        module.search_space(of_model)
        space = keras_tuner.HyperParameters()
        for hp in of_model.space:
            reached = _fields_that_follow(module, of_model, hp)
            frozen = reached and all(f"model.{name}" in fixed for name in reached)
            kept = keras_tuner.engine.hyperparameters.Fixed(
                hp.name, of_model.values[hp.name], conditions=hp.conditions
            )
            space.merge([kept if frozen else hp])
        _of_the_run(space, usual, fixed, task, records)
        return cls(module, usual, fixed, space)

    @property
    def searched(self) -> dict[str, Any]:
        """Hyperparameters that have more than one value, by name."""
        return {hp.name: hp for hp in self.hyperparameters.space if len(set(hp.values)) > 1}

    def shown(self, values: Values) -> dict[str, Any]:
        """Of the values of a trial those that are searched, by name, as they are used."""
        tidy = self._tidy(values)
        return {name: tidy[name] for name in self.searched if name in tidy}

    def flags(self, values: Values) -> dict[str, str]:
        """Settings of a trial: ``{"model.units": "64,64", "train.learning_rate": "0.0021"}``.

        Those that are as usual are left out.
        """
        hp = keras_tuner.HyperParameters()
        hp.values = values = self._tidy(values)
        model = changes(self.module.search_space(hp), self.module.Config())
        flags = {f"model.{name}": text for name, text in model.items()}
        for name in filter(_is_setting, values):
            part, _, field = name.partition(".")
            if values[name] != getattr(getattr(self.usual, part), field):
                flags[name] = text_of(values[name])
        return self._as_much_music(flags) | dict(self.fixed)

    def _tidy(self, values: Values) -> dict[str, Any]:
        """Values with three digits of what is drawn from an interval, which say enough.

        Of others twelve: beyond these is what adding up steps has left, as in 0.30000000000000004.
        """
        drawn = {hp.name for hp in self.hyperparameters.space if getattr(hp, "step", 0) is None}
        return {
            name: float(f"{value:.{3 if name in drawn else 12}g}")
            if isinstance(value, float)
            else value
            for name, value in values.items()
        }

    def _as_much_music(self, flags: dict[str, str]) -> dict[str, str]:
        """Let an epoch hear as much, however large its batches and however long its clips.

        Otherwise larger ones would win for what they have heard, not for what they are worth.
        """
        train, pipeline = self.usual.train, self.usual.pipeline
        size = float(flags.get("train.batch_size", train.batch_size)) / train.batch_size
        if clip := flags.get("pipeline.clip_seconds"):
            size *= float(clip) / pipeline.clip_seconds
            if pipeline.hop_seconds == pipeline.clip_seconds:  # clips side by side stay so
                flags = {"pipeline.hop_seconds": clip} | flags
        if train.steps_per_epoch is not None and size != 1:
            steps = max(1, round(train.steps_per_epoch / size))
            flags = flags | {"train.steps_per_epoch": str(steps)}
        return flags

    def described(self) -> dict[str, Any]:
        """All hyperparameters by name, as JSON values: two searches of one folder share them."""
        config: dict[str, Any] = json.loads(json.dumps(self.hyperparameters.get_config()))
        return {hp["config"]["name"]: hp["config"] for hp in config["space"]}


def _of_the_run(
    hp: keras_tuner.HyperParameters,
    usual: RunConfig,
    fixed: Mapping[str, str],
    task: type[Task],
    records: Records,
) -> None:
    """Register what is worth trying beside the model. New entries belong here."""
    train, pipeline, feature = usual.train, usual.pipeline, records.feature

    def choice(name: str, values: list[Any], default: Any) -> None:
        if name not in fixed:
            hp.Choice(name, sorted({default, *values}), default=default)

    # === Training ===
    if "train.learning_rate" not in fixed:
        rate = train.learning_rate
        hp.Float("train.learning_rate", rate / 8, rate * 4, sampling="log", default=rate)
    choice("train.batch_size", [max(1, train.batch_size // 2), train.batch_size * 2],
           train.batch_size)  # fmt: skip
    choice("train.weight_decay", [0.0, 0.01, 0.1], train.weight_decay)

    # === Length of a clip ===
    # Not where a clip as a whole is judged: a longer one is easier, and would win by that.
    clip = pipeline.clip_seconds
    if clip is not None and _judges_frames(task, usual, records):
        longest = max(n for n, _ in records.manifest.splits["train"].lengths) / feature.frame_rate
        choice("pipeline.clip_seconds", [clip / 2, *([2 * clip] * (2 * clip <= longest))], clip)

    # === Augmentation ===
    rotates = feature.first_pitch_class is not None and "transposes" in task.invariant_to
    if rotates and "pipeline.transpose" not in fixed:
        hp.Boolean("pipeline.transpose", default=pipeline.transpose)
    if feature.linear:
        choice("pipeline.gain_db", [0.0, 3.0, 6.0], pipeline.gain_db)
    if feature.first_pitch_class is None:
        choice("pipeline.freq_masks", [0, 1, 2], pipeline.freq_masks)
        choice("pipeline.time_masks", [0, 1, 2], pipeline.time_masks)
    if "mixes" in task.invariant_to:
        choice("pipeline.mixup", [0.0, 0.2, 0.4], pipeline.mixup)


def _judges_frames(task: type[Task], usual: RunConfig, records: Records) -> bool:
    made = task(usual.pipeline, task.labels_of(records.spec, usual.pipeline))
    return all(output.level == "frame" for output in made.outputs().values())


def _fields_that_follow(
    module: ModuleType, space: keras_tuner.HyperParameters, hp: Any
) -> set[str]:
    """Fields of the model's settings that another value of a hyperparameter changes."""
    made = []
    for value in hp.values:
        trial = keras_tuner.HyperParameters()
        trial.values = dict(space.values) | {hp.name: value}
        made.append(asdict(module.search_space(trial)))
    return {name for config in made for name in config if config[name] != made[0][name]}


def _is_setting(name: str) -> bool:
    return name.startswith(("train.", "pipeline."))
