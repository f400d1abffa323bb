"""Chords as pictures: a timeline over the chroma, and what is taken for what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from kmir.annotations import Segments
from kmir.annotations.chords import NO_CHORD, ROOTS, UNKNOWN, parse
from kmir.errors import UsageError

# Hues 30° apart in OKLCH, so that none is louder than another: lightness 0.78 and chroma 0.12 for
# roots from C on, 0.52 and 0.10 under a minor third.
BRIGHT = ("#fb9890", "#f2a26a", "#dbb155", "#b5c062", "#85cc87", "#52d0b3",
          "#3bcddc", "#61c3f9", "#92b6ff", "#bda8fc", "#de9ce2", "#f496bb")  # fmt: skip
DARK = ("#9a504b", "#94582a", "#836412", "#676f22", "#417843", "#007b66",
        "#007984", "#1c719a", "#4c67a3", "#6d5c9c", "#865489", "#954f6c")  # fmt: skip
GREY, WHITE, BLACK, LINE = "#d4d4d4", "#ffffff", "#1a1a1a", "#8a8a8a"
SHORT = {"maj": "", "min": "m"}  # in names; all other qualities are written out
FONT = 8.0  # points
TOUCHING = 0.01  # seconds; no eye sees a narrower gap
LETTER = 0.62  # width of a letter, in heights of the font: DejaVu Sans, rounded up
NUMBERED = 40  # labels; a confusion matrix of more has no room for numbers


def draw_timeline(
    features: np.ndarray,
    frame_rate: float,
    rows: Mapping[str, Segments],
    path: Path,
    *,
    title: str,
    seconds: tuple[float, float] | None = None,
    first_pitch_class: int = 0,
) -> None:
    """Draw rows of chords, such as reference and estimate, above the chroma on one time axis.

    The hue of a segment is its root, darker under a minor third; N is grey, X hatched.

    Args:
        features: ``(frames, bins)``; 12 bins, or 24 for bass and treble, are named.
        frame_rate: Frames per second.
        rows: Chords by what stands before the row, from the top.
        path: PNG file to write.
        title: Above the picture.
        seconds: Start and end of what is shown; None shows all.
        first_pitch_class: Of the first bin; 0 is C, 9 is A as in NNLS chroma.

    Raises:
        UsageError: If the features are no table, or nothing of them lies in `seconds`.
        AnnotationError: If a label is no chord in Harte's syntax.
    """
    if features.ndim != 2:
        raise UsageError(f"Expected chroma (frames, bins). Received: shape {features.shape}.")
    start, end = seconds or (0.0, len(features) / frame_rate)
    first = max(0, int(start * frame_rate))
    shown = features[first : max(first, int(np.ceil(end * frame_rate)))]
    if not shown.size:
        raise UsageError(
            f"Expected seconds within {len(features) / frame_rate:g}. Received: {start} to {end}."
        )
    width = float(np.clip(0.18 * (end - start), 8, 40))
    height = 3.4 + 0.42 * len(rows)
    margin = max(0.85, 0.15 + 0.075 * max(map(len, rows), default=0))
    figure = Figure(figsize=(width, height), facecolor=WHITE)
    grid = figure.add_gridspec(
        len(rows) + 1, 1, height_ratios=[0.36] * len(rows) + [2.3], hspace=0.07,
        left=margin / width, right=1 - 0.15 / width, top=1 - 0.42 / height, bottom=0.72 / height,
    )  # fmt: skip
    chroma = figure.add_subplot(grid[-1])
    points = (width - margin - 0.15) * 72 / (end - start)
    for row, (name, segments) in enumerate(rows.items()):
        axes = figure.add_subplot(grid[row], sharex=chroma)
        _draw_segments(axes, segments, (start, end), points)
        axes.set_yticks([0], [name], fontsize=FONT + 1)
    _draw_chroma(chroma, shown, first / frame_rate, frame_rate, first_pitch_class)
    chroma.set_xlim(start, end)
    figure.suptitle(title, x=margin / width, y=1 - 0.1 / height, ha="left", va="top", fontsize=11)
    keys = [Patch(color=hue, label=_name(root)) for root, hue in zip(ROOTS, BRIGHT, strict=True)]
    keys += [Patch(facecolor=DARK[9], label="darker: minor"), Patch(facecolor=GREY, label="N"),
             Patch(facecolor=WHITE, edgecolor=LINE, hatch="////", label="X")]  # fmt: skip
    figure.legend(
        handles=keys, loc="lower left", bbox_to_anchor=((margin - 0.05) / width, 0),
        ncols=len(keys), frameon=False, fontsize=FONT, handlelength=0.9, handleheight=0.9,
        handletextpad=0.35, columnspacing=0.9,
    )  # fmt: skip
    figure.savefig(path, dpi=120)


def draw_confusion(matrix: np.ndarray, labels: Sequence[str], path: Path, *, title: str) -> None:
    """Draw which chords are taken for which: each row is the time of one chord, in per cent.

    Args:
        matrix: ``(labels, labels)`` seconds, references in rows.
        labels: Chords in the order of the matrix.
        path: PNG file to write.
        title: Above the picture.

    Raises:
        UsageError: If there is not a row and a column for each label.
    """
    count = len(labels)
    if matrix.shape != (count, count):
        raise UsageError(
            f"Expected a matrix ({count}, {count}) for {count} labels. Received: {matrix.shape}."
        )
    totals = matrix.sum(axis=1, keepdims=True)
    shares = 100 * np.divide(matrix, totals, out=np.zeros((count, count)), where=totals > 0)
    side = 1.8 + (0.33 if count <= NUMBERED else 0.07) * count
    figure = Figure(figsize=(side, side), layout="constrained", facecolor=WHITE)
    figure.suptitle(title, fontsize=11)
    axes = figure.add_subplot()
    # The square root lets a share of 2 % be seen beside one of 90 %.
    axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=10)
    axes.set(xlabel="estimate", ylabel="reference")
    plain = ", ".join(label for label in labels if ":" not in label)  # N and X, one block
    qualities = [label.partition(":")[2] or plain for label in labels]
    blocks = [i for i in range(count) if i == 0 or qualities[i] != qualities[i - 1]]
    for edge in blocks[1:]:
        axes.axhline(edge - 0.5, color=LINE, linewidth=0.6)
        axes.axvline(edge - 0.5, color=LINE, linewidth=0.6)
    if count <= NUMBERED:
        _number(axes, shares)
        ticks, names = np.arange(float(count)), [_name(label) for label in labels]
        times = axes.secondary_yaxis("right")
        times.set_yticks(ticks, [f"{total:.0f} s" for total in totals[:, 0]], fontsize=FONT - 1)
        times.tick_params(length=0, labelcolor=LINE)
        times.spines[:].set_visible(False)
    else:
        ends = np.append(blocks[1:], count)
        ticks, names = (blocks + ends - 1) / 2, [qualities[block] for block in blocks]
    axes.set_xticks(ticks, names, fontsize=FONT, rotation=90)
    axes.set_yticks(ticks, names, fontsize=FONT)
    axes.tick_params(length=0, top=True, labeltop=True)
    axes.spines[:].set_visible(False)
    figure.savefig(path, dpi=120)


def _number(axes: Axes, shares: np.ndarray) -> None:
    """Write per cents into the cells of a confusion matrix, where they don't round to 0."""
    for row, column in zip(*np.nonzero(shares > 0.5), strict=True):
        share = shares[row, column]
        axes.text(column, row, f"{share:.0f}", ha="center", va="center", fontsize=FONT - 1.5,
                  color=WHITE if share > 36 else BLACK)  # fmt: skip


