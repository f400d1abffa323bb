"""Ballroom in miniature: beats of some excerpts, and silence for audio."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from kmir.datasets.ballroom import BIBTEX, COPIES, DANCES, LICENSE, album, tracks
from kmir.errors import DatasetError

WALTZ = "".join(f"{0.5 + 0.34 * beat:.10f} {1 + (beat + 1) % 3}\n" for beat in range(9))
EXCERPTS = {
    "Albums-Cafe_Paradiso-05": "ChaChaCha",
    "Albums-Fire-08": "ChaChaCha",
    "Albums-Fire-09": "Samba",  # a copy of the one above
    "Media-103415": "Rumba-Misc",
    "Media-105907": "VienneseWaltz",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "BallroomAnnotations").mkdir()
    for name, dance in EXCERPTS.items():
        (tmp_path / "BallroomAnnotations" / f"{name}.beats").write_text(WALTZ)
        folder = tmp_path / "BallroomData" / dance
        folder.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / f"{name}.wav", np.zeros(80), 8000)
    (tmp_path / "BallroomAnnotations" / "README.md").write_text("beats")
    (tmp_path / "BallroomData" / "allBallroomFiles").write_text("./Samba/Albums-Fire-09.wav")
    return tmp_path


def test_beats_tempo_and_dance(root):
    found = list(tracks(root))
    assert [track.id for track in found] == [
        "Albums-Cafe_Paradiso-05", "Albums-Fire-08", "Media-105907"
    ]  # fmt: skip
    waltz = found[-1]
    assert waltz.audio == root / "BallroomData" / "VienneseWaltz" / "Media-105907.wav"
    assert (waltz.group, waltz.split) == ("Media-1059", None)
    assert waltz.annotations.known == ("tags", "beats", "tempo")
    assert waltz.annotations.tags.labels == ("VienneseWaltz",)
    np.testing.assert_allclose(waltz.annotations.beats.times, 0.5 + 0.34 * np.arange(9))
    assert waltz.annotations.beats.positions.tolist() == [2, 3, 1, 2, 3, 1, 2, 3, 1]
    assert waltz.annotations.tempo == pytest.approx(60 / 0.34)
    assert "krebs2013rhythmic" in BIBTEX
    assert "mirdata" in LICENSE


def test_copies_keep_to_the_group_of_their_original(root):
    found = {track.id: track for track in tracks(root, copies=True)}
    assert set(found) == set(EXCERPTS)
    assert found["Albums-Fire-09"].group == found["Albums-Fire-08"].group == "Albums-Fire"
    assert found["Albums-Fire-09"].annotations.tags.labels == ("Samba",)
    assert found["Media-103415"].group == album("Media-103402") == "Media-1034"
    assert found["Media-103415"].annotations.tags.labels == ("Rumba",)


def test_thirteen_copies_of_others():
    # Four exact and nine recording replicas, as the README of the annotations counts them.
    assert len(COPIES) == 13
    assert not set(COPIES) & set(COPIES.values())
    assert len(set(DANCES.values())) == 8


def test_albums_by_name():
    assert album("Albums-AnaBelen_Veneo-11") == "Albums-AnaBelen_Veneo"
    assert album("Albums-Latin_Jam2-05") != album("Albums-Latin_Jam-05")


def test_all_problems_are_told_at_once(root):
    home = root / "BallroomAnnotations"
    (home / "Albums-Cafe_Paradiso-05.beats").write_text("0.5 1\n1.0 3\n0.9 1\n")
    (home / "Media-105907.beats").write_text("0.85 1.1\n1.47 1.2\n")  # an old version
    (root / "BallroomData" / "ChaChaCha" / "Albums-Fire-08.wav").unlink()
    again = root / "BallroomData" / "Waltz"
    again.mkdir()
    soundfile.write(again / "Media-105907.wav", np.zeros(80), 8000)
    with pytest.raises(DatasetError) as caught:
        tracks(root)
    heading, *lines = str(caught.value).splitlines()
    assert heading == f"6 problems in '{root}':"
    for expected in (
        "BallroomData/Waltz/Media-105907.wav: Expected each name once. Received: "
        "BallroomData/VienneseWaltz/Media-105907.wav too. Remove one of the two.",
        "Albums-Fire-08: Expected its audio in a folder of its dance",
        "BallroomAnnotations/Albums-Cafe_Paradiso-05.beats:2: Expected position 1 or 2 after 1",
        "BallroomAnnotations/Albums-Cafe_Paradiso-05.beats:3: Expected beats in order of time.",
        "BallroomAnnotations/Media-105907.beats:1: Expected a position in the bar of 1",
        "BallroomAnnotations/Media-105907.beats:2: Expected a position in the bar of 1",
    ):
        assert any(line.startswith(f"  {expected}") for line in lines), expected
    assert lines[-1] == "Leave faulty annotations out with --option.allow_damaged=true."


def test_damaged_and_missing_are_left_out_where_that_is_allowed(root):
    (root / "BallroomAnnotations" / "Albums-Cafe_Paradiso-05.beats").write_text("1 1\n0 2\n")
    (root / "BallroomData" / "ChaChaCha" / "Albums-Fire-08.wav").unlink()
    with pytest.raises(DatasetError, match="order of time"):
        tracks(root, allow_missing=True)
    with pytest.raises(DatasetError, match="Expected its audio"):
        tracks(root, allow_damaged=True)
    found = tracks(root, allow_missing=True, allow_damaged=True)
    assert [track.id for track in found] == ["Media-105907"]


def test_two_formats_side_by_side_are_one(root):
    folder = root / "BallroomData" / "VienneseWaltz"
    soundfile.write(folder / "Media-105907.flac", np.zeros(80), 8000)
    (track,) = (track for track in tracks(root) if track.id == "Media-105907")
    assert track.audio.parent == folder


def test_audio_elsewhere(root):
    (root / "BallroomData").rename(root / "mine")
    assert len(list(tracks(root, audio="mine"))) == 3
    with pytest.raises(DatasetError, match="Expected a folder with audio at"):
        tracks(root, audio="BallroomData")


def test_folders_of_something_else(root, tmp_path_factory):
    with pytest.raises(DatasetError, match=r"Expected \.beats files somewhere"):
        tracks(tmp_path_factory.mktemp("empty"))
    with pytest.raises(DatasetError, match="3 problems in"):
        tracks(root, audio="BallroomAnnotations", allow_missing=True)
