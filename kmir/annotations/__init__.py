"""What can be known of a track, in seconds."""

from kmir.annotations.bundle import Annotations
from kmir.annotations.types import Beats, Notes, Pitch, Segments, Tags

__all__ = ["Annotations", "Beats", "Notes", "Pitch", "Segments", "Tags"]
