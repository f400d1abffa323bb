"""A track: one recording with what is known of it, the unit that every data set yields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from kmir.annotations import Annotations
from kmir.errors import DatasetError

SPLITS = ("train", "validation", "test")


class Render(Protocol):
    """Makes the audio of a track; picklable, since it is called where features are extracted."""

    def __call__(self, out: Path) -> None:
        """Write an audio file of the name that is given."""

    @property
    def fingerprint(self) -> str:
        """Hash of all that decides the sound."""


@dataclass(frozen=True)
class Track:
    """One recording of a data set.

    Args:
        id: Name that is unique in the data set; a relative path where there is one.
        annotations: All that is known of it.
        audio: Path of the audio file; None where `features` or `render` is given.
        features: For data sets that distribute features instead of audio: a picklable callable
            that returns them, ``(frames, bins)`` float32.
        render: For data sets whose audio is made from something else, such as MIDI: it is written
            to a temporary file when features are extracted, and removed again.
        group: The recording or artist; splits never part a group. Defaults to the id.
        split: ``"train"``, ``"validation"`` or ``"test"`` where the data set publishes a split;
            None leaves the choice to the records, by group.
    """

    id: str
    annotations: Annotations
    audio: Path | None = None
    features: Callable[[], np.ndarray] | None = None
    render: Render | None = None
    group: str = ""
    split: str | None = None

    def __post_init__(self) -> None:
        if (self.audio, self.features, self.render).count(None) != 2:
            raise DatasetError(f"Expected one of audio, features and render for track '{self.id}'.")
        if self.split is not None and self.split not in SPLITS:
            raise DatasetError(
                f"Expected a split of {SPLITS} for track '{self.id}'. Received: '{self.split}'."
            )
        if not self.group:
            object.__setattr__(self, "group", self.id)
