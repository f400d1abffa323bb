"""Playing MIDI files, with whatever soundfont the machine has."""

import pickle
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from kmir.errors import AudioError, UsageError
from kmir.synthesis import midi
from kmir.synthesis.midi import Rendering, find_soundfonts

RATE = 44100


def write_midi(path: Path, *tracks: tuple[int, int, float]) -> Path:
    """A MIDI file of a piano note for each of (channel, pitch, start in seconds), 1 s long."""
    chunks = [b"MThd" + struct.pack(">IHHH", 6, 1, len(tracks), 500)]  # a tick is a millisecond
    for channel, pitch, start in tracks:
        ticks = round(1000 * start)
        events = bytes([0, 0xC0 | channel, 0])
        events += bytes([0x80 | ticks >> 7, ticks & 0x7F, 0x90 | channel, pitch, 100])
        events += bytes([0x80 | 1000 >> 7, 1000 & 0x7F, 0x80 | channel, pitch, 0])
        events += bytes([0, 0xFF, 0x2F, 0])
        chunks.append(b"MTrk" + struct.pack(">I", len(events)) + events)
    path.write_bytes(b"".join(chunks))
    return path


@pytest.fixture(scope="module")
def soundfont() -> Path:
    try:
        return find_soundfonts()[0]
    except UsageError as error:
        pytest.skip(f"no FluidSynth or no soundfont on this machine: {error}")


def play(rendering: Rendering, folder: Path) -> np.ndarray:
    """Samples, mixed to mono."""
    rendering(folder / "out.wav")
    samples, rate = soundfile.read(folder / "out.wav", always_2d=True)
    assert rate == RATE
    return samples.mean(axis=1)


def pitch(samples: np.ndarray) -> float:
    """Strongest frequency up to 1 kHz as a MIDI number, to about a cent."""
    size = 2**19
    spectrum = np.abs(np.fft.rfft(samples[: 2 * RATE] * np.hanning(len(samples[: 2 * RATE])), size))
    peak = np.argmax(spectrum[: round(1000 * size / RATE)])
    return 69 + 12 * np.log2(peak * RATE / size / 440)


def test_a_note_sounds_when_and_as_high_as_written(soundfont, tmp_path):
    note = write_midi(tmp_path / "a.mid", (2, 69, 1.0))
    samples = play(Rendering(note, soundfont), tmp_path)
    onset = np.flatnonzero(np.abs(samples) > 0.05 * np.abs(samples).max())[0] / RATE
    assert onset == pytest.approx(1.0, abs=0.02)
    assert pitch(samples[RATE:]) == pytest.approx(69, abs=0.05)
    assert 2 < len(samples) / RATE < 12


def test_the_same_fields_give_the_same_samples(soundfont, tmp_path):
    rendering = Rendering(write_midi(tmp_path / "a.mid", (0, 60, 0.0), (1, 64, 0.1)), soundfont)
    first = play(rendering, tmp_path)
    np.testing.assert_array_equal(play(pickle.loads(pickle.dumps(rendering)), tmp_path), first)


