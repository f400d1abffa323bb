"""Beats over a spectrogram."""

from pathlib import Path

import numpy as np
import pytest

from kmir.annotations import Beats
from kmir.errors import UsageError
from kmir.pictures import beats as pictures
from kmir.pictures.beats import draw_beats

RATE = 50.0
FEATURES = np.random.default_rng(0).random((3000, 40, 2), np.float32)
ROWS = {"reference": Beats(np.arange(0.5, 59, 0.5), np.arange(117) % 4 + 1),
        "estimate": Beats(np.arange(0.7, 59, 1.0))}  # fmt: skip


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[pictures.Figure]:
    """Figures that were saved."""
    figures: list[pictures.Figure] = []

    class Kept(pictures.Figure):
        def savefig(self, *args: object, **kwargs: object) -> None:
            figures.append(self)
            super().savefig(*args, **kwargs)

    monkeypatch.setattr(pictures, "Figure", Kept)
    return figures


def test_lines_stand_at_the_beats_and_downbeats_are_told(
    drawn: list[pictures.Figure], tmp_path: Path
) -> None:
    draw_beats(FEATURES, RATE, ROWS, tmp_path / "a.png", title="song", seconds=(10.0, 14.0))
    spectrogram, reference, estimate = drawn[0].axes
    assert spectrogram.images[0].get_array().shape == (40, 200)
    assert [line.get_xdata()[0] for line in reference.lines] == list(np.arange(10, 14, 0.5))
    colours = [line.get_color() for line in reference.lines]
    assert [colour == pictures.FIRST for colour in colours] == [False] + [True] + [False] * 3 + [
        True, False, False,
    ]  # fmt: skip
    assert [text.get_text() for text in reference.texts] == list("41234123")
    assert [line.get_xdata()[0] for line in estimate.lines] == pytest.approx(
        [10.7, 11.7, 12.7, 13.7]
    )
    assert not estimate.texts
    assert (tmp_path / "a.png").stat().st_size > 5000


def test_the_middle_is_shown_where_nobody_says_otherwise(
    drawn: list[pictures.Figure], tmp_path: Path
) -> None:
    draw_beats(FEATURES, RATE, ROWS, tmp_path / "a.png", title="song")
    assert drawn[0].axes[0].get_xlim() == (20.0, 40.0)
    draw_beats(FEATURES[:100], RATE, ROWS, tmp_path / "b.png", title="short")
    assert drawn[1].axes[0].get_xlim() == (0.0, 2.0)


def test_seconds_beyond_the_end(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Expected seconds within 60\. Received: 70 to 80"):
        draw_beats(FEATURES, RATE, ROWS, tmp_path / "a.png", title="x", seconds=(70, 80))
