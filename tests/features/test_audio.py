import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from kmir.errors import AudioError, UsageError
from kmir.features import audio
from kmir.quiet import muted_stderr


def music(seconds: float = 3.0, rate: int = 44100, channels: int = 1, seed: int = 0) -> np.ndarray:
    """Two tones under a noise, ``(samples, channels)``, the channels unlike."""
    time = np.arange(round(seconds * rate)) / rate
    tones = 0.3 * np.sin(2 * np.pi * 440 * time) + 0.2 * np.sin(2 * np.pi * 1500 * time)
    noises = 0.05 * np.random.default_rng(seed).standard_normal((len(time), channels))
    return (tones[:, None] * np.linspace(1, 0.2, channels) + noises).astype(np.float32)


def write(path: Path, samples: np.ndarray, rate: int = 44100, **options: Any) -> Path:
    soundfile.write(path, samples, rate, **options)
    return path


def damaged_mp3(folder: Path, edit: Callable[[bytes], bytes]) -> Path:
    path = write(folder / "song.mp3", music(10))
    path.write_bytes(edit(path.read_bytes()))
    return path


# === Reading ===


@pytest.mark.parametrize(
    ("suffix", "options", "tolerance"),
    [
        (".wav", {"subtype": "PCM_16"}, 1e-4),
        (".wav", {"subtype": "PCM_U8"}, 1e-2),
        (".wav", {"subtype": "PCM_24"}, 1e-6),
        (".wav", {"subtype": "FLOAT"}, 1e-6),
        (".wav", {"subtype": "DOUBLE"}, 1e-6),
        (".flac", {}, 1e-4),
        (".aiff", {}, 1e-4),
        (".aif", {"format": "AIFF"}, 1e-4),
        (".au", {}, 1e-4),
        (".mp3", {"compression_level": 0.0}, 0.3),
        (".ogg", {"compression_level": 0.0}, 0.3),
        (".opus", {"format": "OGG", "subtype": "OPUS"}, 0.3),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_every_format(
    tmp_path: Path, suffix: str, options: dict[str, Any], tolerance: float, channels: int
) -> None:
    rate = 48000  # the one rate that all of them know
    samples = music(2, rate, channels)
    path = write(tmp_path / f"song{suffix}", samples, rate, **options)
    assert suffix in audio.AUDIO_SUFFIXES
    decoded = audio.read(path, rate)
    expected = samples.mean(axis=1)
    assert decoded.dtype == np.float32
    assert decoded.shape == expected.shape
    assert audio.duration(path) == 2.0
    assert np.abs(decoded - expected).max() < tolerance
    assert np.corrcoef(decoded, expected)[0, 1] > 0.97  # Opus at its default bit rate


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 96000])
@pytest.mark.parametrize("block_seconds", [0.01, 0.7, 30.0])
def test_blocks_joined_equal_the_whole_resampled(
    tmp_path: Path, rate: int, block_seconds: float
) -> None:
    samples = music(3, rate, 2)
    path = write(tmp_path / "song.wav", samples, rate, subtype="FLOAT")
    joined = np.concatenate(list(audio.blocks(path, 12000, block_seconds=block_seconds)))
    whole = soxr.resample(samples.mean(axis=1), rate, 12000, quality="HQ")
    assert joined.shape == whole.shape == (36000,)
    np.testing.assert_allclose(joined, whole, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(
        audio.read(path, 12000), np.concatenate(list(audio.blocks(path, 12000)))
    )


def test_six_channels_are_mixed_by_their_mean(tmp_path: Path) -> None:
    samples = music(1, 12000, 6)
    path = write(tmp_path / "song.wav", samples, 12000, subtype="FLOAT")
    np.testing.assert_allclose(audio.read(path, 12000), samples.mean(axis=1), atol=1e-6)


def test_blocks_have_the_length_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "song.flac", music(5, 12000), 12000)
    lengths = [len(block) for block in audio.blocks(path, 12000, block_seconds=2)]
    assert lengths == [24000, 24000, 12000]


def test_silence_is_valid(tmp_path: Path) -> None:
    path = write(tmp_path / "silence.wav", np.zeros(44100))
    assert not audio.read(path, 12000).any()
    assert audio.duration(path) == 1.0


def test_an_mp3_that_does_not_say_its_length_is_read_to_its_end(tmp_path: Path) -> None:
    # Quiet, then loud, at a variable bit rate: from the first frames libmpg123 estimates 8 s of 30.
    samples = np.concatenate([music(15) * 0.002, music(15)])
    path = write(tmp_path / "song.mp3", samples, bitrate_mode="VARIABLE", compression_level=0.5)
    assert audio.duration(path) == 30.0
    whole = path.read_bytes()
    # The first MPEG frame holds nothing but the Xing header, which has the length.
    second = whole.index(whole[:2], 4)
    assert b"Xing" in whole[:second]
    path.write_bytes(whole[second:])
    assert audio.duration(path) == pytest.approx(30, abs=0.1)
    decoded = audio.read(path, 12000)
    assert len(decoded) == pytest.approx(30 * 12000, abs=1200)
    assert np.sqrt(np.mean(decoded[-12000:] ** 2)) == pytest.approx(0.25, rel=0.1)


