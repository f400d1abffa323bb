"""One run of a study: an experiment with one seed, trained, then scored frame by frame."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kmir.annotations import Annotations
from kmir.config import override
from kmir.errors import DatasetError
from kmir.features.beat_synchronous import beat_means, to_frames
from kmir.integrity import write_json
from kmir.lookup import find
from kmir.nn.callbacks import RunLog
from kmir.presets.inference import BATCH_FRAMES, clip_outputs, stitched
from kmir.process import limit_threads
from kmir.records.read import Records
from kmir.run import Run, prepare
from kmir.story import Story
from kmir.studies.data import known_classes
from kmir.train import fit
from pipelines.augment import Batch
from pipelines.stream import Stream
from zoo.studies import Experiment


@dataclass(frozen=True)
class Trial:
    """An experiment with one seed.

    Args:
        study: Name of the study.
        name: Of the experiment.
        seed: Of its weights, batches and dropout.
        workdir: Of the study.
        quick: With the quick settings.
    """

    study: str
    name: str
    seed: int
    workdir: Path
    quick: bool = False

    @property
    def folder(self) -> Path:
        """Of this run: what ``kmir.train`` keeps, ``result.json`` and ``song.npy``."""
        return self.workdir / self.name / f"seed-{self.seed}"

    @property
    def experiment(self) -> Experiment:
        """What is tried."""
        found: Experiment = find("study", self.study).STUDY.experiments[self.name]
        return found

    @property
    def result(self) -> dict[str, Any] | None:
        """What came out; None as long as it is not finished."""
        path = self.folder / "result.json"
        found: dict[str, Any] = (
            json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        )
        return found or None


def run_trial(trial: Trial, *, threads: int | None = None, quiet: bool = False) -> None:
    """Train and score, or go on; a finished trial is left as it is.

    Args:
        trial: What to run.
        threads: Of TensorFlow, to be set before it does anything; None leaves it the choice.
        quiet: No progress bar.

    Raises:
        DatasetError: If beats are asked for and no song has them.
    """
    if trial.result is not None:
        return
    if threads is not None:
        limit_threads(threads)
    keras.backend.clear_session()
    experiment = trial.experiment
    data = trial.workdir / "records" / ("beats" if experiment.beats else "frames")
    if not data.exists():
        raise DatasetError(
            f"Expected songs with beats for experiment {trial.name}. Received: none. "
            "Leave it out with --only."
        )

    # === Training ===
    flags = dict(experiment.flags) | (dict(experiment.quick) if trial.quick else {})
    flags |= {"train.seed": str(trial.seed)}
    run = prepare(experiment.model, data=str(data), root=None, flags=flags, quiet=quiet)
    run, validation = restreamed(run)
    Story.begin(trial.folder, run.module.__name__, run.config, run.records, None)
    verdict = fit(run, trial.folder, title=f"{trial.name}, seed {trial.seed}", quiet=quiet)

    # === Scores ===
    reader = run.module.build_model(
        override(run.config.model, experiment.reading, "reading"),
        (None, *run.records.feature.shape),
        run.task.outputs(),
    )
    reader.set_weights(run.model.get_weights())
    frames = Records.open(trial.workdir / "records" / "frames")
    scores, shown, most_frequent = {}, None, 0.0
    for split in ("validation", "test"):
        right, counts = 0, np.zeros(len(run.task.labels), int)
        for _, truth, estimate in estimates(reader, experiment, run, frames, split):
            known = truth >= 0
            right += int((truth[known] == estimate[known]).sum())
            counts += np.bincount(truth[known], minlength=len(counts))
            shown = estimate if shown is None and split == "test" else shown
        scores[split] = right / max(1, counts.sum())
        if split == "validation":
            most_frequent = counts.max() / max(1, counts.sum())
    np.save(trial.folder / "song.npy", np.asarray(shown, np.int16))
    log = RunLog(trial.folder / "log.csv").rows
    size = run.config.train.batch_size * (run.training.clip_frames or 1)
    write_json(
        trial.folder / "result.json",
        scores
        | {
            "most_frequent": most_frequent,
            "train_batches": run.steps,
            "validation_batches": -(-validation.clips // run.config.train.batch_size),
            "test_batches": -(-run.records.manifest.splits["test"].frames // size),
            "epochs": len(log),
            "best_epoch": (verdict.best_epoch or 0) + 1,
            "stop": verdict.stop,
            "seconds": round(sum(row["seconds"] for row in log), 1),
            "parameters": run.model.count_params(),
        },
    )


def estimates(
    model: keras.Model, experiment: Experiment, run: Run, records: Records, split: str
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """What a model says of every frame of every song.

    Args:
        model: Reads songs of any length.
        experiment: Says in which windows, and whether on beats.
        run: Whose task it is.
        records: Of frames.
        split: Of the records.

    Yields:
        Id of the song, ``(frames,)`` classes, -1 where none is known, and ``(frames,)`` estimates.
    """
    rate = records.feature.frame_rate

    def songs() -> Iterable[tuple[tuple[str, int, int, Annotations], np.ndarray]]:
        for name, frames, annotations in records.tracks(split):
            features = frames
            if experiment.beats:
                assert annotations.beats is not None  # others are left out of the records
                features = beat_means(frames, annotations.beats.times, rate)
            yield (name, len(frames), len(features), annotations), features

    (output,) = run.task.outputs()
    window, margin = experiment.window
    silence = records.feature.silence
    for (name, frames, steps, annotations), outputs in clip_outputs(
        model, songs(), silence=silence, overlap=(window, margin)
    ):
        classes = stitched(outputs[output], steps, margin).argmax(axis=1)
        if experiment.beats:
            assert annotations.beats is not None
            classes = to_frames(classes, annotations.beats.times, frames, rate)
        yield name, known_classes(run.task, annotations, np.arange(frames) / rate), classes


def restreamed(run: Run) -> tuple[Run, StudyStream]:
    """The run on streams of a study; validation in batches as large as the model bears."""
    clip = (run.training.clip_frames or 1) + run.training.context_frames
    size, seed = run.config.train.batch_size, run.config.train.seed
    training = StudyStream(run.records, run.task, "train", batch_size=size, seed=seed)
    size = max(size, BATCH_FRAMES // clip)
    validation = StudyStream(run.records, run.task, "validation", batch_size=size, seed=seed)
    return dataclasses.replace(run, training=training, validation=validation), validation


class StudyStream(Stream):
    """Validates on clips as far apart as those of training; its losses tell nothing of context."""

    @property
    def _step(self) -> int:
        length = self.clip_frames or 1
        return max(int(self._hop or 0), length)

    @property
    def clips(self) -> int:
        """How many clips validation has."""
        return sum(n * self._windows_in(frames) for frames, n in self.counts.lengths)

    def _window_starts(self, frames: tf.Tensor) -> tf.Tensor:
        return tf.range(0, frames, self._step)

    def _windows_in(self, frames: int) -> int:
        return -(-frames // self._step)

    def _clips(self, piece: dict[str, tf.Tensor], starts: tf.Tensor) -> Batch:
        """Clips of a piece, their frames weighted so that context doesn't dilute the mean loss.

        Keras divides by the number of frames, whatever they weigh. A loss that is sixteen times too
        small comes to a plateau sixteen times too soon.
        """
        x, y, weights = super()._clips(piece, starts)
        length = self.clip_frames or 1
        scale = (length + self.context_frames) / length
        return x, y, {name: scale * weight for name, weight in weights.items()}
