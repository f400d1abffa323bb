"""Chords: targets and back, other keys, what is learned beside the model."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmir.annotations import Annotations, Segments
from kmir.annotations.chords import indices, parse, transposed, vocabulary
from kmir.decoders import runs
from kmir.errors import RecordError, UsageError
from kmir.features.nnls_chroma import NNLSChroma
from kmir.records.spec import Spec
from pipelines.chords import Chords, ChordsConfig

RATE = 44100 / 2048
HARTE = ("N", "X", "C:maj", "A:min7/b3", "F#:7/3", "Bb:sus4", "G:5", "D:hdim7", "E/2", "Ab:maj6")
VOCABULARIES = pytest.mark.parametrize("name", ["majmin", "large"])


def task(**settings: Any) -> Chords:
    config = ChordsConfig(**{"decoder": "none"} | settings)
    return Chords(config, vocabulary(config.vocabulary).labels)


def chords(*segments: tuple[float, float, str]) -> Annotations:
    intervals = np.array([segment[:2] for segment in segments]).reshape(-1, 2)
    return Annotations(chords=Segments(intervals, tuple(segment[2] for segment in segments)))


def grid(frames: int) -> np.ndarray:
    return np.arange(frames) / RATE


@st.composite
def songs(draw: st.DrawFn, labels: tuple[str, ...] = HARTE) -> Annotations:
    """Segments side by side or with gaps, some shorter than a frame."""
    steps = draw(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 60)), min_size=1, max_size=8))
    time, found = 0.0, []
    for gap, length in steps:
        time += gap / 100
        found.append((time, time + length / 100, draw(st.sampled_from(labels))))
        time = found[-1][1]
    return chords(*found)


# === Annotations → targets ===


def test_targets_of_a_song_by_hand() -> None:
    song = chords((0.1, 0.2, "A:min7/b3"), (0.2, 0.3, "N"), (0.5, 0.6, "X"))
    found = task().encode(song, np.array([0.0, 0.1, 0.2, 0.3, 0.5]))
    assert {name: target.shape for name, target in found.items()} == {
        "chord": (5, 25), "root": (5, 13), "bass": (5, 13), "pitch_classes": (5, 12)
    }  # fmt: skip
    assert all(target.dtype == np.float32 for target in found.values())
    for target in found.values():  # before the song, in its gap, and where nobody knows
        np.testing.assert_array_equal(np.isnan(target).all(axis=1), [1, 0, 0, 1, 1])
        np.testing.assert_array_equal(np.isnan(target).any(axis=1), [1, 0, 0, 1, 1])
    sounding = {name: np.flatnonzero(target[1]).tolist() for name, target in found.items()}
    assert sounding == {"chord": [12 + 9], "root": [9], "bass": [0], "pitch_classes": [0, 4, 7, 9]}
    silent = {name: np.flatnonzero(target[2]).tolist() for name, target in found.items()}
    assert silent == {"chord": [24], "root": [12], "bass": [12], "pitch_classes": []}


def test_what_a_vocabulary_can_not_say_is_masked_there_alone() -> None:
    song = chords((0, 1, "Bb:sus4"))
    small = task().encode(song, grid(3))
    assert np.isnan(small["chord"]).all()
    assert np.flatnonzero(small["pitch_classes"][0]).tolist() == [3, 5, 10]
    large = task(vocabulary="large")
    assert large.labels[int(large.encode(song, grid(3))["chord"][0].argmax())] == "Bb:sus4"
    power = large.encode(chords((0, 1, "G:5")), grid(3))
    assert large.labels[int(power["chord"][0].argmax())] == "X"
    assert np.flatnonzero(power["pitch_classes"][0]).tolist() == [2, 7]
    x = large.encode(chords((0, 1, "X")), grid(3))
    assert np.isnan(x["chord"]).all()
    assert np.isnan(x["root"]).all()


def test_tracks_without_chords_are_unknown_throughout() -> None:
    for song in (Annotations(tempo=120), chords()):
        for name, target in task().encode(song, grid(4)).items():
            assert target.shape == (4, task().outputs()[name].size)
            assert np.isnan(target).all()


# === There and back ===


@VOCABULARIES
@given(data=st.data())
def test_frames_come_back(name: str, data: st.DataObject) -> None:
    """decode → encode is nothing, for any classes of frames but X, which is no answer."""
    the_task = task(vocabulary=name)
    said = [i for i, label in enumerate(the_task.labels) if label != "X"]
    classes = np.array(data.draw(st.lists(st.sampled_from(said), min_size=2, max_size=40)))
    frames = np.eye(len(the_task.labels), dtype=np.float32)[classes]
    song = the_task.decode({"chord": frames}, grid(len(classes)))
    assert song.chords is not None
    assert len(song.chords.labels) == len(runs(classes)[0])
    np.testing.assert_array_equal(the_task.encode(song, grid(len(classes)))["chord"], frames)
    # Segments meet, from the first frame to one after the last.
    np.testing.assert_array_equal(song.chords.intervals[1:, 0], song.chords.intervals[:-1, 1])
    assert song.chords.intervals[0, 0] == 0
    assert song.chords.intervals[-1, 1] == pytest.approx((len(classes) - 0.5) / RATE)


@given(st.lists(st.tuples(st.integers(4, 90), st.integers(0, 24)), min_size=1, max_size=9))
def test_songs_come_back_to_a_frame(parts: list[tuple[int, int]]) -> None:
    """encode → decode keeps labels, and moves borders by less than a frame."""
    the_task = task()
    ends = np.cumsum([length / 37 for length, _ in parts])
    starts = np.concatenate([[0], ends[:-1]])
    rows = [(s, e, the_task.labels[c]) for s, e, (_, c) in zip(starts, ends, parts, strict=True)]
    merged = [rows[0]]
    for start, end, label in rows[1:]:
        goes_on = merged[-1][2] == label
        merged.append((merged.pop()[0] if goes_on else start, end, label))
    times = np.arange(0, ends[-1], 1 / RATE)
    back = the_task.decode({"chord": the_task.encode(chords(*rows), times)["chord"]}, times).chords
    assert back is not None
    assert back.labels == tuple(label for *_, label in merged)
    expected = np.array([row[:2] for row in merged])
    assert np.abs(back.intervals - expected).max() < 1 / RATE + 1e-9


# === Other keys ===


@VOCABULARIES
@given(song=songs(), semitones=st.integers(0, 11))
def test_labels_transposed_then_encoded_are_targets_gathered(
    name: str, song: Annotations, semitones: int
) -> None:
    assert song.chords is not None
    the_task = task(vocabulary=name)
    labels = tuple(transposed(label, semitones) for label in song.chords.labels)
    moved = Annotations(chords=Segments(song.chords.intervals, labels))
    expected = the_task.encode(moved, grid(30))
    tables = the_task.transpositions()
    found = the_task.encode(song, grid(30))
    assert tables.keys() == expected.keys() == found.keys()
    for output, target in found.items():
        gathered = target[:, tables[output][semitones]]
        np.testing.assert_array_equal(gathered, expected[output])


@VOCABULARIES
def test_transpositions_up_and_down_are_nothing(name: str) -> None:
    for table in task(vocabulary=name).transpositions().values():
        identity = np.arange(table.shape[1])
        np.testing.assert_array_equal(table[0], identity)
        for k in range(12):
            assert sorted(table[k]) == identity.tolist()
            np.testing.assert_array_equal(table[k][table[-k % 12]], identity)


# === What is learned ===

SONGS = (
    chords((0, 4, "C:maj"), (4, 6, "G:7"), (6, 9, "C:maj"), (9, 11, "A:min"), (11, 12, "N")),
    chords((0, 3, "D:maj"), (3.5, 5, "A:maj"), (5, 6, "X"), (6, 7, "D:maj")),
    Annotations(tempo=100),
)


@VOCABULARIES
def test_transitions_are_the_same_in_all_keys(name: str) -> None:
    the_task = task(vocabulary=name)
    the_task.learn(SONGS, RATE)
    (key,) = the_task.learned
    transition = the_task.learned[key]
    assert key == "log_transition"
    np.testing.assert_allclose(np.exp(transition.astype(np.float64)).sum(axis=1), 1, atol=1e-5)
    for k in range(12):
        move = vocabulary(name).transposition(k)
        np.testing.assert_allclose(transition[np.ix_(move, move)], transition, atol=1e-6)


def test_transitions_by_hand() -> None:
    """Ten frames a second: 40 of C, 20 of G; then each of the 12 keys, and one of each pair."""
    the_task = task()
    the_task.learn([chords((0, 4, "C"), (4, 6, "G"))], 10)
    transition = np.exp(the_task.learned["log_transition"].astype(np.float64))
    counts = np.ones((25, 25))
    for k in range(12):
        counts[k, k] += 39 + 19
        counts[k, (k + 7) % 12] += 1
    np.testing.assert_allclose(transition, counts / counts.sum(axis=1, keepdims=True), rtol=1e-5)


def test_a_gap_and_an_unknown_chord_are_no_transitions() -> None:
    apart, unknown = task(), task()
    apart.learn([chords((0, 1, "C"), (1.5, 2, "G"))], 10)
    unknown.learn([chords((0, 1, "C"), (1, 1.5, "X"), (1.5, 2, "G"))], 10)
    first, second = (t.learned["log_transition"] for t in (apart, unknown))
    np.testing.assert_array_equal(first, second)
    assert first[0, 7] == first[0, 5]  # as rare as what was never seen


# === Outputs → annotations ===


def flickering(the_task: Chords) -> np.ndarray:
    """C for 60 frames but for one of them, then G: probabilities."""
    classes = np.repeat([0, 7], [60, 40])
    classes[30] = 3
    probabilities = np.full((100, len(the_task.labels)), 0.4 / (len(the_task.labels) - 1))
    probabilities[np.arange(100), classes] = 0.6
    return probabilities.astype(np.float32)


@pytest.mark.parametrize(
    ("decoder", "labels"),
    [
        ("none", ("C:maj", "Eb:maj", "C:maj", "G:maj")),
        ("median", ("C:maj", "G:maj")),
        ("viterbi", ("C:maj", "G:maj")),
    ],
)
def test_decoders_on_flicker(decoder: str, labels: tuple[str, ...]) -> None:
    the_task = task(decoder=decoder)
    the_task.learn(SONGS[:1], RATE)
    found = the_task.decode({"chord": flickering(the_task)}, grid(100)).chords
    assert found is not None
    assert found.labels == labels
    np.testing.assert_allclose(found.intervals[[0, -1], [0, 1]], [0, 99.5 / RATE])
    assert found.intervals[-1, 0] == pytest.approx(59.5 / RATE), "halfway between two frames"


def test_transitions_that_weigh_nothing_smooth_nothing() -> None:
    weightless = task(decoder="viterbi", transition_weight=0.0)
    weightless.learn(SONGS[:1], RATE)
    unlearned = task(decoder="viterbi")
    for the_task in (weightless, unlearned):
        found = the_task.decode({"chord": flickering(the_task)}, grid(100)).chords
        assert found is not None
        assert found.labels == ("C:maj", "Eb:maj", "C:maj", "G:maj")


@pytest.mark.parametrize("decoder", ["none", "median", "viterbi"])
def test_probabilities_of_0_are_possible(decoder: str) -> None:
    """A frame that excludes all the other chords decides alone, in float16 too."""
    the_task = task(decoder=decoder)
    the_task.learn(SONGS, RATE)
    certain = np.eye(25, dtype=np.float16)[np.repeat([24, 12], [50, 50])]
    found = the_task.decode({"chord": certain}, grid(100)).chords
    assert found is not None
    assert found.labels == ("N", "C:min")


@pytest.mark.parametrize("decoder", ["none", "median", "viterbi"])
@pytest.mark.parametrize("frames", [0, 1])
def test_no_duration_is_no_chord(decoder: str, frames: int) -> None:
    the_task = task(decoder=decoder)
    the_task.learn(SONGS, RATE)
    activations = np.eye(25, dtype=np.float32)[:frames]
    found = the_task.decode({"chord": activations}, grid(frames)).chords
    assert found is not None
    assert found.labels == ()
    assert found.intervals.shape == (0, 2)


# === The rest of the contract ===


def test_outputs_losses_and_metrics_have_one_set_of_names() -> None:
    full, plain = task(), task(structured=False)
    assert list(full.outputs()) == ["chord", "root", "bass", "pitch_classes"]
    assert list(plain.outputs()) == ["chord"]
    for the_task in (full, plain):
        losses = the_task.losses(None)  # type: ignore[arg-type]
        assert losses.keys() == the_task.outputs().keys()
        assert the_task.encode(SONGS[0], grid(2)).keys() == losses.keys()
        assert the_task.transpositions().keys() >= losses.keys()
    assert isinstance(full.losses(None)["pitch_classes"], keras.losses.BinaryCrossentropy)  # type: ignore[arg-type]
    assert full.metrics()["chord"][0].name == "accuracy"
    assert full.training["monitor"] == "val_chord_accuracy"


def test_labels_are_those_of_the_vocabulary() -> None:
    spec = Spec("d", NNLSChroma().config, "float16", ("chords",))
    assert len(Chords.labels_of(spec, ChordsConfig())) == 25
    assert len(Chords.labels_of(spec, ChordsConfig(vocabulary="large"))) == 170
    for known, has in (((), "no annotations"), (("beats", "tags"), "beats, tags")):
        bare = Spec("d", NNLSChroma().config, "float16", known)
        with pytest.raises(RecordError, match=rf"with chords\. Received: records with {has}\."):
            Chords.labels_of(bare, ChordsConfig())


@pytest.mark.parametrize("settings", [{"transition_weight": -0.1}, {"median_seconds": 0.0}])
def test_settings_out_of_range(settings: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="transition_weight from 0 and median_seconds above 0"):
        ChordsConfig(**settings)  # type: ignore[arg-type]


def test_scores_of_what_is_right_and_of_what_is_unknown() -> None:
    song = SONGS[0]
    row = task().score(song, song)
    assert {name: row[name] for name in ("root", "majmin", "sevenths", "mirex")} == {
        "root": 1.0, "majmin": 1.0, "sevenths": 1.0, "mirex": 1.0
    }  # fmt: skip
    assert task().score(Annotations(), song) == {}
    scores, per_label = task().summarise([song, Annotations()], [song, song])
    assert {score.name: score.value for score in scores}["majmin"] == 1.0
    assert len(per_label) == 25
    with pytest.raises(RecordError, match="at least one track with chords to score against"):
        task().summarise([Annotations()], [song])


def test_harte_labels_of_these_tests_are_labels() -> None:
    assert [parse(label) is None for label in HARTE] == [label == "X" for label in HARTE]
    assert (indices(vocabulary("majmin"), HARTE) >= 0).sum() == 6
