"""The picture of a study: how its runs learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from kmir.pictures.chords import FONT

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
