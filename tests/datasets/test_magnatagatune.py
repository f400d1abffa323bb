"""MagnaTagATune in miniature, in the layout that is distributed."""

import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile

from kmir.datasets.magnatagatune import BIBTEX, LICENSE, tracks
from kmir.errors import DatasetError

TAGS = ["no voice", "guitar", "classical", "techno"]
# clip_id, tags, mp3_path: two cuts of one song, one song for each other folder, one without tags.
CLIPS = [
    ("2", "guitar,classical", "0/bach-cantatas-01-aria-30-59.mp3"),
    ("6", "guitar", "0/bach-cantatas-01-aria-146-175.mp3"),
    ("14", "techno", "b/lvx_nova-lvx_nova-01-contimune-30-59.mp3"),
    ("25", "", "b/nobody-nothing-01-silence-0-29.mp3"),
    ("32", "guitar,no voice", "c/devine-portrait-01-lesson_1-0-29.mp3"),
    ("39", "classical", "d/schutz-exequien-01-concert-0-29.mp3"),
    ("115", "guitar", "f/tilopa-turkishauch-01-1x3-0-29.mp3"),
]
PATHS = [path for _, _, path in CLIPS]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    _annotations(tmp_path, CLIPS)
    for path in PATHS:
        _clip(tmp_path / path)
    return tmp_path


def _clip(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(1600, np.float32), 16000, format="WAV")


def _annotations(root: Path, clips: list[tuple[str, str, str]]) -> None:
    lines = [["clip_id", *TAGS, "mp3_path"]]
    lines += [[i, *("01"[tag in tags.split(",")] for tag in TAGS), p] for i, tags, p in clips]
    text = "".join("\t".join(f'"{cell}"' for cell in line) + "\n" for line in lines)
    (root / "annotations_final.csv").write_text(text)


