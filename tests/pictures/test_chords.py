"""What stands in the pictures of chords."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import colors
from matplotlib.figure import Figure

from kmir.annotations import Segments
from kmir.annotations.chords import vocabulary
from kmir.errors import AnnotationError, UsageError
from kmir.pictures.chords import BRIGHT, DARK, GREY, WHITE, draw_confusion, draw_timeline

CHROMA = np.random.default_rng(0).random((200, 24))
REFERENCE = Segments(
    [(0, 5), (5, 10), (10, 10.05), (10.05, 15), (15, 20)], ("C", "C", "G:7", "Bb:min/b3", "N")
)
ESTIMATE = Segments([(0, 10), (10, 15), (16, 20)], ("A:hdim7", "A:maj", "X"))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that were written."""
    figures: list[Figure] = []
    write = Figure.savefig

    def savefig(figure: Figure, *args: Any, **options: Any) -> None:
        figures.append(figure)
        write(figure, *args, **options)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return figures


def bars(axes: Any) -> list[tuple[float, float, str]]:
    """Start, end and colour of each."""
    return [
        (round(bar.get_x(), 3), round(bar.get_x() + bar.get_width(), 3),
         colors.to_hex(bar.get_facecolor()))
        for bar in axes.patches
    ]  # fmt: skip


def words(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_a_timeline(drawn: list[Figure], tmp_path: Path) -> None:
    path = tmp_path / "song.png"
    draw_timeline(
        CHROMA,
        10,
        {"reference": REFERENCE, "estimate": ESTIMATE},
        path,
        title="Song",
        first_pitch_class=9,
    )
    assert path.read_bytes().startswith(b"\x89PNG")
    (figure,) = drawn
    reference, estimate, chroma = sorted(figure.axes, key=lambda a: -a.get_position().y0)
    assert bars(reference) == [
        (0, 10, BRIGHT[0]), (10, 10.05, BRIGHT[7]), (10.05, 15, DARK[10]), (15, 20, GREY)
    ]  # fmt: skip
    assert words(reference) == ["C", "B♭m/b3", "N"]  # G7 has no room
    assert bars(estimate) == [(0, 10, DARK[9]), (10, 15, BRIGHT[9]), (16, 20, WHITE)]
    assert words(estimate) == ["Ahdim7", "A", "X"]
    assert [bar.get_hatch() for bar in estimate.patches] == [None, None, "////"]
    assert [t.get_text() for t in chroma.get_yticklabels()][:4] == ["A", "B♭", "B", "C"]
    assert words(chroma) == ["bass", "treble"]
    (image,) = chroma.images
    np.testing.assert_array_equal(image.get_array(), CHROMA.T)
    assert image.get_extent() == [0, 20, -0.5, 23.5]
    for axes in figure.axes:
        assert axes.get_xlim() == (0, 20)
    assert figure.get_suptitle() == "Song"


def test_a_part_of_a_song_whose_reference_is_not_known(drawn: list[Figure], tmp_path: Path) -> None:
    draw_timeline(
        CHROMA[:, :12], 10, {"estimate": ESTIMATE}, tmp_path / "a.png", title="", seconds=(4, 12)
    )
    (figure,) = drawn
    estimate, chroma = sorted(figure.axes, key=lambda a: -a.get_position().y0)
    assert bars(estimate) == [(4, 10, DARK[9]), (10, 12, BRIGHT[9])]
    np.testing.assert_array_equal(chroma.images[0].get_array(), CHROMA[40:120, :12].T)
    assert chroma.images[0].get_extent() == [4, 12, -0.5, 11.5]
    assert [t.get_text() for t in chroma.get_yticklabels()][:2] == ["C", "C♯"]


@pytest.mark.parametrize("bins", [1, 13, 144])
def test_silence_and_other_bins_can_be_drawn(bins: int, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    draw_timeline(np.zeros((50, bins)), 10, {"estimate": ESTIMATE}, path, title="")
    assert path.stat().st_size > 1000


def test_what_is_no_timeline(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    with pytest.raises(UsageError, match=r"\(frames, bins\). Received: shape \(5,\)"):
        draw_timeline(np.zeros(5), 10, {"estimate": ESTIMATE}, path, title="")
    for span in ((30, 40), (5, 5), (-3, -1)):
        with pytest.raises(UsageError, match=f"within 20. Received: {span[0]} to {span[1]}"):
            draw_timeline(CHROMA, 10, {"estimate": ESTIMATE}, path, title="", seconds=span)
    with pytest.raises(AnnotationError, match="Received: 'H'"):
        draw_timeline(CHROMA, 10, {"estimate": Segments([(0, 9)], ("H",))}, path, title="")
    assert not path.exists()


def test_a_confusion_matrix(drawn: list[Figure], tmp_path: Path) -> None:
    matrix = np.zeros((25, 25))
    matrix[0, [0, 7, 1]] = 30, 9.9, 0.1
    matrix[24, 0] = 4
    labels = vocabulary("majmin").labels
    draw_confusion(matrix, labels, tmp_path / "a.png", title="All")
    (figure,) = drawn
    axes = figure.axes[0]
    cells = {t.get_position(): t.get_text() for t in axes.texts}
    assert cells == {(0, 0): "75", (7, 0): "25", (0, 24): "100"}
    names = [t.get_text() for t in axes.get_yticklabels()]
    assert names[:2] + names[12:14] + names[-1:] == ["C", "C♯", "Cm", "C♯m", "N"]
    (image,) = axes.images
    assert image.get_array()[0, 0] == pytest.approx(np.sqrt(75))
    assert len(axes.lines) == 4  # between major, minor and N, both ways


def test_a_large_confusion_matrix_names_blocks(drawn: list[Figure], tmp_path: Path) -> None:
    labels = vocabulary("large").labels
    draw_confusion(np.eye(170), labels, tmp_path / "a.png", title="All")
    (figure,) = drawn
    names = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert names == [*vocabulary("large").qualities, "N, X"]
    assert figure.axes[0].get_xticks()[0] == 5.5
    assert not figure.axes[0].texts


def test_what_is_no_confusion_matrix(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\(2, 2\) for 2 labels. Received: \(3, 3\)"):
        draw_confusion(np.eye(3), ["C:maj", "N"], tmp_path / "a.png", title="")
