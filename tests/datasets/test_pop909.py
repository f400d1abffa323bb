"""POP909 in miniature: two songs of one bar after another."""

import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from kmir.datasets import pop909
from kmir.datasets.pop909 import BIBTEX, LICENSE, count_beats, tracks
from kmir.errors import DatasetError, UsageError
from kmir.features.log_mel import LogMel
from kmir.records.stage import Staging
from kmir.synthesis.midi import find_soundfonts

CHORDS = "0.5\t1.0\tN\n1.0\t3.0\tC:maj/3\n3.0\t4.5\tBb:sus4(b7)"
BEATS = "\n".join(f"{0.5 * (i + 1)} {float(i % 2)} {float(i % 4 == 1)}" for i in range(10))


def _midi(pitch: int) -> bytes:
    """A second of one note in each of three tracks, on channels 0 to 2."""
    chunks = [b"MThd" + struct.pack(">IHHH", 6, 1, 3, 500)]
    for channel in range(3):
        note = pitch - 12 * channel
        events = bytes([0, 0x90 | channel, note, 90, 0x87, 0x68, 0x80 | channel, note, 0])
        events += bytes([0, 0xFF, 0x2F, 0])
        chunks.append(b"MTrk" + struct.pack(">I", len(events)) + events)
    return b"".join(chunks)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number, pitch in (("003", 72), ("001", 67)):
        song = tmp_path / "POP909" / number
        song.mkdir(parents=True)
        (song / f"{number}.mid").write_bytes(_midi(pitch))
        (song / "chord_midi.txt").write_text(CHORDS)
        (song / "beat_midi.txt").write_text(BEATS)
        (song / "key_audio.txt").write_text("never read")
    return tmp_path


@pytest.fixture
def fonts(monkeypatch: pytest.MonkeyPatch) -> tuple[Path, ...]:
    """Soundfonts that need not be there."""
    found = (Path("one.sf2"), Path("two.sf2"))
    monkeypatch.setattr(pop909, "find_soundfonts", lambda paths: found)
    return found


def test_annotations_follow_the_midi_files(root, fonts):
    first, second = tracks(root)
    assert (first.id, first.group, second.id) == ("001", "001", "003")
    assert first.split is None
    known = first.annotations
    assert known.known == ("chords", "beats", "tempo")
    assert known.chords.labels == ("N", "C:maj/3", "Bb:sus4(b7)")
    np.testing.assert_array_equal(known.chords.intervals, [[0.5, 1], [1, 3], [3, 4.5]])
    np.testing.assert_array_equal(known.beats.times, 0.5 * np.arange(1, 11))
    assert known.beats.positions.tolist() == [4, 1, 2, 3, 4, 1, 2, 3, 4, 1]
    assert known.tempo == 120
    assert "wang2020pop909" in BIBTEX
    assert "MIT" in LICENSE


def test_the_folder_itself_will_do_too(root, fonts):
    assert [track.id for track in tracks(root / "POP909")] == ["001", "003"]


def test_as_in_the_file_unless_asked_otherwise(root, fonts):
    rendering = next(tracks(root)).render
    assert rendering.midi == root / "POP909" / "001" / "001.mid"
    assert (rendering.programs, rendering.muted, rendering.detune) == ((), (), 0)
    assert rendering.soundfont in fonts
    assert next(tracks(root, melody=False)).render.muted == (0,)


def test_draws_are_by_song_and_seed(root, fonts):
    options = {"programs": "random", "detune": 20.0, "renditions": 50}
    drawn = list(tracks(root, **options))
    assert [track.id for track in drawn[:2]] == ["001", "001-2"]
    assert {track.group for track in drawn} == {"001", "003"}
    assert {track.render.soundfont for track in drawn} == set(fonts)
    cents = [track.render.detune for track in drawn]
    assert -20 <= min(cents) < -15
    assert 15 < max(cents) <= 20
    for channel, allowed in enumerate((pop909.TUNES, pop909.TUNES, pop909.HARMONIES)):
        programs = {dict(track.render.programs)[channel] for track in drawn}
        assert len(programs) > 20
        assert programs <= set(allowed) <= set(range(128))
    assert [track.render for track in tracks(root, **options)] == [t.render for t in drawn]
    assert next(tracks(root, seed=1, **options)).render != drawn[0].render
    (root / "POP909" / "001").rename(root / "elsewhere")
    assert [t.render for t in tracks(root, **options)] == [t.render for t in drawn[50:]]


@pytest.fixture
def groove(tmp_path: Path) -> str:
    """Groove MIDI in miniature: three performances, of which one is in 4/4 and no fill."""
    home = tmp_path / "groove"
    home.mkdir()
    rows = ["id,style,midi_filename,bpm,beat_type,time_signature,split"]
    for name, bpm, kind, metre in (
        ("a", 118, "beat", "4-4"),
        ("b", 110, "fill", "4-4"),
        ("c", 120, "beat", "3-4"),
    ):
        (home / f"{name}.mid").write_bytes(_midi(36))
        rows.append(f"{name},rock,{name}.mid,{bpm},{kind},{metre},train")
    (home / "info.csv").write_text("\n".join(rows))
    return str(home)


