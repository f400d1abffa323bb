import subprocess
import sys

import numpy as np
import pytest
import soundfile

from kmir.annotations import Annotations
from kmir.datasets import synthetic
from kmir.errors import UsageError
from kmir.synthesis import VERSION, compose, render


@pytest.fixture
def root(tmp_path):
    return tmp_path / "audio"


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_tracks_have_names_groups_and_all_annotations(root):
    tracks = list(synthetic.tracks(root, pieces=3, seconds=2.0, seed=4))
    assert [track.id for track in tracks] == [f"synthetic-4-0000{i}" for i in range(3)]
    for track in tracks:
        assert track.group == track.id and track.split is None
        assert track.audio == root / f"{track.id}.flac"
        assert track.annotations.known == (
            "tags", "chords", "key", "beats", "tempo", "melody", "notes",
        )  # fmt: skip
        assert set(track.annotations.tags.labels) <= set(synthetic.TAGS)
        assert Annotations.from_json(track.annotations.to_json()) == track.annotations


def test_audio_is_16_bit_flac_with_the_rendered_samples(root):
    (track,) = synthetic.tracks(root, pieces=1, seconds=2.0)
    info = soundfile.info(track.audio)
    assert (info.format, info.subtype, info.samplerate, info.channels, info.frames) == (
        "FLAC", "PCM_16", 22050, 1, 44100,
    )  # fmt: skip
    samples, _ = soundfile.read(track.audio, dtype="float32")
    np.testing.assert_allclose(samples, render(compose(0, 0, seconds=2.0)), atol=2**-15)


def test_pieces_do_not_depend_on_their_number(root, tmp_path):
    few = list(synthetic.tracks(root, pieces=2, seconds=1.0))
    more = list(synthetic.tracks(tmp_path / "more", pieces=4, seconds=1.0))
    for one, other in zip(few, more, strict=False):
        assert one.id == other.id and one.annotations == other.annotations
        assert one.audio.read_bytes() == other.audio.read_bytes()
    assert len(more) == 4


def test_second_call_writes_nothing(root, monkeypatch):
    first = list(synthetic.tracks(root, pieces=2, seconds=1.0))
    monkeypatch.setattr(synthetic, "render", lambda score: pytest.fail("rendered again"))
    before = {path.name: path.stat().st_mtime_ns for path in root.iterdir()}
    second = list(synthetic.tracks(root, pieces=2, seconds=1.0))
    assert {path.name: path.stat().st_mtime_ns for path in root.iterdir()} == before
    assert [a.annotations for a in first] == [b.annotations for b in second]
    assert sorted(before) == ["synthetic-0-00000.flac", "synthetic-0-00001.flac"]


def test_file_of_another_duration_or_damaged_is_made_anew(root):
    (track,) = synthetic.tracks(root, pieces=1, seconds=1.0)
    right = contents(root)
    list(synthetic.tracks(root, pieces=1, seconds=2.0))
    assert soundfile.info(track.audio).frames == 44100
    track.audio.write_bytes(b"not a FLAC file")
    list(synthetic.tracks(root, pieces=1, seconds=1.0))
    assert contents(root) == right


def test_interrupted_write_leaves_nothing(root, monkeypatch):
    monkeypatch.setattr(synthetic, "render", lambda score: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(synthetic.tracks(root, pieces=1, seconds=1.0))
    assert contents(root) == {}


def test_default_folder_names_the_edition(tmp_path, monkeypatch):
    monkeypatch.setenv("KMIR_CACHE", str(tmp_path))
    (track,) = synthetic.tracks(pieces=1, seconds=1.5, seed=3)
    assert track.audio.parent == tmp_path / "synthetic" / f"1.5s-seed3-v{VERSION}"


def test_tracks_are_made_one_by_one(root):
    tracks = synthetic.tracks(root, pieces=10**9)
    assert not root.exists()
    assert next(tracks).id == "synthetic-0-00000"


@pytest.mark.parametrize(
    "options, message",
    [
        ({"pieces": 0}, "Expected at least 1 piece. Received: pieces=0. Ask for 1 or more."),
        ({"pieces": -3}, "Received: pieces=-3."),
        ({"seconds": 0.5}, "Expected pieces of at least 1 second. Received: seconds=0.5."),
        ({"seconds": -1.0}, "Received: seconds=-1.0."),
        ({"seconds": float("nan")}, "Received: seconds=nan."),
        ({"seconds": float("inf")}, "Received: seconds=inf."),
        ({"seed": -1}, "Expected a seed from 0. Received: seed=-1."),
    ],
)
def test_options_out_of_range_are_refused_at_once(options, message, root):
    with pytest.raises(UsageError) as caught:
        synthetic.tracks(root, **options)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_says_how_to_cite_and_what_is_allowed():
    assert synthetic.BIBTEX.startswith("@misc{kmir_synthetic,")
    assert synthetic.LICENSE.startswith("CC0 1.0")


def test_does_not_import_tensorflow():
    code = "import sys, kmir.datasets.synthetic; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
