"""Beats: targets and back, what is not known, tempo."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmir.annotations import Annotations, Beats
from kmir.errors import RecordError, UsageError
from kmir.nn.losses import ShiftTolerantBinaryCrossentropy, WeightedBinaryCrossentropy
from kmir.records.spec import Manifest, Spec
from pipelines.beats import BeatsConfig, BeatTracking
from pipelines.tempo import TEMPI

RATE = 50.0
SPEC = Spec("folder", {}, "float16", ("beats",))
MANIFEST = Manifest("", "", {}, {})


def task(**options: Any) -> BeatTracking:
    config = BeatsConfig(**options)
    return BeatTracking(config, BeatTracking.labels_of(SPEC, config))


def grid(seconds: float, start: float = 0.0) -> np.ndarray:
    return start + np.arange(round(seconds * RATE)) / RATE


def steady(bpm: float, beats: int, *, first: float = 0.5, metre: int = 4) -> Annotations:
    number = np.arange(beats)
    return Annotations(beats=Beats(first + number * 60 / bpm, number % metre + 1), tempo=bpm)


# === Annotations → targets ===


def test_targets_by_hand() -> None:
    song = Annotations(beats=Beats([0.1, 0.209, 0.3], [4, 1, 2]))
    targets = task().encode(song, grid(0.4))
    assert np.flatnonzero(targets["beat"][:, 0]).tolist() == [5, 10, 15]
    assert np.flatnonzero(targets["downbeat"][:, 0]).tolist() == [10]
    assert set(targets["beat"].ravel()) == {0, 1}
    assert {name: target.shape for name, target in targets.items()} == {
        "beat": (20, 1), "downbeat": (20, 1), "tempo": (20, 77)
    }  # fmt: skip


def test_neighbours_have_a_half_where_frames_are_compared() -> None:
    song = Annotations(beats=Beats([0.02, 0.06, 0.2], [1, 2, 1]))
    wide = task(loss="weighted", widening=2).encode(song, grid(0.3))
    half = [0.5, 1, 0.5, 1, 0.5, 0.5, 0, 0, 0.5, 0.5, 1, 0.5, 0.5, 0, 0]
    assert wide["beat"][:, 0].tolist() == half
    assert wide["downbeat"][:, 0].tolist() == [0.5, 1, 0.5, 0.5, 0, 0, 0, 0, *half[8:]]


def test_a_piece_has_the_targets_of_its_place() -> None:
    song = steady(97, 60)
    whole = task().encode(song, grid(30))
    piece = task().encode(song, grid(10, start=12.34))
    for name, target in piece.items():
        np.testing.assert_array_equal(target, whole[name][617 : 617 + 500])


def test_downbeats_are_masked_where_the_position_is_not_known() -> None:
    song = Annotations(beats=Beats([0.1, 0.2, 0.3, 0.4], [1, 0, 0, 4]))
    unknown = np.isnan(task().encode(song, grid(0.5))["downbeat"][:, 0])
    assert np.flatnonzero(unknown).tolist() == list(range(8, 18))  # halfway to halfway
    bare = Annotations(beats=Beats([0.1, 0.2]))
    targets = task().encode(bare, grid(0.5))
    assert np.isnan(targets["downbeat"]).all()
    assert targets["beat"].sum() == 2


def test_no_beats_and_no_annotation_of_beats_differ() -> None:
    silent = task().encode(Annotations(beats=Beats([])), grid(1))
    assert not silent["beat"].any()
    assert not silent["downbeat"].any()
    assert np.isnan(silent["tempo"]).all()
    unknown = task().encode(Annotations(), grid(1))
    assert all(np.isnan(target).all() for target in unknown.values())


def test_the_tempo_is_that_of_the_moment() -> None:
    times = np.concatenate([np.arange(0, 10, 0.5), np.arange(10, 20, 0.75)])
    tempo = task().encode(Annotations(beats=Beats(times)), grid(25))["tempo"]
    known = np.isfinite(tempo).all(axis=1)
    assert np.flatnonzero(~known)[0] == round(times[-1] * RATE)
    assert known[: round(times[-1] * RATE)].all()
    np.testing.assert_allclose(tempo[known].sum(axis=1), 1, atol=1e-5)
    assert TEMPI[tempo[200].argmax()] == pytest.approx(120, rel=0.02)
    assert TEMPI[tempo[800].argmax()] == pytest.approx(80, rel=0.02)


def test_a_wavering_drummer_keeps_the_tempo() -> None:
    rng = np.random.default_rng(0)
    times = np.arange(1, 40) * 0.5 + rng.normal(0, 0.02, 39)
    tempo = task().encode(Annotations(beats=Beats(times)), grid(18))["tempo"]
    found = TEMPI[tempo[100:800].argmax(axis=1)]
    assert np.abs(np.log(found / 120)).max() < 0.1


# === Outputs → annotations ===


@settings(deadline=None, max_examples=25)
@given(
    bpm=st.floats(60, 200),
    first=st.floats(0.0, 1.0),
    metre=st.sampled_from([3, 4]),
    decoder=st.sampled_from(["dbn", "dbn_beats", "dbn_bars", "peaks"]),
)
def test_decoding_undoes_encoding_up_to_the_grid(
    bpm: float, first: float, metre: int, decoder: str
) -> None:
    song = steady(bpm, 32, first=first, metre=metre)
    times = grid(32 * 60 / bpm + 1.5)
    bound = task(decoder=decoder)
    # The loss forgives what is beside a beat, so a model never says 0 and 1 side by side as here.
    targets = bound.encode(song, times)
    found = bound.conclude(bound.decode(targets, times), targets, times, {})
    assert found.beats is not None
    assert len(found.beats.times) == 32
    assert np.abs(found.beats.times - song.beats.times).max() <= 0.5 / RATE + 1e-6
    assert found.tempo == pytest.approx(bpm, rel=0.04)
    wanted = song.beats.positions if decoder != "dbn_beats" else np.zeros(32)
    np.testing.assert_array_equal(found.beats.positions, wanted)


@pytest.mark.parametrize("decoder", ["dbn", "dbn_beats", "dbn_bars", "peaks"])
@pytest.mark.parametrize("frames", [0, 1, 2, 500])
def test_silence_has_no_beats(decoder: str, frames: int) -> None:
    bound = task(decoder=decoder)
    silent = {name: np.zeros((frames, 1), np.float32) for name in ("beat", "downbeat")}
    found = bound.decode(silent, np.arange(frames) / RATE)
    assert found.known == ("beats",)
    assert len(found.beats.times) == 0


def test_low_peaks_count_where_they_are_asked_for() -> None:
    times = grid(8.5)
    quiet = {n: 0.1 * np.nan_to_num(x) for n, x in task().encode(steady(120, 16), times).items()}
    quiet["tempo"] = quiet["tempo"].mean(axis=0)
    assert "peak_threshold" in BeatTracking.decoding
    assert len(task(decoder="peaks").decode(quiet, times).beats.times) == 0
    found = task(decoder="peaks", peak_threshold=0.08).decode(quiet, times)
    assert found.beats.positions.tolist() == [1, 2, 3, 4] * 4


def test_downbeats_far_from_beats_are_none() -> None:
    song, times = steady(60, 8), grid(8.5)
    activations = task().encode(song, times)
    activations["tempo"] = np.nanmean(activations["tempo"], axis=0)
    activations["downbeat"][:] = 0
    # Of beats at 0.5, 1.5 …: 60 ms after the second, 80 ms after the fourth, between two others.
    for time in (1.56, 3.58, 6.0):
        activations["downbeat"][round(time * RATE)] = 1
    bound = task(decoder="peaks")
    assert bound.decode(activations, times).beats.positions.tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    activations["downbeat"][: round(2 * RATE)] = 0
    assert not bound.decode(activations, times).beats.positions.any()


def test_half_precision_does_not_leave_the_range() -> None:
    bound, times = task(), grid(8.5)
    targets = bound.encode(steady(120, 16), times)
    noisy = {
        "beat": targets["beat"].astype(np.float16),
        "downbeat": (targets["downbeat"] * 1.0005).astype(np.float32),  # above the beat's
    }
    assert len(bound.decode(noisy, times).beats.times) == 16


# === The bars, with a companion ===


def found_and_own(positions: list[int], sure: float = 0.9) -> tuple[Any, Any, np.ndarray]:
    """Beats at 120 bpm, and activations whose downbeats have these positions."""
    beats, times = 0.5 + 0.5 * np.arange(len(positions)), grid(0.5 * len(positions) + 1)
    firsts = beats[np.array(positions) == 1]
    downbeat = np.full((len(times), 1), 1 - sure, np.float32)
    downbeat[np.rint(firsts * RATE).astype(int)] = sure
    return Annotations(beats=Beats(beats), tempo=120.0), {"downbeat": downbeat}, times


def heard(positions: list[int], sure: float) -> dict[str, np.ndarray]:
    return {"downbeat": np.where(np.array(positions) == 1, sure, 1 - sure)[:, np.newaxis]}


FROM_FIRST, FROM_THIRD = [1, 2, 3, 4] * 6, [3, 4, 1, 2] * 6


@pytest.mark.parametrize("decoder", ["dbn", "dbn_beats", "dbn_bars", "peaks"])
def test_only_one_decoder_asks_a_companion(decoder: str) -> None:
    bound = task(decoder=decoder, bars="mine")
    assert bound.companion == ("mine" if decoder == "dbn_bars" else "")
    assert {"bars", "harmony"} <= set(BeatTracking.decoding)


@pytest.mark.parametrize(
    ("harmony", "own", "other", "expected"),
    [
        (0.75, 0.9, 0.9, FROM_THIRD),
        (0.25, 0.9, 0.9, FROM_FIRST),
        # Odds of 0.75 · log(0.6 / 0.4) = 0.30 against 0.25 · log 99 = 1.15: who is sure decides.
        (0.75, 0.99, 0.6, FROM_FIRST),
        (0.25, 0.6, 0.99, FROM_THIRD),
        (1.0, 0.99, 0.6, FROM_THIRD),
        (0.0, 0.6, 0.999, FROM_FIRST),
    ],
)
def test_log_odds_of_harmony_and_of_downbeats_are_averaged(
    harmony: float, own: float, other: float, expected: list[int]
) -> None:
    found, activations, times = found_and_own(FROM_FIRST, own)
    bound = task(decoder="dbn_bars", harmony=harmony)
    concluded = bound.conclude(found, activations, times, heard(FROM_THIRD, other))
    assert concluded.tempo == found.tempo
    np.testing.assert_array_equal(concluded.beats.times, found.beats.times)
    assert concluded.beats.positions.tolist() == expected


def test_who_is_sure_of_a_few_beats_sets_the_bars_of_the_others() -> None:
    """The model knows the first half, the harmony the second, where a bar was broken off."""
    positions = [*[1, 2, 3, 4] * 4, 1, 2, *[1, 2, 3, 4] * 4]
    found, activations, times = found_and_own(positions)
    activations["downbeat"][times > found.beats.times[16] - 0.25] = 0.5
    answer = heard(positions, 0.9)
    answer["downbeat"][:16] = 0.5
    bound = task(decoder="dbn_bars", harmony=0.5, beats_per_bar=(4,))
    together = bound.conclude(found, activations, times, answer).beats
    assert together.positions.tolist() == positions
    alone = bound.conclude(found, activations, times, {}).beats
    assert alone.positions.tolist() == ([1, 2, 3, 4] * 9)[: len(positions)]


@pytest.mark.parametrize("harmony", [0.0, 0.75, 1.0])
def test_without_harmony_the_model_decides(harmony: float) -> None:
    found, activations, times = found_and_own([2, 3, 1] * 6)
    concluded = task(decoder="dbn_bars", harmony=harmony).conclude(found, activations, times, {})
    assert concluded.beats.positions.tolist() == [2, 3, 1] * 6
    waltz = task(decoder="dbn_bars", beats_per_bar=(2,))
    assert waltz.conclude(found, activations, times, {}).beats.positions.max() == 2


@pytest.mark.parametrize(("late", "counts"), [(0.06, True), (-0.08, True), (0.12, False)])
def test_downbeats_count_within_the_window_of_a_beat(late: float, counts: bool) -> None:
    """To 70 ms, which are rounded to 4 frames of 20 ms."""
    found, _, times = found_and_own(FROM_THIRD)
    downbeat = np.full((len(times), 1), 0.02, np.float32)
    for beat in found.beats.times[np.array(FROM_THIRD) == 1]:
        downbeat[round((beat + late) * RATE)] = 0.9
    concluded = task(decoder="dbn_bars", beats_per_bar=(4,)).conclude(
        found, {"downbeat": downbeat}, times, {}
    )
    assert (concluded.beats.positions.tolist() == FROM_THIRD) == counts


def test_a_recording_from_its_middle_has_the_same_bars() -> None:
    found, activations, times = found_and_own(FROM_THIRD)
    later = Annotations(beats=Beats(found.beats.times + 7.3), tempo=120.0)
    concluded = task(decoder="dbn_bars").conclude(later, activations, times + 7.3, {})
    assert concluded.beats.positions.tolist() == FROM_THIRD


@pytest.mark.parametrize("decoder", ["dbn", "dbn_beats", "peaks"])
def test_other_decoders_leave_what_they_found(decoder: str) -> None:
    found, activations, times = found_and_own(FROM_FIRST)
    answer = heard(FROM_THIRD, 0.9)
    assert task(decoder=decoder).conclude(found, activations, times, answer) is found


@pytest.mark.parametrize("frames", [0, 1, 500])
def test_nothing_is_concluded_of_no_beats(frames: int) -> None:
    none = Annotations(beats=Beats(np.zeros(0)))
    activations = {"downbeat": np.zeros((frames, 1), np.float32)}
    times = np.arange(frames) / RATE
    answer = {"downbeat": np.zeros((0, 1), np.float32)}
    assert task(decoder="dbn_bars").conclude(none, activations, times, answer) is none


# === Training and scores ===


def test_losses_are_as_configured() -> None:
    tolerant = task(tolerance=3, positive_weight=4.0).losses(MANIFEST)
    assert isinstance(tolerant["beat"], ShiftTolerantBinaryCrossentropy)
    weighted = task(loss="weighted", downbeat_weight=7.0).losses(MANIFEST)
    assert isinstance(weighted["downbeat"], WeightedBinaryCrossentropy)
    assert weighted["downbeat"].positive_weights == (7.0,)
    assert set(tolerant) == set(weighted) == set(task().outputs())


def test_scores_of_tracks_and_of_ranges_of_tempo(tmp_path: Path) -> None:
    slow, fast = steady(70, 40), steady(150, 90)
    late = Annotations(beats=Beats(fast.beats.times + 0.2, fast.beats.positions), tempo=75.0)
    bound = task()
    assert bound.score(slow, slow)["f_measure"] == 1
    assert bound.score(slow, slow)["downbeat_f_measure"] == 1
    assert bound.score(Annotations(), slow) == {}
    scores, rows = bound.summarise([slow, fast, Annotations()], [slow, late, slow])
    assert {score.name: score.value for score in scores}["f_measure"] == pytest.approx(0.5)
    assert [(row["tempo"], row["tracks"], row["f_measure"]) for row in rows] == [
        ("0–80 bpm", 1, 1.0),
        ("from 140 bpm", 1, 0.0),
    ]
    assert rows[1]["tempo_accuracy1"] == 0
    assert rows[1]["tempo_accuracy2"] == 1
    features = np.random.default_rng(0).random((2000, 86, 2), np.float32)
    bound.draw(tmp_path / "scores.csv", [slow], [slow], features, bound.feature)
    assert (tmp_path / "scores_timeline.png").stat().st_size > 10_000
    with pytest.raises(RecordError, match="Expected at least one track with beats"):
        bound.summarise([Annotations()], [slow])


def test_records_without_beats_are_refused() -> None:
    with pytest.raises(RecordError, match=r"Expected records with beats\. Received: .* with tags"):
        BeatTracking.labels_of(Spec("folder", {}, "float16", ("tags",)), BeatsConfig())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tolerance": -1}, "Expected tolerance from 0. Received: -1."),
        ({"beats_per_bar": ()}, "Expected beats_per_bar with one metre or more. Received: ()."),
        (
            {"min_bpm": 300.0},
            "Expected min_bpm above 0 and below max_bpm (215). Received: 300.0.",
        ),
        ({"max_bpm": math.inf}, "Expected max_bpm above 0, to 1000. Received: inf."),
        ({"max_bpm": 1e9}, "Expected max_bpm above 0, to 1000. Received: 1000000000.0."),
        ({"max_bpm": math.nan}, "Expected max_bpm above 0, to 1000. Received: nan."),
        ({"max_bpm": 40.0}, "Expected min_bpm above 0 and below max_bpm (40). Received: 55.0."),
        (
            {"transition_lambda": math.inf},
            "Expected transition_lambda from 0, and finite. Received: inf.",
        ),
        ({"threshold": 1.0}, "Expected threshold from 0 to below 1. Received: 1.0."),
        ({"peak_threshold": -0.1}, "Expected peak_threshold from 0 to below 1. Received: -0.1."),
        (
            {"positive_weight": 0.0},
            "Expected positive_weight above 0, and finite. Received: 0.0.",
        ),
        ({"harmony": -0.1}, "Expected harmony from 0 to 1. Received: -0.1."),
        ({"harmony": 1.1}, "Expected harmony from 0 to 1. Received: 1.1."),
        ({"harmony": math.nan}, "Expected harmony from 0 to 1. Received: nan."),
        ({"tempo_spread": math.inf}, "Expected tempo_spread above 0, and finite. Received: inf."),
    ],
)
def test_settings_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        BeatsConfig(**options)
    assert message in str(caught.value)