def test_stretched_songs_have_stretched_annotations(root, fonts):
    drawn = [t for t in tracks(root, speed=2.0, renditions=50) if t.group == "001"]
    speeds = np.array([track.render.arrange.speed for track in drawn])
    assert 0.5 <= speeds.min() < 0.55
    assert 1.8 < speeds.max() <= 2
    for track, speed in zip(drawn, speeds, strict=True):
        known = track.annotations
        np.testing.assert_allclose(known.beats.times, 0.5 * np.arange(1, 11) / speed)
        assert known.tempo == pytest.approx(120 * speed)
        assert known.chords.intervals[-1, 1] == pytest.approx(4.5 / speed)
        assert track.render.arrange.groove is None
    assert len({track.render.arrange.fingerprint for track in drawn}) == 50


def test_a_band_joins_some(root, fonts, groove):
    options = {"groove": groove, "band": 0.5, "band_speed": 2.0, "drive": 4.0, "renditions": 60}
    drawn = list(tracks(root, programs="mixed", melody=False, **options))
    bands = [t.render for t in drawn if t.render.arrange]
    alone = [t.render for t in drawn if not t.render.arrange]
    assert 40 < len(bands) < 80
    assert {band.arrange.groove.midi.name for band in bands} == {"a.mid"}
    assert {band.arrange.groove.bpm for band in bands} == {118}
    assert {band.arrange.bass is None for band in bands} == {True, False}
    assert {band.arrange.guitar is None for band in bands} == {True, False}
    assert max(band.drive for band in bands) > 3
    speeds = np.array([band.arrange.speed for band in bands])
    assert 0.5 <= speeds.min() < 0.55  # 60 bpm, of 120
    assert 1.4 < speeds.max() <= 190 / 120
    assert {(other.drive, other.muted) for other in alone} == {(0, (0,))}
    assert {(band.muted, band.arrange.muted) for band in bands} == {((), (0,))}
    for renderings in (alone, [band.arrange for band in bands]):
        assert {bool(rendering.programs) for rendering in renderings} == {True, False}
    assert bands[0].arrange.beats.positions.tolist() == [4, 1, 2, 3, 4, 1, 2, 3, 4, 1]


def test_the_level_is_drawn(root, fonts):
    gains = [t.render.gain for t in tracks(root, gain=0.4, gain_db=6.0, renditions=50)]
    decibels = 20 * np.log10(np.array(gains) / 0.4)
    assert -6 <= decibels.min() < -5
    assert 5 < decibels.max() <= 6
    assert next(tracks(root, sample_rate=22050)).render.sample_rate == 22050


def test_options_do_not_change_other_draws(root, fonts, groove):
    plain = [t.render for t in tracks(root, programs="random", detune=20.0, renditions=9)]
    more = tracks(root, programs="random", detune=20.0, renditions=9, groove=groove, speed=1.5)
    for one, other in zip(plain, more, strict=True):
        assert (one.soundfont, one.detune) == (other.render.soundfont, other.render.detune)
        assert one.programs == other.render.arrange.programs


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "Expected info.csv in"),
        ("id,midi_filename\na,a.mid", "info.csv:1: Expected a column style, bpm"),
        (
            "id,style,midi_filename,bpm,beat_type,time_signature,split\n"
            "x,rock,x.mid,fast,beat,4-4,train",
            r"info.csv:2: Expected a bpm above 0. Received: 'fast'",
        ),
    ],
)
def test_a_folder_that_is_not_groove_midi(root, fonts, groove, text, message):
    Path(groove, "info.csv").unlink()
    if text:
        Path(groove, "info.csv").write_text(text)
    with pytest.raises(DatasetError, match=message):
        tracks(root, groove=groove)


@pytest.mark.parametrize(
    ("downbeats", "positions"),
    [
        ("1000100010", "1234123412"),
        ("0010001000", "3412341234"),
        ("10001010001000", "12341212341234"),  # a bar of two
        ("1000100000010001000", "1234100000012341234"),  # a downbeat is missing
        ("00000100010001", "00000123412341"),  # too long for a pickup
        ("10001000100000", "12341234100000"),  # too long for a last bar
        ("100000100000100", "123456123456123"),
        ("0001000", "0001000"),  # one downbeat says nothing of the metre
        ("0000", "0000"),
        ("", ""),
    ],
)
def test_beats_are_counted_from_downbeats(downbeats, positions):
    counted = count_beats(np.array([flag == "1" for flag in downbeats], bool))
    assert "".join(map(str, counted)) == positions


