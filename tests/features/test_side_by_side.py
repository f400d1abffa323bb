"""Features side by side against each by itself."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile

from kmir.errors import AudioError, UsageError
from kmir.features import audio, side_by_side
from kmir.features.base import Feature, feature_from_config
from kmir.features.log_frequency import LogFrequency
from kmir.features.nnls_chroma import NNLSChroma
from kmir.features.side_by_side import SideBySide

RATE, SECONDS = 16000, 2.31
BANDS = LogFrequency(bands_per_octave=4)
CHROMA = NNLSChroma(sample_rate=11025, n_fft=4096, hop_length=512)
BOTH = SideBySide([BANDS.config, CHROMA.config])


def chords(rate: int = RATE, seconds: float = SECONDS) -> np.ndarray:
    """Two chords, one after the other, that fade."""
    time = np.arange(int(seconds * rate)) / rate
    first, then = ((220, 277.2, 329.6), (174.6, 220, 261.6))
    pitches = np.where(time[:, np.newaxis] < seconds / 2, first, then)
    tones = np.sin(2 * np.pi * pitches * time[:, np.newaxis]).sum(axis=1)
    return (0.1 * tones * np.exp(-time)).astype(np.float32)


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """At a rate that is neither feature's."""
    path = tmp_path_factory.mktemp("song") / "song.wav"
    soundfile.write(path, chords(), RATE, subtype="FLOAT")
    return path


def brought(part: np.ndarray, frames: int, rate: float = CHROMA.frame_rate) -> np.ndarray:
    """A feature of one axis at the times of `BANDS`, bin by bin."""
    times = np.arange(frames) / BANDS.frame_rate
    own = np.arange(len(part)) / rate
    return np.stack([np.interp(times, own, column) for column in part.T], axis=1)


def test_geometry_is_that_of_the_first() -> None:
    assert BOTH.frame_rate == BANDS.frame_rate == 50
    assert BOTH.sample_rate == 22050
    assert SideBySide([CHROMA.config, BANDS.config]).sample_rate == 22050
    assert BOTH.shape == (np.prod(BANDS.shape) + 24,)
    assert BOTH.silence == BANDS.silence
    assert BOTH.frames(1.0) == BANDS.frames(1.0) == 51
    assert BOTH.members == (BANDS, CHROMA)
    assert BOTH.first_pitch_class is None


def test_the_parts_of_a_file_are_those_of_each_feature(song: Path) -> None:
    joined = BOTH.from_file(song)
    assert joined.dtype == np.float32
    assert joined.shape == (BANDS.frames(SECONDS), *BOTH.shape)
    bands, chroma = BOTH.parts(joined)
    assert np.shares_memory(chroma, joined)
    np.testing.assert_array_equal(bands, BANDS.from_file(song))
    alone = CHROMA.from_file(song)
    assert np.ptp(alone, axis=0).max() > 0.5
    np.testing.assert_allclose(chroma, brought(alone, len(joined)), atol=1e-6)
    (itself,) = BANDS.parts(bands)  # of a feature that is one
    assert itself is bands


def test_the_parts_of_samples_are_those_of_each_feature() -> None:
    samples = chords(BOTH.sample_rate)
    joined = BOTH(samples)
    bands, chroma = BOTH.parts(joined)
    np.testing.assert_array_equal(bands, BANDS(samples))
    alone = CHROMA(audio.resample(samples, BOTH.sample_rate, CHROMA.sample_rate))
    np.testing.assert_allclose(chroma, brought(alone, len(joined)), atol=1e-6)


def test_a_file_and_its_samples_are_read_alike(song: Path, tmp_path: Path) -> None:
    same = tmp_path / "same.wav"
    soundfile.write(same, chords(BOTH.sample_rate), BOTH.sample_rate, subtype="FLOAT")
    whole = BOTH(chords(BOTH.sample_rate))
    np.testing.assert_allclose(BOTH.from_file(same), whole, atol=1e-4)
    half = BOTH.from_file(same, np.float16)
    assert half.dtype == np.float16
    np.testing.assert_allclose(half, whole, atol=2e-3)


