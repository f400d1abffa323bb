"""Beats as a picture: lines over the spectrogram that they were found in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from kmir.annotations import Beats
from kmir.errors import UsageError

SHOWN = 20.0  # seconds; more lines than these are a hatching
FIRST, OTHER = "#b3261e", "#1a1a1a"  # downbeats, beats
FONT = 8.0  # points


def draw_beats(
    features: np.ndarray,
    frame_rate: float,
    rows: Mapping[str, Beats],
    path: Path,
    *,
    title: str,
    seconds: tuple[float, float] | None = None,
) -> None:
    """Draw rows of beats, such as reference and estimate, above the spectrogram on one time axis.

    Downbeats are longer and red; positions stand over the lines where they are known.

    Args:
        features: ``(frames, bins)`` or ``(frames, bins, channels)``, of which the first is shown.
        frame_rate: Frames per second.
        rows: Beats by what stands before the row, from the top.
        path: PNG file to write.
        title: Above the picture.
        seconds: Start and end of what is shown; None shows the middle 20 seconds.

    Raises:
        UsageError: If nothing of the features lies in `seconds`.
    """
    image = features.reshape(*features.shape[:2], -1)[:, :, 0].astype(np.float32)
    duration = len(image) / frame_rate
    middle = max(0.0, (duration - SHOWN) / 2)
    start, end = seconds or (middle, min(duration, middle + SHOWN))
    first, last = (max(0, round(time * frame_rate)) for time in (start, end))
    if not image[first:last].size:
        raise UsageError(f"Expected seconds within {duration:g}. Received: {start} to {end}.")
    figure = Figure(figsize=(11, 2.6 + 0.5 * len(rows)), layout="constrained", facecolor="white")
    heights = [0.5] * len(rows) + [2.2]
    grid = figure.add_gridspec(len(rows) + 1, 1, height_ratios=heights)
    spectrogram = figure.add_subplot(grid[-1])
    spectrogram.imshow(
        image[first:last].T, origin="lower", aspect="auto", cmap="Greys", interpolation="nearest",
        extent=(first / frame_rate, last / frame_rate, 0, image.shape[1]),
    )  # fmt: skip
    spectrogram.set_xlabel("seconds", fontsize=FONT + 1)
    spectrogram.set_ylabel("band", fontsize=FONT + 1)
    for row, (name, beats) in enumerate(rows.items()):
        axes = figure.add_subplot(grid[row], sharex=spectrogram)
        inside = (beats.times >= start) & (beats.times < end)
        for time, position in zip(beats.times[inside], beats.positions[inside], strict=True):
            colour, height = (FIRST, 0.8) if position == 1 else (OTHER, 0.5)
            axes.plot([time, time], [0, height], color=colour, linewidth=1.6)
            if position:
                axes.text(time, height, str(position), fontsize=FONT, ha="center", va="bottom")
        axes.set_ylim(0, 1.2)
        axes.set_yticks([0.4], [name], fontsize=FONT + 1)
        axes.tick_params(length=0, labelbottom=False)
        axes.spines[["top", "right", "left"]].set_visible(False)
    spectrogram.set_xlim(start, end)
    figure.suptitle(title, fontsize=11)
    figure.savefig(path, dpi=120)
