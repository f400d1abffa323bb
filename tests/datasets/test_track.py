"""What a track must have, and what is heard of it."""

import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from kmir.annotations import Annotations
from kmir.datasets.track import Track
from kmir.errors import AudioError, DatasetError
from kmir.integrity import sketch
from kmir.synthesis.midi import Rendering

SOUNDS = {
    "audio": Path("a.wav"),
    "features": partial(np.zeros, (3, 4)),
    "render": Rendering(Path("a.mid"), Path("a.sf2")),
}


@pytest.mark.parametrize("name", SOUNDS)
def test_its_sound_in_one_of_three_forms(name):
    track = Track("a", Annotations(), **{name: SOUNDS[name]})
    assert getattr(track, name) is SOUNDS[name]
    assert track.group == "a"


@pytest.mark.parametrize("names", [(), ("audio", "render"), tuple(SOUNDS)])
def test_neither_none_nor_several(names):
    with pytest.raises(DatasetError, match="one of audio, features and render for track 'a'"):
        Track("a", Annotations(), **{name: SOUNDS[name] for name in names})


def test_the_splits_that_there_are():
    with pytest.raises(DatasetError, match=r"for track 'a'\. Received: 'valid'"):
        Track("a", Annotations(), audio=Path("a.wav"), split="valid")


# === What is heard ===


@dataclass(frozen=True)
class Copied:
    """Makes the audio by a copy."""

    source: Path
    fingerprint: str = "of the source"

    def __call__(self, out: Path) -> None:
        shutil.copy(self.source, out)


class Known:
    """Ready features that tell what they are made of."""

    fingerprint = "made of this"

    def __call__(self) -> np.ndarray:
        return np.ones((3, 32), np.float32)


def test_its_sound_has_a_hash_where_that_is_known(tiny_folder, tmp_path):
    path = tiny_folder / "tone" / "0.wav"
    assert Track("a", Annotations(), audio=path).sound_fingerprint == sketch(path)
    assert Track("a", Annotations(), audio=tmp_path / "gone.wav").sound_fingerprint is None
    assert Track("a", Annotations(), render=Copied(path)).sound_fingerprint == "of the source"
    assert Track("a", Annotations(), features=partial(np.zeros, (3, 4))).sound_fingerprint is None
    assert Track("a", Annotations(), features=Known()).sound_fingerprint == "made of this"


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_its_frames_are_those_of_its_audio_in_any_form(tiny_folder, tiny_feature, dtype):
    path = tiny_folder / "tone" / "0.wav"
    expected = tiny_feature.from_file(path, dtype)
    assert expected.shape == (63, 32)
    for sound in (
        {"audio": path},
        {"render": Copied(path)},
        {"features": partial(tiny_feature.from_file, path)},
    ):
        found = Track("a", Annotations(), **sound).read(tiny_feature, dtype)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.zeros((3, 4)), r"features as \(frames, 32\)\. Received: shape \(3, 4\) in a\."),
        (np.zeros((0, 32)), r"features as \(frames, 32\)\. Received: shape \(0, 32\) in a\."),
        (np.full((3, 32), np.inf), r"finite features\. Received: NaN or overflow in a\."),
        (np.full((3, 32), 1e6), r"finite features\. Received: NaN or overflow in a\."),
    ],
)
def test_frames_that_can_not_be_stored(tiny_feature, features, message):
    with pytest.raises(AudioError, match=message):
        Track("a", Annotations(), features=features.copy).read(tiny_feature, np.float16)


def test_audio_that_is_made_goes_by_the_name_of_the_track(tiny_feature, tmp_path):
    (tmp_path / "text.wav").write_text("no audio")
    with pytest.raises(AudioError, match=r"Received: song 7, 8 bytes"):
        Track("song 7", Annotations(), render=Copied(tmp_path / "text.wav")).read(tiny_feature)
