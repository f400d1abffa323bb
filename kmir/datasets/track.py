"""A track: one recording with what is known of it, the unit that every data set yields."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import DTypeLike

from kmir.annotations import Annotations
from kmir.errors import AudioError, DatasetError
from kmir.features.base import Feature
from kmir.integrity import sketch

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

    @property
    def sound_fingerprint(self) -> str | None:
        """Hash of what is heard; None where that isn't known, as of features that are ready."""
        if self.render is not None:
            return self.render.fingerprint
        if self.audio is not None:
            return sketch(self.audio) if self.audio.is_file() else None
        return getattr(self.features, "fingerprint", None)

    def read(self, feature: Feature, dtype: DTypeLike = np.float32) -> np.ndarray:
        """A feature of the track, from its audio, or from the audio that is made for it, or ready.

        Args:
            feature: What is wanted.
            dtype: Of the result.

        Returns:
            ``(frames, *feature.shape)``, all of them numbers.

        Raises:
            AudioError: If the audio can't be read, or what there is has another shape or is not
                finite.
        """
        if self.audio is not None:
            found = feature.from_file(self.audio, dtype)
        elif self.render is not None:
            with tempfile.TemporaryDirectory(prefix="kmir-") as folder:
                audio = Path(folder, "audio.wav")
                self.render(audio)
                try:
                    found = feature.from_file(audio, dtype)
                except AudioError as error:  # of a file that will be gone, with a chance name
                    raise AudioError(str(error).replace(str(audio), self.id)) from None
        else:
            assert self.features is not None  # the one of the three that is left
            with np.errstate(over="ignore"):  # told below
                found = np.asarray(self.features()).astype(dtype)
        if found.shape[1:] != feature.shape or not len(found):
            shape = ", ".join(map(str, ("frames", *feature.shape)))
            raise AudioError(
                f"Expected features as ({shape}). Received: shape {found.shape} in {self.id}."
            )
        if not np.isfinite(found).all():
            raise AudioError(f"Expected finite features. Received: NaN or overflow in {self.id}.")
        return found
