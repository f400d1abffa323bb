"""Lanes: every piece in one, the same batches however many hosts make them, and even batches."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from kmir.records.read import Records
from pipelines.lanes import Lanes, Share, Shelf, evened
from pipelines.stream import Stream
from pipelines.tagging import Tagging

BATCH = 4


def stream(records: Path, share: Share, split: str = "train", **settings: object) -> Stream:
    opened = Records.open(records)
    config = Tagging.Config(**{"clip_seconds": 0.5, "freq_masks": 0, "time_masks": 0} | settings)
    task = Tagging(config, Tagging.labels_of(opened.spec, config))
    return Stream(opened, task, split, batch_size=BATCH, seed=5, share=share)


def features(batches: tf.data.Dataset) -> list[np.ndarray]:
    return [x["features"].numpy() for x, _, _ in batches]


@given(
    pieces=st.integers(1, 60),
    per_host=st.integers(1, 9),
    hosts=st.integers(1, 5),
)
def test_every_piece_is_in_a_lane_and_in_one_stretch(
    pieces: int, per_host: int, hosts: int
) -> None:
    lanes = per_host * hosts
    dealt = [Lanes.dealt(pieces, lanes, Share(host, hosts)) for host in range(hosts)]
    whole = Lanes.dealt(pieces, lanes, Share())
    np.testing.assert_array_equal(np.concatenate([d.starts for d in dealt]), whole.starts)
    np.testing.assert_array_equal(np.concatenate([d.sizes for d in dealt]), whole.sizes)
    assert [d.first for d in dealt] == [host * per_host for host in range(hosts)]
    times = Counter(
        piece
        for start, size in zip(whole.starts, whole.sizes, strict=True)
        for piece in range(start, start + size)
    )
    assert set(times) == set(range(pieces))
    assert max(times.values()) == (1 if pieces >= lanes else -(-lanes // pieces))
    assert whole.sizes.max() - whole.sizes.min() <= 1
    assert whole.sizes.max() == -(-pieces // lanes), "as many as an epoch has steps"
    stretches = [range(d.stretch[0], sum(d.stretch)) for d in dealt]
    assert [piece for stretch in stretches for piece in stretch] == list(range(pieces))
    for each, stretch in zip(dealt, stretches, strict=True):
        start, size = each.span
        assert start <= stretch.start or not stretch
        assert stretch.stop <= start + size or not stretch


@pytest.mark.parametrize("seed", [None, 3])
def test_a_shelf_reads_any_stretch(tmp_path: Path, seed: int | None) -> None:
    counts, number = (3, 1, 4, 2), 0
    for shard, count in enumerate(counts):
        with tf.io.TFRecordWriter(str(tmp_path / f"{shard}")) as writer:
            for _ in range(count):
                writer.write(bytes([number]))
                number += 1
    shelf = Shelf([str(tmp_path / f"{shard}") for shard in range(4)], counts)
    for start in range(10):
        for size in range(11 - start):
            found = [record.numpy()[0] for record in shelf.read(start, size, seed=seed)]
            expected = list(range(start, start + size))
            assert (found if seed is None else sorted(found)) == expected


@pytest.mark.parametrize("hop", [None, 0.2])
@pytest.mark.parametrize("cache", [2048, 0])
@pytest.mark.parametrize("hosts", [2, 4])
def test_hosts_make_the_batches_of_one(
    tiny_records: Path, hosts: int, cache: int, hop: float | None
) -> None:
    settings = {"cache_megabytes": cache, "hop_seconds": hop}
    whole = stream(tiny_records, Share(), **settings)
    parts = [stream(tiny_records, Share(host, hosts), **settings) for host in range(hosts)]
    for epoch in (0, 3):
        expected = features(whole.epoch(epoch))
        found = [features(part.epoch(epoch)) for part in parts]
        assert {len(some) for some in found} == {len(expected)}
        for batch, *shares in zip(expected, *found, strict=True):
            together = np.concatenate(shares)
            assert together.shape == batch.shape
            # In another order within the batch where clips have a hop.
            for clip in batch:
                assert any(np.array_equal(clip, other) for other in together)


@pytest.mark.parametrize("hosts", [2, 4])
def test_hosts_read_their_own_shards(tiny_records: Path, hosts: int) -> None:
    read = []
    for host in range(hosts):
        start, size = stream(tiny_records, Share(host, hosts))._lanes.stretch
        read.append(set(range(start, start + size)))
    assert sum(len(pieces) for pieces in read) == len(set.union(*read)) == 6


def test_even_batches_have_the_losses_and_metrics_of_uneven_ones() -> None:
    random = np.random.default_rng(0)
    values = random.uniform(size=(11, 5)).astype(np.float32)
    weights = (random.uniform(size=(11, 5)) > 0.3).astype(np.float32)

    def batches(first: int, last: int) -> tf.data.Dataset:
        clips = tf.data.Dataset.from_tensor_slices(
            (
                {"features": values[first:last], "mask": np.ones_like(values[first:last])},
                {"a": values[first:last]},
                {"a": weights[first:last]},
            )
        )
        return clips.batch(4)

    # Two hosts of 7 and 4 clips, batches of 4: two steps each, 16 places.
    sums, total, weighed = 0.0, 0, 0.0
    for first, last in ((0, 7), (7, 11)):
        even = evened(batches(first, last), rows=4, steps=2, factor=16 / 11)
        assert int(even.cardinality()) == 2
        for x, y, w in even:
            assert x["features"].shape == y["a"].shape == w["a"].shape == (4, 5)
            assert x["mask"].numpy().all()
            sums += float(tf.reduce_sum(y["a"] * w["a"]))
            total += 4 * 5
            weighed += float(tf.reduce_sum(w["a"]))
    np.testing.assert_allclose(sums / total, (values * weights).mean(), rtol=1e-6)
    np.testing.assert_allclose(sums / weighed, (values * weights).sum() / weights.sum(), rtol=1e-6)
