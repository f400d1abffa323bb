"""A records folder, opened: whole tracks, and every way in which a folder can be damaged."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kmir.errors import RecordError
from kmir.features.audio import read
from kmir.features.log_mel import LogMel
from kmir.records.read import Records


@pytest.fixture
def copied(tiny_records: Path, tmp_path: Path) -> Any:
    """Records of which a test may break something."""
    return shutil.copytree(tiny_records, tmp_path / "records")


def _shard(root: Path, split: str = "train") -> Any:
    return root / Records.open(root).shards(split)[0].file


def _fails(message: str) -> Any:
    return pytest.raises(RecordError, match=f"^{re.escape(message)}")


def test_tracks_hold_the_feature_of_their_audio(
    tiny_records: Path, tiny_folder: Path, tiny_feature: LogMel
) -> None:
    records = Records.open(tiny_records)
    assert records.feature == tiny_feature
    for name, features, annotations in records.tracks("test"):
        expected = tiny_feature(read(tiny_folder / name, 8000))
        assert expected.shape == features.shape == (63, 32)
        np.testing.assert_array_equal(features, expected.astype(np.float16))
        assert annotations.tags is not None
        assert annotations.tags.labels == (name.split("/")[0], "loud")


def test_splits_are_read_alone_or_all_together(tiny_records: Path) -> None:
    records = Records.open(str(tiny_records))  # a string does, too
    names = {split: {name for name, _, _ in records.tracks(split)} for split in ("train", "test")}
    assert names["test"] == {"tone/3.wav", "noise/3.wav", "click/3.wav"}
    assert names["train"] == {f"{c}/{i}.wav" for c in ("tone", "noise", "click") for i in (0, 1)}
    everything = [name for name, _, _ in records.tracks()]
    assert len(everything) == len(set(everything)) == 12
    assert len(records.shards()) == 12
    assert [shard.tracks for shard in records.shards("test")] == [1, 1, 1]


def test_tracks_can_be_left_in_the_middle_and_read_again(tiny_records: Path) -> None:
    records = Records.open(tiny_records)
    first = next(records.tracks())
    again = next(records.tracks())
    assert first[0] == again[0]
    np.testing.assert_array_equal(first[1], again[1])


def test_whole_records_are_verified(tiny_records: Path) -> None:
    Records.open(tiny_records).verify()


@pytest.mark.parametrize(
    ("split", "offer"),
    [("tset", "Did you mean 'test'?"), ("dev", "Known: test, train, validation.")],
)
def test_an_unknown_split_is_an_error(tiny_records: Path, split: str, offer: str) -> None:
    message = f"Expected a split of {tiny_records}. Received: '{split}'. {offer}"
    with _fails(message):
        Records.open(tiny_records).shards(split)
    with _fails(message):
        next(Records.open(tiny_records).tracks(split))


# === Damage ===


def test_a_folder_without_records_is_an_error(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "missing"):
        with _fails(f"Expected a records folder with manifest.json. Received: {place}."):
            Records.open(place)


def test_a_shard_cut_short_is_named(copied: Path) -> None:
    shard = _shard(copied)
    size = shard.stat().st_size
    shard.write_bytes(shard.read_bytes()[:-10])
    with _fails(f"Expected {shard} with {size} bytes. Received: {size - 10} bytes. Extract again"):
        Records.open(copied)


def test_a_missing_shard_is_named(copied: Path) -> None:
    shard = _shard(copied)
    size = shard.stat().st_size
    shard.unlink()
    with _fails(f"Expected {shard} with {size} bytes. Received: no such file. Extract again"):
        Records.open(copied)


@pytest.mark.parametrize("place", [3, 500, -2], ids=["length", "data", "checksum"])
def test_a_flipped_bit_is_found(copied: Path, place: int) -> None:
    shard = _shard(copied)
    content = bytearray(shard.read_bytes())
    content[place] ^= 1
    shard.write_bytes(content)
    records = Records.open(copied)  # the size is right
    with _fails(f"Expected {shard} with sha256 "):
        records.verify()
    with _fails(f"Expected {shard} as it was written. Received: "):
        list(records.tracks("train"))
    assert len(list(records.tracks("test"))) == 3


def test_shards_that_changed_places_are_found(copied: Path) -> None:
    one, other = (copied / shard.file for shard in Records.open(copied).shards("validation")[:2])
    content = other.read_bytes()
    other.write_bytes(one.read_bytes())
    one.write_bytes(content)
    with pytest.raises(RecordError):
        Records.open(copied).verify()


def test_a_spec_that_was_changed_is_refused(tiny_records: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_records, tmp_path / "copy")
    spec = (copy / "spec.json").read_text()
    (copy / "spec.json").write_text(spec.replace('"n_mels": 32', '"n_mels": 64'))
    with pytest.raises(RecordError, match=r"spec\.json as it was written with these shards"):
        Records.open(copy)


@pytest.mark.parametrize("name", ["spec.json", "manifest.json"])
def test_records_of_another_format_are_refused(copied: Path, name: str) -> None:
    path = copied / name
    values = json.loads(path.read_text())
    for received in (2, None):
        path.write_text(json.dumps(values | {"format": received}))
        with _fails(f"Expected records of format 1 in {path}. Received: {received}. Extract"):
            Records.open(copied)
    path.write_text("[1]")
    with _fails(f"Expected records of format 1 in {path}. Received: None."):
        Records.open(copied)


@pytest.mark.parametrize("name", ["spec.json", "manifest.json"])
def test_a_description_that_is_damaged_is_named(copied: Path, name: str) -> None:
    path = copied / name
    text = path.read_text()
    for damaged in (text[: len(text) // 2], ""):
        path.write_text(damaged)
        with _fails(f"Expected JSON in {path}. Received: "):
            Records.open(copied)
    path.unlink()
    with _fails(f"Expected a records folder with {name}. Received: {copied}."):
        Records.open(copied)
