"""Groove MIDI in miniature: strokes at known places of a metronome."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from kmir.datasets import groove
from kmir.datasets.groove import BIBTEX, LICENSE, tracks
from kmir.datasets.groove_table import beat_unit
from kmir.errors import DatasetError, UsageError
from kmir.synthesis.casting import KITS
from kmir.synthesis.midi import find_soundfonts

pretty_midi = pytest.importorskip("pretty_midi", reason="pretty_midi is not installed")

HEADER = "drummer,session,id,style,bpm,beat_type,time_signature,midi_filename,audio_filename,duration,split"  # fmt: skip  # noqa: E501


def _performance(
    root: Path,
    name: str,
    strokes: list[float],
    *,
    style: str = "rock",
    bpm: str = "120",
    kind: str = "beat",
    metre: str = "4-4",
    split: str = "train",
) -> str:
    """A line of the table; its MIDI file has strokes at these seconds."""
    session, _, number = name.rpartition("/")
    path = f"{session}/{number}_{style.replace('/', '-')}_{bpm}_{kind}_{metre}.mid"
    (root / session).mkdir(parents=True, exist_ok=True)
    piece = pretty_midi.PrettyMIDI(resolution=480)
    kit = pretty_midi.Instrument(0, is_drum=True)
    kit.notes = [pretty_midi.Note(100, 36, time, time + 0.1) for time in strokes]
    piece.instruments.append(kit)
    piece.write(str(root / path))
    drummer = name.partition("/")[0]
    wav = path.replace(".mid", ".wav")
    return f"{drummer},{session},{name},{style},{bpm},{kind},{metre},{path},{wav},9.9,{split}"


def _table(root: Path, *lines: str) -> None:
    (root / "info.csv").write_text("\n".join([HEADER, *lines]) + "\n")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    home = tmp_path / "groove"
    _table(
        home,
        _performance(home, "drummer1/session1/1", [0.01, 2.5, 4.96], style="funk/groove1"),
        _performance(home, "drummer1/session1/2", [1.1, 2.0], kind="fill", split="test"),
        _performance(home, "drummer3/session2/1", [0.0, 5.9], metre="6-8", bpm="60"),
    )
    return tmp_path


@pytest.fixture
def fonts(monkeypatch: pytest.MonkeyPatch) -> tuple[Path, ...]:
    """Soundfonts that need not be there."""
    found = (Path("one.sf2"), Path("two.sf2"))
    monkeypatch.setattr(groove, "find_soundfonts", lambda paths: found)
    return found


def test_beats_are_those_of_the_metronome(root, fonts):
    first, second = tracks(root)
    assert (first.id, first.group, first.split) == ("drummer1/session1/1",) * 2 + ("train",)
    known = first.annotations
    assert known.known == ("tags", "beats", "tempo")
    assert known.tags.labels == ("funk",)
    assert known.tempo == 120
    # The stroke at 4.96 s is as good as on beat 10.
    np.testing.assert_allclose(known.beats.times, 0.5 * np.arange(11), atol=1e-12)
    assert known.beats.positions.tolist() == [1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3]
    # Dotted quarters of 1.5 s.
    np.testing.assert_allclose(second.annotations.beats.times, [0, 1.5, 3, 4.5])
    assert second.annotations.beats.positions.tolist() == [1, 2, 1, 2]
    assert second.annotations.tempo == 40
    assert "gillick2019learning" in BIBTEX
    assert "CC BY 4.0" in LICENSE


def test_beats_that_nobody_hears_are_left_out(root, fonts):
    (fill,) = tracks(root, beat_type="fill")
    assert (fill.id, fill.split) == ("drummer1/session1/2", "test")
    assert fill.annotations.beats.times.tolist() == [1.5, 2.0]
    assert fill.annotations.beats.positions.tolist() == [4, 1]
    assert [track.id[-1] for track in tracks(root / "groove", beat_type="all")] == ["1", "2", "1"]


def test_without_a_beat_nothing_is_known(root, fonts):
    home = root / "groove"
    _table(
        home,
        _performance(home, "drummer1/session1/3", [0.2, 0.3], kind="fill"),
        _performance(home, "drummer1/session1/4", [0.2, 0.6], kind="fill"),
    )
    assert [track.id for track in tracks(root, beat_type="fill")] == ["drummer1/session1/4"]


def test_who_strays_from_the_metronome_is_left_out(root, fonts):
    home = root / "groove"
    lines = [_performance(home, f"drummer2/session2/{number}", [0, 1]) for number in range(3, 11)]
    _table(home, *lines)
    assert [int(track.id[18:]) for track in tracks(root)] == [3, 5, 6, 10]


@pytest.mark.parametrize(
    ("signature", "expected"),
    [
        ("4-4", (4, 1.0)),
        ("3-4", (3, 1.0)),
        ("5-4", (5, 1.0)),
        ("6-8", (2, 1.5)),
        ("12-8", (4, 1.5)),
        ("3-8", (3, 0.5)),
        ("5-8", (5, 0.5)),
        ("0-4", None),
        ("4-3", None),
        ("4", None),
        ("", None),
    ],
)
def test_beat_unit(signature, expected):
    assert beat_unit(signature) == expected


def test_stretched_exactly(root, fonts):
    drawn = list(tracks(root, speed=1.5, renditions=200))
    assert [track.id for track in drawn[:2]] == ["drummer1/session1/1", "drummer1/session1/1-2"]
    assert {track.group for track in drawn} == {"drummer1/session1/1", "drummer3/session2/1"}
    speeds = np.array([track.render.arrange.speed for track in drawn])
    assert 1 / 1.5 <= speeds.min() < 0.68
    assert 1.47 < speeds.max() <= 1.5
    # As a logarithm, evenly either way: five deviations of a mean of 400.
    assert abs(np.log(speeds).mean()) < 5 * np.log(1.5) / np.sqrt(3 * 400)
    for track, speed in zip(drawn[:50], speeds, strict=False):
        np.testing.assert_allclose(track.annotations.beats.times * speed, 0.5 * np.arange(11))
        assert track.annotations.tempo == pytest.approx(120 * speed)


def test_draws_are_by_performance_and_seed(root, fonts):
    options = {"kits": "random", "speed": 1.2, "renditions": 40}
    drawn = list(tracks(root, **options))
    assert {track.render.soundfont for track in drawn} == set(fonts)
    assert {track.render.arrange.kit for track in drawn} == set(KITS)
    assert {track.render.arrange.kit for track in tracks(root)} == {0}
    assert {track.render.arrange.speed for track in tracks(root)} == {1.0}
    assert [track.render for track in tracks(root, **options)] == [t.render for t in drawn]
    assert next(tracks(root, seed=1, **options)).render != drawn[0].render
    table = root / "groove" / "info.csv"
    header, _, *others = table.read_text().splitlines()
    table.write_text("\n".join([header, *others]))
    assert [t.render for t in tracks(root, **options)] == [t.render for t in drawn[40:]]


def test_all_problems_are_told_at_once_with_their_line(root, fonts):
    home = root / "groove"
    good = _performance(home, "drummer1/session1/1", [0, 1])
    damaged = _performance(home, "drummer1/session1/6", [0, 1])
    (home / damaged.split(",")[7]).write_bytes(b"MThd, and no more")
    missing = _performance(home, "drummer1/session1/9", [0, 1])
    (home / missing.split(",")[7]).unlink()
    _table(
        home,
        good,
        good.replace(",120,", ",0,"),
        good.replace(",4-4,", ",4/4,"),
        good.replace(",beat,", ",break,").replace(",train", ",dev"),
        good.rpartition(",")[0],
        damaged,
        _performance(home, "drummer1/session1/7", []),
        missing,
    )
    with pytest.raises(DatasetError) as caught:
        tracks(root)
    heading, *lines = str(caught.value).splitlines()
    assert heading == f"8 problems in '{home}':"
    for expected in (
        "info.csv:3: Expected a bpm above 0. Received: '0'.",
        "info.csv:4: Expected a time signature such as 4-4 or 6-8. Received: '4/4'.",
        "info.csv:5: Expected a beat_type of beat or fill. Received: 'break'.",
        "info.csv:5: Expected a split of train, validation, test. Received: 'dev'.",
        "info.csv:6: Expected as many cells as the first line has. Received: others.",
        "info.csv:7: Expected a MIDI file. Received: ",
        "info.csv:8: Expected strokes on channel 10 in ",
        "info.csv:9: Expected a MIDI file that is there. Received: 'drummer1/session1/9_",
    ):
        assert any(line.startswith(f"  {expected}") for line in lines), expected


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (HEADER, "info.csv: Expected a beat. Received: none."),
        ("id,style\n", "info.csv:1: Expected a column bpm, beat_type, time_signature"),
        ("", "info.csv:1: Expected a column id, style"),
        (b"\xff\xfe", "info.csv: Expected a table in UTF-8. Received: "),
    ],
)
def test_a_table_of_something_else(tmp_path, fonts, table, message):
    (tmp_path / "info.csv").write_bytes(table if isinstance(table, bytes) else table.encode())
    with pytest.raises(DatasetError) as caught:
        tracks(tmp_path)
    assert message in str(caught.value)


def test_a_folder_of_something_else(tmp_path, fonts):
    with pytest.raises(DatasetError, match=r"Expected info\.csv in '.*' or in a folder groove"):
        tracks(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beat_type": "fills"}, "Received: 'fills'. Did you mean 'fill'?"),
        ({"kits": "rndom"}, "Received: 'rndom'. Did you mean 'random'?"),
        ({"speed": 0.9}, "Expected speed from 1 to 4. Received: 0.9."),
        ({"renditions": 0}, "Expected renditions from 1. Received: 0."),
        ({"gain": 0}, "Expected gain above 0. Received: 0."),
        ({"sample_rate": 1}, "Expected sample_rate from 8000 to 96000 Hz. Received: 1."),
        ({"seed": -1}, "Expected seed from 0. Received: -1."),
    ],
)
def test_options_out_of_range(root, fonts, options, message):
    with pytest.raises(UsageError) as caught:
        tracks(root, **options)
    assert message in str(caught.value)


def test_strokes_are_heard_where_the_annotations_say(root, tmp_path):
    try:
        find_soundfonts()
    except UsageError as error:
        pytest.skip(f"no FluidSynth or no soundfont on this machine: {error}")
    home = root / "groove"
    _table(home, _performance(home, "drummer1/session1/1", [0.5, 1.0, 1.5, 2.0]))
    (track,) = tracks(root, speed=2.0, sample_rate=22050, seed=5)
    assert not 0.95 < track.render.arrange.speed < 1.05
    out = tmp_path / "out.wav"
    track.render(out)
    samples, rate = soundfile.read(out)
    loud = np.abs(samples).max(axis=1)
    for time in track.annotations.beats.times:
        before = loud[round((time - 0.03) * rate) : round((time - 0.005) * rate)].max()
        after = loud[round((time - 0.005) * rate) : round((time + 0.02) * rate)].max()
        assert after > 3 * before


@pytest.mark.slow
def test_the_data_set_itself(fonts):
    if "KMIR_TEST_DATA" not in os.environ:
        pytest.skip("KMIR_TEST_DATA is not set to a folder with groove_midi/")
    root = Path(os.environ["KMIR_TEST_DATA"]) / "groove_midi"
    found = {track.id: track for track in tracks(root, beat_type="all")}
    # 1,150 in the table, 6 stray, 3 fills have no stroke near a beat.
    assert len(found) == 1141
    splits = [track.split for track in found.values()]
    assert [splits.count(name) for name in ("train", "validation", "test")] == [888, 124, 129]
    beats = [track.annotations.beats for track in found.values()]
    assert sum(len(known.times) for known in beats) == 86078
    assert sum(len(known.downbeats) for known in beats) == 21664
    assert found["drummer5/session1/8"].annotations.tempo == 324
    # Kick and snare say where bars begin and where the backbeat is.
    strokes = np.zeros((2, 4))
    for track in found.values():
        known = track.annotations.beats
        if "_beat_4-4" not in track.render.midi.name or len(known.times) > 200:
            continue
        for part in pretty_midi.PrettyMIDI(str(track.render.midi)).instruments:
            for note in part.notes:
                near = np.flatnonzero(np.abs(known.times - note.start) < 0.05)
                if note.pitch in (36, 38) and len(near) and note.velocity > 50:
                    strokes[(note.pitch - 36) // 2, known.positions[near[0]] - 1] += 1
    kicks, snares = strokes / strokes.sum(axis=1, keepdims=True)
    assert kicks.argmax() == 0
    assert kicks[0] > 0.35
    assert snares[[1, 3]].sum() > 0.75
