"""Records to batches: lanes → shuffle → parse → cache if small → crop → augment → batch.

A batch is ``(x, y, weights)``: ``x["features"]`` ``(batch, frames, *shape)``, ``x["mask"]``
``(batch, frames)`` with 1 where a frame is real; ``y`` and ``weights`` by output name, the weight 0
where the target is not known. Shorter clips are padded with the feature's silence.

Everything random follows from the seed and the number of the epoch, so that an epoch is the same
whether or not the ones before it were run in this process. On several hosts each makes its share of
every batch, from its share of the shards: see `pipelines.lanes`.
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
from pipelines.lanes import Lanes, Share, Shelf

PREFETCHED_BATCHES = 2  # a fixed depth, as autotuned depths cost memory and win nothing


class Stream:
    """Batches of one split for one task.

    Args:
        records: Where the data stand.
        task: What the model is asked to do.
        split: ``"train"``, ``"validation"`` or ``"test"``.
        batch_size: Clips a batch, of all hosts together.
        seed: Of all that is random.
        share: Which part of every batch is made here; all of it where there is one host.
    """

    def __init__(
        self,
        records: Records,
        task: Task,
        split: str,
        *,
        batch_size: int,
        seed: int = 0,
        share: Share | None = None,
    ):
        self.records, self.task, self.config = records, task, task.config
        self.batch_size, self.seed, self.share = batch_size, seed, share or Share()
        self.counts = records.manifest.splits[records.checked(split)]
        self.clip_frames = clip_frames(task, records)
        rate = records.feature.frame_rate
        self._hop = self.config.hop_seconds and max(1, round(self.config.hop_seconds * rate))
        self.context_frames = round(self.config.context_seconds * rate)
        shards = records.shards(split)
        self._shelf = Shelf(
            [str(records.root / s.file) for s in shards], [s.pieces for s in shards]
        )
        self._lanes = Lanes.dealt(self.counts.pieces, batch_size, self.share)
        # Clips with a hop can't be dealt out unread, so every host reads all of them.
        self._held = (0, self.counts.pieces) if self._hop else self._lanes.span
        frame = np.prod(records.feature.shape) * np.dtype(records.spec.dtype).itemsize
        frame += sum(4 * o.size for o in task.outputs().values() if o.level == "frame")
        megabytes = self.counts.frames * frame / 2**20
        self._cached, self._complete = None, False
        if megabytes <= self.config.cache_megabytes:
            self._cached = self._parsed(self._shelf.read(*self._held)).cache()

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

        The last batch is filled up from the start of the same lanes, so that all have one shape.

        Args:
            number: Of the epoch, from 0.
            steps: How many batches; default `steps`.
        """
        seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
        tf.random.set_seed(seed)  # tf.data's shuffle mixes it with its own
        count = (steps or self.steps) * self.batch_size // self.share.hosts

        def crop(index: tf.Tensor, piece: dict[str, tf.Tensor]) -> Batch:
            lanes = len(self._lanes)  # of this host; the place is that among the clips of all
            index = index // lanes * self.batch_size + self._lanes.first + index % lanes
            last = tf.maximum(tf.shape(piece["features"])[0] - (self.clip_frames or 0), 0)
            where = tf.stack([tf.constant(seed, tf.int64), index])
            start = tf.random.stateless_uniform((), where, 0, last + 1, tf.int32)
            return self._clip(piece, start if self.clip_frames else tf.constant(0))

        def every(piece: dict[str, tf.Tensor]) -> tf.data.Dataset:
            starts = tf.range(0, tf.shape(piece["features"])[0], self._hop)
            return tf.data.Dataset.from_tensor_slices(self._clips(piece, starts))

        if self._hop:
            buffer = self.config.shuffle_buffer
            clips = self._shuffled(seed).flat_map(every)
            clips = clips.shuffle(buffer, seed, reshuffle_each_iteration=False).repeat()
            clips = clips.shard(self.share.hosts, self.share.host).take(count)
        else:
            clips = self._laned(seed, count).enumerate()
            clips = clips.map(crop, tf.data.AUTOTUNE, deterministic=self.config.deterministic)
        seed += self.share.host  # from here on each host draws for itself
        tf.random.set_seed(seed)  # the masks of tensorflow-io draw from TensorFlow's own generator
        return self._augmented_batches(clips, seed).prefetch(PREFETCHED_BATCHES)

    def windows(self) -> tf.data.Dataset:
        """Batches of all clips of the split side by side, in order: for validation.

        On several hosts, of the pieces of this one: smaller batches, and not equally many.
        """

        def cut(piece: dict[str, tf.Tensor]) -> tf.data.Dataset:
            starts = self._window_starts(tf.shape(piece["features"])[0])
            return tf.data.Dataset.from_tensor_slices(self._clips(piece, starts))

        batches = self._batched(self._own_pieces().flat_map(cut))
        count = -(-self.own_windows() // len(self._lanes))
        known = tf.data.experimental.assert_cardinality(count)
        return batches.apply(known).prefetch(PREFETCHED_BATCHES)

    @property
    def window_count(self) -> int:
        """How many clips `windows` of all hosts have."""
        return sum(n * self._windows_in(frames) for frames, n in self.counts.lengths)

    def own_windows(self) -> int:
        """How many clips `windows` has; on several hosts the shards are read to know."""
        if self.share.hosts == 1:
            return self.window_count
        pieces = self._own_pieces()
        return sum(self._windows_in(len(piece["features"])) for piece in pieces)

    def _window_starts(self, frames: tf.Tensor) -> tf.Tensor:
        """First frames of the clips that `windows` cuts out of a piece."""
        return window_starts(frames, self.clip_frames)

    def _windows_in(self, frames: int) -> int:
        """How many these are."""
        return windows_in(frames, self.clip_frames)

    def _laned(self, seed: int, count: int) -> tf.data.Dataset:
        """So many pieces of this host, one of each lane in turn, over and over."""
        lanes = self._lanes
        if self._cached is not None:
            cached, begin = self._filled(), self._held[0]
            return lanes.mixed(
                lambda start, size: cached.skip(start - begin).take(size),
                seed,
                buffer=self.counts.pieces,
                parallel=False,
            ).take(count)
        records = lanes.mixed(
            lambda start, size: self._shelf.read(start, size, seed=seed, parallel=False),
            seed,
            buffer=max(2, self.config.shuffle_buffer // self.batch_size),
            parallel=True,
        )
        return self._parsed(records.take(count))

    def _shuffled(self, seed: int) -> tf.data.Dataset:
        """All pieces once."""
        if self._cached is not None:
            return self._filled().shuffle(self.counts.pieces, seed, reshuffle_each_iteration=False)
        pieces = self._parsed(self._shelf.read(*self._held, seed=seed))
        buffer = self.config.shuffle_buffer
        return pieces.shuffle(buffer, seed, reshuffle_each_iteration=False)

    def _filled(self) -> tf.data.Dataset:
        """The cache, complete: what reads it only in part could not complete it."""
        assert self._cached is not None
        if not self._complete:
            self._cached.reduce(np.int64(0), lambda count, _: count + 1)
            self._complete = True
        return self._cached

    def _own_pieces(self) -> tf.data.Dataset:
        """Pieces that no other host has, in order."""
        start, size = self._lanes.stretch
        if self._cached is not None:
            return self._filled().skip(start - self._held[0]).take(size)
        return self._parsed(self._shelf.read(start, size))

    def _parsed(self, records: tf.data.Dataset) -> tf.data.Dataset:
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

        return records.map(parse, tf.data.AUTOTUNE, deterministic=self.config.deterministic)

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
            return clips.batch(len(self._lanes))
        x, y, weights = clips.element_spec
        zeros: Any = tf.nest.map_structure(lambda _: 0.0, (x, y, weights))
        zeros[0]["features"] = self.records.feature.silence
        return clips.padded_batch(len(self._lanes), padding_values=zeros)


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
