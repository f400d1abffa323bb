"""Isophonics in miniature: archives as unpacked, audio as people have it."""

import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile

from kmir.datasets.isophonics import BIBTEX, LICENSE, tracks
from kmir.errors import DatasetError

BEATLES = "The Beatles/01_-_Please_Please_Me"
QUEEN = "Queen/Greatest Hits I"


def _write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def _song(path: Path, seconds: float = 0.2) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(int(8000 * seconds), np.float32), 8000)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    # Lines as in the published files: blanks in the Beatles' chords, tabs in Queen's and the keys.
    beatles, queen = tmp_path / "The Beatles Annotations", tmp_path / "Queen Annotations"
    _write(
        beatles,
        {
            f"chordlab/{BEATLES}/11_-_Do_You_Want_To_Know_A_Secret.lab":
                "0.000000 0.440395 N\n0.440395 1.455218 E:min\n1.455218 5.579160 G:maj6/5\n",
            f"keylab/{BEATLES}/11_-_Do_You_Want_To_Know_A_Secret.lab":
                "0.000\t1.035\tSilence\n1.035\t119.333\tKey\tE\n119.333\t120.0\tKey\tA:minor\n",
            f"beat/{BEATLES}/11_-_Do_You_Want_To_Know_A_Secret.txt":
                "13.249  2\n13.959  3\n14.416\tNew Point\n14.965 1\n14.965 1\n15.453\n",
            f"seglab/{BEATLES}/11_-_Do_You_Want_To_Know_A_Secret.lab": "0.0 0.5 0 silence\n",
            f"chordlab/{BEATLES}/02_-_Misery.lab": "0 1 C\n1 1 F\n1 2 G\n",
            f"chordlab/{BEATLES}/04_-_Chains.lab": "0 1 C\n",
        },
    )  # fmt: skip
    _write(
        queen,
        {
            f"chordlab/{QUEEN}/01 Bohemian Rhapsody.lab":
                "0.000\t0.459\tN\n0.459\t4.122\tBb:maj6\n4.122\t4.911\tC:7",
        },
    )  # fmt: skip
    _song(tmp_path / "audio/Please Please Me/1-02 misery.wav")
    _song(tmp_path / "audio/Please Please Me/11 - Do you want to know a secret_.flac")
    _song(tmp_path / "audio/Queen - Bohemian Rhapsody (Remastered 2011).wav")
    return tmp_path


def _message(root: Path, **options: object) -> str:
    with pytest.raises(DatasetError) as caught:
        tracks(root, **options)
    return str(caught.value)


def test_songs_with_audio_and_all_that_is_known_of_them(root, caplog):
    with caplog.at_level(logging.INFO, "kmir"):
        queen, misery, secret = tracks(root)
    assert f"1 songs without audio, left out: {BEATLES}/04_-_Chains …" in caplog.text
    assert secret.id == f"{BEATLES}/11_-_Do_You_Want_To_Know_A_Secret"
    assert secret.group == "thebeatles/doyouwanttoknowasecret"
    assert secret.split is None
    assert secret.audio.name == "11 - Do you want to know a secret_.flac"
    known = secret.annotations
    assert known.known == ("chords", "key", "beats")
    assert known.chords.labels == ("N", "E:min", "G:maj6/5")
    np.testing.assert_array_equal(
        known.chords.intervals, [[0, 0.440395], [0.440395, 1.455218], [1.455218, 5.57916]]
    )
    assert known.key.labels == ("E:maj", "A:min")
    np.testing.assert_array_equal(known.key.intervals, [[1.035, 119.333], [119.333, 120]])
    np.testing.assert_array_equal(known.beats.times, [13.249, 13.959, 14.416, 14.965, 15.453])
    np.testing.assert_array_equal(known.beats.positions, [2, 3, 0, 1, 0])
    assert (misery.id, misery.audio.name) == (f"{BEATLES}/02_-_Misery", "1-02 misery.wav")
    assert misery.annotations.known == ("chords",)
    assert misery.annotations.chords.labels == ("C", "G")  # a segment of no length is left out
    assert queen.id == f"{QUEEN}/01 Bohemian Rhapsody"
    assert queen.annotations.chords.labels == ("N", "Bb:maj6", "C:7")


