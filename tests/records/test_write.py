"""Tracks to shards: the same bytes whoever writes them, and nothing lost on the way."""

import hashlib
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from kmir.annotations import Annotations, Beats, Tags
from kmir.datasets import Track
from kmir.datasets.folder import tracks as folder_tracks
from kmir.errors import DatasetError, RecordError
from kmir.features.log_mel import LogMel
from kmir.records import shards
from kmir.records.read import Records
from kmir.records.spec import Manifest
from kmir.records.write import write_records

FEATURE = LogMel(n_mels=4)


def _ramp(frames: int, offset: float = 0.0) -> np.ndarray:
    """Features whose every value tells its place."""
    return np.arange(frames * 4, dtype=np.float32).reshape(frames, 4) / 4 + offset


def _fails() -> np.ndarray:
    raise OSError("no luck")


def _track(name: str, frames: int = 3, tags: Sequence[str] = ("a",), **kwargs: Any) -> Track:
    annotations = Annotations(tags=Tags(tuple(tags)))
    return Track(name, annotations, features=partial(_ramp, frames), **kwargs)


def _some(count: int, **kwargs: Any) -> list[Track]:
    """Tracks that train; one validates, so that nothing is carved from them."""
    training = [_track(f"track{i:02}", 3 + i % 2, split="train", **kwargs) for i in range(count)]
    return [*training, _track("kept", split="validation")]


def _write(out: Path, tracks: list[Track], **kwargs: Any) -> Manifest:
    return write_records(out, tracks, FEATURE, dataset="test", quiet=True, **kwargs)


def _hashes(manifest: Manifest) -> dict[str, str]:
    return {
        shard.file: shard.sha256 for split in manifest.splits.values() for shard in split.shards
    }


# === The same bytes ===


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_shards_are_the_same_however_many_workers(
    tmp_path: Path, tiny_folder: Path, tiny_feature: LogMel, dtype: str
) -> None:
    written = [
        write_records(
            tmp_path / str(workers),
            list(folder_tracks(tiny_folder)),
            tiny_feature,
            dataset="folder",
            dtype=dtype,
            workers=workers,
            quiet=True,
        )
        for workers in (1, 2)
    ]
    assert len(_hashes(written[0])) == 12
    assert written[0] == written[1]
    one, two = ((tmp_path / n / "manifest.json").read_bytes() for n in ("1", "2"))
    assert one == two
    for file, expected in _hashes(written[0]).items():
        assert hashlib.sha256((tmp_path / "2" / file).read_bytes()).hexdigest() == expected


def test_many_threads_of_numpy_give_the_same_bits_as_one(tmp_path: Path) -> None:
    # One worker runs in this process, with as many threads as NumPy likes; two have one each.
    for name in ("a", "b"):
        noise = np.random.default_rng(len(name)).uniform(-1, 1, 12000 * 30)
        soundfile.write(tmp_path / f"{name}.wav", noise, 12000)
    tracks = [Track(n, Annotations(), audio=tmp_path / f"{n}.wav") for n in ("a", "b")]
    hashes = [
        _hashes(
            write_records(
                tmp_path / str(n), tracks, LogMel(), dataset="x", dtype="float32", workers=n
            )
        )
        for n in (1, 2)
    ]
    assert hashes[0] == hashes[1]


def test_shards_are_the_same_in_whatever_order_tracks_come(tmp_path: Path) -> None:
    tracks = _some(20)
    assert _hashes(_write(tmp_path / "a", tracks)) == _hashes(_write(tmp_path / "b", tracks[::-1]))


# === What is written ===


def test_manifest_counts_what_stands_in_the_splits(tmp_path: Path) -> None:
    tracks = [
        _track("one", 3, ("a",), split="train"),
        _track("two", 4, ("a", "b"), split="train"),
        _track("three", 4, ("c",), split="train"),
        _track("four", 5, ("b",), split="test"),
        _track("five", 6, ("a",), split="validation"),
        _track("six", 6, ("c",), split="validation"),
    ]
    manifest = _write(tmp_path, tracks)
    train = manifest.splits["train"]
    assert (train.tracks, train.pieces, train.frames, train.longest) == (3, 3, 11, 4)
    assert train.lengths == ((3, 1), (4, 2))
    assert train.tag_counts == {"a": 2, "b": 1, "c": 1}
    assert not train.one_tag_each
    assert manifest.splits["validation"].one_tag_each
    assert manifest.splits["test"].tag_counts == {"b": 1}
    assert [shard.tracks for shard in train.shards] == [1, 1, 1]
    for split in manifest.splits.values():
        for shard in split.shards:
            assert (tmp_path / shard.file).stat().st_size == shard.bytes
    records = Records.open(tmp_path)
    assert records.manifest == manifest  # as it was given, so it is read
    assert records.spec.tags == ("a", "b", "c")
    assert records.spec.known == ("tags",)
    assert records.feature == FEATURE
    assert not (tmp_path / ".staging").exists()