def test_a_file_at_another_rate_has_the_same_frames(tmp_path: Path) -> None:
    path = tmp_path / "cd.flac"
    stereo = np.stack([chords(44100), chords(44100)], axis=1)
    soundfile.write(path, stereo, 44100, subtype="PCM_24")
    whole = BOTH(chords(BOTH.sample_rate))
    joined = BOTH.from_file(path)
    assert joined.shape == whole.shape
    bands, chroma = BOTH.parts(joined)
    np.testing.assert_allclose(bands, BOTH.parts(whole)[0], atol=0.01)
    # Whitened, what lies far below the tones depends on the resampler: each rate by itself.
    np.testing.assert_allclose(chroma, brought(CHROMA.from_file(path), len(joined)), atol=1e-6)


def test_blocks_and_rows_leave_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = chords(BOTH.sample_rate)
    whole = BOTH(samples)
    monkeypatch.setattr(side_by_side, "ROWS", 7)
    np.testing.assert_array_equal(BOTH.from_blocks(np.array_split(samples, 9)), whole)


def test_the_last_frame_lasts_where_the_first_feature_is_longer() -> None:
    slow = NNLSChroma(sample_rate=11025, n_fft=16384, hop_length=11025)  # a frame a second
    both = SideBySide([BANDS.config, slow.config])
    samples = chords(both.sample_rate, 2.9)
    _, chroma = both.parts(both(samples))
    alone = slow(audio.resample(samples, both.sample_rate, slow.sample_rate))
    assert len(alone) == 3
    np.testing.assert_array_equal(chroma[100:], np.broadcast_to(alone[2], (len(chroma) - 100, 24)))
    np.testing.assert_allclose(chroma[25], (alone[0] + alone[1]) / 2, atol=1e-6)


def test_three_of_them_and_the_slower_one_first() -> None:
    both = SideBySide([CHROMA.config, BANDS.config, CHROMA.config])
    samples = chords(both.sample_rate)
    chroma, bands, again = both.parts(both(samples))
    assert len(chroma) == both.frames(SECONDS)
    assert bands.shape == (len(chroma), *BANDS.shape)
    np.testing.assert_allclose(again, chroma, atol=1e-6)


@pytest.mark.parametrize(("first", "second"), [(BANDS, CHROMA), (CHROMA, BANDS)])
def test_silence_is_as_the_first_one_takes_it(
    first: Feature, second: Feature, tmp_path: Path
) -> None:
    both, silence = SideBySide([first.config, second.config]), tmp_path / "silence.wav"
    soundfile.write(silence, np.zeros(RATE), RATE)
    assert both.refuses_silence == first.refuses_silence
    if first.refuses_silence:
        with pytest.raises(AudioError, match=r"something sounds\. Received: .*silence\.wav"):
            both.from_file(silence)
    else:
        assert not both.from_file(silence).any()
    assert not both(np.zeros(both.sample_rate, np.float32)).any()


def test_it_survives_its_config_and_a_pickle() -> None:
    again = feature_from_config(json.loads(json.dumps(BOTH.config)))
    assert again == BOTH
    assert again.fingerprint == BOTH.fingerprint
    assert pickle.loads(pickle.dumps(BOTH)).config == BOTH.config
    other = SideBySide([BANDS.config, NNLSChroma().config])
    assert len({f.fingerprint for f in (BOTH, other, SideBySide(BOTH.sources[::-1]))}) == 3


@pytest.mark.parametrize("sources", [[], [BANDS.config]])
def test_fewer_than_two_are_refused(sources: list[dict[str, object]]) -> None:
    with pytest.raises(UsageError) as caught:
        SideBySide(sources)
    assert str(caught.value) == f"Expected sources of two features or more. Received: {sources!r}."


def test_what_it_can_not_read(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="at least one sample"):
        BOTH(np.zeros(0, np.float32))
    with pytest.raises(AudioError, match=r"no\.wav"):
        BOTH.from_file(tmp_path / "no.wav")
    with pytest.raises(UsageError, match=r"while samples arrive\. Received: side_by_side;"):
        BOTH.live()
