"""Clicks on beats: where they are, how high, how loud, in blocks of any length."""

# Lists are taken where arrays are declared.
# mypy: disable-error-code="arg-type"

from pathlib import Path

import mir_eval.sonify
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from kmir.annotations import Beats
from kmir.errors import AudioError
from kmir.synthesis.click import clicked, write_clicked

RATE = 8000


def _joined(audio: np.ndarray, beats: Beats, size: int | None = None) -> np.ndarray:
    size = size or max(len(audio), 1)
    blocks = (audio[start : start + size] for start in range(0, len(audio), size))
    return np.concatenate(list(clicked(blocks, beats, RATE)))


def test_clicks_are_those_of_mir_eval() -> None:
    times = np.array([0.25, 0.5, 0.75])
    found = _joined(np.zeros((RATE, 1), np.float32), Beats(times))
    expected = mir_eval.sonify.clicks(times, RATE, length=RATE)
    np.testing.assert_allclose(found[:, 0], 0.4 * expected, atol=1e-6)


def test_downbeats_are_an_octave_higher() -> None:
    found = _joined(np.zeros((RATE, 1), np.float32), Beats([0.2, 0.6], [1, 2]))
    for start, pitch in ((0.2, 2000), (0.6, 1000)):
        click = found[round(start * RATE) : round((start + 0.1) * RATE), 0]
        assert np.abs(np.fft.rfft(click)).argmax() * 10 == pitch  # 10 Hz a bin
    assert not found[: round(0.2 * RATE)].any()


def test_the_audio_is_kept_and_nothing_clips() -> None:
    audio = np.random.default_rng(0).uniform(-1.2, 1.2, (RATE, 2)).astype(np.float32)
    found = _joined(audio, Beats([0.5]))
    assert found.shape == audio.shape
    assert found.dtype == np.float32
    assert np.abs(found).max() <= 1
    np.testing.assert_allclose(found[: RATE // 2], 0.6 * audio[: RATE // 2], atol=1e-6)
    softer = _joined(np.full((RATE, 1), 1, np.float32), Beats([0.5]))
    assert softer.max() < 1


def test_beats_beyond_the_end_are_not_heard() -> None:
    audio = np.zeros((100, 3), np.float32)
    assert not _joined(audio, Beats([5.0])).any()
    assert _joined(audio, Beats([0.0, 5.0])).any()


@given(
    st.lists(st.floats(0, 1.2), unique_by=lambda time: round(time, 6), max_size=12),
    st.integers(500, 9000),
)
def test_blocks_of_any_length_give_the_same(times: list[float], size: int) -> None:
    audio = np.full((RATE, 1), 0.25, np.float32)
    beats = Beats(np.sort(times), np.arange(len(times)) % 3)
    np.testing.assert_array_equal(_joined(audio, beats, size), _joined(audio, beats))


def test_a_full_disk_is_an_error_of_audio(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="a limit of Unix")
    soundfile.write(tmp_path / "song.wav", np.zeros(20 * RATE), RATE)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with soundfile.SoundFile(tmp_path / "song.wav") as sound:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        try:
            with pytest.raises(AudioError) as caught:
                write_clicked(sound, Beats([0.5]), tmp_path / "out.wav")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(caught.value) == (
        f"Expected to write audio with clicks. Received: {tmp_path / 'out.wav'} (System error); "
        "make room, or move what is there."
    )
