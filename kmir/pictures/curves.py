"""Learning curves of a run, as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

NOT_CURVES = {"epoch", "seconds", "learning_rate"}


def draw_curves(rows: Sequence[Mapping[str, float]], path: Path, *, title: str) -> None:
    """Draw every measure over the epochs, training and validation together.

    Args:
        rows: Of ``log.csv``.
        path: PNG file to write.
        title: Above the picture.
    """
    measures = [n for n in rows[0] if n not in NOT_CURVES and not n.startswith("val_")]
    figure = Figure(figsize=(4.5 * len(measures), 3.4), layout="constrained")
    figure.suptitle(title)
    epochs = [row["epoch"] for row in rows]
    for axes, measure in zip(
        figure.subplots(1, len(measures), squeeze=False)[0], measures, strict=True
    ):
        for name, label in ((measure, "training"), (f"val_{measure}", "validation")):
            if name in rows[0]:
                axes.plot(epochs, [row[name] for row in rows], label=label)
        axes.set(xlabel="epoch", ylabel=measure)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120)
