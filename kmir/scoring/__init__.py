"""How well a track was read: rows per track, and means with confidence intervals."""

from kmir.scoring.score import Score, bootstrap

__all__ = ["Score", "bootstrap"]
