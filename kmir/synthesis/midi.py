"""Playing MIDI files: FluidSynth with a General MIDI soundfont, to an audio file.

FluidSynth and soundfonts are programs and data of their own, not Python packages: on Debian and
Ubuntu ``apt-get install fluidsynth fluid-soundfont-gm``.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import soundfile

from kmir.errors import AudioError, UsageError
from kmir.integrity import sha256, sketch

PROGRAM = "fluidsynth"
FOLDERS = ("/usr/share/sounds/sf2", "/usr/share/soundfonts", "/usr/local/share/soundfonts")
FAVOURITE = "FluidR3_GM"  # the one that Debian's fluid-soundfont-gm brings
INSTALL = (
    "On Debian and Ubuntu: apt-get install fluidsynth fluid-soundfont-gm "
    "(timgm6mb-soundfont is a small one)"
)
CHANNELS, KEYS = range(16), range(128)
# What a channel does beside choosing its program, in the words of FluidSynth's router.
EVENTS = ("note", "cc", "pbend", "cpress", "kpress")
PATIENCE = 600  # seconds, in which a song is played a hundred times over


class Arrange(Protocol):
    """Makes another MIDI file of one, as `kmir.synthesis.band` does."""

    def __call__(self, midi: Path, out: Path) -> None:
        """Write a MIDI file that plays another one in this way."""

    @property
    def fingerprint(self) -> str:
        """Hash of all that decides what is played, but for the file that is arranged."""


@dataclass(frozen=True)
class Rendering:
    """How a MIDI file is to sound: called with a path, it writes the audio there.

    The same fields give the same samples with one version of FluidSynth.

    Args:
        midi: The MIDI file.
        soundfont: The soundfont.
        programs: Pairs of a channel, 0–15, and the General MIDI program, 0–127, that plays its
            notes instead of what the file says.
        muted: Channels that are not heard.
        detune: Cents that everything sounds higher; below 0 lower.
        gain: Factor of the level; the files are floating point and don't clip.
        sample_rate: Of the audio, Hz.
        arrange: What is made of the file before it is played; `programs` and `muted` then speak of
            the arrangement's channels.
        drive: Factor of the level before it saturates (tanh), as loud productions do; 0: it
            doesn't.
    """

    midi: Path
    soundfont: Path
    programs: tuple[tuple[int, int], ...] = ()
    muted: tuple[int, ...] = ()
    detune: float = 0.0
    gain: float = 0.5
    sample_rate: int = 44100
    arrange: Arrange | None = None
    drive: float = 0.0

    def __call__(self, out: Path) -> None:
        """Write stereo audio, 32-bit float WAV.

        Raises:
            AudioError: If FluidSynth is missing or can't play the file with this soundfont.
        """
        if shutil.which(PROGRAM) is None:
            raise AudioError(_missing("fluidsynth in the PATH", "none"))
        for file in (self.midi, self.soundfont):
            # FluidSynth would take its default soundfont instead, and say so in passing.
            if not file.is_file():
                raise AudioError(f"Expected a file to play. Received: {file}, which is missing.")
        with tempfile.TemporaryDirectory(prefix="kmir-") as folder:
            commands = Path(folder, "commands")
            commands.write_text("".join(f"{line}\n" for line in self._commands()))
            midi = self.midi
            if self.arrange is not None:
                midi = Path(folder, "arranged.mid")
                self.arrange(self.midi, midi)
            played = subprocess.run(
                self._command_line(midi, commands, out),
                stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                timeout=PATIENCE, check=False,
            )  # fmt: skip
        # It ends well after a file that breaks off, or a soundfont that it can't read.
        wrong = [
            line for line in played.stderr.splitlines() if line.startswith("fluidsynth: error")
        ]
        if played.returncode or wrong or not out.is_file():
            said = wrong[0] if wrong else f"exit code {played.returncode}"
            raise AudioError(
                f"Expected a MIDI file and a soundfont that FluidSynth can play. Received: "
                f"{self.midi} with {self.soundfont} ({said}); fetch them again."
            )
        if self.drive:
            samples, rate = soundfile.read(out, dtype="float32")
            soundfile.write(out, np.tanh(self.drive * samples), rate, subtype="FLOAT")

    @property
    def fingerprint(self) -> str:
        """Hash of all that decides the sound, equal wherever the files lie."""
        how: list[object] = [
            self.programs, self.muted, self.detune, self.gain, self.sample_rate,
        ]  # fmt: skip
        if self.arrange is not None or self.drive:
            how += [self.arrange and self.arrange.fingerprint, self.drive]
        text = f"{sha256(self.midi)} {sketch(self.soundfont)} {how}"
        return hashlib.sha256(text.encode()).hexdigest()

    def _command_line(self, midi: Path, commands: Path, out: Path) -> list[str]:
        # Everything that decides the sound is said: users may have settings of their own, and
        # naming a file of commands keeps FluidSynth from reading theirs.
        settings = {
            "synth.cpu-cores": 1, "synth.polyphony": 256, "synth.midi-bank-select": "gs",
            "synth.reverb.active": 1, "synth.chorus.active": 1,
        }  # fmt: skip
        options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
        return [
            PROGRAM, "-niq", "-f", str(commands), *options,
            "-g", f"{self.gain:g}", "-r", str(self.sample_rate),
            "-T", "wav", "-O", "float", "-F", str(out),
            str(self.soundfont.resolve()), str(midi.resolve()),
        ]  # fmt: skip

    def _commands(self) -> Iterator[str]:
        """What FluidSynth's shell is told before it plays."""
        if self.programs or self.muted:
            programs = dict(self.programs)
            yield "router_clear"
            for channel in CHANNELS:
                if channel in self.muted:
                    continue
                for event in EVENTS:
                    yield from _rule(event, channel)
                # Whatever program the file asks for, times 0, plus the one wanted.
                program = programs.get(channel)
                yield from _rule(
                    "prog", channel, "" if program is None else f"router_par1 0 127 0 {program}"
                )
        if self.detune:
            yield "tuning detuned 0 0"
            for key in KEYS:
                yield f"tune 0 0 {key} {100 * key + self.detune:.3f}"
            for channel in CHANNELS:
                yield f"settuning {channel} 0 0"


