"""A folder in an object store gives the tracks that it would give on a disc."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("apache_beam")

from kmir.datasets.folder import tracks
from kmir.datasets.remote import LARGEST, remote_tracks
from kmir.errors import DatasetError
from kmir.features.log_mel import LogMel
from kmir.remote import Folder

Upload = Callable[[Path, str], None]


@pytest.fixture
def upload(memory: dict[str, bytes]) -> Upload:
    def upload(folder: Path, url: str) -> None:
        for path in folder.rglob("*"):
            if path.is_file():
                name = path.relative_to(folder).as_posix()
                Folder(url).put(path, name, drafts="drafts")

    return upload


def test_tracks_are_those_of_the_disc(tiny_folder: Path, upload: Upload, tmp_path: Path) -> None:
    upload(tiny_folder, "mem://bucket/music")
    here = list(tracks(tiny_folder))
    there = remote_tracks("mem://bucket/music/", tracks)
    assert len(there) == 12
    for one, other in zip(here, there, strict=True):
        assert (one.id, one.annotations, one.group, one.split) == (
            other.id, other.annotations, other.group, other.split,
        )  # fmt: skip
        assert other.render is not None
        other.render(tmp_path / "audio")
        assert one.audio is not None
        assert (tmp_path / "audio").read_bytes() == one.audio.read_bytes()


def test_a_file_that_changes_has_another_fingerprint(
    tiny_folder: Path, upload: Upload, memory: dict[str, bytes]
) -> None:
    def fingerprints() -> list[str]:
        return [t.render.fingerprint for t in remote_tracks("mem://music", tracks) if t.render]

    upload(tiny_folder, "mem://music")
    before = fingerprints()
    assert len(set(before)) == 12
    assert fingerprints() == before
    memory["mem://music/tone/0.wav"] += b"more"
    after = fingerprints()
    assert [a == b for a, b in zip(before, after, strict=True)].count(False) == 1


def test_chords_beside_the_audio_are_fetched(
    upload: Upload, tmp_path: Path, memory: dict[str, bytes]
) -> None:
    (tmp_path / "live").mkdir()
    soundfile.write(tmp_path / "live" / "song.wav", np.full(8000, 0.1), 8000)
    (tmp_path / "live" / "song.lab").write_text("0.0 1.0 A:min\n")
    upload(tmp_path, "mem://songs")
    memory["mem://songs/archive.zip"] = bytes(LARGEST + 1)  # stays where it is
    (track,) = remote_tracks("mem://songs", tracks)
    assert track.id == "live/song.wav"
    assert track.annotations.chords is not None
    assert track.annotations.chords.labels == ("A:min",)


def test_faults_are_told_with_the_url(upload: Upload, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "song.wav", np.full(8000, 0.1), 8000)
    (tmp_path / "song.lab").write_text("0.0 1.0 Hmaj\n")
    upload(tmp_path, "mem://songs")
    with pytest.raises(DatasetError, match=r"^1 problem in 'mem://songs':\n  song\.lab:1: Exp"):
        remote_tracks("mem://songs", tracks)
    with pytest.raises(DatasetError, match=r"at 'mem://nowhere'\. Received: nothing there\.$"):
        remote_tracks("mem://nowhere", tracks)


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".mp3", {}),
        (".ogg", {}),
        (".opus", {"format": "OGG", "subtype": "OPUS"}),
        (".flac", {}),
        (".aiff", {}),
        (".au", {}),
    ],
)
def test_every_format_is_known_by_its_content(
    suffix: str, options: dict[str, str], upload: Upload, tmp_path: Path
) -> None:
    song = tmp_path / "a" / f"song{suffix}"
    song.parent.mkdir()
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 48000)
    soundfile.write(song, noise, 48000, **options)
    (song.parent / "tags.csv").write_text(f"file,tags\nsong{suffix},x\n")
    upload(song.parent, "mem://songs")
    (track,) = remote_tracks("mem://songs", tracks)
    assert track.render is not None
    track.render(tmp_path / "audio.wav")
    feature = LogMel(n_mels=16)
    np.testing.assert_array_equal(
        feature.from_file(tmp_path / "audio.wav"), feature.from_file(song)
    )
