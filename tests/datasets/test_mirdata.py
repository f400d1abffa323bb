"""Data sets that mirdata loads, in miniature: files in its layout, and an index of them."""

import json
import logging
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from kmir.datasets.mirdata import BIBTEX, LICENSE, tracks
from kmir.errors import DatasetError, UsageError

ALBUM = "The Beatles/01_-_Please_Please_Me"
SECRET, MISERY = "11_-_Do_You_Want_To_Know_A_Secret", "02_-_Misery"
KINDS = {"beat": "beat/{}.txt", "chords": "chordlab/{}.lab", "keys": "keylab/{}.lab",
         "sections": "seglab/{}.lab"}  # fmt: skip


def _file(path: Path, text: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if text is None:
        soundfile.write(path, np.zeros(1600, np.float32), 8000)
    else:
        path.write_text(text)


def _index(name: str, paths: dict[str, dict[str, str]], root: Path, patch) -> None:
    """Let mirdata find an index of its own making in a folder, not where it keeps the fetched."""
    module = __import__(f"mirdata.datasets.{name}", fromlist=["INDEXES"])
    index = module.INDEXES[module.INDEXES["default"]]
    tracks = {id_: {k: [p, ""] for k, p in files.items()} for id_, files in paths.items()}
    _file(root / index.filename, json.dumps({"version": "1", "tracks": tracks}))
    patch.setattr(index, "indexes_dir", str(root))


@pytest.fixture
def beatles(tmp_path, monkeypatch):
    pytest.importorskip("mirdata")
    paths = {
        id_: {kind: f"annotations/{place.format(f'{ALBUM}/{song}')}" for kind, place in
              KINDS.items()} | {"audio": f"audio/{song}.wav"}
        for id_, song in {"0111": SECRET, "0102": MISERY, "0199": "99_-_No_Audio"}.items()
    }  # fmt: skip
    _index("beatles", paths, tmp_path / "indexes", monkeypatch)
    root = tmp_path / "beatles"
    notes = root / "annotations"
    for song in (SECRET, MISERY):
        _file(root / f"audio/{song}.wav")
        _file(notes / f"chordlab/{ALBUM}/{song}.lab", "0.0 0.4 N\n0.4 1.5 E:min\n1.5 5.5 G\n")
        _file(notes / f"beat/{ALBUM}/{song}.txt", "13.2\t2\n13.9\tNew Point\n14.4\t4\n14.9\t1\n")
        _file(notes / f"keylab/{ALBUM}/{song}.lab", "0.0\t1.0\tSilence\n1.0\t119.3\tKey\tE\n")
    return root


def _message(root: Path, **options: object) -> str:
    with pytest.raises(DatasetError) as caught:
        tracks(root, **options)
    return str(caught.value)


def test_chords_beats_and_keys_of_the_beatles(beatles, caplog):
    with caplog.at_level(logging.INFO, "kmir"):
        secret, misery = tracks(beatles, name="beatles")
    assert "mirdata:beatles: 1 tracks without audio, left out." in caplog.text
    assert (secret.id, misery.id, secret.group, secret.split) == ("0111", "0102", "0111", None)
    assert secret.audio == beatles / f"audio/{SECRET}.wav"
    known = secret.annotations
    assert known.known == ("chords", "key", "beats")
    assert known.chords.labels == ("N", "E:min", "G")
    np.testing.assert_array_equal(known.chords.intervals, [[0, 0.4], [0.4, 1.5], [1.5, 5.5]])
    assert known.key.labels == ("E:maj",)
    np.testing.assert_array_equal(known.key.intervals, [[1, 119.3]])
    np.testing.assert_array_equal(known.beats.times, [13.2, 13.9, 14.4, 14.9])
    np.testing.assert_array_equal(known.beats.positions, [2, 3, 4, 1])  # mirdata counts the new one


def _gtzan(root: Path, patch, *names: str) -> None:
    paths = {n: {"audio": f"{n}.wav", "beats": f"{n}.b", "tempo": f"{n}.t"} for n in names}
    _index("gtzan_genre", paths, root / "indexes", patch)
    for name in names:
        _file(root / f"{name}.wav")
        _file(root / f"{name}.b", "0.5\t1\n1.0\t2\n")
        _file(root / f"{name}.t", "119.5\n")


def test_beats_and_genre_of_gtzan(tmp_path, monkeypatch):
    pytest.importorskip("mirdata")
    _gtzan(tmp_path, monkeypatch, "blues.00000", "hiphop.00000")
    blues, hiphop = tracks(tmp_path, name="gtzan_genre")
    assert blues.annotations.tags.labels == ("blues",)
    assert hiphop.annotations.tags.labels == ("hip-hop",)
    np.testing.assert_array_equal(blues.annotations.beats.times, [0.5, 1])
    np.testing.assert_array_equal(blues.annotations.beats.positions, [1, 2])


def test_what_can_be_read_of_no_track_is_left_out(tmp_path, monkeypatch, caplog):
    pytest.importorskip("mirdata")
    _gtzan(tmp_path, monkeypatch, "blues.00000", "jazz.00000")
    for name in ("blues", "jazz"):
        _file(tmp_path / f"{name}.00000.t", "fast\n")
    assert [t.annotations.known for t in tracks(tmp_path, name="gtzan_genre")] == [
        ("tags", "beats"), ("tags", "beats")
    ]  # fmt: skip
    assert "mirdata:gtzan_genre: tempo left out, none can be read: could not" in caplog.text
    _file(tmp_path / "jazz.00000.b", "second\tone\n")
    assert _message(tmp_path, name="gtzan_genre").startswith(
        f"1 problem in '{tmp_path}':\n  jazz.00000: beats: Expected what mirdata can read. "
    )


def test_key_without_times_holds_throughout(tmp_path, monkeypatch):
    pytest.importorskip("mirdata")
    paths = {
        "10089": {"audio": "10089.wav", "key": "10089.key", "meta": "10089.json"},
    }  # fmt: skip
    _index("giantsteps_key", paths, tmp_path / "indexes", monkeypatch)
    _file(tmp_path / "10089.wav")
    _file(tmp_path / "10089.key", "D minor")
    meta = {"bpm": "137", "artists": ["A"], "genres": [{"name": "Dubstep"}], "sub_genres": []}
    _file(tmp_path / "10089.json", json.dumps(meta))
    (track,) = tracks(tmp_path, name="giantsteps_key")
    assert track.annotations.key.labels == ("D:min",)
    np.testing.assert_array_equal(track.annotations.key.intervals, [[0, 0.2]])
    assert track.annotations.tempo == 137.0


def test_citation_and_licence():
    assert "bittner2019mirdata" in BIBTEX
    assert "mirdata.initialize(NAME).license()" in LICENSE


# === What must fail ===


def test_faults_are_listed_by_track_or_their_tracks_left_out(beatles, caplog):
    notes = beatles / "annotations"
    _file(notes / f"chordlab/{ALBUM}/{MISERY}.lab", "0.0 2.0 C\n0.5 3.0 G\n")
    _file(notes / f"beat/{ALBUM}/{MISERY}.txt", "2.0\t1\n1.0\t2\n")
    message = _message(beatles, name="beatles")
    assert message.startswith(f"2 problems in '{beatles}':\n  0102: chords[1]: Expected segments ")
    assert (
        "0102: beats: Expected what mirdata can read. Received: times should be strictly increasing"
    ) in message
    assert "Keep the 1 tracks without a fault with --option.allow_damaged=true." in message
    with caplog.at_level(logging.INFO, "kmir"):
        assert [t.id for t in tracks(beatles, name="beatles", allow_damaged=True)] == ["0111"]
    assert "1 tracks without sound annotations, left out." in caplog.text


def test_missing_annotations_and_audio(beatles):
    (beatles / f"annotations/chordlab/{ALBUM}/{MISERY}.lab").unlink()
    assert re.search(r"0102: chords: Expected what mirdata can read\. .*No such file",
                     _message(beatles, name="beatles"))  # fmt: skip
    (beatles / "audio").rename(beatles / "elsewhere")
    message = _message(beatles, name="beatles")
    assert "Received: none of 3 files. Put it where the index has it: " in message
    assert f"audio/{SECRET}.wav." in message


def test_index_that_was_not_fetched(beatles, tmp_path):
    (tmp_path / "indexes/beatles_index_1.2.json").unlink()
    message = _message(beatles, name="beatles")
    assert message.startswith("Expected the index of mirdata's 'beatles', which mirdata keeps.")
    assert f"mirdata.initialize('beatles', '{beatles}').download(['index'])" in message


def test_names_and_versions_that_mirdata_does_not_know(tmp_path):
    pytest.importorskip("mirdata")
    with pytest.raises(UsageError, match=r"Received: 'beetles'\. Did you mean 'beatles'\?"):
        tracks(tmp_path, name="beetles")
    with pytest.raises(UsageError, match=r"written mirdata:NAME\. Received: ''\. Known: .*beatles"):
        tracks(tmp_path)
    with pytest.raises(UsageError, match=r"Expected a version of mirdata's 'beatles'\. .*: '9'"):
        tracks(tmp_path, name="beatles", version="9")


def test_without_the_library(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mirdata", None)
    with pytest.raises(UsageError, match=r"Expected the library mirdata.*install kmir\[mirdata\]"):
        tracks(tmp_path, name="beatles")
