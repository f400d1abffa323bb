"""The picture of a search: where lines cross axes, and that there is one."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from kmir.pictures.search import draw_search, make_axis


def test_few_values_stand_at_equal_distances() -> None:
    axis = make_axis("model.units", [64, 16, None, 32, 16])
    np.testing.assert_array_equal(axis.places, [1, 0, np.nan, 0.5, 0])
    assert axis.ticks == [(0.0, "16"), (0.5, "32"), (1.0, "64")]
    assert make_axis("both", [True, True]).ticks == [(0.5, "True")]


def test_many_numbers_stand_where_they_are() -> None:
    even = make_axis("x", [0.0, 1.0, 2.0, 3.0, 5.0, 7.0, 10.0])
    np.testing.assert_allclose(even.places, np.array([0, 1, 2, 3, 5, 7, 10]) / 10)
    assert even.ticks == [(0.0, "0"), (0.5, "5"), (1.0, "10")]
    rates = make_axis("rate", [1e-4, 1e-3, 1e-2, 2e-4, 3e-4, 4e-4, 5e-4])
    np.testing.assert_allclose(rates.places[:3], [0, 0.5, 1])
    assert rates.ticks[1] == (0.5, "0.001")
    score = make_axis("score", [0.5, 0.5], discrete=False)
    assert (score.ticks, list(score.places)) == ([(0.5, "0.5")], [0.5, 0.5])


@pytest.mark.parametrize("larger_is_better", [True, False])
@pytest.mark.parametrize("trials", [1, 12])
def test_a_search_is_drawn(tmp_path: Path, trials: int, larger_is_better: bool) -> None:
    random = np.random.default_rng(0)
    values = [{"units": int(u), "rate": float(r), "kind": k} for u, r, k in zip(
        random.choice([16, 32], trials), 10 ** -random.uniform(2, 4, trials), "ab" * 6,
        strict=False)]  # fmt: skip
    draw_search(
        values,
        [float(score) for score in random.random(trials)],
        tmp_path / "search.png",
        title="search",
        measure="val_loss",
        larger_is_better=larger_is_better,
    )
    picture = imread(tmp_path / "search.png")
    assert picture.shape[1] == 840
    assert picture[..., :3].std() > 0.05
