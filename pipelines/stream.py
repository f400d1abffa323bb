"""Records to batches: shuffle → interleave → parse → cache if small → crop → augment → batch.

A batch is ``(x, y, weights)``: ``x["features"]`` ``(batch, frames, *shape)``, ``x["mask"]``
``(batch, frames)`` with 1 where a frame is real; ``y`` and ``weights`` by output name, the weight 0
where the target is not known. Shorter clips are padded with the feature's silence.

Everything random follows from the seed and the number of the epoch, so that an epoch is the same
whether or not the ones before it were run in this process.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kmir.annotations import Annotations
from kmir.presets import inference
from kmir.records.read import Records
from pipelines.augment import Batch, gain_and_noise, mixup, spec_augment, transposition
from pipelines.base import Task

INTERLEAVED_FILES = 8
PREFETCHED_BATCHES = 2  # a fixed depth, as autotuned depths cost memory and win nothing


class Stream:
    """Batches of one split for one task.

    Args:
        records: Where the data stand.
        task: What the model is asked to do.
        split: ``"train"``, ``"validation"`` or ``"test"``.
        batch_size: Clips a batch.
        seed: Of all that is random.
    """

    def __init__(self, records: Records, task: Task, split: str, *, batch_size: int, seed: int = 0):
        self.records, self.task, self.config = records, task, task.config
        self.batch_size, self.seed = batch_size, seed
        self.counts = records.manifest.splits[records.checked(split)]
        self.clip_frames = clip_frames(task, records)
        rate = records.feature.frame_rate
        self._hop = self.config.hop_seconds and max(1, round(self.config.hop_seconds * rate))
        self.context_frames = round(self.config.context_seconds * rate)
        self._files = [str(records.root / shard.file) for shard in records.shards(split)]
        frame = np.prod(records.feature.shape) * np.dtype(records.spec.dtype).itemsize
        frame += sum(4 * o.size for o in task.outputs().values() if o.level == "frame")
        megabytes = self.counts.frames * frame / 2**20
        self._cached = None
        if megabytes <= self.config.cache_megabytes:
            self._cached = self._pieces(tf.data.Dataset.from_tensor_slices(self._files)).cache()

    @property
    def steps(self) -> int:
        """Batches that show every stored piece once, or all its clips where they have a hop."""
        clips = sum(n * self._clips_in(frames) for frames, n in self.counts.lengths)
        return -(-clips // self.batch_size)

    def epochs(self, first: int = 0, steps: int | None = None) -> Iterator[Batch]:
        """Training batches without end, epoch after epoch.

        Args:
            first: Number of the epoch to begin with.
            steps: Batches an epoch; default `steps`.
        """
        while True:
            yield from self.epoch(first, steps)
            first += 1

    def epoch(self, number: int, steps: int | None = None) -> tf.data.Dataset:
        """Shuffled, cropped and augmented batches of one epoch.

        The last batch is filled up from the start of the same order, so that all have one shape.

        Args:
            number: Of the epoch, from 0.
            steps: How many batches; default `steps`.
        """
        seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
        tf.random.set_seed(seed)  # the masks of tensorflow-io draw from TensorFlow's own generator
        count = (steps or self.steps) * self.batch_size
        pieces = self._shuffled(seed)

        def crop(index: tf.Tensor, piece: dict[str, tf.Tensor]) -> Batch:
            last = tf.maximum(tf.shape(piece["features"])[0] - (self.clip_frames or 0), 0)
            where = tf.stack([tf.constant(seed, tf.int64), index])
            start = tf.random.stateless_uniform((), where, 0, last + 1, tf.int32)
            return self._clip(piece, start if self.clip_frames else tf.constant(0))

        def every(piece: dict[str, tf.Tensor]) -> tf.data.Dataset:
            starts = tf.range(0, tf.shape(piece["features"])[0], self._hop)
            return tf.data.Dataset.from_tensor_slices(self._clips(piece, starts))

        if self._hop:
            buffer = self.config.shuffle_buffer
            clips = pieces.flat_map(every).shuffle(buffer, seed, reshuffle_each_iteration=False)
            clips = clips.repeat().take(count)
        else:
            clips = pieces.repeat().take(count).enumerate()
            clips = clips.map(crop, tf.data.AUTOTUNE, deterministic=self.config.deterministic)
        return self._augmented_batches(clips, seed).prefetch(PREFETCHED_BATCHES)

    def windows(self) -> tf.data.Dataset:
        """Batches of all clips of the split side by side, in order: for validation."""

        def cut(piece: dict[str, tf.Tensor]) -> tf.data.Dataset:
            starts = self._window_starts(tf.shape(piece["features"])[0])
            return tf.data.Dataset.from_tensor_slices(self._clips(piece, starts))

        files = tf.data.Dataset.from_tensor_slices(self._files)
        pieces = self._pieces(files) if self._cached is None else self._cached
        count = sum(n * self._windows_in(frames) for frames, n in self.counts.lengths)
        batches = self._batched(pieces.flat_map(cut))
        known = tf.data.experimental.assert_cardinality(-(-count // self.batch_size))
        return batches.apply(known).prefetch(PREFETCHED_BATCHES)

    def _window_starts(self, frames: tf.Tensor) -> tf.Tensor:
        """First frames of the clips that `windows` cuts out of a piece."""
        return window_starts(frames, self.clip_frames)

    def _windows_in(self, frames: int) -> int:
        """How many these are."""
        return windows_in(frames, self.clip_frames)

    def _shuffled(self, seed: int) -> tf.data.Dataset:
        if self._cached is not None:
            # One place more than there are pieces: the cache is complete only once its end is seen.
            return self._cached.shuffle(
                self.counts.pieces + 1, seed, reshuffle_each_iteration=False
            )
        files = tf.data.Dataset.from_tensor_slices(self._files)
        files = files.shuffle(len(self._files), seed, reshuffle_each_iteration=False)
        buffer = self.config.shuffle_buffer
        return self._pieces(files).shuffle(buffer, seed, reshuffle_each_iteration=False)

    def _pieces(self, files: tf.data.Dataset) -> tf.data.Dataset:
        """Stored pieces with their targets."""
        outputs = self.task.outputs()
        rate = self.records.feature.frame_rate

        def encode(annotations: bytes, start: int, frames: int) -> list[np.ndarray]:
            times = (start + np.arange(frames)) / rate
            targets = self.task.encode(Annotations.from_json(annotations), times)
            return [np.asarray(targets[name], np.float32) for name in outputs]

        def parse(serialised: tf.Tensor) -> dict[str, tf.Tensor]:
            piece = self.records.parse(serialised)
            frames = tf.shape(piece["features"])[0]
            inputs = [piece["annotations"], piece["start"], frames]
            targets = tf.numpy_function(encode, inputs, [tf.float32] * len(outputs))
            for target, (name, output) in zip(targets, outputs.items(), strict=True):
                frame_axis = [None] if output.level == "frame" else []
                target.set_shape([*frame_axis, output.size])
                piece[f"target/{name}"] = target
            return {k: v for k, v in piece.items() if k == "features" or k.startswith("target/")}

        order = self.config.deterministic
        read = files.interleave(
            tf.data.TFRecordDataset,
            cycle_length=INTERLEAVED_FILES,
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=order,
        )
        return read.map(parse, tf.data.AUTOTUNE, deterministic=order)

    def _clips_in(self, frames: int) -> int:
        return -(-frames // self._hop) if self._hop else 1

    def _clip(self, piece: dict[str, tf.Tensor], start: tf.Tensor) -> Batch:
        """One clip of a piece."""
        clips = self._clips(piece, start[tf.newaxis])
        clip: Batch = tf.nest.map_structure(lambda value: value[0], clips)
        return clip

    def _clips(self, piece: dict[str, tf.Tensor], starts: tf.Tensor) -> Batch:
        """Clips cut out of a piece, ``(starts, frames, …)``, padded where it is too short.

        The context before a clip is part of it, with weights of 0.
        """
        frames = tf.shape(piece["features"])[0]
        length = frames if self.clip_frames is None else self.clip_frames
        index = starts[:, tf.newaxis] + tf.range(-self.context_frames, length)[tf.newaxis]
        outside = (index < 0) | (index >= frames)
        index = tf.clip_by_value(index, 0, frames - 1)
        total = None if self.clip_frames is None else self.clip_frames + self.context_frames

        def cut(value: tf.Tensor, fill: float) -> tf.Tensor:
            value = tf.gather(tf.cast(value, tf.float32), index)
            hole = tf.reshape(
                outside, tf.concat([tf.shape(index), [1] * (value.shape.rank - 2)], 0)
            )
            value = tf.where(hole, fill, value)
            return tf.ensure_shape(value, [None, total, *value.shape[2:]])

        real = tf.ensure_shape(tf.cast(~outside, tf.float32), [None, total])
        x = {"features": cut(piece["features"], self.records.feature.silence), "mask": real}
        y, weights = {}, {}
        for name, output in self.task.outputs().items():
            target = piece[f"target/{name}"]
            if output.level == "frame":
                target = cut(target, np.nan)
            else:
                target = tf.repeat(target[tf.newaxis], tf.size(starts), 0)
            known = tf.reduce_all(tf.math.is_finite(target), axis=-1)
            if output.level == "frame":
                known &= tf.range(tf.shape(index)[1]) >= self.context_frames
            weights[name] = tf.cast(known, tf.float32)
            y[name] = tf.where(tf.math.is_finite(target), target, 0.0)
        return x, y, weights

    def _augmented_batches(self, clips: tf.data.Dataset, seed: int) -> tf.data.Dataset:
        c = self.config
        if c.freq_masks or c.time_masks:
            masks = spec_augment(
                freq_masks=c.freq_masks,
                freq_mask_bins=c.freq_mask_bins,
                time_masks=c.time_masks,
                time_mask_frames=round(c.time_mask_seconds * self.records.feature.frame_rate),
                silence=self.records.feature.silence,
            ).check(self.task)
            # Not parallel: the order of the draws decides the masks.
            clips = clips.map(lambda x, y, w: (x | {"features": masks.apply(x["features"])}, y, w))
        batches = self._batched(clips)
        changes = []
        if c.transpose:
            changes.append(transposition(self.records.feature, self.task))
        if c.gain_db or c.noise:
            changes.append(gain_and_noise(self.records.feature, gain_db=c.gain_db, noise=c.noise))
        if c.mixup:
            changes.append(mixup(c.mixup))
        for number, change in enumerate(changes):
            change.check(self.task)
            draws = batches.enumerate(start=number * 2**32)  # each has random numbers of its own
            batches = draws.map(
                lambda i, batch, change=change: change.apply(
                    batch, tf.stack([tf.constant(seed, tf.int64), i])
                ),
                tf.data.AUTOTUNE,
                deterministic=c.deterministic,
            )
        return batches

    def _batched(self, clips: tf.data.Dataset) -> tf.data.Dataset:
        if self.clip_frames is not None:
            return clips.batch(self.batch_size)
        x, y, weights = clips.element_spec
        zeros: Any = tf.nest.map_structure(lambda _: 0.0, (x, y, weights))
        zeros[0]["features"] = self.records.feature.silence
        return clips.padded_batch(self.batch_size, padding_values=zeros)


def clip_frames(task: Task, records: Records) -> int | None:
    """Frames of a clip: as configured, at most those of the longest piece; None: whole tracks."""
    if task.config.clip_seconds is None:
        return None
    longest = max(split.longest for split in records.manifest.splits.values())
    return min(records.feature.frames(task.config.clip_seconds), longest)


def window_starts(frames: tf.Tensor, length: int | None) -> tf.Tensor:
    """First frames of the clips that cover a track side by side, the last flush with its end."""
    if length is None:
        return tf.constant([0])
    last = tf.maximum(frames - length, 0)
    return tf.concat([tf.range(0, last, length), [last]], axis=0)


def windows_in(frames: int, length: int | None) -> int:
    """How many starts `window_starts` gives: as many as prediction cuts."""
    return 1 if length is None else len(inference.window_starts(frames, length))


def for_model(model: keras.Model, batch: Batch) -> tuple[Any, Any, Any]:
    """A batch as a model takes it: its inputs by name, a single input or output by itself."""
    x, y, weights = batch
    inputs = {tensor.name: x[tensor.name] for tensor in model.inputs}
    outputs = model.output_names
    if len(outputs) == 1:
        y, weights = y[outputs[0]], weights[outputs[0]]
    return inputs if len(inputs) > 1 else next(iter(inputs.values())), y, weights
