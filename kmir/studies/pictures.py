"""The pictures of a study: how its runs learnt, and what each makes of one song."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from kmir.annotations import Segments
from kmir.pictures.chords import FONT, WHITE, _draw_chroma, _draw_segments

Log = Sequence[Mapping[str, float]]
PANELS = {
    "loss": "training loss",
    "val_loss": "validation loss",
    "val_accuracy": "validation accuracy",
}


def draw_study_curves(logs: Mapping[str, Sequence[Log]], path: Path, *, title: str) -> None:
    """Draw losses and accuracy of all runs over their epochs; a colour an experiment.

    Args:
        logs: Rows of ``log.csv`` of each seed, by experiment.
        path: PNG file to write.
        title: Above the picture.
    """
    figure = Figure(figsize=(4.6 * len(PANELS), 3.8), layout="constrained")
    figure.suptitle(title)
    for axes, (measure, label) in zip(figure.subplots(1, len(PANELS)), PANELS.items(), strict=True):
        for number, (name, seeds) in enumerate(logs.items()):
            colour = colormaps["tab10"](number)
            for index, rows in enumerate(seeds):
                epochs, values = [r["epoch"] for r in rows], [r[measure] for r in rows]
                known = name if index == 0 else None
                axes.plot(epochs, values, color=colour, alpha=0.75, linewidth=1.2, label=known)
                best = int(np.argmin([r["val_loss"] for r in rows]))
                axes.plot(epochs[best], values[best], "o", color=colour, markersize=3.5)
        axes.set(xlabel="epoch", ylabel=label, xscale="log")
        axes.grid(alpha=0.3)
    figure.axes[0].legend(title="dot: epoch that is scored", fontsize=FONT, title_fontsize=FONT)
    figure.savefig(path, dpi=120)


def draw_timelines(
    features: np.ndarray,
    frame_rate: float,
    rows: Mapping[str, Segments],
    path: Path,
    *,
    title: str,
    seconds: tuple[float, float],
    first_pitch_class: int,
) -> None:
    """Draw the reference and many estimates above each other, over the chroma of one song.

    Args:
        features: ``(frames, bins)`` of the whole song.
        frame_rate: Frames per second.
        rows: Chords by the name that stands beside them, from the top.
        path: PNG file to write.
        title: Above the picture.
        seconds: Start and end of what is shown.
        first_pitch_class: Of the first bin; 0 is C.
    """
    start, end = seconds
    shown = features[int(start * frame_rate) : int(np.ceil(end * frame_rate))]
    width, height = 14.0, 3.4 + 0.36 * len(rows)
    figure = Figure(figsize=(width, height), facecolor=WHITE)
    grid = figure.add_gridspec(
        len(rows) + 1, 1, height_ratios=[0.32] * len(rows) + [2.3], hspace=0.1,
        left=0.18, right=0.99, top=1 - 0.42 / height, bottom=0.72 / height,
    )  # fmt: skip
    chroma = figure.add_subplot(grid[-1])
    for index, (name, segments) in enumerate(rows.items()):
        axes = figure.add_subplot(grid[index], sharex=chroma)
        _draw_segments(axes, segments, seconds, 0.81 * width * 72 / (end - start))
        axes.set_yticks([0], [name], fontsize=FONT + 1)
    _draw_chroma(chroma, shown, int(start * frame_rate) / frame_rate, frame_rate, first_pitch_class)
    chroma.set_xlim(start, end)
    figure.suptitle(title, x=0.18, y=1 - 0.1 / height, ha="left", va="top", fontsize=11)
    key = "hue: root, darker: minor; grey: N; hatched: X"
    figure.text(0.18, 0.15 / height, key, fontsize=FONT)
    figure.savefig(path, dpi=120)