def test_all_archives_in_one_folder_and_audio_elsewhere(root, tmp_path_factory):
    (root / "The Beatles Annotations").rename(root / "annotations")
    (root / "Queen Annotations/chordlab/Queen").rename(root / "annotations/chordlab/Queen")
    disk = tmp_path_factory.mktemp("disk") / "music"
    (root / "audio").rename(disk)
    assert [track.audio.parent for track in tracks(root, audio=str(disk))] == [
        disk, disk / "Please Please Me", disk / "Please Please Me"
    ]  # fmt: skip


def test_recordings_of_another_length_are_mentioned(root, caplog):
    _song(root / "audio/Please Please Me/1-02 misery.wav", 12.5)
    list(tracks(root))
    assert "1 recordings end more than 10 s from their chords" in caplog.text
    assert "02_-_Misery" in caplog.text


def test_citation_and_licence():
    assert "Mauch, Matthias" in BIBTEX
    assert "bring your own" in LICENSE


# === What must fail ===


def test_without_annotations_or_audio(root, tmp_path_factory):
    empty = tmp_path_factory.mktemp("empty")
    assert _message(empty).startswith("Expected a folder chordlab with .lab files somewhere in ")
    (root / "audio").rename(empty / "audio")
    message = _message(root)
    assert f"Expected audio of the songs in '{root}'. Received: none of 4, such as " in message
    assert f"Put it into '{root / 'audio'}', as ALBUM/01 - SONG.mp3" in message
    assert "--option.audio=FOLDER" in message
    assert "Expected a folder with audio at" in _message(root, audio="gone")


def test_all_faults_are_listed_or_their_songs_left_out(root, caplog):
    beatles = root / "The Beatles Annotations"
    _write(
        beatles,
        {
            f"chordlab/{BEATLES}/02_-_Misery.lab": "0 1 C\n0.5 2 G\n2 3 H\n",
            f"chordlab/{BEATLES}/04_-_Chains.lab": "no audio, so not read\n",
            f"keylab/{BEATLES}/02_-_Misery.lab": "0 1 Key C:happy\n",
            f"beat/{BEATLES}/02_-_Misery.txt": "1.0 1\n0.5 2\nx 3\n",
        },
    )
    lines = _message(root).splitlines()
    name = f"The Beatles Annotations/chordlab/{BEATLES}/02_-_Misery.lab"
    assert lines[0] == f"5 problems in '{root}':"
    assert lines[1].startswith(f"  {name}:3: Expected a chord in Harte's syntax")
    assert lines[2].startswith(f"  {name}:2: Expected segments that don't overlap.")
    assert "keylab" in lines[3]
    assert "02_-_Misery.lab:1: Expected a key, such as E, A:minor or D:dorian." in lines[3]
    assert "02_-_Misery.txt:2: Expected the time of a beat in seconds" in lines[4]
    assert "02_-_Misery.txt:3: " in lines[5]
    assert lines[6] == "Keep the 2 songs without a fault with --option.allow_damaged=true."
    with caplog.at_level(logging.INFO, "kmir"):
        assert len(list(tracks(root, allow_damaged=True))) == 2
    assert "1 songs with faults in their annotations, left out." in caplog.text


def test_two_versions_of_a_song_must_be_told_apart(root):
    _song(root / "audio/Live/Misery.wav")
    assert len(list(tracks(root))) == 3  # that of the album is taken
    (root / "audio/Please Please Me").rename(root / "audio/Debut")
    message = _message(root)
    assert "02_-_Misery: Expected one recording. Received: audio/Debut/1-02 misery.wav, " in message
    assert "into a folder 'Please Please Me'." in message


def test_archives_unpacked_twice(root):
    _write(root, {f"copy/chordlab/{BEATLES}/02_-_Misery.lab": "0 1 C\n"})
    assert "Expected the chords of each song once in" in _message(root)
    assert "Remove one of the two archives." in _message(root)
