"""One file per data set, each a ``tracks(root)``; kmir never hosts audio."""

from kmir.datasets.track import SPLITS, Track

__all__ = ["SPLITS", "Track"]
