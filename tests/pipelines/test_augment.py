"""Augmentations: what they change, what they leave alone, and whom they are refused to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from kmir.annotations import Annotations, Segments
from kmir.annotations.chords import transposed, vocabulary
from kmir.errors import UsageError
from kmir.features.base import Feature
from kmir.features.beat_synchronous import BeatSynchronous
from kmir.features.chroma_cens import ChromaCENS
from kmir.features.chroma_cqt import ChromaCQT
from kmir.features.constant_q import ConstantQ
from kmir.features.log_frequency import LogFrequency
from kmir.features.log_mel import LogMel
from kmir.features.nnls_chroma import NNLSChroma
from pipelines.augment import Augmentation, gain_and_noise, mixup, spec_augment, transposition
from pipelines.base import PipelineConfig
from pipelines.chords import Chords, ChordsConfig
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


# === Transposition ===


def chord_batch(the_task: Chords, count: int) -> Any:
    """Clips of one song whose chroma are ones where something sounds, and its targets."""
    labels = ("C:maj", "A:min7/b3", "N", "X", "F#:sus4")
    intervals = np.array([(i, i + 1) for i in range(len(labels))], float)
    song = Annotations(chords=Segments(intervals, labels))
    times = np.arange(0.5, 5.5)
    random = np.random.default_rng(4)
    clip = random.random((5, 24)).astype(np.float32)
    targets = the_task.encode(song, times)
    weights = {n: np.isfinite(t).all(axis=1).astype(np.float32) for n, t in targets.items()}
    x = {"features": clip, "mask": np.ones(5, np.float32)}
    given = (x, {n: np.nan_to_num(t) for n, t in targets.items()}, weights)
    return tf.nest.map_structure(lambda array: tf.constant(np.stack([array] * count)), given)


def rolled(chroma: np.ndarray, semitones: int) -> np.ndarray:
    return np.roll(chroma.reshape(*chroma.shape[:-1], 2, 12), semitones, -1).reshape(chroma.shape)


@pytest.mark.parametrize("name", ["majmin", "large"])
def test_chroma_and_labels_are_transposed_alike(name: Any) -> None:
    the_task = Chords(ChordsConfig(vocabulary=name), vocabulary(name).labels)
    x, y, weights = chord_batch(the_task, 64)
    change = transposition(NNLSChroma(), the_task).check(the_task)
    moved_x, moved_y, moved_weights = change.apply((x, y, weights), tf.constant([1, 2]))
    tables = the_task.transpositions()
    drawn = []
    for row in range(64):
        before, after = x["features"][row].numpy(), moved_x["features"][row].numpy()
        (k,) = (k for k in range(12) if np.array_equal(rolled(before, k), after))
        for output in y:
            expected = y[output][row].numpy()[:, tables[output][k]]
            np.testing.assert_array_equal(moved_y[output][row].numpy(), expected)
        drawn.append(k)
    assert set(drawn) == set(range(12))
    for kept, old in ((moved_weights, weights), ({"m": moved_x["mask"]}, {"m": x["mask"]})):
        for key in old:
            np.testing.assert_array_equal(kept[key], old[key])


def test_a_transposed_label_is_under_the_transposed_chroma() -> None:
    """The bin of a chord's root goes where its label goes, in chroma from A and from C."""
    the_task = Chords(ChordsConfig(), vocabulary("majmin").labels)
    for feature in (NNLSChroma(), ChromaCENS()):
        assert feature.first_pitch_class is not None
        chroma = np.zeros((40, 1, feature.shape[0]), np.float32)
        chroma[..., (0 - feature.first_pitch_class) % 12] = 1  # C sounds
        song = Annotations(chords=Segments(np.array([(0.0, 1.0)]), ("C:maj",)))
        targets = {n: np.stack([t] * 40) for n, t in the_task.encode(song, np.zeros(1)).items()}
        given = ({"features": chroma, "mask": np.ones((40, 1), np.float32)}, targets, {})
        given = tf.nest.map_structure(tf.constant, given)
        x, y, _ = transposition(feature, the_task).apply(given, tf.constant([5, 6]))
        roots = (x["features"].numpy().argmax(-1) + feature.first_pitch_class) % 12
        np.testing.assert_array_equal(y["chord"].numpy().argmax(-1), roots)
        np.testing.assert_array_equal(y["root"].numpy().argmax(-1), roots)
        assert len(np.unique(roots)) > 8
    assert the_task.labels[7] == transposed("C:maj", 7)


def test_twelve_semitones_are_nothing() -> None:
    """Up by k, then by 12 - k: the same clip, bit for bit."""
    the_task = Chords(ChordsConfig(), vocabulary("majmin").labels)
    change = transposition(NNLSChroma(), the_task)
    given = chord_batch(the_task, 1)
    once: dict[int, Any] = {}
    for seed in range(200):
        moved = change.apply(given, tf.constant([7, seed]))
        before, after = given[0]["features"].numpy(), moved[0]["features"].numpy()
        (k,) = (k for k in range(12) if np.array_equal(rolled(before, k), after))
        once.setdefault(k, (moved, seed))
    assert set(once) == set(range(12))
    for k, (moved, _) in once.items():
        back = change.apply(moved, tf.constant([7, once[-k % 12][1]]))
        tf.nest.map_structure(np.testing.assert_array_equal, back, given)


