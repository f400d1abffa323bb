"""Decoding: any file that libsndfile reads, from start to end, as mono blocks at its own rate."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from kmir.errors import AudioError
from kmir.quiet import muted_stderr

AUDIO_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".aiff", ".aif", ".au")

# libsndfile gives this many frames, or nearly, where a streamed file does not say its length.
UNKNOWN_LENGTH = 2**62


@contextlib.contextmanager
def opened(path: Path) -> Iterator[soundfile.SoundFile]:
    """The file, opened for reading from start to end."""
    with contextlib.ExitStack() as stack:
        try:
            with path.open("rb"):
                pass  # libsndfile does not say why it can't open a file; Python does.
            with muted_stderr():
                sound = stack.enter_context(_Stream(path))
        except OSError as error:
            raise AudioError(
                f"Expected an audio file. Received: {path} ({error.strerror}); check the path."
            ) from None
        except (soundfile.LibsndfileError, TypeError):
            # TypeError: soundfile wants more to be said of headerless .raw files.
            size = path.stat().st_size
            raise AudioError(
                f"Expected an audio file of {', '.join(AUDIO_SUFFIXES)}. Received: {path}, "
                f"{size} bytes of something else or damaged; convert it or fetch it again."
            ) from None
        if sound.format == "MP3":
            with muted_stderr(), contextlib.suppress(soundfile.LibsndfileError):
                counted = stack.enter_context(
                    _Stream(stack.enter_context(_Unmeasured(os.fspath(path))))
                )
                # Counted, or told by a header that knows: not an estimate from the file's size.
                sound = counted if counted.frames > sound.frames else sound
                sound.promised = counted.frames
        yield sound


def decoded(sound: soundfile.SoundFile, path: Path, size: int) -> Iterator[np.ndarray]:
    """Mono float32 blocks of `size` samples at the rate of the file."""
    done = 0
    while True:
        try:
            with muted_stderr():
                block = sound.read(size, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise AudioError(
                f"Expected audio that can be decoded to its end. Received: {path}, damaged "
                f"somewhere after {done / sound.samplerate:.1f} s "
                f"({error.error_string.rstrip('.')}); convert it or fetch it again."
            ) from None
        if not len(block):
            break
        mono = mixed(block)
        check_finite(mono, path, done)
        done += len(mono)
        yield mono
    missing = getattr(sound, "promised", done) - done
    if missing > max(sound.samplerate, 0.05 * done):
        seconds, promised = done / sound.samplerate, (done + missing) / sound.samplerate
        raise AudioError(
            f"Expected audio that can be decoded to its end. Received: {path}, {seconds:.1f} s of "
            f"the {promised:.1f} s that its header promises; fetch it again."
        )


def mixed(samples: np.ndarray) -> np.ndarray:
    """Mean of the channels: ``(samples, channels)`` to ``(samples,)``."""
    if samples.ndim == 1:
        return samples
    channels = samples.shape[1]
    # A product with weights is 40 times as fast as a mean over so short an axis.
    return samples[:, 0] if channels == 1 else samples @ np.full(channels, 1 / channels, np.float32)


def check_finite(samples: np.ndarray, source: str | Path, start: int) -> None:
    """Refuse NaN and infinite samples; `start` is the number of the first one, for the message."""
    wrong = np.flatnonzero(~np.isfinite(samples))
    if len(wrong):
        raise AudioError(
            f"Expected finite samples. Received: {source} with {samples[wrong[0]]} at sample "
            f"{start + wrong[0]}; repair the recording or leave it out."
        )


class _Stream(soundfile.SoundFile):
    """A sound file read from start to end.

    soundfile seeks after every read of a seekable file, and that fails where the file does not
    say its length, as a FLAC written to a pipe.
    """

    def seekable(self) -> bool:
        return False


class _Unmeasured(io.FileIO):
    """A file whose end is found once, by libsndfile, and not again by libmpg123 inside it.

    From the size of an MP3 without a length header, libmpg123 estimates how much it holds, and
    libsndfile reads no further: with a variable bit rate most of the recording can be lost.
    Without the size, they count the frames.
    """

    measured = False

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        if whence == os.SEEK_END and self.measured:
            return super().seek(0)
        self.measured = self.measured or whence == os.SEEK_END
        return super().seek(offset, whence)
