"""Tags to targets and back, losses, metrics, and scores by hand."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from kmir.annotations import Annotations, Tags
from kmir.errors import RecordError, UsageError
from kmir.features.log_mel import LogMel
from kmir.nn import Output
from kmir.nn.losses import WeightedBinaryCrossentropy
from kmir.records.spec import Manifest, Spec, Split
from pipelines.tagging import Tagging, TaggingConfig

NO_TIMES = np.zeros(0)
LABELS = ("ambient", "drone", "noise", "rock")


def tagging(labels: tuple[str, ...] = LABELS, **settings: Any) -> Tagging:
    return Tagging(TaggingConfig(**settings), labels)


def tagged(*labels: str, scores: Any = None) -> Annotations:
    return Annotations(tags=Tags(labels, scores))


def train_split(counts: dict[str, int], tracks: int) -> Manifest:
    split = Split(tracks, ((9, tracks),), counts, one_tag_each=False, shards=())
    return Manifest("", "", {"train": split}, {})


# === Both ways ===

words = st.text(st.characters(exclude_categories=["Cc", "Cs"]))
vocabularies = st.lists(words, min_size=1, max_size=8, unique=True)


@given(vocabulary=vocabularies, data=st.data())
def test_encode_and_decode_are_inverses(vocabulary: list[str], data: st.DataObject) -> None:
    task = tagging(tuple(vocabulary))
    held = data.draw(st.lists(st.sampled_from(vocabulary), unique=True))
    target = task.encode(tagged(*held), NO_TIMES)
    assert target["tags"].dtype == np.float32
    assert [label for label, y in zip(vocabulary, target["tags"], strict=True) if y] == [
        label for label in vocabulary if label in held
    ]
    read = task.decode(target, NO_TIMES).tags
    assert read is not None
    assert set(read.top(len(held)).labels) == set(held)
    np.testing.assert_array_equal(
        task.encode(Annotations(tags=read), NO_TIMES)["tags"], target["tags"]
    )


@given(st.lists(st.floats(0, 1, width=32), min_size=4, max_size=4))
def test_decode_keeps_every_probability_highest_first(values: list[float]) -> None:
    read = tagging().decode({"tags": np.array(values, np.float32)}, NO_TIMES).tags
    assert read is not None
    assert dict(zip(read.labels, read.scores, strict=True)) == dict(
        zip(LABELS, values, strict=True)
    )
    assert (np.diff(read.scores) <= 0).all()


def test_a_track_without_tags_is_not_one_of_which_nothing_is_known() -> None:
    np.testing.assert_array_equal(tagging().encode(tagged(), NO_TIMES)["tags"], np.zeros(4))
    unknown = tagging().encode(Annotations(tempo=120.0), NO_TIMES)["tags"]
    np.testing.assert_array_equal(unknown, np.full(4, np.nan))


def test_only_whole_words_of_the_vocabulary_count() -> None:
    words = tagged("rock and roll", "drone", "noi", "noises", "Rock", "")
    np.testing.assert_array_equal(tagging().encode(words, NO_TIMES)["tags"], [0, 1, 0, 0])


def test_outputs_and_labels() -> None:
    assert tagging().outputs() == {"tags": Output(4, "sigmoid", "clip")}
    spec = Spec("folder", LogMel().config, "float16", ("tags",), tags=LABELS)
    assert Tagging.labels_of(spec, TaggingConfig()) == LABELS
    for known, received in ((("beats", "key"), "beats, key"), ((), "no annotations")):
        with pytest.raises(RecordError, match=f"with tags. Received: records with {received}"):
            Tagging.labels_of(Spec("other", LogMel().config, "float16", known), TaggingConfig())


# === Training ===


def test_balanced_weights_are_negatives_to_positives_within_bounds() -> None:
    counts = {"ambient": 25, "drone": 60, "noise": 2}  # of 100 tracks; none has rock
    loss = tagging(class_weights="balanced").losses(train_split(counts, 100))["tags"]
    assert isinstance(loss, WeightedBinaryCrossentropy)
    assert loss.positive_weights == (3.0, 1.0, 10.0, 10.0)


def test_without_weights_the_loss_is_that_of_keras() -> None:
    loss = tagging().losses(train_split({}, 1))["tags"]
    assert type(loss) is keras.losses.BinaryCrossentropy
    assert not loss.from_logits


def test_metrics_are_macro_areas_over_the_clips_that_count() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 2, (200, 4)).astype(np.float32)
    guess = (0.7 * random.random((200, 4)) + 0.3 * truth).astype(np.float32)
    weights = (np.arange(200) < 150).astype(np.float32)
    roc, precision = tagging().metrics()["tags"]
    for metric in (roc, precision):
        metric.update_state(truth, guess, sample_weight=weights)
    # Keras adds up 200 thresholds.
    expected = roc_auc_score(truth[:150], guess[:150])
    assert float(roc.result()) == pytest.approx(expected, abs=5e-3)
    expected = average_precision_score(truth[:150], guess[:150])
    assert float(precision.result()) == pytest.approx(expected, abs=2e-2)
    assert (roc.name, precision.name) == ("roc_auc", "pr_auc")


# === Scores ===


def estimate(*scores: float) -> Annotations:
    return tagging().decode({"tags": np.array(scores)}, NO_TIMES)


@pytest.mark.parametrize(
    ("truth", "scores", "row"),
    [
        (("rock",), (0.1, 0.2, 0.3, 0.9), ("rock", "rock", 1, 1.0)),
        (("rock",), (0.9, 0.2, 0.3, 0.8), ("rock", "ambient", 0, 1 / 2)),
        (("drone", "rock"), (0.5, 0.9, 0.1, 0.4), ("drone|rock", "drone|ambient", None, 5 / 6)),
        ((), (0.5, 0.9, 0.1, 0.4), ("", "drone", None, None)),
        (("techno",), (0.5, 0.9, 0.1, 0.4), ("techno", "drone", 0, None)),
    ],
)
def test_a_row_a_track(truth: tuple[str, ...], scores: tuple[float, ...], row: Any) -> None:
    received = tagging().score(tagged(*truth), estimate(*scores))
    assert list(received) == ["reference", "estimate", "accuracy", "average_precision"]
    assert tuple(received.values()) == pytest.approx(row)


def test_a_track_of_which_nothing_is_known_has_an_empty_row() -> None:
    assert tagging().score(Annotations(), estimate(0.1, 0.2, 0.3, 0.4)) == {}


def test_summary_joins_labels_by_name() -> None:
    random = np.random.default_rng(3)
    truth = random.integers(0, 2, (20, 4))
    guess = random.random((20, 4))
    references = [
        tagged(*(label for label, y in zip(LABELS, row, strict=True) if y)) for row in truth
    ]
    estimates = [estimate(*row) for row in guess]  # each in an order of its own
    scores, rows = tagging().summarise(
        [Annotations(), *references], [estimate(0, 0, 0, 0), *estimates]
    )
    assert {score.name: score.value for score in scores} == pytest.approx(
        {
            "roc_auc": roc_auc_score(truth, guess),
            "pr_auc": average_precision_score(truth, guess),
        }
    )
    assert [row["tag"] for row in rows] == list(LABELS)
    assert [row["tracks"] for row in rows] == truth.sum(0).tolist()
    assert rows[2]["roc_auc"] == pytest.approx(roc_auc_score(truth[:, 2], guess[:, 2]))


def test_records_without_any_tags_have_no_summary() -> None:
    with pytest.raises(RecordError, match="at least one track with tags"):
        tagging().summarise([Annotations(tempo=1.0)], [estimate(0, 0, 0, 0)])


def test_the_default_clip_is_that_of_the_paper() -> None:
    assert Tagging.feature.frames(TaggingConfig().clip_seconds or 0) == 1366
    with pytest.raises(UsageError, match="clip_seconds above 0"):
        TaggingConfig(clip_seconds=0)
