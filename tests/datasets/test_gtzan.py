"""GTZAN in miniature: beats of some excerpts, and silence for audio."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from kmir.datasets.gtzan import BIBTEX, LICENSE, filtered_split, tracks
from kmir.errors import DatasetError, UsageError

# As the files of the data set begin.
BEATS = "0.217\t3\n0.695\t4\n1.173\t1\n1.653\t2\n2.137\t3\n"
TIMES = "0.29\n1.08\n1.854\n2.627\n"
EXCERPTS = {
    "blues.00000": BEATS,
    "blues.00029": BEATS,
    "jazz.00003": TIMES,
    "jazz.00073": BEATS,
    "pop.00015": BEATS,  # not in the filtered split
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    home = tmp_path / "gtzan_tempo_beat-main"
    for kind in ("beats", "tempo"):
        (home / kind).mkdir(parents=True)
    for name, beats in EXCERPTS.items():
        (home / "beats" / f"gtzan_{name.replace('.', '_')}.beats").write_text(beats)
        folder = tmp_path / "genres" / name.partition(".")[0]
        folder.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / f"{name}.wav", np.zeros(80), 8000)
    (home / "tempo" / "gtzan_blues_00000.bpm").write_text("1.258700000000000045e+02\n")
    return tmp_path


def test_beats_tempo_and_genre(root):
    found = {track.id: track for track in tracks(root)}
    assert {name: track.split for name, track in found.items()} == {
        "blues.00000": "validation",
        "blues.00029": "train",
        "jazz.00003": "validation",
        "jazz.00073": "test",
    }
    blues = found["blues.00000"]
    assert blues.audio == root / "genres" / "blues" / "blues.00000.wav"
    assert blues.group == "blues.00000"
    assert blues.annotations.known == ("tags", "beats", "tempo")
    assert blues.annotations.tags.labels == ("blues",)
    assert blues.annotations.beats.times.tolist() == [0.217, 0.695, 1.173, 1.653, 2.137]
    assert blues.annotations.beats.positions.tolist() == [3, 4, 1, 2, 3]
    assert blues.annotations.tempo == 125.87
    assert "marchand2015gtzan" in BIBTEX
    assert "copyright" in LICENSE


def test_without_positions_and_without_a_tempo(root):
    known = {track.id: track.annotations for track in tracks(root)}["jazz.00003"]
    assert known.beats.positions.tolist() == [0, 0, 0, 0]
    assert known.tempo == pytest.approx(60 / 0.779)  # the mean of .79, .774 and .773


def test_all_test(root):
    assert {track.id: track.split for track in tracks(root, split="test")} == dict.fromkeys(
        EXCERPTS, "test"
    )


def test_the_filtered_split():
    splits = filtered_split()
    # Counts of Kereliuk et al. 2015; the excerpts are those of torchaudio's lists.
    assert Counter(splits.values()) == {"train": 443, "validation": 197, "test": 290}
    assert len({name.partition(".")[0] for name in splits}) == 10
    assert [splits[f"disco.{number:05}"] for number in (0, 1, 5, 99)] == [
        "validation", "test", "train", "test",
    ]  # fmt: skip
    assert "disco.00050" not in splits
    assert all(0 <= int(name[-5:]) <= 99 for name in splits)


def test_all_problems_are_told_at_once(root):
    home = root / "gtzan_tempo_beat-main"
    (home / "beats" / "gtzan_blues_00029.beats").write_text("0.2\t1\n0.7\t3\nlate\t4\n")
    (home / "tempo" / "gtzan_blues_00000.bpm").write_text("-1\n")
    (home / "tempo" / "gtzan_jazz_00003.bpm").write_text("fast")
    (root / "genres" / "jazz" / "jazz.00073.wav").unlink()
    (root / "more").mkdir()
    (root / "more" / "gtzan_jazz_00003.beats").write_text(TIMES)
    with pytest.raises(DatasetError) as caught:
        tracks(root)
    heading, *lines = str(caught.value).splitlines()
    assert heading == f"6 problems in '{root}':"
    place = "gtzan_tempo_beat-main"
    for expected in (
        "more/gtzan_jazz_00003.beats: Expected each name once. Received: "
        f"{place}/beats/gtzan_jazz_00003.beats too. Remove one of the two.",
        "jazz.00073: Expected its audio, jazz.00073.wav or .au, in ",
        f"{place}/beats/gtzan_blues_00029.beats:2: Expected position 1 or 2 after 1",
        f"{place}/beats/gtzan_blues_00029.beats:3: Expected seconds",
        f"{place}/tempo/gtzan_blues_00000.bpm: Expected beats per minute above 0. Received: '-1'.",
        f"{place}/tempo/gtzan_jazz_00003.bpm: Expected beats per minute above 0. Received: 'fast'.",
    ):
        assert any(line.startswith(f"  {expected}") for line in lines), expected
    assert lines[-1] == "Leave faulty annotations out with --option.allow_damaged=true."


def test_damaged_and_missing_are_left_out_where_that_is_allowed(root):
    (root / "gtzan_tempo_beat-main" / "beats" / "gtzan_blues_00029.beats").write_text("2\n1\n")
    (root / "genres" / "jazz" / "jazz.00073.wav").unlink()
    with pytest.raises(DatasetError, match="order of time"):
        tracks(root, allow_missing=True)
    with pytest.raises(DatasetError, match="Expected its audio"):
        tracks(root, allow_damaged=True)
    found = tracks(root, allow_missing=True, allow_damaged=True)
    assert [track.id for track in found] == ["blues.00000", "jazz.00003"]


def test_other_formats_and_places(root):
    audio = root / "genres"
    for path in audio.rglob("*.wav"):
        path.rename(path.with_suffix(".au"))
    audio.rename(root / "mine")
    assert next(tracks(root, audio="mine")).audio == root / "mine" / "blues" / "blues.00000.au"
    with pytest.raises(DatasetError, match="Expected a folder with audio at"):
        tracks(root, audio="genres")


def test_folders_of_something_else(root, tmp_path_factory):
    with pytest.raises(DatasetError, match=r"Expected beats/gtzan_blues_00000\.beats"):
        tracks(tmp_path_factory.mktemp("empty"))
    with pytest.raises(DatasetError, match="4 problems in"):
        tracks(root, audio="gtzan_tempo_beat-main", allow_missing=True)
    with pytest.raises(UsageError, match=r"Received: 'filterd'\. Did you mean 'filtered'\?"):
        tracks(root, split="filterd")
