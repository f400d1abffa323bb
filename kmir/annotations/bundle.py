"""Everything known of one track, in one object that goes to JSON and back."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields

import numpy as np

from kmir.annotations.types import Beats, Notes, Pitch, Segments, Tags
from kmir.errors import AnnotationError


@dataclass(frozen=True, eq=False)
class Annotations:
    """All that is known of one track; what is not known is None.

    Args:
        tags: Words for the whole track.
        chords: Chord segments in Harte syntax (``"C:maj"``, ``"A:min7/b3"``, ``"N"``).
        key: Key segments (``"C:maj"``, ``"A:min"``).
        beats: Beats with bar positions.
        tempo: Global tempo, beats per minute.
        melody: Frequency of the leading voice over time.
        notes: All pitched notes.
    """

    tags: Tags | None = None
    chords: Segments | None = None
    key: Segments | None = None
    beats: Beats | None = None
    tempo: float | None = None
    melody: Pitch | None = None
    notes: Notes | None = None

    def __post_init__(self) -> None:
        if self.tempo is not None:
            if not 0 < self.tempo < math.inf:
                raise AnnotationError(f"Expected a tempo above 0. Received: {self.tempo}.")
            object.__setattr__(self, "tempo", float(self.tempo))

    @property
    def known(self) -> tuple[str, ...]:
        """Names of the fields that are not None."""
        return tuple(f.name for f in fields(self) if getattr(self, f.name) is not None)

    def at_speed(self, speed: float) -> Annotations:
        """What is known of the track when it is played `speed` times as fast, in the same key."""
        return Annotations(
            tags=self.tags,
            chords=self.chords and Segments(self.chords.intervals / speed, self.chords.labels),
            key=self.key and Segments(self.key.intervals / speed, self.key.labels),
            beats=self.beats and Beats(self.beats.times / speed, self.beats.positions),
            tempo=self.tempo and self.tempo * speed,
            melody=self.melody and Pitch(self.melody.times / speed, self.melody.frequencies),
            notes=self.notes
            and Notes(self.notes.intervals / speed, self.notes.pitches, self.notes.velocities),
        )

    def to_json(self) -> str:
        """Compact JSON text with sorted keys: equal annotations give equal text."""
        bundle: dict[str, object] = {}
        for name in self.known:
            value = getattr(self, name)
            bundle[name] = (
                value
                if isinstance(value, float)
                else {part.name: _plain(getattr(value, part.name)) for part in fields(value)}
            )
        return json.dumps(bundle, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Annotations:
        """Inverse of `to_json`.

        Raises:
            AnnotationError: If the text is not such JSON.
        """
        kinds = {"tags": Tags, "chords": Segments, "key": Segments, "beats": Beats,
                 "melody": Pitch, "notes": Notes}  # fmt: skip
        try:
            bundle = json.loads(text)
            return cls(**{k: kinds[k](**v) if k in kinds else v for k, v in bundle.items()})
        except (ValueError, TypeError, AttributeError) as error:
            raise AnnotationError(
                f"Expected annotations as JSON. Received: {text[:60]!r} ({error})."
            ) from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Annotations) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]


def _plain(values: np.ndarray | tuple[str, ...]) -> list[float] | list[str]:
    # Not NumPy for texts: its strings lose a NUL at their end.
    return values.tolist() if isinstance(values, np.ndarray) else list(values)