def test_a_flac_that_does_not_say_its_length(tmp_path: Path) -> None:
    path = write(tmp_path / "song.flac", music(3))
    expected = audio.read(path, 12000)
    header = bytearray(path.read_bytes())
    header[21] &= 0xF0  # 36 bits of STREAMINFO: total samples, 0 if unknown
    header[22:26] = bytes(4)
    path.write_bytes(header)
    assert audio.duration(path) == 3.0
    np.testing.assert_array_equal(audio.read(path, 12000), expected)


def test_a_wav_whose_header_claims_more_than_there_is(tmp_path: Path) -> None:
    path = write(tmp_path / "song.wav", music(2))
    path.write_bytes(path.read_bytes()[: 44 + 44100 * 2])
    assert audio.duration(path) == pytest.approx(1.0, abs=1e-3)
    assert len(audio.read(path, 44100)) == pytest.approx(44100, abs=10)


def test_a_truncated_mp3_is_told(tmp_path: Path) -> None:
    path = damaged_mp3(tmp_path, lambda data: data[: len(data) // 2])
    with pytest.raises(AudioError, match=r"song\.mp3, 4\.\d s of the 10\.\d s that its header"):
        audio.read(path, 12000)


def test_an_mp3_behind_an_id3_tag(tmp_path: Path) -> None:
    tag = b"ID3\x03\0\0\0\0\x0f\x76" + bytes(2038)
    path = damaged_mp3(tmp_path, lambda data: tag + data)
    assert audio.duration(path) == 10.0
    assert len(audio.read(path, 12000)) == 120000


# === Files that can't be used ===


@pytest.mark.parametrize("name", ["song.mp3", "song.wav", "song.flac", "song.raw"])
@pytest.mark.parametrize("size", [0, 100, 50000])
@pytest.mark.parametrize("function", [audio.duration, lambda path: audio.read(path, 12000)])
def test_not_audio(tmp_path: Path, name: str, size: int, function: Callable[[Path], Any]) -> None:
    path = tmp_path / name
    path.write_bytes(np.random.default_rng(1).bytes(size))
    with pytest.raises(AudioError) as error:
        function(path)
    assert f"Received: {path}, {size} bytes of something else or damaged" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("function", [audio.duration, lambda path: audio.read(path, 12000)])
def test_missing_file_and_folder(tmp_path: Path, function: Callable[[Path], Any]) -> None:
    with pytest.raises(AudioError, match=r"nothing\.wav \(No such file or directory\); check"):
        function(tmp_path / "nothing.wav")
    with pytest.raises(AudioError, match=r"\(Is a directory\)"):
        function(tmp_path)


@pytest.mark.parametrize("function", [audio.duration, lambda path: audio.read(path, 12000)])
def test_no_samples(tmp_path: Path, function: Callable[[Path], Any]) -> None:
    path = write(tmp_path / "empty.wav", np.zeros(0))
    with pytest.raises(AudioError, match=r"at least one sample. Received: .*empty\.wav"):
        function(path)


def test_too_short_for_one_sample_at_the_rate_wanted(tmp_path: Path) -> None:
    path = write(tmp_path / "click.wav", np.ones(1), 192000)
    with pytest.raises(AudioError, match="at least one sample"):
        audio.read(path, 8000)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite(tmp_path: Path, value: float) -> None:
    samples = music(3)[:, 0].copy()
    samples[100000] = value
    path = write(tmp_path / "song.wav", samples, subtype="FLOAT")
    message = rf"Expected finite samples. Received: .*song\.wav with {value} at sample 100000"
    with pytest.raises(AudioError, match=message):
        list(audio.blocks(path, 12000, block_seconds=1))


def test_a_damaged_middle(tmp_path: Path) -> None:
    path = write(tmp_path / "song.flac", music(10))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + bytes(5000) + data[len(data) // 2 + 5000 :])
    with pytest.raises(AudioError, match=r"to its end. Received: .*song\.flac, damaged somewhere"):
        audio.read(path, 12000)
    path = damaged_mp3(tmp_path, lambda mp3: mp3[: len(mp3) // 2] + bytes(5000))
    with pytest.raises(AudioError, match=r"song\.mp3, damaged somewhere after 4\.\d s"):
        list(audio.blocks(path, 12000, block_seconds=0.5))


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_sample_rates_that_are_none(tmp_path: Path, rate: Any) -> None:
    path = write(tmp_path / "song.wav", music(1))
    with pytest.raises(UsageError, match=f"Expected a sample rate above 0. Received: {rate}"):
        audio.read(path, rate)
    with pytest.raises(UsageError, match="sample rate above 0"):
        audio.from_array(np.ones(10), rate, 12000)


def test_blocks_of_no_length(tmp_path: Path) -> None:
    path = write(tmp_path / "song.wav", music(1))
    with pytest.raises(UsageError, match=r"block_seconds above 0\. Received: 0"):
        list(audio.blocks(path, 12000, block_seconds=0))


# === What libmpg123 prints ===


def test_libmpg123_is_not_heard(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = damaged_mp3(tmp_path, lambda data: data[: len(data) // 2] + bytes(5000))
    with pytest.raises(AudioError):
        audio.read(path, 12000)
    os.write(2, b"heard again")
    assert capfd.readouterr().err == "heard again"


def test_another_thread_leaves_the_standard_error_alone(tmp_path: Path) -> None:
    path, seen = write(tmp_path / "song.mp3", music(1)), []

    def work() -> None:
        with muted_stderr():
            seen.append(os.fstat(2).st_ino)
        seen.append(len(audio.read(path, 12000)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [os.fstat(2).st_ino, 12000]


# === Arrays ===


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (np.array([-32768, 0, 16384], np.int16), [-1, 0, 0.5]),
        (np.array([-(2**31), 0, 2**30], np.int32), [-1, 0, 0.5]),
        (np.array([0, 128, 192], np.uint8), [-1, 0, 0.5]),
        (np.array([-128, 0, 64], np.int8), [-1, 0, 0.5]),
        (np.array([-1, 0, 0.5], np.float64), [-1, 0, 0.5]),
        (np.array([-1, 0, 0.5], np.float16), [-1, 0, 0.5]),
        (np.array([-1, 0, 0.5], ">f4"), [-1, 0, 0.5]),
        (np.array([[-1, -1], [1, -1], [0, 1]], np.float32), [-1, 0, 0.5]),
        (np.array([[0], [1]], np.float32), [0, 1]),
        ([0.0, 0.25], [0, 0.25]),
    ],
)
def test_arrays_of_any_type(samples: np.ndarray, expected: list[float]) -> None:
    mono = audio.from_array(samples, 12000, 12000)
    assert mono.dtype == np.dtype("f4")
    assert mono.dtype.isnative
    np.testing.assert_array_equal(mono, np.array(expected, np.float32))


def test_an_array_is_resampled_like_a_file(tmp_path: Path) -> None:
    samples = (music(2, 44100, 2) * 32767).astype(np.int16)
    path = write(tmp_path / "song.wav", samples, 44100)
    np.testing.assert_allclose(
        audio.from_array(samples, 44100, 12000), audio.read(path, 12000), atol=1e-6
    )


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(0), "at least one sample"),
        (np.zeros((0, 2)), "at least one sample"),
        (np.zeros((2, 0)), r"shape \(2, 0\)"),
        (np.float32(1), r"shape \(\)"),
        (np.zeros((1, 2, 3)), r"shape \(1, 2, 3\)"),
        (np.zeros((2, 44100)), r"shape \(2, 44100\); transpose it"),
        (np.zeros(5, np.int64), "Received: int64; cast them"),
        (np.zeros(5, bool), "Received: bool"),
        (np.zeros(5, complex), "Received: complex128"),
        (np.array(["a"]), "Received: <U1"),
        (np.array([0, np.nan]), "Received: an array with nan at sample 1"),
        (np.array([0, 1e300]), "Received: an array with inf at sample 1"),
        (np.array([0.0, -20000.0]), "a peak of 20000; divide by the full scale"),
    ],
)
def test_arrays_that_can_not_be_used(samples: np.ndarray, message: str) -> None:
    with pytest.raises(AudioError, match=message):
        audio.from_array(samples, 12000, 12000)


def test_resample_keeps_the_dimensions() -> None:
    samples = music(1, 44100, 2)
    assert audio.resample(samples, 44100, 44100) is samples
    assert audio.resample(samples, 44100, 12000).shape == (12000, 2)
    np.testing.assert_array_equal(
        audio.resample(samples[:, 0], 44100, 12000), soxr.resample(samples[:, 0], 44100, 12000)
    )


# === Listing ===


def test_find_audio(tmp_path: Path) -> None:
    names = ["b/2.mp3", "b/1.WAV", "a.flac", "c.opus", "notes.txt", ".hidden.mp3", ".git/x.wav",
             "b/._1.wav", "d.wav/e.aif"]  # fmt: skip
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in audio.find_audio(tmp_path)]
    assert found == ["a.flac", "b/1.WAV", "b/2.mp3", "c.opus", "d.wav/e.aif"]
    assert audio.find_audio(tmp_path / "notes.txt") == [tmp_path / "notes.txt"]
    with pytest.raises(AudioError, match="which does not exist"):
        audio.find_audio(tmp_path / "nowhere")


def test_find_audio_below_a_hidden_folder(tmp_path: Path) -> None:
    root = tmp_path / ".cache"
    root.mkdir()
    (root / "a.wav").touch()
    assert audio.find_audio(root) == [root / "a.wav"]
