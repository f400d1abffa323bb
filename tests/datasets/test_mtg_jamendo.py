"""MTG-Jamendo in miniature: tables of the repository, audio as unpacked."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from kmir.datasets.mtg_jamendo import BIBTEX, LICENSE, tracks
from kmir.errors import DatasetError

HEADER = "TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH\tDURATION\tTAGS\n"
# Lines as in the published tables, one cell for each tag.
ROWS = {
    "train": [
        "track_1376256\tartist_490499\talbum_161779\t56/1376256.mp3\t166.0\t"
        "genre---chillout\tgenre---downtempo\tinstrument---piano\n",
        "track_1376257\tartist_490499\talbum_161779\t57/1376257.mp3\t188.1\tgenre---chillout\n",
    ],
    "validation": [
        "track_0000241\tartist_000005\talbum_000033\t41/241.mp3\t340.1\tmood/theme---happy\n"
    ],
    "test": ["track_0000382\tartist_000020\talbum_000046\t82/382.mp3\t211.1\tgenre---classical\n"],
}
PATHS = ["56/1376256.mp3", "57/1376257.mp3", "41/241.mp3", "82/382.mp3"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    _tables(tmp_path, 0, "autotagging_top50tags")
    for path in PATHS:
        _song(tmp_path / path)
    return tmp_path


def _song(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(160, np.float32), 16000, format="WAV")


def _tables(root: Path, fold: int, name: str, rows: dict[str, list[str]] = ROWS) -> None:
    folder = root / "data" / "splits" / f"split-{fold}"
    folder.mkdir(parents=True, exist_ok=True)
    for split, lines in rows.items():
        (folder / f"{name}-{split}.tsv").write_text(HEADER + "".join(lines))


def _message(root: Path, **options: object) -> str:
    with pytest.raises(DatasetError) as caught:
        tracks(root, **options)
    return str(caught.value)


def test_tracks_with_their_split_artist_and_published_tags(root):
    found = list(tracks(root))
    assert [track.id for track in found] == PATHS
    assert [track.split for track in found] == ["train", "train", "validation", "test"]
    assert [track.group for track in found] == [
        "artist_490499", "artist_490499", "artist_000005", "artist_000020"
    ]  # fmt: skip
    assert found[0].annotations.tags.labels == (
        "genre---chillout", "genre---downtempo", "instrument---piano"
    )  # fmt: skip
    assert found[2].annotations.tags.labels == ("mood/theme---happy",)
    assert found[0].audio == root / "56" / "1376256.mp3"


@pytest.mark.parametrize(
    ("subset", "name"),
    [
        ("top50tags", "autotagging_top50tags"),
        ("genre", "autotagging_genre"),
        ("instrument", "autotagging_instrument"),
        ("moodtheme", "autotagging_moodtheme"),
        ("all", "autotagging"),
    ],
)
def test_subset_and_fold_choose_the_table(root, subset, name):
    only_test = {"train": [], "validation": [], "test": ROWS["test"]}
    _tables(root, 3, name, only_test)
    assert [track.id for track in tracks(root, subset=subset, fold=3)] == ["82/382.mp3"]


@pytest.mark.parametrize(
    "place", ["audio", "audio-low", "raw_30s/audio", "raw_30s/audio-low", "data/audio"]
)
def test_audio_is_looked_for_in_common_places(root, place):
    (root / place).mkdir(parents=True)
    for folder in ("56", "57", "41", "82"):
        (root / folder).rename(root / place / folder)
    assert next(tracks(root)).audio == root / place / PATHS[0]


def test_audio_where_told_and_root_as_data_folder(root, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("disk")
    for folder in ("56", "57", "41", "82"):
        (root / folder).rename(elsewhere / folder)
    found = tracks(root / "data", audio=str(elsewhere))
    assert next(found).audio == elsewhere / PATHS[0]


def test_low_quality_stands_in_for_full(root):
    (root / "56" / "1376256.mp3").rename(root / "56" / "1376256.low.mp3")
    _song(root / "57" / "1376257.low.mp3")
    first, second, *_ = tracks(root)
    assert (first.id, first.audio.name) == ("56/1376256.mp3", "1376256.low.mp3")
    assert second.audio.name == "1376257.mp3"


def test_citation_and_licence():
    assert "Bogdanov, Dmitry" in BIBTEX
    assert "CC BY-NC-SA 4.0" in LICENSE


# === What must fail ===


def test_missing_files_are_listed_or_left_out(root):
    (root / PATHS[0]).unlink()
    (root / PATHS[3]).unlink()
    message = _message(root)
    assert message.startswith(f"2 problems in '{root}':\n  56/1376256.mp3: not found in '{root}'")
    assert [track.id for track in tracks(root, allow_missing=True)] == PATHS[1:3]
    (root / PATHS[1]).unlink()
    (root / PATHS[2]).unlink()
    assert _message(root, allow_missing=True).startswith("4 problems")


def test_twenty_missing_files_are_shown_and_the_rest_counted(root):
    lines = [f"track_{n}\tartist_1\talbum_1\t00/{n}.mp3\t9.0\tgenre---pop\n" for n in range(30)]
    _tables(root, 0, "autotagging_top50tags", ROWS | {"train": lines})
    shown = _message(root).splitlines()
    assert (shown[0], len(shown)) == (f"30 problems in '{root}':", 22)
    assert shown[-1] == "  … and 10 more."


def test_wrong_options(root):
    message = _message(root, subset="genres")
    assert "Expected subset as one of top50tags, genre, instrument, moodtheme, all." in message
    assert "Received: 'genres'. Did you mean 'genre'?" in message
    assert "Expected fold from 0 to 4. Received: 5." in _message(root, fold=5)


def test_without_tables_or_audio(root, tmp_path_factory):
    assert "Expected data/splits/split-1 in" in _message(root, fold=1)
    assert "Expected autotagging_genre-train.tsv, autotagging_genre-validation.tsv, " in _message(
        root, subset="genre"
    )
    bare = tmp_path_factory.mktemp("bare")
    _tables(bare, 0, "autotagging_top50tags")
    message = _message(bare)
    assert (
        "Expected the folders 00 to 99 with the audio in one of ., audio, raw_30s/audio" in message
    )
    assert "with --option.audio=FOLDER" in message
    assert "in one of nowhere of" in _message(bare, audio="nowhere")


def test_damaged_tables_are_named_all_at_once(root):
    folder = root / "data" / "splits" / "split-0"
    (folder / "autotagging_top50tags-train.tsv").write_text("TRACK_ID,PATH\n")
    with (folder / "autotagging_top50tags-validation.tsv").open("a") as file:
        file.write("track_1\tartist_1\n")
    with (folder / "autotagging_top50tags-test.tsv").open("a") as file:
        file.write(ROWS["validation"][0])
    message = _message(root)
    assert message.startswith("3 problems")
    assert "autotagging_top50tags-train.tsv:1: Expected the columns TRACK_ID, ARTIST_ID" in message
    assert (
        "autotagging_top50tags-validation.tsv:3: Expected 6 cells or more. Received: 2." in message
    )
    assert (
        "autotagging_top50tags-test.tsv:3: Expected each track once. Received: '41/241.mp3', "
        "already in autotagging_top50tags-validation.tsv:2." in message
    )