def _draw_segments(
    axes: Axes, segments: Segments, span: tuple[float, float], points: float
) -> None:
    """A bar for each chord that shows, with its name where that fits at `points` a second."""
    for onset, offset, label in _merged(segments):
        start, end = max(onset, span[0]), min(offset, span[1])
        if start >= end:
            continue
        face, ink = _colours(label)
        hatch = "////" if label == UNKNOWN else None
        axes.barh(0, end - start, left=start, height=1, color=face, hatch=hatch,
                  edgecolor=LINE if hatch else WHITE, linewidth=0 if hatch else 0.7)  # fmt: skip
        name = _name(label)
        if len(name) * LETTER * FONT + 2 < (end - start) * points:
            behind = {"facecolor": face, "linewidth": 0, "pad": 1.5}  # keeps the hatch off it
            axes.text((start + end) / 2, 0, name, color=ink, fontsize=FONT, ha="center",
                      va="center_baseline", bbox=behind)  # fmt: skip
    axes.set_ylim(-0.5, 0.5)
    axes.tick_params(length=0, labelbottom=False)
    axes.spines[:].set_visible(False)


def _merged(segments: Segments) -> list[tuple[float, float, str]]:
    """Segments in which neighbours of the same label, such as two bars of one chord, are one."""
    merged: list[tuple[float, float, str]] = []
    for (start, end), label in zip(segments.intervals, segments.labels, strict=True):
        goes_on = merged and merged[-1][2] == label and start - merged[-1][1] < TOUCHING
        merged.append((merged.pop()[0] if goes_on else start, end, label))
    return merged


def _draw_chroma(
    axes: Axes, chroma: np.ndarray, start: float, frame_rate: float, first_pitch_class: int
) -> None:
    frames, bins = chroma.shape
    loud = float(np.percentile(chroma, 99)) or 1.0  # a few peaks must not darken all the rest
    axes.imshow(chroma.T, origin="lower", aspect="auto", cmap="magma", vmin=0, vmax=loud,
                extent=(start, start + frames / frame_rate, -0.5, bins - 0.5))  # fmt: skip
    if bins in (12, 24):
        names = [_name(ROOTS[(first_pitch_class + i) % 12]) for i in range(bins)]
        axes.set_yticks(range(bins), names, fontsize=FONT - bins / 12)
    if bins == 24:
        axes.axhline(11.5, color=WHITE, linewidth=0.8)
        for middle, half in ((5.5, "bass"), (17.5, "treble")):
            axes.annotate(half, (0, middle), (-30, 0), xycoords=axes.get_yaxis_transform(),
                          textcoords="offset points", rotation=90, ha="center", va="center",
                          fontsize=FONT + 1)  # fmt: skip
    axes.tick_params(length=2, labelsize=FONT, axis="x")
    axes.tick_params(length=0, axis="y")
    axes.spines[:].set_visible(False)
    axes.set_xlabel("seconds", fontsize=FONT + 1)


def _colours(label: str) -> tuple[str, str]:
    """Of a segment and of the letters on it."""
    chord = parse(label)
    if chord is None:
        return WHITE, BLACK
    if chord.root is None:
        return GREY, BLACK
    minor_third = chord.intervals[3]
    return (DARK[chord.root], WHITE) if minor_third else (BRIGHT[chord.root], BLACK)


def _name(label: str) -> str:
    """As musicians write it: ``"Bb:min/b3"`` → ``"B♭m/b3"``."""
    if label in (NO_CHORD, UNKNOWN):
        return label
    root, _, rest = label.partition(":")
    quality, slash, bass = rest.partition("/")
    root = root.replace("b", "♭").replace("#", "♯")
    return f"{root}{SHORT.get(quality, quality)}{slash}{bass}"
