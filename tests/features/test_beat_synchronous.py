"""Frames to beats and back."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmir.errors import AnnotationError, UsageError
from kmir.features.base import feature_from_config
from kmir.features.beat_synchronous import (
    BeatSynchronous,
    beat_majority,
    beat_means,
    to_frames,
)
from kmir.features.log_frequency import LogFrequency
from kmir.features.nnls_chroma import NNLSChroma

RATE = 10.0  # frames per second


def test_means_by_hand() -> None:
    features = np.arange(10.0)[:, np.newaxis]
    # Frames at 0, 0.1 … 0.9 s; the last beat lasts 0.3 s, as the one before it: frames 5, 6, 7.
    means = beat_means(features, np.array([0.1, 0.2, 0.5]), RATE)
    assert means.dtype == np.float32
    np.testing.assert_array_equal(means, [[1], [3], [6]])


def test_a_beat_shorter_than_a_frame_has_the_nearest_one() -> None:
    features = np.arange(10.0)[:, np.newaxis]
    # Between 0.31 and 0.39 s there is no frame; 0.31 s is nearest to frame 3.
    means = beat_means(features, np.array([0.2, 0.31, 0.39, 0.6]), RATE)
    np.testing.assert_array_equal(means, [[2.5], [3], [4.5], [7]])


def test_beats_beyond_the_recording_have_its_last_frame() -> None:
    features = np.arange(10.0)[:, np.newaxis]
    np.testing.assert_array_equal(beat_means(features, np.array([0.8, 1.5]), RATE), [[8.5], [9]])


def test_a_single_beat_lasts_to_the_end() -> None:
    features = np.arange(10.0)[:, np.newaxis]
    np.testing.assert_array_equal(beat_means(features, np.array([0.5]), RATE), [[7]])


def test_majority_by_hand() -> None:
    classes = np.array([3, 3, 1, 2, 2, -1, -1, 4, -1, -1, 0, 0])
    beats = np.array([0.0, 0.3, 0.5, 0.8, 1.0])
    # 3 3 1 → 3; 2 2 → 2; -1 -1 4 → 4, what is unknown doesn't vote; -1 -1 → unknown; 0 0 → 0.
    np.testing.assert_array_equal(beat_majority(classes, beats, RATE), [3, 2, 4, -1, 0])
    np.testing.assert_array_equal(beat_majority(np.array([5, 1]), np.array([0.0]), RATE), [1])


def test_frames_outside_belong_to_the_first_and_last_beat() -> None:
    values = to_frames(np.array([7, 8, 9]), np.array([0.2, 0.4, 0.7]), 10, RATE)
    np.testing.assert_array_equal(values, [7, 7, 7, 7, 8, 8, 8, 9, 9, 9])


songs = st.tuples(
    st.lists(st.floats(0, 20), min_size=1, max_size=30, unique=True).map(sorted),
    st.integers(1, 300),
    st.floats(1, 30),
)


@given(songs)
def test_expansion_is_constant_within_beats_and_rises(song: tuple[list[float], int, float]) -> None:
    beats, frames, rate = np.array(song[0]), song[1], song[2]
    owner = to_frames(np.arange(len(beats)), beats, frames, rate)
    times = np.arange(frames) / rate
    assert len(owner) == frames
    assert (np.diff(owner) >= 0).all()
    inside = times >= beats[0]
    assert (beats[owner[inside]] <= times[inside]).all()
    following = np.append(beats, np.inf)[owner + 1]
    assert (times < following).all()


@given(songs, st.floats(-100, 100, width=32))
def test_constant_features_stay_themselves(
    song: tuple[list[float], int, float], value: float
) -> None:
    beats, frames, rate = np.array(song[0]), song[1], song[2]
    means = beat_means(np.full((frames, 2), value, np.float32), beats, rate)
    assert means.shape == (len(beats), 2)
    np.testing.assert_allclose(means, value, rtol=1e-6)
    back = to_frames(means, beats, frames, rate)
    np.testing.assert_allclose(back, np.full((frames, 2), value), rtol=1e-6)


@given(songs)
def test_a_label_a_beat_survives_the_way_to_frames_and_back(
    song: tuple[list[float], int, float],
) -> None:
    rate = song[2]
    # Beats on frames.
    beats = np.unique(np.round(np.array(song[0]) * rate)) / rate
    frames = round(float(beats[-1]) * rate) + 1
    labels = np.random.default_rng(0).integers(0, 25, len(beats))
    owner = to_frames(np.arange(len(beats)), beats, frames, rate)
    found = beat_majority(labels[owner], beats, rate)
    seen = np.isin(np.arange(len(beats)), owner)  # a rounding error can take a beat's only frame
    np.testing.assert_array_equal(found[seen], labels[seen])


def test_no_beats_are_refused() -> None:
    message = re.escape("Expected at least one beat. Received: none.")
    with pytest.raises(AnnotationError, match=message):
        beat_means(np.zeros((4, 2)), np.zeros(0), RATE)
    with pytest.raises(AnnotationError, match=r"each of 3 values\. Received: 2 beats"):
        to_frames(np.arange(3), np.array([0.0, 1.0]), 9, RATE)


def test_the_feature_is_that_of_its_source_on_another_clock() -> None:
    feature = BeatSynchronous(NNLSChroma().config)
    assert feature_from_config(feature.config) == feature
    assert feature.frame_rate == 1.0
    assert feature.frames(0.01) == 1
    assert feature.shape == (24,)
    assert feature.first_pitch_class == NNLSChroma().first_pitch_class == 9
    assert feature.silence == NNLSChroma().silence
    assert feature.linear
    with pytest.raises(UsageError) as caught:
        feature(np.zeros(44100, np.float32))
    assert str(caught.value) == (
        "Expected beats beside the audio, for beat_synchronous. Received: audio alone. "
        "Take tracks with beats, or 'nnls_chroma'."
    )


# === Parts of beats ===


def test_parts_of_a_beat_lie_side_by_side() -> None:
    feature = BeatSynchronous(subdivisions=4)
    assert feature.shape == (96,)
    assert feature_from_config(feature.config) == feature
    assert feature.fingerprint != BeatSynchronous().fingerprint
    assert feature.between(np.zeros((30, 24)), np.array([0.0, 0.5, 1.0]), 21.5).shape == (3, 96)


def test_halves_of_beats_by_hand() -> None:
    frames = np.stack([np.arange(12.0), 100 + np.arange(12.0)], axis=1)
    # At 8 frames a second: halves from 0.25, 0.5, 0.75 and 1 s on, the last one to 1.25 s.
    means = BeatSynchronous(subdivisions=2).between(frames, np.array([0.25, 0.75]), 8.0)
    assert means.dtype == np.float32
    np.testing.assert_array_equal(means, [[2.5, 102.5, 4.5, 104.5], [6.5, 106.5, 8.5, 108.5]])


@given(songs)
def test_whole_beats_are_their_means(song: tuple[list[float], int, float]) -> None:
    beats, frames, rate = np.array(song[0]), song[1], song[2]
    chroma = np.random.default_rng(0).random((frames, 24), np.float32)
    found = BeatSynchronous().between(chroma, beats, rate)
    np.testing.assert_array_equal(found, beat_means(chroma, beats, rate))


@given(songs, st.integers(1, 5), st.floats(-100, 100, width=32))
def test_what_is_constant_is_so_in_all_parts(
    song: tuple[list[float], int, float], subdivisions: int, value: float
) -> None:
    beats, frames, rate = np.array(song[0]), song[1], song[2]
    feature = BeatSynchronous(subdivisions=subdivisions)
    found = feature.between(np.full((frames, 24), value, np.float32), beats, rate)
    assert found.shape == (len(beats), *feature.shape)
    np.testing.assert_allclose(found, value, rtol=1e-6)


def test_frames_that_were_brought_to_another_rate_say_the_same() -> None:
    source = NNLSChroma()
    times = np.arange(220) / source.frame_rate
    phase = np.arange(24) / 4
    chroma = 1 + np.sin(2 * np.pi * 0.4 * times[:, np.newaxis] + phase)
    finer = np.arange(int(times[-1] * 50)) / 50
    brought = np.stack([np.interp(finer, times, column) for column in chroma.T], axis=1)
    beats, feature = np.arange(0.3, 9.0, 0.5), BeatSynchronous(subdivisions=4)
    own = feature.between(chroma, beats, source.frame_rate)
    assert np.ptp(own, axis=0).min() > 1
    # A part lasts 125 ms, of 2 or 3 frames: it begins up to 46 ms late, where at most 2.5 change
    # in a second.
    assert np.abs(own - feature.between(brought, beats, 50.0)).max() < 0.07


@pytest.mark.parametrize("subdivisions", [1, 3])
def test_a_single_beat_has_what_sounds_there(subdivisions: int) -> None:
    frames = np.arange(10.0)[:, np.newaxis].repeat(24, axis=1)
    frames[5:] = 7
    found = BeatSynchronous(subdivisions=subdivisions).between(frames, np.array([0.5]), RATE)
    np.testing.assert_array_equal(found, np.full((1, 24 * subdivisions), 7))


@pytest.mark.parametrize("subdivisions", [1, 2])
def test_nothing_is_between_no_beats(subdivisions: int) -> None:
    message = re.escape("Expected at least one beat. Received: none.")
    with pytest.raises(AnnotationError, match=message):
        BeatSynchronous(subdivisions=subdivisions).between(np.ones((9, 24)), np.zeros(0), RATE)


def test_sources_and_parts_that_there_can_not_be() -> None:
    with pytest.raises(UsageError, match=r"^Expected source with frames of shape \(bins,\)\. Rec"):
        BeatSynchronous(LogFrequency().config)
    with pytest.raises(UsageError, match=r"^Expected subdivisions from 1\. Received: 0\.$"):
        BeatSynchronous(subdivisions=0)
    with pytest.raises(UsageError, match=r"^Expected subdivisions as int\. Received: 1\.5\.$"):
        BeatSynchronous(subdivisions=1.5)  # type: ignore[arg-type]