def test_what_is_no_chroma_can_not_be_rotated() -> None:
    the_task = Chords(ChordsConfig(), vocabulary("majmin").labels)
    with pytest.raises(UsageError, match=r"^Expected chroma, which can be rotated, for transpose"):
        transposition(LogMel(), the_task)
    with pytest.raises(UsageError, match=r"right\. Received: transpose, which transposes them"):
        tagging = Tagging(TaggingConfig(), ["a"])
        transposition(NNLSChroma(), tagging).check(tagging)


# === Gain and noise ===


def test_a_gain_is_one_factor_for_a_clip() -> None:
    given = chord_batch(Chords(ChordsConfig(), vocabulary("majmin").labels), 2000)
    change = gain_and_noise(NNLSChroma(), gain_db=6.0, noise=0.0)
    x, y, weights = change.apply(given, tf.constant([1, 2]))
    ratio = x["features"].numpy() / given[0]["features"].numpy()
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:, :1, :1], ratio.shape), rtol=1e-5)
    decibels = 20 * np.log10(ratio[:, 0, 0])
    assert np.abs(decibels).max() <= 6 + 1e-4
    assert decibels.mean() == pytest.approx(0, abs=0.3)
    assert decibels.std() == pytest.approx(12 / np.sqrt(12), rel=0.05)  # evenly drawn
    assert y is given[1]
    assert weights is given[2]


def test_noise_is_cut_at_zero() -> None:
    given = chord_batch(Chords(ChordsConfig(), vocabulary("majmin").labels), 500)
    change = gain_and_noise(NNLSChroma(), gain_db=0.0, noise=0.1)
    x, *_ = change.apply(given, tf.constant([1, 2]))
    before, after = given[0]["features"].numpy(), x["features"].numpy()
    assert after.min() == 0
    loud = before > 0.5  # where nothing is cut
    assert (after - before)[loud].std() == pytest.approx(0.1, rel=0.02)
    assert (after - before)[loud].mean() == pytest.approx(0, abs=0.002)


def test_gain_follows_from_its_seed() -> None:
    given = chord_batch(Chords(ChordsConfig(), vocabulary("majmin").labels), 4)
    change = gain_and_noise(NNLSChroma(), gain_db=3.0, noise=0.1)
    first, again, other = (
        change.apply(given, tf.constant([1, i]))[0]["features"].numpy() for i in (5, 5, 6)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


LOUD = 0.3 * np.sin(2 * np.pi * 440 * np.arange(22050) / 22050).astype(np.float32)


@pytest.mark.parametrize(
    "feature",
    [
        LogMel(top_db=None),
        LogMel(scale="log1p"),
        LogFrequency(),  # silence is 0, yet a gain adds
        ConstantQ(scale="log1p"),
        ChromaCENS(norm=None),
        BeatSynchronous(LogMel().config),
    ],
    ids=lambda feature: feature.name,
)
def test_what_is_not_linear_has_no_gain(feature: Feature) -> None:
    with pytest.raises(UsageError) as caught:
        gain_and_noise(feature, gain_db=3.0, noise=0.0)
    assert str(caught.value) == (
        "Expected a feature whose values are linear, such as nnls_chroma, for gain_db and noise. "
        f"Received: {feature.name}. Set both to 0."
    )


@pytest.mark.parametrize(
    "feature",
    [ConstantQ(scale="magnitude", tuning=0.0), ChromaCQT(norm=None, tuning=0.0)],
    ids=lambda feature: feature.name,
)
def test_what_is_linear_doubles_with_its_samples(feature: Feature) -> None:
    np.testing.assert_allclose(feature(2 * LOUD), 2 * feature(LOUD), rtol=1e-3, atol=1e-5)
    gain_and_noise(feature, gain_db=3.0, noise=0.0)


# === What is refused ===


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
        ({"gain_db": -1.0}, r"gain_db of 0 or more\. Received: -1\.0"),
        ({"noise": -1.0}, r"noise of 0 or more\. Received: -1\.0"),
        ({"context_seconds": -1.0}, r"context_seconds of 0 or more\. Received: -1\.0"),
        ({"hop_seconds": 0.0}, "hop_seconds above 0, with clip_seconds"),
        ({"hop_seconds": 1.0, "clip_seconds": None}, "hop_seconds above 0, with clip_seconds"),
        ({"freq_mask_bins": 0}, "at least one bin"),
        ({"time_mask_seconds": 0.0}, "more than 0 seconds"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        PipelineConfig(**settings)