def test_tracks_come_back_as_they_were(tmp_path: Path) -> None:
    annotations = Annotations(
        tags=Tags(("röck",)), beats=Beats(np.array([0.5, 1.0]), np.array([1, 2])), tempo=120
    )
    tracks = [
        Track("live/é.wav", annotations, features=partial(_ramp, 5, 100.0), split="train"),
        Track("none", Annotations(), features=partial(_ramp, 1), split="test"),
    ]
    _write(tmp_path, tracks, dtype="float32")
    back = {name: (features, known) for name, features, known in Records.open(tmp_path).tracks()}
    assert back.keys() == {"live/é.wav", "none"}
    features, known = back["live/é.wav"]
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, _ramp(5, 100.0))
    assert known == annotations
    assert back["none"][1] == Annotations()


@pytest.mark.parametrize(("dtype", "error"), [("float16", 2.0**-11), ("float32", 0)])
def test_features_are_stored_to_the_precision_of_the_dtype(
    tmp_path: Path, dtype: str, error: float
) -> None:
    values = np.random.default_rng(0).uniform(-80, 0, (50, 4)).astype(np.float32)
    track = Track("a", Annotations(), features=partial(np.copy, values))
    _write(tmp_path, [track], dtype=dtype)
    ((_, features, _),) = Records.open(tmp_path).tracks()
    assert features.dtype == dtype
    np.testing.assert_allclose(features.astype(np.float64), values, rtol=error)


@pytest.mark.parametrize("frames", [1, 15, 16, 17, 100])
def test_a_long_track_is_stored_in_pieces_and_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frames: int
) -> None:
    monkeypatch.setattr(shards, "PIECE_BYTES", 16 * 4 * 4)  # 16 frames of 4 float32
    # One validates, so that nothing is carved from those that train.
    tracks = [_track("long", frames, split="train"), _track("short", 2, split="train")]
    tracks.append(_track("other", 40, split="validation"))
    manifest = _write(tmp_path, tracks, dtype="float32")
    pieces = -(-frames // 16)
    assert manifest.splits["train"].pieces == pieces + 1
    assert manifest.splits["train"].frames == frames + 2
    assert manifest.splits["train"].longest <= 16
    back = {name: features for name, features, _ in Records.open(tmp_path).tracks()}
    assert back.keys() == {"long", "short", "other"}
    for name, length in (("long", frames), ("short", 2), ("other", 40)):
        np.testing.assert_array_equal(back[name], _ramp(length))


def test_pieces_know_their_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    monkeypatch.setattr(shards, "PIECE_BYTES", 16 * 4 * 4)
    _write(tmp_path, [_track("long", 40)], dtype="float32")
    records = Records.open(tmp_path)
    (shard,) = records.shards()
    stored = [records.parse(raw) for raw in tf.data.TFRecordDataset(str(tmp_path / shard.file))]
    assert [int(piece["piece"]) for piece in stored] == [0, 1, 2]
    assert {int(piece["pieces"]) for piece in stored} == {3}
    assert [int(piece["start"]) for piece in stored] == [0, 14, 27]
    for piece in stored:
        start, features = int(piece["start"]), piece["features"].numpy()
        np.testing.assert_array_equal(features, _ramp(40)[start : start + len(features)])


def test_tracks_are_spread_over_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = _write(tmp_path / "few", _some(20))
    assert sorted(s.tracks for s in manifest.splits["train"].shards) == [2] * 4 + [3] * 4
    monkeypatch.setattr(shards, "SHARD_BYTES", 200)
    manifest = _write(tmp_path / "many", _some(20))
    train = manifest.splits["train"].shards
    assert len(train) > 8
    assert [shard.file for shard in train] == [
        f"train-{i:05}-of-{len(train):05}.tfrecord" for i in range(len(train))
    ]
    records = Records.open(tmp_path / "many")
    names = sorted(name for name, _, _ in records.tracks("train"))
    assert names == [f"track{i:02}" for i in range(20)]


# === What fails ===


def test_tracks_that_fail_are_left_out_and_told(tmp_path: Path) -> None:
    bad = Track("bad", Annotations(tags=Tags(("rare",))), features=_fails, split="train")
    manifest = _write(tmp_path, [*_some(3), bad])
    assert manifest.failed == {"bad": "bad: OSError: no luck"}
    assert manifest.splits["train"].tracks == 3
    assert Records.open(tmp_path).manifest.failed == manifest.failed
    assert Records.open(tmp_path).spec.tags == ("a", "rare")


def test_a_split_whose_tracks_all_fail_is_not_there(tmp_path: Path) -> None:
    bad = Track("bad", Annotations(), features=_fails, split="test")
    assert list(_write(tmp_path, [*_some(3), bad]).splits) == ["train", "validation"]


def test_nothing_readable_is_an_error_with_every_reason(tmp_path: Path) -> None:
    tracks = [Track(name, Annotations(), features=_fails) for name in ("a", "b")]
    message = (
        r"^Expected at least one readable track. Received: none.\n"
        r"  a: OSError: no luck\n  b: OSError: no luck$"
    )
    with pytest.raises(RecordError, match=message):
        _write(tmp_path, tracks)
    with pytest.raises(RecordError, match=r"^Expected a records folder with manifest\.json"):
        Records.open(tmp_path)


def test_two_tracks_of_one_id_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"track id once. Received: 'track01' 2 times\.$"):
        _write(tmp_path, [*_some(3), _track("track01")])
    assert list(tmp_path.iterdir()) == []


