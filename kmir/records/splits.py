"""Who trains and who tests: by group, so that one song never stands on both sides."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from kmir.datasets import Track
from kmir.errors import DatasetError

HELD_OUT = 0.15


def assign_splits(tracks: Sequence[Track], seed: int = 0) -> dict[str, str]:
    """Split of every track.

    A published split stands. Where a data set publishes none, its groups are ordered by a hash of
    their name and dealt out 70/15/15. Where it publishes some, tracks left open train; and where
    no validation is published, 15 % of the training groups become it. A lone training group is not
    taken away, and fewer than three groups all train.

    Args:
        tracks: All tracks of a data set.
        seed: Another seed deals the groups differently.

    Returns:
        Split name by track id; the same for the same groups, in whatever order they come.

    Raises:
        DatasetError: If a group is published in two splits.
    """

    def training() -> list[str]:
        return [group for group, split in by_group.items() if split == "train"]

    def deal(split: str, count: int) -> None:
        order = sorted(
            training(), key=lambda g: hashlib.sha256(f"{seed}/{split}/{g}".encode()).digest()
        )
        by_group.update(dict.fromkeys(order[: max(1, count)], split))

    by_group = _published(tracks)
    published = set(by_group.values())
    by_group |= dict.fromkeys({track.group for track in tracks} - by_group.keys(), "train")
    if not published and len(by_group) > 2:
        held_out = round(HELD_OUT * len(by_group))
        deal("test", held_out)
        deal("validation", held_out)
    elif published and "validation" not in published and len(training()) > 1:
        deal("validation", round(HELD_OUT * len(training())))
    return {track.id: by_group[track.group] for track in tracks}


def _published(tracks: Sequence[Track]) -> dict[str, str]:
    """Split by group, of the groups that have one."""
    splits: dict[str, str] = {}
    for track in tracks:
        if track.split and splits.setdefault(track.group, track.split) != track.split:
            raise DatasetError(
                f"Expected group '{track.group}' in one split, or its songs leak. Received: "
                f"{splits[track.group]}, and {track.split} (track '{track.id}')."
            )
    return splits
