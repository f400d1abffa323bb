"""Tracks on the clock of their beats, and records of them by both runners."""

from __future__ import annotations

import logging
import pickle
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from kmir import command
from kmir.annotations import Annotations, Beats, Segments, Tags
from kmir.datasets import Track
from kmir.datasets.beat_clock import FeaturesOnBeats, on_beat_clock
from kmir.errors import AudioError, DatasetError
from kmir.extract import extract, main, records_for
from kmir.features.beat_synchronous import BeatSynchronous
from kmir.features.nnls_chroma import NNLSChroma
from kmir.records.read import Records

RATE, SECONDS = 11025, 3.0
CHROMA = NNLSChroma(sample_rate=11025, n_fft=4096, hop_length=512)
FEATURE = BeatSynchronous(CHROMA.config, subdivisions=2)
FIRST = (0.31, 0.12, 0.45)


def beat_times(number: int) -> np.ndarray:
    return np.arange(FIRST[number], SECONDS - 0.2, 60 / (100 + 30 * number)).round(3)


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three recordings of a tone for every beat, with their beats beside them."""
    root = tmp_path_factory.mktemp("music")
    time = np.arange(int(SECONDS * RATE)) / RATE
    for number in range(3):
        times = beat_times(number)
        current = np.searchsorted(times, time, side="right")
        tones = 0.3 * np.sin(2 * np.pi * 220 * 2 ** ((5 * current % 12) / 12) * time)
        soundfile.write(root / f"{number}.wav", tones, RATE)
        lines = [f"{t:.3f}\t{beat % 4 + 1}\n" for beat, t in enumerate(times)]
        (root / f"{number}.beats").write_text("".join(lines))
    return root


def ready() -> np.ndarray:
    return np.random.default_rng(3).random((200, 24), np.float32)


def track(beats: Beats | None, **changes: Any) -> Track:
    """Ready chroma, as of Billboard."""
    settings = {"tags": Tags(("rock",)), "tempo": 120.0, "beats": beats}
    return Track("a", Annotations(**settings), **{"features": ready} | changes)


BEATS = Beats([0.5, 1.0, 1.55, 2.0], [3, 0, 1, 2])

# === Tracks ===


def test_annotations_are_moved_to_the_clock() -> None:
    chords = Segments([[0, 1]], ("C:maj",))
    known = replace(track(BEATS).annotations, chords=chords)
    (found,) = on_beat_clock(
        FEATURE, [Track("a", known, features=ready, group="band", split="test")]
    )
    assert (found.id, found.group, found.split) == ("a", "band", "test")
    assert found.audio is None
    assert found.render is None
    # Neither seconds of chords nor beats a minute hold there.
    assert found.annotations.known == ("tags", "beats")
    assert found.annotations.tags is known.tags
    assert found.annotations.beats is not None
    assert found.annotations.beats.times.tolist() == [0, 1, 2, 3]
    assert found.annotations.beats.positions.tolist() == [3, 0, 1, 2]


def test_tracks_without_beats_are_left_out_and_told(caplog: pytest.LogCaptureFixture) -> None:
    none, empty = track(None), track(Beats([]))
    with caplog.at_level(logging.INFO, "kmir"):
        assert len(on_beat_clock(FEATURE, [none, track(BEATS), empty, track(BEATS)])) == 2
        assert caplog.messages == ["2 tracks without beats, left out"]
        on_beat_clock(FEATURE, [track(BEATS)])
    assert len(caplog.messages) == 1
    with pytest.raises(DatasetError) as caught:
        on_beat_clock(FEATURE, [none, empty])
    assert str(caught.value) == (
        "Expected tracks with beats, for beat_synchronous. Received: 2 without."
    )


def test_features_that_count_seconds_have_the_tracks_as_they_are() -> None:
    tracks = [track(None), track(BEATS)]
    found = on_beat_clock(CHROMA, tracks)
    assert all(one is other for one, other in zip(found, tracks, strict=True))
    assert on_beat_clock(CHROMA, []) == []


# === Their features ===


def test_features_are_those_between_the_beats(music: Path) -> None:
    times = beat_times(0)
    heard = track(Beats(times), features=None, audio=music / "0.wav")
    (found,) = on_beat_clock(FEATURE, [heard])
    assert found.features is not None
    chroma = CHROMA.from_file(music / "0.wav")
    expected = FEATURE.between(chroma, times, CHROMA.frame_rate)
    np.testing.assert_array_equal(found.features(), expected)
    np.testing.assert_array_equal(found.read(FEATURE), expected)
    (of_ready,) = on_beat_clock(FEATURE, [track(BEATS)])
    np.testing.assert_array_equal(
        of_ready.read(FEATURE, np.float16),
        FEATURE.between(ready(), BEATS.times, CHROMA.frame_rate).astype(np.float16),
    )


def test_ready_features_of_another_shape_or_no_numbers_are_told() -> None:
    for shape, message in (((9, 12), r"\(frames, 24\)\. Rec.* \(9, 12\) in a"), ((0, 24), "in a")):
        (found,) = on_beat_clock(FEATURE, [track(BEATS, features=partial(np.zeros, shape))])
        with pytest.raises(AudioError, match=message):
            found.read(FEATURE)
    (found,) = on_beat_clock(FEATURE, [track(BEATS, features=partial(np.full, (9, 24), np.nan))])
    with pytest.raises(AudioError, match=r"finite features\. Received: NaN or overflow in a\."):
        found.read(FEATURE)


def test_what_they_are_made_of_changes_with_beats_and_audio(music: Path) -> None:
    """Records of other beats would not be computed anew otherwise."""
    moved = Beats(BEATS.times + 0.001, BEATS.positions)
    other_bars = Beats(BEATS.times, [1, 2, 3, 4])
    tracks = [track(beats) for beats in (BEATS, moved, other_bars)]
    tracks += [track(BEATS, features=None, audio=music / f"{number}.wav") for number in (0, 1)]
    sounds = [found.sound_fingerprint for found in on_beat_clock(FEATURE, tracks)]
    assert None not in sounds
    assert len(set(sounds)) == len(sounds)
    assert sounds == [found.sound_fingerprint for found in on_beat_clock(FEATURE, tracks)]
    assert track(BEATS).sound_fingerprint is None  # what is ready by itself can't be told


def test_they_go_to_other_processes(music: Path) -> None:
    heard = track(BEATS, features=None, audio=music / "0.wav")
    frames = FeaturesOnBeats(heard, FEATURE)
    again = pickle.loads(pickle.dumps(frames))
    assert again.fingerprint == frames.fingerprint
    np.testing.assert_array_equal(again(), frames())


# === Records ===

ASK = ("--feature", "beat_synchronous", "--feature.subdivisions=4", "--quiet")


@pytest.fixture(scope="module")
def local(music: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("records") / "local"
    ask = ["folder", "--root", str(music), "--out", str(out), *ASK, "--workers", "1"]
    assert command.run(main, ask) == 0
    return out


def test_a_folder_becomes_records_of_beats(music: Path, local: Path) -> None:
    records, source = Records.open(local), NNLSChroma()
    records.verify()
    feature = BeatSynchronous(subdivisions=4)
    assert records.feature == feature
    assert records.spec.known == ("beats",)
    found = {name: (frames, known) for name, frames, known in records.tracks()}
    assert sorted(found) == ["0.wav", "1.wav", "2.wav"]
    for number in range(3):
        frames, known = found[f"{number}.wav"]
        times = beat_times(number)
        expected = feature.between(
            source.from_file(music / f"{number}.wav"), times, source.frame_rate
        )
        np.testing.assert_array_equal(frames, expected.astype(np.float16))
        assert known.beats is not None
        assert known.beats.times.tolist() == list(range(len(times)))
        assert known.beats.positions.tolist() == [beat % 4 + 1 for beat in range(len(times))]


def test_beam_writes_the_same_bytes(music: Path, local: Path, tmp_path: Path) -> None:
    pytest.importorskip("apache_beam")
    ask = ["folder", "--root", str(music), "--out", str(tmp_path), *ASK, "--runner", "beam"]
    assert command.run(main, ask) == 0
    content = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert content == {path.name: path.read_bytes() for path in local.iterdir()}


def test_records_that_are_wanted_by_name_are_made_once_for_the_same_beats(
    music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KMIR_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "music"
    root.mkdir()
    for file in ("0.wav", "0.beats"):
        (root / file).write_bytes((music / file).read_bytes())
    first = records_for("folder", root, FEATURE, quiet=True).root
    assert records_for("folder", root, FEATURE, quiet=True).root == first
    (root / "0.beats").write_text("0.5\t1\n1.0\t2\n")
    other = records_for("folder", root, FEATURE, quiet=True)
    assert other.root != first
    ((_, frames, _),) = other.tracks()
    assert frames.shape == (2, 48)


def test_a_folder_without_beats_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"tracks with beats.* Received: 12 without\.$"):
        extract("folder", tiny_folder, tmp_path, FEATURE, workers=1, quiet=True)
    assert not list(tmp_path.iterdir())
