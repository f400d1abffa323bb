"""A track: one recording with what is known of it, the unit that every data set yields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kmir.annotations import Annotations
from kmir.errors import DatasetError

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Track:
    """One recording of a data set.

    Args:
        id: Name that is unique in the data set; a relative path where there is one.
        annotations: All that is known of it.
        audio: Path of the audio file; None where `features` is given.
        features: For data sets that distribute features instead of audio: a picklable callable
            that returns them, ``(frames, bins)`` float32.
        group: The recording or artist; splits never part a group. Defaults to the id.
        split: ``"train"``, ``"validation"`` or ``"test"`` where the data set publishes a split;
            None leaves the choice to the records, by group.
    """

    id: str
    annotations: Annotations
    audio: Path | None = None
    features: Callable[[], np.ndarray] | None = None
    group: str = ""
    split: str | None = None

    def __post_init__(self) -> None:
        if (self.audio is None) == (self.features is None):
            raise DatasetError(f"Expected either audio or features for track '{self.id}'.")
        if self.split is not None and self.split not in SPLITS:
            raise DatasetError(
                f"Expected a split of {SPLITS} for track '{self.id}'. Received: '{self.split}'."
            )
        if not self.group:
            object.__setattr__(self, "group", self.id)
