"""Areas against scikit-learn, against a count of pairs, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import accuracy_score, average_precision_score, roc_auc_score

from kmir.errors import UsageError
from kmir.scoring import Score
from kmir.scoring.tagging import per_tag, tagging_scores


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """The width of intervals is for `test_score`."""
    monkeypatch.setattr("kmir.scoring.score.RESAMPLES", 20)


RANDOM = np.random.default_rng(0)
REFERENCE = (RANDOM.random((60, 5)) < [0.5, 0.3, 0.2, 0.1, 0.6]).astype(np.float32)
# Two decimals, so that there are ties.
ESTIMATE = np.round(RANDOM.random((60, 5)) * 0.7 + 0.3 * REFERENCE, 2)


def mann_whitney(truth: np.ndarray, scores: np.ndarray) -> float:
    """Share of pairs (positive, negative) in the right order; ties count half."""
    apart = scores[truth == 1][:, None] - scores[truth == 0][None, :]
    return float((apart > 0).mean() + (apart == 0).mean() / 2)


def precision_at_positives(truth: np.ndarray, scores: np.ndarray) -> float:
    """Mean over positives of the precision among what scores at least as high."""
    positives = scores[truth == 1]
    return float(np.mean([truth[scores >= score].mean() for score in positives]))


def by_name(scores: list[Score]) -> dict[str, Score]:
    return {score.name: score for score in scores}


def test_macro_areas_are_those_of_scikit_learn() -> None:
    scores = by_name(tagging_scores(REFERENCE, ESTIMATE))
    assert scores["roc_auc"].value == pytest.approx(roc_auc_score(REFERENCE, ESTIMATE), abs=1e-12)
    precision = average_precision_score(REFERENCE, ESTIMATE)
    assert scores["pr_auc"].value == pytest.approx(precision, abs=1e-12)
    assert scores["roc_auc"].chance == 0.5
    assert scores["pr_auc"].chance == pytest.approx(REFERENCE.mean())
    for score in scores.values():
        assert score.low < score.value < score.high


@given(
    truth=arrays.arrays(np.int64, 20, elements=st.integers(0, 1)),
    scores=arrays.arrays(np.float64, 20, elements=st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0])),
)
def test_areas_are_counts_of_pairs(truth: np.ndarray, scores: np.ndarray) -> None:
    (row,) = per_tag(truth[:, None], scores[:, None])
    assert row["tracks"] == truth.sum()
    if 0 < truth.sum() < 20:
        assert row["roc_auc"] == pytest.approx(mann_whitney(truth, scores), abs=1e-12)
        assert row["pr_auc"] == pytest.approx(precision_at_positives(truth, scores), abs=1e-12)
    else:
        assert np.isnan([row["roc_auc"], row["pr_auc"]]).all()


def test_areas_by_hand() -> None:
    """Ranking + - + -: 3 of 4 pairs are right; precisions 1/1 and 2/3."""
    (row,) = per_tag(np.array([[1], [0], [1], [0]]), np.array([[0.9], [0.8], [0.7], [0.1]]))
    assert row == {"tracks": 2, "roc_auc": 0.75, "pr_auc": pytest.approx(5 / 6)}


def test_areas_depend_on_order_alone() -> None:
    one, other = per_tag(REFERENCE, ESTIMATE), per_tag(REFERENCE, np.exp(5 * ESTIMATE) - 3)
    assert one == other


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("constant", [0, 1])
def test_tags_that_none_or_all_have_are_left_out_of_the_mean(constant: int) -> None:
    reference = np.insert(REFERENCE, 2, constant, axis=1)
    estimate = np.insert(ESTIMATE, 2, RANDOM.random(60), axis=1)
    rows = per_tag(reference, estimate)
    assert rows[2]["tracks"] == constant * 60
    assert np.isnan([rows[2]["roc_auc"], rows[2]["pr_auc"]]).all()
    with_it, without = (
        by_name(tagging_scores(*tables))
        for tables in ((reference, estimate), (REFERENCE, ESTIMATE))
    )
    for name in ("roc_auc", "pr_auc"):
        assert with_it[name].value == pytest.approx(without[name].value, abs=1e-12)
        assert with_it[name].chance == pytest.approx(without[name].chance)


@pytest.mark.filterwarnings("error")
def test_without_any_tag_that_varies_there_is_no_area() -> None:
    scores = by_name(tagging_scores(np.ones((4, 2)), np.zeros((4, 2))))
    assert np.isnan([scores["roc_auc"].value, scores["pr_auc"].value]).all()


def test_accuracy_stands_where_tags_are_classes() -> None:
    classes = RANDOM.integers(0, 4, 50)
    one_each = np.eye(4)[classes]
    estimate = RANDOM.random((50, 4)) + one_each * 0.5
    scores = tagging_scores(one_each, estimate)
    assert [score.name for score in scores] == ["accuracy", "roc_auc", "pr_auc"]
    assert scores[0].value == accuracy_score(classes, estimate.argmax(1))
    assert scores[0].chance == np.bincount(classes).max() / 50


@pytest.mark.parametrize("change", [0, 1])
def test_one_track_with_no_or_two_tags_takes_accuracy_away(change: int) -> None:
    reference = np.eye(3)[np.arange(12) % 3]
    reference[0, :2] = change
    names = [score.name for score in tagging_scores(reference, np.eye(3)[np.arange(12) % 3])]
    assert names == ["roc_auc", "pr_auc"]


def test_a_single_tag_is_no_class() -> None:
    names = by_name(tagging_scores(np.ones((5, 1)), np.ones((5, 1))))
    assert "accuracy" not in names


@pytest.mark.parametrize("seed", [0, 1])
def test_knowing_nothing_scores_chance(seed: int) -> None:
    random = np.random.default_rng(seed)
    reference = (random.random((2000, 2)) < 0.3).astype(int)
    scores = by_name(tagging_scores(reference, random.random((2000, 2))))
    assert scores["roc_auc"].value == pytest.approx(0.5, abs=0.03)
    assert scores["pr_auc"].value == pytest.approx(scores["pr_auc"].chance, abs=0.03)


@pytest.mark.parametrize(
    ("reference", "estimate", "message"),
    [
        (np.ones((3, 2)), np.ones((3, 3)), r"Received: \(3, 2\), \(3, 3\)"),
        (np.ones(3), np.ones(3), r"Received: \(3,\), \(3,\)"),
        (np.full((3, 2), 0.5), np.ones((3, 2)), "references of 0 and 1"),
        (np.full((3, 2), np.nan), np.ones((3, 2)), "references of 0 and 1"),
        (np.ones((3, 2)), np.full((3, 2), np.nan), "finite estimates"),
        (np.ones((3, 2)), np.full((3, 2), np.inf), "finite estimates"),
        (np.ones((0, 2)), np.ones((0, 2)), r"at least one track. Received: \(0, 2\)"),
    ],
)
def test_tables_that_cannot_be_compared(
    reference: np.ndarray, estimate: np.ndarray, message: str
) -> None:
    for function in (per_tag, tagging_scores):
        with pytest.raises(UsageError, match=message):
            function(reference, estimate)
