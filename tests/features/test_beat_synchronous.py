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
    with pytest.raises(UsageError, match="Extract 'nnls_chroma' instead"):
        feature(np.zeros(44100, np.float32))