def test_all_problems_are_told_at_once_with_file_and_line(root, fonts):
    home = root / "POP909"
    (home / "001" / "chord_midi.txt").write_text(
        "0.5\t1.0\tN\n\n1.0\t3.0\tH:maj\n2.0\t1.5\tC:maj\nC:maj\nx\tinf\tN\n"
    )
    (home / "001" / "beat_midi.txt").write_text(
        "1.0 1.0 1.0\n1.0 0.0 0.0\n2.0 2.0 0.0\n-1 0.0 0.0\n3.0"
    )
    (home / "003" / "beat_midi.txt").write_text("\n")
    (home / "003" / "003.mid").unlink()
    (home / "005").mkdir()
    (home / "004").mkdir()
    (home / "004" / "004.mid").write_bytes(_midi(60))
    (home / "004" / "chord_midi.txt").write_text("")
    (home / "004" / "beat_midi.txt").write_text(BEATS)
    with pytest.raises(DatasetError) as caught:
        tracks(root)
    heading, *lines = str(caught.value).splitlines()
    assert heading == f"{len(lines)} problems in '{home}':"
    beats = "Expected seconds from 0 and two flags of 0 or 1. Received:"
    for expected in (
        "001/chord_midi.txt:3: Expected a chord in Harte's syntax",
        "001/chord_midi.txt:4: Expected an end after the start. Received: 2 to 1.5.",
        "001/chord_midi.txt:5: Expected start and end in seconds and a label",
        "001/chord_midi.txt:6: Expected start and end in seconds and a label",
        "001/beat_midi.txt:2: Expected a time after 1. Received: 1. Correct the line.",
        f"001/beat_midi.txt:3: {beats} '2.0 2.0 0.0'. Correct the line.",
        f"001/beat_midi.txt:4: {beats} '-1 0.0 0.0'. Correct the line.",
        f"001/beat_midi.txt:5: {beats} '3.0'. Correct the line.",
        "003/003.mid: Expected a MIDI file. Received: none. Fetch it again.",
        "003/beat_midi.txt: Expected one beat or more. Received: none. Fetch it again.",
        "004/chord_midi.txt: Expected one segment or more. Received: an empty annotation.",
        "005/005.mid: Expected a MIDI file. Received: none. Fetch it again.",
        "005/chord_midi.txt: Expected a file to read. Received: No such file or directory.",
        "005/beat_midi.txt: Expected a file to read. Received: No such file or directory.",
    ):
        assert any(line.startswith(f"  {expected}") for line in lines), expected


@pytest.mark.parametrize(
    "options",
    [{"speed": 1.1}, {"groove": "{groove}"}, {"groove": "{groove}", "band_speed": 2.0}],
)
def test_arranging_without_the_library_fails_at_once(root, fonts, groove, monkeypatch, options):
    given = {k: groove if v == "{groove}" else v for k, v in options.items()}
    monkeypatch.setitem(sys.modules, "pretty_midi", None)
    with pytest.raises(UsageError, match=r"Expected the library pretty_midi .*kmir\[midi\]\.$"):
        tracks(root, **given)
    assert next(tracks(root, band_speed=2.0)).render.arrange is None  # no band, no library


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"programs": "randm"}, "Received: 'randm'. Did you mean 'random'?"),
        ({"detune": -1}, "Expected detune from 0 to 100 cents. Received: -1."),
        ({"renditions": 0}, "Expected renditions from 1. Received: 0."),
        ({"gain": 0}, "Expected gain above 0. Received: 0."),
        ({"seed": -1}, "Expected seed from 0. Received: -1."),
        ({"speed": 0.5}, "Expected speed from 1 to 4. Received: 0.5."),
        ({"band": 1.5}, "Expected band from 0 to 1. Received: 1.5."),
        ({"band_speed": 9}, "Expected band_speed from 1 to 4. Received: 9."),
        ({"gain_db": -3}, "Expected gain_db from 0 to 60 dB. Received: -3."),
        ({"drive": -1}, "Expected drive from 0 to 100. Received: -1."),
        ({"sample_rate": 100}, "Expected sample_rate from 8000 to 96000 Hz. Received: 100."),
    ],
)
def test_options_out_of_range(root, fonts, options, message):
    with pytest.raises(UsageError) as caught:
        tracks(root, **options)
    assert message in str(caught.value)


def test_a_folder_of_something_else(tmp_path, fonts):
    with pytest.raises(DatasetError, match="Expected folders 001 to 909"):
        tracks(tmp_path)


def test_a_missing_soundfont_is_told_before_anything_is_extracted(root):
    with pytest.raises(UsageError, match=r"no soundfont 'x\.sf2'"):
        tracks(root, soundfonts="x.sf2")


def test_songs_are_played_where_features_are_extracted(root, tmp_path):
    try:
        find_soundfonts()
    except UsageError as error:
        pytest.skip(f"no FluidSynth or no soundfont on this machine: {error}")
    (root / "POP909" / "003" / "003.mid").write_bytes(b"no music")
    staging = Staging(tmp_path / ".staging", LogMel(n_mels=24, hop_length=512), "float32")
    staging.open("source")
    songs = list(tracks(root))
    failed = staging.fill(songs, workers=2, quiet=True)
    assert list(failed) == ["003"]
    assert "Expected a MIDI file and a soundfont that FluidSynth can play" in failed["003"]
    stored = np.load(staging.path(songs[0]))
    assert stored.shape[1] == 24
    assert len(stored) > staging.feature.frames(1.0)
    # Something sounds from the start: the frames of the note are well above the floor.
    assert stored[2:20].max() - stored.min() > 30
