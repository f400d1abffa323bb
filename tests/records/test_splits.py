"""Who trains and who tests."""

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmir.annotations import Annotations
from kmir.datasets import SPLITS, Track
from kmir.errors import DatasetError
from kmir.records.splits import assign_splits


def _track(name: str, group: str = "", split: str | None = None) -> Any:
    return Track(name, Annotations(), features=_nothing, group=group, split=split)


def _nothing() -> np.ndarray:
    raise AssertionError("splits need no features")


def _groups(count: int, split: str | None = None, prefix: Any = "group") -> Any:
    return [_track(f"{prefix}{i}", split=split) for i in range(count)]


def _sizes(tracks: list[Track], seed: int = 0) -> Any:
    splits = list(assign_splits(tracks, seed).values())
    return tuple(splits.count(split) for split in SPLITS)


NOT_PUBLISHED = st.none()


@st.composite
def data_sets(draw: Any, published: Any = NOT_PUBLISHED) -> Any:
    """Tracks in a few groups; all open tracks of a group, and its published split if it has one."""
    tracks = []
    for group in range(draw(st.integers(1, 30))):
        split = draw(published)
        for index in range(draw(st.integers(1, 4))):
            # Not every track of a group need say where the group stands.
            said = split if index == 0 or draw(st.booleans()) else None
            tracks.append(_track(f"{group}/{index}", f"g{group}", said))
    return tracks


@given(data_sets(st.sampled_from([None, *SPLITS])), st.integers(0, 3))
def test_no_group_stands_on_two_sides(tracks: list[Track], seed: int) -> None:
    splits = assign_splits(tracks, seed)
    assert splits.keys() == {track.id for track in tracks}
    sides = {(track.group, splits[track.id]) for track in tracks}
    assert len(sides) == len({track.group for track in tracks})


@given(data_sets(st.sampled_from([None, *SPLITS])), st.randoms(use_true_random=False))
def test_the_order_of_the_tracks_makes_no_difference(
    tracks: list[Track], shuffler: random.Random
) -> None:
    mixed = list(tracks)
    shuffler.shuffle(mixed)
    assert assign_splits(mixed) == assign_splits(tracks)


@given(data_sets())
def test_from_three_groups_every_split_has_one(tracks: list[Track]) -> None:
    splits = assign_splits(tracks)
    groups = {track.group: splits[track.id] for track in tracks}
    expected = set(SPLITS) if len(groups) > 2 else {"train"}
    assert set(groups.values()) == expected


@given(data_sets(st.sampled_from([None, *SPLITS])))
def test_a_published_split_stands(tracks: list[Track]) -> None:
    splits = assign_splits(tracks)
    published = {track.group: track.split for track in tracks if track.split}
    carved = "validation" not in published.values()
    for track in tracks:
        said, got = published.get(track.group), splits[track.id]
        if said in ("validation", "test"):
            assert got == said
        elif said == "train":
            assert got == "train" or (carved and got == "validation")
        elif published:  # open beside published ones: it trains, and tests nothing
            assert got != "test"


@given(data_sets(st.sampled_from([None, "train", "test"])))
def test_carving_a_validation_leaves_some_to_train(tracks: list[Track]) -> None:
    splits = assign_splits(tracks)
    groups = {track.group: splits[track.id] for track in tracks}
    published = {track.group: track.split for track in tracks if track.split}
    if published:
        training = sum(published.get(group) != "test" for group in groups)
        held_out = max(1, round(0.15 * training)) if training > 1 else 0
        assert list(groups.values()).count("validation") == held_out
        assert list(groups.values()).count("train") == training - held_out


def test_groups_are_dealt_out_70_15_15() -> None:
    assert _sizes(_groups(100)) == (70, 15, 15)
    assert _sizes(_groups(1000)) == (700, 150, 150)
    assert _sizes(_groups(10)) == (6, 2, 2)
    assert _sizes(_groups(3)) == (1, 1, 1)
    assert _sizes(_groups(2)) == (2, 0, 0)
    assert _sizes(_groups(1)) == (1, 0, 0)
    assert _sizes([]) == (0, 0, 0)


def test_validation_is_a_share_of_what_trains_and_not_of_everything() -> None:
    # 15 % of all 100 groups would be 15, more than there are to train on.
    tracks = _groups(10, "train") + _groups(90, "test", prefix="test")
    assert _sizes(tracks) == (8, 2, 90)
    assert _sizes(_groups(1, "train") + _groups(9, "test", prefix="test")) == (1, 0, 9)
    assert _sizes(_groups(20, "train")) == (17, 3, 0)


def test_with_a_published_validation_nothing_is_carved() -> None:
    tracks = _groups(20, "train") + _groups(1, "validation", prefix="v")
    assert _sizes(tracks) == (20, 1, 0)
    assert _sizes(_groups(20) + _groups(1, "validation", prefix="v")) == (20, 1, 0)


def test_the_deal_is_the_same_on_every_machine_and_day() -> None:
    # The lowest SHA-256 of "0/test/groupN" and "0/validation/groupN", by sha256sum. A change here
    # changes everyone's test set.
    splits = assign_splits(_groups(10))
    assert [name for name, split in splits.items() if split == "test"] == ["group4", "group8"]
    assert [name for name, split in splits.items() if split == "validation"] == [
        "group3",
        "group5",
    ]


def test_another_seed_deals_differently() -> None:
    tracks = _groups(50)
    deals = [assign_splits(tracks, seed) for seed in range(5)]
    assert len({tuple(deal.values()) for deal in deals}) == 5
    assert assign_splits(tracks, 3) == deals[3]


@settings(max_examples=25)
@given(st.integers(3, 40))
def test_which_group_tests_does_not_depend_on_how_many_tracks_it_has(count: int) -> None:
    one_each = assign_splits(_groups(count))
    many = [
        _track(f"{track.id}/{i}", track.id)
        for track in _groups(count)
        for i in range(random.Random(track.id).randint(1, 5))
    ]
    assert all(one_each[track.group] == split for track, split in _with_split(many))


def _with_split(tracks: list[Track]) -> Any:
    splits = assign_splits(tracks)
    return [(track, splits[track.id]) for track in tracks]


def test_a_group_that_is_published_in_two_splits_is_refused() -> None:
    tracks = [_track("a", "song", "train"), _track("b", "song"), _track("c", "song", "test")]
    message = (
        r"^Expected group 'song' in one split, or its songs leak\. "
        r"Received: train, and test \(track 'c'\)\.$"
    )
    with pytest.raises(DatasetError, match=message):
        assign_splits(tracks)
