"""Augmentations: what they change, what they leave alone, and whom they are refused to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from kmir.errors import UsageError
from pipelines.augment import Augmentation, mixup, spec_augment
from pipelines.base import PipelineConfig
from pipelines.tagging import Tagging, TaggingConfig

SILENCE = -100.0
FRAMES, BINS = 30, 12


def features(*shape: int) -> np.ndarray:
    """Values in decibels with all their bits, none of them silence."""
    return np.random.default_rng(0).uniform(-90, 10, shape).astype(np.float32)


def masked(
    count: int, *, shape: tuple[int, ...] = (FRAMES, BINS), **changes: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Features, and ``(count, *shape)`` draws of them with masks."""
    settings = {"freq_masks": 0, "freq_mask_bins": 4, "time_masks": 0, "time_mask_frames": 7}
    masks = spec_augment(**settings | changes, silence=SILENCE)
    tf.random.set_seed(0)
    clip = features(*shape)
    clips = tf.data.Dataset.from_tensors(clip).repeat(count).map(masks.apply)
    return clip, np.stack([drawn.numpy() for drawn in clips])


def widths(silent: np.ndarray) -> np.ndarray:
    """Width of the one run of True in each row; fails where there are several."""
    edges = np.diff(silent.astype(int), axis=1, prepend=0, append=0)
    assert ((edges == 1).sum(1) <= 1).all()
    return silent.sum(1)


@pytest.mark.parametrize("shape", [(FRAMES, BINS), (FRAMES, BINS, 2), (FRAMES, BINS, BINS)])
def test_masks_write_silence_and_leave_the_rest_as_it_was(shape: tuple[int, ...]) -> None:
    clip, drawn = masked(50, shape=shape, freq_masks=2, time_masks=2)
    assert drawn.shape == (50, *shape)
    silent = drawn == SILENCE
    np.testing.assert_array_equal(drawn[~silent], np.broadcast_to(clip, drawn.shape)[~silent])
    assert 0 < silent.mean() < 1
    # Masks are whole frames and whole bins, in all channels.
    flat = silent.reshape(50, FRAMES, BINS, -1)
    rows, columns = flat.all(axis=(2, 3)), flat.all(axis=(1, 3))
    expected = rows[:, :, None] | columns[:, None, :]
    np.testing.assert_array_equal(flat, np.broadcast_to(expected[..., None], flat.shape))


def test_a_frequency_mask_spans_up_to_so_many_bins() -> None:
    _, drawn = masked(400, freq_masks=1, freq_mask_bins=4)
    silent = drawn == SILENCE
    assert (silent.all(1) == silent.any(1)).all()
    assert set(widths(silent.all(1))) == {0, 1, 2, 3, 4}
    # Every bin is masked at some time but the last: a mask of f bins begins in [0, bins - f), as
    # in the paper.
    np.testing.assert_array_equal(silent.all(1).any(0), np.arange(BINS) < BINS - 1)


def test_a_time_mask_spans_up_to_so_many_frames() -> None:
    _, drawn = masked(400, time_masks=1, time_mask_frames=7)
    silent = drawn == SILENCE
    assert (silent.all(2) == silent.any(2)).all()
    assert set(widths(silent.all(2))) == set(range(8))
    np.testing.assert_array_equal(silent.all(2).any(0), np.arange(FRAMES) < FRAMES - 1)


def test_masks_wider_than_the_clip_leave_some_of_it() -> None:
    wide: tuple[dict[str, Any], ...] = (
        {"freq_masks": 1, "freq_mask_bins": 99},
        {"time_masks": 1, "time_mask_frames": 99},
    )
    for changes in wide:
        _, drawn = masked(200, **changes)
        assert not (drawn == SILENCE).all(axis=(1, 2)).any()


def test_several_masks_are_drawn_apart() -> None:
    _, drawn = masked(300, freq_masks=2, freq_mask_bins=4)
    count = (drawn == SILENCE).all(1).sum(1)
    assert count.max() > 4  # one mask can't
    assert count.max() <= 8