def _lists(folder: Path, **lists: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in lists.items():
        np.save(folder / f"{name}.npy", np.array(lines))


def _message(root: Path, **options: object) -> str:
    with pytest.raises(DatasetError) as caught:
        tracks(root, **options)
    return str(caught.value)


def test_usual_split_goes_by_folder_and_keeps_clips_without_tags(root):
    found = list(tracks(root, top=4))
    assert [track.id for track in found] == PATHS
    assert [track.split for track in found] == [*["train"] * 4, "validation", "test", "test"]
    assert found[0].audio == root / PATHS[0]
    assert found[3].annotations.tags.labels == ()


@pytest.mark.parametrize("folder", "0123456789abcdef")
def test_every_folder_has_its_part(tmp_path, folder):
    path = f"{folder}/artist-album-01-song-0-29.mp3"
    _annotations(tmp_path, [("1", "guitar", path)])
    _clip(tmp_path / path)
    expected = {"c": "validation", "d": "test", "e": "test", "f": "test"}.get(folder, "train")
    assert [track.split for track in tracks(tmp_path, top=1)] == [expected]


def test_cuts_of_a_song_share_a_group(root):
    groups = [track.group for track in tracks(root, top=4)]
    assert groups[:3] == ["bach-cantatas-01-aria"] * 2 + ["lvx_nova-lvx_nova-01-contimune"]
    assert len(set(groups)) == 6


def test_top_tags_by_count_then_by_column(root):
    # guitar 4, classical 2, then "no voice" and techno once each: the earlier column wins.
    labels = {label for track in tracks(root, top=3) for label in track.annotations.tags.labels}
    assert labels == {"guitar", "classical", "no voice"}
    assert next(tracks(root, top=1)).annotations.tags.labels == ("guitar",)


def test_folders_may_stand_in_mp3_or_where_told(root):
    (root / "mp3").mkdir()
    for folder in "0bcdf":
        (root / folder).rename(root / "mp3" / folder)
    assert next(tracks(root, top=4)).audio == root / "mp3" / PATHS[0]
    (root / "mp3").rename(root / "elsewhere")
    assert next(tracks(root, top=4, audio="elsewhere")).audio == root / "elsewhere" / PATHS[0]
    message = _message(root, top=4)
    assert "Expected 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, a, b, c, d, e, f in one of ., mp3" in message
    assert "with --option.audio=FOLDER" in message


@pytest.mark.parametrize("suffix", ["mp3", "npy"])
def test_won_split_goes_by_lists_and_drops_the_rest(root, suffix):
    lines = [f"{n}\t{path[:-3]}{suffix}" for n, path in enumerate(PATHS)]
    _lists(root / "split" / "mtat", train=lines[:3], valid=lines[4:5], test=lines[5:6])
    found = {track.id: track.split for track in tracks(root, top=4, split="won")}
    expected = ["train", "train", "train", "validation", "test"]
    assert found == dict(zip([*PATHS[:3], *PATHS[4:6]], expected, strict=True))


def test_empty_files_that_were_removed_are_not_missed(root, caplog):
    gone = "6/norine_braun-now_and_zen-08-gently-117-146.mp3"
    _annotations(root, [*CLIPS, ("35644", "guitar", gone)])
    with caplog.at_level(logging.INFO, "kmir"):
        assert [track.id for track in tracks(root, top=4)] == PATHS
    assert "1 clips left out" in caplog.text
    _clip(root / gone)
    assert [track.id for track in tracks(root, top=4)] == [*PATHS, gone]


def test_citation_and_licence():
    assert "Law, Edith" in BIBTEX
    assert "CC BY-NC-SA" in LICENSE


# === What must fail ===


def test_missing_files_are_listed_counted_or_left_out(root):
    extra = [
        (str(n), "guitar", f"1/artist-album-01-song-{n}-{n + 29}.mp3") for n in range(900, 925)
    ]
    _annotations(root, [*CLIPS, *extra])
    lines = _message(root, top=4).splitlines()
    assert lines[0] == f"25 problems in '{root}':"
    assert lines[1].startswith("  1/artist-album-01-song-900-929.mp3: not found in")
    assert lines[-1] == "  … and 5 more."
    assert [track.id for track in tracks(root, top=4, allow_missing=True)] == PATHS
    _annotations(root, extra)  # nothing at all is left
    assert _message(root, top=4, allow_missing=True).startswith("25 problems")


def test_wrong_options(root):
    assert "Expected split as 'usual' or 'won'. Received: 'wonn'. Did you mean 'won'?" in _message(
        root, split="wonn"
    )
    assert "Expected top from 1 to 4, the number of tags. Received: 50." in _message(root)


def test_without_annotations(tmp_path):
    assert "Expected annotations_final.csv in" in _message(tmp_path)


def test_annotations_of_another_kind(root):
    (root / "annotations_final.csv").write_text("clip_id,guitar,mp3_path\n")
    message = _message(root)
    assert "Expected clip_id, the tags and mp3_path, separated by tabs, in line 1" in message
    assert "Received: 'clip_id,guitar,mp3_path'." in message


def test_damaged_lines_are_named(root):
    with (root / "annotations_final.csv").open("a") as file:
        file.write("7\t1\t0\n8\t0\t0\t0\t0\tg/song.mp3\n")
    message = _message(root, top=4)
    assert message.startswith("2 problems")
    assert "annotations_final.csv:9: Expected 6 cells" in message
    assert "Received: 6, 'g/song.mp3'." in message


def test_won_split_without_or_with_wrong_lists(root):
    message = _message(root, top=4, split="won")
    assert "Expected train.npy, valid.npy, test.npy in one of ., split/mtat of" in message
    stray = "8\tf/somebody-else-01-song-0-29.mp3"
    _lists(root, train=[f"0\t{PATHS[0]}", stray], valid=[f"0\t{PATHS[0]}"])
    np.save(root / "test.npy", np.arange(3))
    message = _message(root, top=4, split="won")
    assert message.startswith("3 problems")
    assert f"train.npy[1]: Expected an mp3_path of annotations_final.csv. Received: '{stray}'" in (
        message
    )
    assert (
        f"valid.npy[0]: Expected each clip once. Received: '{PATHS[0]}', already in train.npy"
        in (message)
    )
    assert "test.npy: Expected an array of strings. Received: an array of int64." in message


def test_pickled_lists_are_refused(root):
    np.save(root / "train.npy", np.array([PATHS[0]], dtype=object), allow_pickle=True)
    message = _message(root, top=4, split="won")
    assert "train.npy: Expected an array of strings. Received: Object arrays cannot be" in message
    assert "valid.npy: Expected an array of strings. Received: [Errno 2]" in message
