"""Features block by block, against those of the whole recording."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmir.errors import AudioError, UsageError
from kmir.features.log_frequency import LogFrequency
from kmir.features.log_mel import LogMel

FEATURE = LogFrequency(n_ffts=(512, 1024), bands_per_octave=6)


def noise(samples: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.5, 0.5, samples).astype(np.float32)


@settings(deadline=None, max_examples=60)
@given(samples=st.integers(1, 70000), cuts=st.lists(st.integers(0, 70000), max_size=20))
def test_blocks_joined_are_the_whole(samples: int, cuts: list[int]) -> None:
    audio, live = noise(samples), FEATURE.live()
    blocks = np.split(audio, sorted(min(cut, samples) for cut in cuts))
    joined = np.concatenate([*(live.feed(block) for block in blocks), live.finish()])
    assert joined.dtype == np.float32
    np.testing.assert_allclose(joined, FEATURE(audio), rtol=0, atol=1e-6)


@pytest.mark.parametrize("feature", [LogFrequency(), LogFrequency(n_ffts=(4096, 256), gain=10.0)])
@pytest.mark.parametrize("block", [1, 64, 441, 500, 8192, 10**6])
def test_a_frame_is_given_with_its_last_sample(feature: LogFrequency, block: int) -> None:
    audio, live = noise(5000 if block == 1 else 22050 * 3), feature.live()
    given, half = 0, max(feature.n_ffts) // 2
    for end in range(block, len(audio) + 1, block):
        values = live.feed(audio[end - block : end])
        assert values.shape[1:] == feature.shape
        given += len(values)
        # Frame t reaches to sample t * hop + half.
        assert given == max(0, 1 + (end - half) // feature.hop_length)


def test_the_default_frame_is_47_ms_late() -> None:
    # Half of 2048 samples at 22050 Hz: the frame at 0 s is there after 1024 samples.
    live = LogFrequency().live()
    assert len(live.feed(noise(1023))) == 0
    assert len(live.feed(noise(1))) == 1
    assert len(live.feed(noise(441))) == 1


def test_two_recordings_do_not_mix() -> None:
    audio = noise(9000)
    one, other = FEATURE.live(), FEATURE.live()
    first = [one.feed(audio[:4000])]
    other.feed(audio[:5000] * 0.1)
    other.finish()
    first += [one.feed(audio[4000:]), one.finish()]
    np.testing.assert_allclose(np.concatenate(first), FEATURE(audio), rtol=0, atol=1e-6)


def test_what_is_no_audio_is_refused() -> None:
    live = FEATURE.live()
    live.feed(noise(10))
    with pytest.raises(AudioError, match=r"Expected float samples .* Received: int16; divide by"):
        live.feed(np.zeros(10, np.int16))
    with pytest.raises(AudioError, match=r"Expected mono audio.* Received: shape \(10, 2\)"):
        live.feed(np.zeros((10, 2), np.float32))
    with pytest.raises(AudioError, match="Received: nan at sample 3"):
        live.feed(np.array([0, 0, 0, np.nan], np.float32))
    assert len(live.finish()) == 1
    with pytest.raises(AudioError, match=r"Expected no block after finish\(\)"):
        live.feed(noise(10))
    with pytest.raises(AudioError, match=r"Expected one call of finish\(\)"):
        live.finish()


def test_nothing_at_all_is_refused() -> None:
    live = FEATURE.live()
    assert live.feed(noise(0)).shape == (0, *FEATURE.shape)
    with pytest.raises(AudioError, match=r"at least one sample. Received: none"):
        live.finish()


def test_a_feature_that_needs_the_whole_says_so() -> None:
    with pytest.raises(UsageError, match=r"while samples arrive. Received: log_mel; take log_freq"):
        LogMel().live()