def test_settings_of_the_user_do_not_matter(soundfont, tmp_path, monkeypatch):
    rendering = Rendering(write_midi(tmp_path / "a.mid", (0, 60, 0.0)), soundfont)
    first = play(rendering, tmp_path)
    (tmp_path / ".fluidsynth").write_text("gain 5\nreverb off\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    np.testing.assert_array_equal(play(rendering, tmp_path), first)


@pytest.mark.parametrize("cents", [-40.0, 25.0])
def test_detuned(soundfont, tmp_path, cents):
    note = write_midi(tmp_path / "a.mid", (1, 69, 0.0))
    plain = pitch(play(Rendering(note, soundfont), tmp_path))
    detuned = pitch(play(Rendering(note, soundfont, detune=cents), tmp_path))
    assert 100 * (detuned - plain) == pytest.approx(cents, abs=3)


def test_muted_channels_are_not_heard(soundfont, tmp_path):
    both = write_midi(tmp_path / "both.mid", (0, 72, 0.0), (2, 60, 0.0))
    one = write_midi(tmp_path / "one.mid", (2, 60, 0.0))
    heard = play(Rendering(both, soundfont, muted=(0,)), tmp_path)
    alone = play(Rendering(one, soundfont), tmp_path)
    shorter = min(len(heard), len(alone))
    np.testing.assert_allclose(heard[:shorter], alone[:shorter], atol=1e-6)


def test_other_programs_than_in_the_file(soundfont, tmp_path):
    note = write_midi(tmp_path / "a.mid", (0, 60, 0.0))
    organ = play(Rendering(note, soundfont, programs=((0, 19),)), tmp_path)
    piano = play(Rendering(note, soundfont), tmp_path)

    def kept(samples: np.ndarray) -> float:
        """Level at the end of the note against that after its attack: pianos decay."""
        levels = [samples[int(s * RATE) : int((s + 0.1) * RATE)].std() for s in (0.2, 0.85)]
        return levels[1] / levels[0]

    assert kept(piano) < 0.75 < kept(organ)
    same = play(Rendering(note, soundfont, programs=((1, 19),)), tmp_path)
    shorter = min(len(same), len(piano))
    np.testing.assert_allclose(same[:shorter], piano[:shorter], atol=1e-6)


def test_gain(soundfont, tmp_path):
    note = write_midi(tmp_path / "a.mid", (0, 60, 0.0))
    quiet, loud = (
        np.abs(play(Rendering(note, soundfont, gain=gain), tmp_path)).max() for gain in (0.5, 5)
    )
    assert loud / quiet == pytest.approx(10, rel=0.01)


def test_files_that_can_not_be_played(soundfont, tmp_path):
    whole = write_midi(tmp_path / "a.mid", (0, 60, 0.0))
    broken = tmp_path / "broken.mid"
    broken.write_bytes(whole.read_bytes()[:30])
    text = tmp_path / "text.mid"
    text.write_text("no music")
    for path in (broken, text):
        with pytest.raises(AudioError, match=rf"FluidSynth can play\. Received: {path}"):
            Rendering(path, soundfont)(tmp_path / "out.wav")
    for path, font in ((tmp_path / "none.mid", soundfont), (whole, tmp_path / "none.sf2")):
        with pytest.raises(AudioError, match=r"none\.\w+, which is missing"):
            Rendering(path, font)(tmp_path / "out.wav")


# === Without FluidSynth ===


@pytest.fixture
def fonts(tmp_path, monkeypatch) -> Path:
    """A folder of the system with two soundfonts and a file that is none."""
    for name in ("Aria", "FluidR3_GM"):
        (tmp_path / f"{name}.sf2").write_bytes(b"RIFF\x10\x00\x00\x00sfbkLIST")
    (tmp_path / "AAA.sf2").write_bytes(b"version https://git-lfs")
    monkeypatch.setattr(midi, "FOLDERS", (str(tmp_path), "/nowhere"))
    monkeypatch.setattr(shutil, "which", lambda program: f"/usr/bin/{program}")
    return tmp_path


def test_the_soundfont_of_debian_is_preferred(fonts):
    assert find_soundfonts() == (fonts / "FluidR3_GM.sf2",)
    (fonts / "FluidR3_GM.sf2").unlink()
    assert find_soundfonts() == (fonts / "Aria.sf2",)


def test_soundfonts_by_name(fonts):
    names = [fonts / "FluidR3_GM.sf2", fonts / "Aria.sf2"]
    assert find_soundfonts(", ".join(map(str, names))) == tuple(names)
    with pytest.raises(UsageError, match=r"no soundfont 'x\.sf2', no soundfont '.*AAA\.sf2'"):
        find_soundfonts(f"x.sf2,{fonts / 'AAA.sf2'}")


def test_all_that_is_missing_is_named_at_once(fonts, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda program: None)
    monkeypatch.setattr(midi, "FOLDERS", ("/nowhere",))
    with pytest.raises(UsageError) as caught:
        find_soundfonts()
    assert str(caught.value) == (
        "Expected FluidSynth and a General MIDI soundfont (.sf2) to play MIDI files. Received: no "
        "fluidsynth in the PATH, no soundfont in /nowhere. On Debian and Ubuntu: apt-get install "
        "fluidsynth fluid-soundfont-gm (timgm6mb-soundfont is a small one); or name the soundfonts "
        "with --option.soundfonts=FILE,FILE."
    )
    note = write_midi(fonts / "a.mid", (0, 60, 0.0))
    with pytest.raises(AudioError, match="apt-get install fluidsynth"):
        Rendering(note, fonts / "Aria.sf2")(fonts / "out.wav")


def test_fingerprint_tells_what_sounds_and_not_where_it_lies(fonts):
    note = write_midi(fonts / "a.mid", (0, 60, 0.0))
    font, other = fonts / "Aria.sf2", fonts / "other.sf2"
    copy = fonts / "copy.mid"
    copy.write_bytes(note.read_bytes())
    other.write_bytes(font.read_bytes() + b"more")
    same = {Rendering(path, font).fingerprint for path in (note, copy)}
    others = [
        Rendering(note, other),
        Rendering(note, font, gain=0.6),
        Rendering(note, font, detune=1.0),
        Rendering(note, font, muted=(0,)),
        Rendering(note, font, programs=((0, 1),)),
        Rendering(write_midi(fonts / "b.mid", (0, 61, 0.0)), font),
    ]
    assert len(same) == 1
    assert len(same | {rendering.fingerprint for rendering in others}) == 7