def batch(count: int) -> Any:
    random = np.random.default_rng(1)
    lengths = random.integers(5, FRAMES + 1, count)
    x = {
        "features": features(count, FRAMES, BINS),
        "mask": (np.arange(FRAMES) < lengths[:, None]).astype(np.float32),
    }
    y = {
        "tags": random.integers(0, 2, (count, 5)).astype(np.float32),
        "beats": random.random((count, FRAMES, 2)).astype(np.float32),
    }
    weights = {"tags": random.integers(0, 2, count).astype(np.float32), "beats": x["mask"]}
    return tf.nest.map_structure(tf.constant, (x, y, weights))


@pytest.mark.parametrize("count", [1, 2, 7, 8])
@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_mixup_is_one_convex_combination_of_features_and_labels(count: int, alpha: float) -> None:
    before = batch(count)
    after = mixup(alpha).apply(before, tf.constant([3, 4]))
    (x, y, weights), (mixed_x, mixed_y, mixed_weights) = (
        tf.nest.map_structure(lambda tensor: tensor.numpy().astype(np.float64), some)
        for some in (before, after)
    )
    one, other = x["features"], x["features"][::-1]
    for row in range(count):
        # The share, found from the features by least squares, explains everything.
        apart = one[row] - other[row]
        share = (apart * (mixed_x["features"][row] - other[row])).sum() / max(
            (apart**2).sum(), 1e-9
        )
        assert -1e-6 <= share <= 1 + 1e-6
        for old, new in ((one, mixed_x["features"]), *((y[k], mixed_y[k]) for k in y)):
            expected = share * old[row] + (1 - share) * old[::-1][row]
            np.testing.assert_allclose(new[row], expected, atol=2e-4)
    np.testing.assert_array_equal(mixed_x["mask"], np.maximum(x["mask"], x["mask"][::-1]))
    for name in weights:  # what is unknown of one is unknown of the mixture
        expected = np.minimum(weights[name], weights[name][::-1])
        np.testing.assert_array_equal(mixed_weights[name], expected)


@pytest.mark.parametrize("alpha", [0.001, 0.1, 0.5, 1.0, 20.0])
def test_the_share_has_the_beta_distribution(alpha: float) -> None:
    """Mean 1/2 and variance 1 / (4 (2 alpha + 1)) of Beta(alpha, alpha); never NaN."""
    count = 20_000
    ramp = tf.constant(np.arange(count) < count // 2, tf.float32)[:, None]  # 1 mixes with 0
    given = ({"features": ramp[..., None], "mask": ramp}, {"tags": ramp}, {"tags": ramp[:, 0]})
    _, y, _ = mixup(alpha).apply(given, tf.constant([0, 1]))
    share = np.abs(1 - ramp.numpy() - y["tags"].numpy())  # of each clip itself
    assert np.isfinite(share).all()
    assert share.mean() == pytest.approx(0.5, abs=0.02)
    if alpha >= 0.1:  # below, both gammas underflow to the same smallest number now and then
        assert share.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.05)


def test_mixup_follows_from_its_seed() -> None:
    first, again, other = (
        mixup(0.4).apply(batch(6), tf.constant([1, i]))[1]["tags"].numpy() for i in (5, 5, 6)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("effect", ["transposes", "rescales"])
def test_labels_that_would_be_wrong_are_refused(effect: str) -> None:
    tagging = Tagging(TaggingConfig(), ["a"])
    with pytest.raises(UsageError) as caught:
        Augmentation("pitch shift", effect, lambda x: x).check(tagging)
    assert str(caught.value) == (
        "Expected an augmentation that leaves labels of tagging right. Received: pitch shift, "
        f"which {effect} them. Switch it off."
    )


def test_tagging_bears_masks_and_mixtures() -> None:
    tagging = Tagging(TaggingConfig(), ["a"])
    masks = spec_augment(
        freq_masks=1, freq_mask_bins=1, time_masks=1, time_mask_frames=1, silence=0.0
    )
    assert masks.check(tagging) is masks
    assert mixup(0.1).check(tagging).effect == "mixes"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"clip_seconds": 0.0}, r"clip_seconds above 0\. Received: 0\.0"),
        ({"clip_seconds": -1.0}, r"clip_seconds above 0\. Received: -1\.0"),
        ({"mixup": -0.1}, r"mixup of 0 or more\. Received: -0\.1"),
        ({"freq_mask_bins": 0}, "at least one bin"),
        ({"time_mask_seconds": 0.0}, "more than 0 seconds"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        PipelineConfig(**settings)
