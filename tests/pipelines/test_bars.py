"""Bars over known beats: targets and back, what is not known, other keys, scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from kmir.annotations import Annotations, Beats, Tags
from kmir.errors import RecordError, UsageError
from kmir.features.beat_synchronous import BeatSynchronous
from kmir.features.nnls_chroma import NNLSChroma
from kmir.records.spec import Spec
from pipelines.augment import transposition
from pipelines.bars import Bars, BarsConfig

SPEC = Spec("folder", BeatSynchronous().config, "float16", ("beats",))


def task(**options: Any) -> Bars:
    config = BarsConfig(**options)
    return Bars(config, Bars.labels_of(SPEC, config))


def song(*positions: int) -> Annotations:
    """Beats on their clock."""
    return Annotations(beats=Beats(np.arange(len(positions)), positions))


def clock(beats: int, start: int = 0) -> np.ndarray:
    return start + np.arange(beats, dtype=float)


# === Annotations → targets ===


def test_targets_by_hand() -> None:
    target = task().encode(song(3, 4, 1, 2, 0, 0, 1), clock(7))["downbeat"]
    assert target.dtype == np.float32
    np.testing.assert_array_equal(target[:, 0], [0, 0, 1, 0, np.nan, np.nan, 1])
    assert list(task().outputs()) == ["downbeat"]
    assert task().outputs()["downbeat"].size == target.shape[1] == 1


def test_a_piece_has_the_targets_of_its_place_and_nothing_beyond() -> None:
    known = song(1, 2, 3, 1, 2, 3)
    piece = task().encode(known, clock(4, start=3))["downbeat"][:, 0]
    np.testing.assert_array_equal(piece, [1, 0, 0, np.nan])
    # Clips begin on frames; a rounding error is none.
    near = task().encode(known, clock(4, start=2) - 1e-6)["downbeat"][:, 0]
    np.testing.assert_array_equal(near, [0, 1, 0, 0])
    before = task().encode(known, clock(3, start=-1))["downbeat"][:, 0]
    np.testing.assert_array_equal(before, [np.nan, 1, 0])


@pytest.mark.parametrize(
    "known", [Annotations(), Annotations(tags=Tags(("a",))), song(0, 0, 0), song()]
)
def test_nothing_is_known_without_positions(known: Annotations) -> None:
    target = task().encode(known, clock(3))["downbeat"]
    assert target.shape == (3, 1)
    assert np.isnan(target).all()


# === Outputs → annotations ===


@given(metre=st.sampled_from([3, 4]), upbeats=st.integers(0, 3), bars=st.integers(4, 12))
def test_decoding_undoes_encoding(metre: int, upbeats: int, bars: int) -> None:
    positions = (np.arange(metre * bars) - upbeats) % metre + 1
    bound = task()
    targets = bound.encode(song(*positions), clock(len(positions)))
    found = bound.decode(targets, clock(len(positions)))
    assert found.known == ("beats",)
    assert found.beats is not None
    np.testing.assert_array_equal(found.beats.times, clock(len(positions)))
    np.testing.assert_array_equal(found.beats.positions, positions)
    again = bound.encode(found, clock(len(positions)))
    np.testing.assert_array_equal(again["downbeat"], targets["downbeat"])


def test_metres_and_change_are_those_of_the_settings() -> None:
    bars = {"downbeat": np.tile([0.9, 0.1, 0.1, 0.1, 0.1], 4)[:, np.newaxis]}
    found = task(beats_per_bar=(4, 5)).decode(bars, clock(20)).beats
    assert found is not None
    assert found.positions.tolist() == [1, 2, 3, 4, 5] * 4
    broken = {"downbeat": np.delete(bars["downbeat"], 9, axis=0)}
    for change, downbeats in ((0.01, [0, 5, 9, 14]), (1e-12, [4, 9, 14])):
        found = task(beats_per_bar=(5,), change=change).decode(broken, clock(19)).beats
        assert found is not None
        assert np.flatnonzero(found.positions == 1).tolist() == downbeats
    assert set(Bars.decoding) == {"beats_per_bar", "change"}


def test_no_beats_and_half_precision() -> None:
    found = task().decode({"downbeat": np.zeros((0, 1), np.float32)}, clock(0)).beats
    assert found is not None
    assert len(found.times) == 0
    outside = np.tile([1.0005, 0, -1e-4], 4)[:, np.newaxis].astype(np.float16)
    found = task().decode({"downbeat": outside}, clock(12)).beats
    assert found is not None
    assert found.positions.tolist() == [1, 2, 3] * 4


# === Training and scores ===


def test_other_keys_leave_the_targets() -> None:
    """While every twelve bins of every part are rotated."""
    feature = BeatSynchronous(subdivisions=2)
    bound = task()
    chroma = np.random.default_rng(0).random((40, 6, 48), np.float32)
    target = np.tile(bound.encode(song(1, 2, 3, 1, 0, 3), clock(6))["downbeat"], (40, 1, 1))
    batch = ({"features": chroma, "mask": np.ones((40, 6))}, {"downbeat": target}, {})
    moved = (
        transposition(feature, bound)
        .check(bound)
        .apply(tf.nest.map_structure(tf.constant, batch), tf.constant([1, 2]))
    )
    np.testing.assert_array_equal(moved[1]["downbeat"], target)
    keys = set()
    for clip, before in zip(moved[0]["features"].numpy(), chroma, strict=True):
        rolled = [np.roll(before.reshape(6, 4, 12), k, axis=2).reshape(6, 48) for k in range(12)]
        (key,) = (k for k in range(12) if np.array_equal(clip, rolled[k]))
        keys.add(key)
    assert len(keys) > 6


def test_scores_by_hand() -> None:
    bound, reference = task(), song(*[1, 2, 3, 4] * 8)
    same = bound.score(reference, reference)
    assert all(name.startswith("downbeat_") for name in same)
    assert same["downbeat_f_measure"] == same["downbeat_cmlt"] == 1
    # From the first beat on: of eight downbeats, the first two are missed, and two beats are wrong.
    late = song(*[3, 4, 1, 2] * 2, *[1, 2, 3, 4] * 6)
    assert bound.score(reference, late)["downbeat_f_measure"] == pytest.approx(6 / 8)
    assert bound.score(Annotations(), reference) == {}
    assert bound.score(reference, Annotations()) == {}
    scores, rows = bound.summarise([reference, reference, Annotations()], [reference, late, late])
    assert rows == []
    means = {score.name: score.value for score in scores}
    assert means["downbeat_f_measure"] == pytest.approx(7 / 8)
    assert set(means) == set(same)


@pytest.mark.parametrize("reference", [Annotations(), song(0, 0, 0)])
def test_nothing_to_score_against(reference: Annotations) -> None:
    with pytest.raises(RecordError, match=r"^Expected at least one track with downbeats"):
        task().summarise([reference], [song(1, 2, 3)])


@pytest.mark.parametrize(
    ("feature", "known", "received"),
    [
        (NNLSChroma(), ("beats",), "records of nnls_chroma, with beats."),
        (BeatSynchronous(), ("tags",), "records of beat_synchronous, with tags."),
        (BeatSynchronous(), (), "records of beat_synchronous, with no annotations."),
    ],
)
def test_other_records_are_refused(feature: Any, known: tuple[str, ...], received: str) -> None:
    with pytest.raises(RecordError) as caught:
        Bars.labels_of(Spec("folder", feature.config, "float16", known), BarsConfig())
    assert str(caught.value) == (
        f"Expected records of beat_synchronous, with beats. Received: {received} "
        "Extract them with that feature."
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beats_per_bar": ()}, "Expected beats_per_bar with one metre or more. Received: ()."),
        (
            {"beats_per_bar": (4, 0)},
            "Expected beats_per_bar with one metre or more. Received: (4, 0).",
        ),
        ({"change": 0.0}, "Expected change above 0 and below 1. Received: 0.0."),
        ({"change": float("nan")}, "Expected change above 0 and below 1. Received: nan."),
        ({"clip_seconds": 0.0}, "Expected clip_seconds above 0. Received: 0.0."),
    ],
)
def test_settings_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        BarsConfig(**options)
    assert str(caught.value) == message