def find_soundfonts(paths: str = "") -> tuple[Path, ...]:
    """Soundfonts to play with, once it is sure that there is a FluidSynth to play them.

    Args:
        paths: Files, separated by commas; empty takes one that the system has installed, the one
            of Debian's ``fluid-soundfont-gm`` first.

    Raises:
        UsageError: If FluidSynth or the soundfonts are missing: all that is missing is named.
    """
    given = tuple(Path(name.strip()).expanduser() for name in paths.split(",") if name.strip())
    missing = [] if shutil.which(PROGRAM) else ["no fluidsynth in the PATH"]
    if given:
        missing += [f"no soundfont '{path}'" for path in given if not _is_soundfont(path)]
    elif not (given := _installed()):
        missing.append(f"no soundfont in {', '.join(FOLDERS)}")
    if missing:
        raise UsageError(
            _missing("FluidSynth and a General MIDI soundfont (.sf2)", ", ".join(missing))
        )
    return given


def _missing(expected: str, received: str) -> str:
    return (
        f"Expected {expected} to play MIDI files. Received: {received}. {INSTALL}; or name the "
        "soundfonts with --option.soundfonts=FILE,FILE."
    )


def _installed() -> tuple[Path, ...]:
    """The soundfont of the system that is taken where none is named, if there is one."""
    found = [path for folder in FOLDERS for path in sorted(Path(folder).glob("*.sf[23]"))]
    found.sort(key=lambda path: path.stem != FAVOURITE)
    return tuple(path for path in found if _is_soundfont(path))[:1]


def _is_soundfont(path: Path) -> bool:
    """Whether a file begins as a soundfont does."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(12)
    return head[:4] == b"RIFF" and head[8:] == b"sfbk"


def _rule(event: str, channel: int, parameter: str = "") -> list[str]:
    """Commands that let one kind of event of one channel pass."""
    lines = [f"router_begin {event}", f"router_chan {channel} {channel} 1 0"]
    return [*lines, *([parameter] if parameter else []), "router_end"]
