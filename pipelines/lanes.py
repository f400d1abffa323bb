"""The order in which stored pieces come, the same however many hosts read them.

The pieces of a split, as they stand in its shards one after the other, are dealt out to as many
lanes as a batch has clips: the first lane has the first pieces, and so on, all as many, but for one
more in the first lanes. Each lane is shuffled by itself and gives every batch one clip. So a host
that has every n-th part of the lanes reads that part of the shards and no other (but where a border
falls into a shard), and all hosts together make the batches that one would make.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines.augment import Batch

INTERLEAVED_FILES = 8


@dataclass(frozen=True)
class Share:
    """Which part of every batch a host makes.

    Args:
        host: Number of the host, from 0.
        hosts: How many there are.
    """

    host: int = 0
    hosts: int = 1


@dataclass(frozen=True)
class Lanes:
    """Where the lanes of one host begin, and how long they are.

    Args:
        first: Number of the host's first lane.
        starts: ``(lanes,)`` first piece of each of its lanes, among all pieces of the split.
        sizes: ``(lanes,)`` pieces of each.
        stretch: First piece and number of pieces that are this host's and no other's.
    """

    first: int
    starts: np.ndarray
    sizes: np.ndarray
    stretch: tuple[int, int]

    @classmethod
    def dealt(cls, pieces: int, lanes: int, share: Share) -> Lanes:
        """Deal pieces out; with fewer pieces than lanes, some stand in several lanes.

        Args:
            pieces: Of the split.
            lanes: Of all hosts together.
            share: Which of them are asked for.
        """
        number = np.arange(lanes)
        sizes = pieces // lanes + (number < pieces % lanes)
        starts = np.cumsum(sizes) - sizes
        own = slice(lanes * share.host // share.hosts, lanes * (share.host + 1) // share.hosts)
        stretch = int(starts[own.start]), int(sizes[own].sum())
        starts, sizes = np.where(sizes, starts, number % pieces), np.maximum(sizes, 1)
        return cls(own.start, starts[own], sizes[own], stretch)

    @property
    def span(self) -> tuple[int, int]:
        """First piece and number of pieces, from the lowest in a lane to the highest."""
        start = int(self.starts.min())
        return start, int((self.starts + self.sizes).max()) - start

    def __len__(self) -> int:
        return len(self.sizes)

    def mixed(
        self,
        lane: Callable[[tf.Tensor, tf.Tensor], tf.data.Dataset],
        seed: int,
        *,
        buffer: int,
        parallel: bool,
    ) -> tf.data.Dataset:
        """One element of each lane in turn, without end.

        Args:
            lane: Elements of a lane in the order of storage, from its start and its size.
            seed: Each lane is shuffled by another that follows from it.
            buffer: Elements of a lane that are shuffled at a time, at most.
            parallel: Read lanes on several threads.
        """

        def shuffled(number: tf.Tensor, start: tf.Tensor, size: tf.Tensor) -> tf.data.Dataset:
            elements = lane(start, size)
            own_seed = tf.constant(seed, tf.int64) + 1 + number
            places = tf.minimum(size, buffer)
            return elements.shuffle(places, own_seed, reshuffle_each_iteration=False).repeat()

        numbers = self.first + np.arange(len(self))
        return tf.data.Dataset.from_tensor_slices((numbers, self.starts, self.sizes)).interleave(
            shuffled,
            cycle_length=len(self),
            block_length=1,
            num_parallel_calls=tf.data.AUTOTUNE if parallel else None,
            # Without their turns, one endless lane would give all that the others are slow to give.
            deterministic=True if parallel else None,
        )


class Shelf:
    """Shards as one row of serialised pieces, any stretch of which can be read.

    Args:
        files: Paths of the shards.
        pieces: How many each holds.
    """

    def __init__(self, files: Sequence[str], pieces: Sequence[int]):
        self._files = tf.constant(list(files))
        ends = np.cumsum(pieces)
        self._starts, self._ends = tf.constant(ends - pieces), tf.constant(ends)
        self._longest = max(pieces)

    def read(
        self,
        start: tf.Tensor | int,
        size: tf.Tensor | int,
        *,
        seed: int | None = None,
        parallel: bool = True,
    ) -> tf.data.Dataset:
        """Pieces from number ``start``, ``size`` of them.

        Args:
            start: Number of the first, in the row.
            size: How many.
            seed: Of an order of the shards, some of which are mixed; None keeps that of the row.
            parallel: Read several shards at a time.
        """
        start, stop = tf.cast(start, tf.int64), tf.cast(start + size, tf.int64)
        touched = tf.where((self._ends > start) & (self._starts < stop))[:, 0]

        def stretch(number: tf.Tensor) -> tf.data.Dataset:
            first, last = self._starts[number], self._ends[number]
            begin, end = tf.maximum(first, start), tf.minimum(last, stop)
            whole = tf.data.TFRecordDataset(self._files[number])
            return whole.skip(begin - first).take(end - begin)

        shards = tf.data.Dataset.from_tensor_slices(touched)
        if seed is not None:
            shards = shards.shuffle(len(self._files), seed, reshuffle_each_iteration=False)
        return shards.interleave(
            stretch,
            cycle_length=INTERLEAVED_FILES,
            block_length=self._longest if seed is None else 1,
            num_parallel_calls=tf.data.AUTOTUNE if parallel else None,
            deterministic=True if parallel else None,
        )


def evened(batches: tf.data.Dataset, *, rows: int, steps: int, factor: float) -> tf.data.Dataset:
    """Batches all of one size and as many as are asked for, with the same mean losses and metrics.

    What is filled up weighs nothing. Keras divides a loss by the number of clips, whatever they
    weigh, so the others weigh more by as much as there are too many.

    Args:
        batches: Of ``rows`` clips at most, as the stream gives them.
        rows: Clips of each batch.
        steps: Batches.
        factor: All clips, of all hosts, over those that are not filled up.
    """

    def filled(x: Any, y: Any, weights: Any) -> Batch:
        count, row = tf.shape(x["mask"])[0], tf.range(rows)
        index = tf.minimum(row, count - 1)
        kept = factor * tf.cast(row < count, tf.float32)

        def weighed(weight: tf.Tensor) -> tf.Tensor:
            return tf.gather(weight, index) * tf.reshape(
                kept, [rows] + [1] * (len(weight.shape) - 1)
            )

        x, y = tf.nest.map_structure(lambda value: tf.gather(value, index), (x, y))
        return x, y, {name: weighed(weight) for name, weight in weights.items()}

    def empty(spec: tf.TensorSpec, value: float = 0.0) -> tf.Tensor:
        return tf.fill([rows, *(size or 1 for size in spec.shape[1:])], value)

    x, y, weights = batches.element_spec
    blank = {name: empty(spec, float(name == "mask")) for name, spec in x.items()}
    nothing = blank, *tf.nest.map_structure(empty, (y, weights))
    more = tf.data.Dataset.from_tensors(nothing).repeat()
    even = batches.map(filled).concatenate(more).take(steps)
    return even.apply(tf.data.experimental.assert_cardinality(steps)).prefetch(2)