def test_an_id_from_a_file_name_that_is_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"in UTF-8. Received: 'caf\\udce9.wav'. Rename"):
        _write(tmp_path, [_track("caf\udce9.wav")])


# === Again, and over what stands there ===


def test_finished_records_are_left_as_they_are(tmp_path: Path) -> None:
    first = _write(tmp_path, _some(4))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    # Left by a run that was killed after its last shard and before it tidied up.
    (tmp_path / ".staging").mkdir()
    assert _write(tmp_path, _some(4)) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "float32"},
        {"seed": 1},
        {"dataset": "other"},
        {"tracks": _some(5)},
        {"tracks": _some(4, tags=("b",))},
        {"feature": LogMel(n_mels=4, hop_length=128)},
    ],
    ids=lambda change: next(iter(change)),
)
@pytest.mark.parametrize("finished", [True, False])
def test_records_of_other_data_or_settings_are_refused(
    tmp_path: Path, change: Any, finished: bool
) -> None:
    asked = {"dataset": "test", "tracks": _open_splits(), "feature": FEATURE} | change
    _write(tmp_path, _open_splits())
    message = "Expected an empty folder, or records of the same data and feature."
    if not finished:
        staged = tmp_path / ".staging"
        staged.mkdir()
        (staged / "source").write_text(Records.open(tmp_path).manifest.source)
        (tmp_path / "manifest.json").unlink()
        message = f"Expected to go on with the extraction begun in {tmp_path}."
    with pytest.raises(RecordError, match=f"^{message}.*--overwrite"):
        write_records(tmp_path, **asked, quiet=True)


def _open_splits() -> list[Track]:
    """Tracks in groups whose deal depends on the seed."""
    return [_track(f"track{i:02}", 3) for i in range(12)]


def test_an_audio_file_that_changed_makes_other_records(
    tmp_path: Path, tiny_folder: Path, tiny_feature: LogMel
) -> None:
    music = shutil.copytree(tiny_folder, tmp_path / "music")
    out = tmp_path / "out"
    write_records(out, list(folder_tracks(music)), tiny_feature, dataset="folder", quiet=True)
    soundfile.write(music / "tone" / "0.wav", np.zeros(9000), 8000)
    with pytest.raises(RecordError, match="which holds others"):
        write_records(out, list(folder_tracks(music)), tiny_feature, dataset="folder", quiet=True)


def test_a_file_of_somebody_elses_stays(tmp_path: Path) -> None:
    (tmp_path / "mine.tfrecord").write_bytes(b"precious")
    _write(tmp_path, _some(3))
    assert (tmp_path / "mine.tfrecord").read_bytes() == b"precious"


def test_shards_of_a_run_that_was_killed_do_not_stay(tmp_path: Path) -> None:
    (tmp_path / "train-00000-of-00099.tfrecord").write_bytes(b"left")
    (tmp_path / "train-00000-of-00004.tfrecord.tmp").write_bytes(b"left")
    manifest = _write(tmp_path, _some(4))
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"spec.json", "manifest.json", *_hashes(manifest)}
