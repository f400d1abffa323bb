"""A search as a picture: parallel coordinates of its trials, and the best so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

FONT = 8
SPREAD = 0.03  # of an axis' height, by which lines through the same value are kept apart


@dataclass(frozen=True)
class Axis:
    """One vertical line of the parallel coordinates.

    Args:
        name: Below it.
        ticks: What stands beside it, and where, from 0 to 1.
        places: ``(trials,)`` where each trial crosses it; NaN for one without a value.
    """

    name: str
    ticks: Sequence[tuple[float, str]]
    places: np.ndarray


def draw_search(
    values: Sequence[Mapping[str, Any]],
    scores: Sequence[float],
    path: Path,
    *,
    title: str,
    measure: str,
    larger_is_better: bool,
) -> None:
    """Draw trials.

    Args:
        values: Of the hyperparameters of each finished trial, by name, in the order of the trials.
        scores: Of these trials, one or more.
        path: PNG file to write.
        title: Above the picture.
        measure: Name of the score.
        larger_is_better: Whether it should rise.
    """
    names = list({name: None for one in values for name in one})
    axes = [make_axis(name, [one.get(name) for one in values]) for name in names]
    axes.append(make_axis(measure, scores, discrete=False))
    figure = Figure(figsize=(max(7.0, 1.25 * len(axes)), 7.5), layout="constrained")
    figure.suptitle(title)
    upper, lower = figure.subplots(2, 1, height_ratios=(3, 2))

    # === Parallel coordinates ===
    order = np.argsort(scores) if larger_is_better else np.argsort(scores)[::-1]
    norm, colours = Normalize(min(scores), max(scores)), colormaps["viridis"]
    if not larger_is_better:
        colours = colours.reversed()
    best = order[-1]
    apart = SPREAD * (np.linspace(-1, 1, len(scores)) if len(scores) > 1 else np.zeros(1))
    for number in order:  # the best is drawn last, above the others
        places = [axis.places[number] for axis in axes]
        crossings = np.array(places) + np.append(np.full(len(axes) - 1, apart[number]), 0.0)
        width = 2.6 if number == best else 1.0
        upper.plot(crossings, color=colours(norm(scores[number])), linewidth=width, alpha=0.85)
    for x, axis in enumerate(axes):
        upper.axvline(x, color="0.3", linewidth=0.8)
        for place, text in axis.ticks:
            upper.annotate(
                text, (x, place), (3, 0), textcoords="offset points", fontsize=FONT, va="center",
                bbox={"facecolor": "white", "alpha": 0.6, "edgecolor": "none", "pad": 0.5},
            )  # fmt: skip
    labels = [axis.name.rpartition(".")[2].replace("_", "\n") for axis in axes]
    upper.set_xticks(range(len(axes)), labels, fontsize=FONT)
    upper.set_yticks([])
    upper.set(xlim=(-0.2, len(axes) - 0.5), ylim=(-0.08, 1.08), frame_on=False)

    # === Best so far ===
    accumulate = np.maximum.accumulate if larger_is_better else np.minimum.accumulate
    trials = np.arange(1, len(scores) + 1)
    lower.scatter(trials, scores, c=scores, cmap=colours, norm=norm, zorder=3)
    lower.step(trials, accumulate(scores), where="post", color="0.4", label="best so far")
    lower.set(xlabel="finished trials", ylabel=measure)
    lower.xaxis.set_major_locator(MaxNLocator(integer=True))
    lower.grid(alpha=0.3)
    lower.legend(fontsize=FONT)
    figure.savefig(path, dpi=120)


def make_axis(name: str, values: Sequence[Any], *, discrete: bool | None = None) -> Axis:
    """The axis of one hyperparameter, or of the score.

    Few different values stand at equal distances; of many numbers the ends and the middle are
    told, on a logarithmic scale where they are all positive and span more than a factor of ten.

    Args:
        name: Of it.
        values: Of each trial; None where it has none.
        discrete: Whether they are few; None finds out.
    """
    present = [value for value in values if value is not None]
    distinct = sorted(set(present), key=lambda value: (isinstance(value, str), value))
    few = len(distinct) <= 6 or any(isinstance(value, str) for value in distinct)
    if few if discrete is None else discrete:
        spots = {
            v: i / (len(distinct) - 1) if distinct[1:] else 0.5 for i, v in enumerate(distinct)
        }
        crossed = [np.nan if value is None else spots[value] for value in values]
        return Axis(name, [(spot, _text(v)) for v, spot in spots.items()], np.array(crossed))
    numbers = np.array([np.nan if value is None else float(value) for value in values])
    low, high = np.nanmin(numbers), np.nanmax(numbers)
    if low > 0 and high / low > 10:
        ends = (low, np.sqrt(low * high), high)
        places = np.log(numbers / low) / np.log(high / low)
    else:
        ends = (low, (low + high) / 2, high)
        places = (numbers - low) / (high - low) if high > low else np.full(len(numbers), 0.5)
    marks = [(0.0, 0), (0.5, 1), (1.0, 2)] if high > low else [(0.5, 1)]
    return Axis(name, [(spot, _text(float(ends[i]))) for spot, i in marks], np.asarray(places))


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
