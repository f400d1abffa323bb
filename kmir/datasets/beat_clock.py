"""Tracks on the clock of their beats: what a `BeatSynchronous` feature is extracted from.

Second t of such a track is beat t. Of its annotations tags and beats come along; chords and what
else is told in seconds are left out.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kmir.annotations import Annotations, Beats
from kmir.datasets.track import Track
from kmir.errors import DatasetError
from kmir.features.base import Feature
from kmir.features.beat_synchronous import BeatSynchronous

log = logging.getLogger("kmir")


def on_beat_clock(feature: Feature, tracks: Sequence[Track]) -> list[Track]:
    """Tracks as a feature wants them: on the clock of their beats if it counts these.

    Tracks whose beats are not known are left out then.

    Raises:
        DatasetError: If none has beats, and the feature counts them.
    """
    if not isinstance(feature, BeatSynchronous):
        return list(tracks)
    known = [t for t in tracks if t.annotations.beats and len(t.annotations.beats.times)]
    if not known:
        raise DatasetError(
            f"Expected tracks with beats, for {feature.name}. Received: {len(tracks)} without."
        )
    if left_out := len(tracks) - len(known):
        log.info("%d tracks without beats, left out", left_out)
    return [
        Track(
            track.id,
            _counted(track.annotations),
            features=FeaturesOnBeats(track, feature),
            group=track.group,
            split=track.split,
        )
        for track in known
    ]


@dataclass(frozen=True)
class FeaturesOnBeats:
    """The ready features of a track on its beat clock: called, it computes them.

    Args:
        track: With beats in seconds.
        feature: What is wanted.
    """

    track: Track
    feature: BeatSynchronous

    def __call__(self) -> np.ndarray:
        """``(beats, *shape)`` float32."""
        beats = self.track.annotations.beats
        assert beats is not None  # else it would have been left out
        source = self.feature.averaged
        return self.feature.between(self.track.read(source), beats.times, source.frame_rate)

    @property
    def fingerprint(self) -> str:
        """Hash of the sound and of where its beats are."""
        text = f"{self.track.sound_fingerprint} {self.track.annotations.to_json()}"
        return hashlib.sha256(text.encode()).hexdigest()


def _counted(known: Annotations) -> Annotations:
    """What holds on the beat clock: tags, and beats, one a second."""
    assert known.beats is not None  # asked for before
    clock = np.arange(len(known.beats.times), dtype=float)
    return Annotations(tags=known.tags, beats=Beats(clock, known.beats.positions))
