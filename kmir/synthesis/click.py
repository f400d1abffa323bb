"""Clicks on beats, for listening to what was found: mir_eval's, an octave higher on downbeats."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import mir_eval.sonify
import numpy as np
import soundfile

from kmir.annotations import Beats
from kmir.errors import AudioError
from kmir.quiet import muted_stderr

BEAT, DOWNBEAT = 1000.0, 2000.0  # Hz
SECONDS = 0.1
DECAY = 0.01  # seconds in which a click falls to 1 / e
# Of music and clicks in the mix: together they stay within full scale.
MUSIC, CLICK = 0.6, 0.4
BLOCK_SECONDS = 30


def write_clicked(sound: soundfile.SoundFile, beats: Beats, out: Path) -> None:
    """Write a recording as WAV of 16 bits with clicks on its beats, at its rate and channels.

    Args:
        sound: The recording, opened and at its start.
        beats: Where the clicks begin.
        out: The file to write.

    Raises:
        AudioError: If it can't be written.
    """
    try:
        with soundfile.SoundFile(out, "w", sound.samplerate, sound.channels, "PCM_16") as file:
            for block in clicked(_blocks(sound), beats, sound.samplerate):
                file.write(block)
    except (OSError, soundfile.LibsndfileError) as error:
        raise AudioError(
            f"Expected to write audio with clicks. Received: {out} ({str(error).rstrip('.')}); "
            "make room, or move what is there."
        ) from None


def clicked(blocks: Iterable[np.ndarray], beats: Beats, sample_rate: int) -> Iterator[np.ndarray]:
    """Audio with a click on every beat, block by block.

    Args:
        blocks: ``(samples, channels)`` float32 in [-1, 1], from the start of a recording to its
            end.
        beats: Where the clicks begin, to the nearest sample.
        sample_rate: Of the audio, Hz.

    Yields:
        Blocks of the same shapes, softer, with the clicks on all channels, in [-1, 1]; joined, the
        same for blocks of any length.
    """
    downbeats = beats.positions == 1
    first = 0
    for block in blocks:
        clicks = sum(
            _clicks(beats.times[which], pitch, first, len(block), sample_rate)
            for which, pitch in ((~downbeats, BEAT), (downbeats, DOWNBEAT))
        )
        mix = MUSIC * block + CLICK * np.asarray(clicks)[:, np.newaxis]
        yield np.clip(mix, -1, 1).astype(np.float32)  # decoded MP3 can lie beyond full scale
        first += len(block)


def _blocks(sound: soundfile.SoundFile) -> Iterator[np.ndarray]:
    while True:
        with muted_stderr():
            block = sound.read(BLOCK_SECONDS * sound.samplerate, "float32", always_2d=True)
        if not len(block):
            return
        yield block


def _clicks(
    times: np.ndarray, pitch: float, first: int, samples: int, sample_rate: int
) -> np.ndarray:
    """``(samples,)`` of clicks, those included that begin before the first sample."""
    time = np.arange(round(SECONDS * sample_rate)) / sample_rate
    click = np.sin(2 * np.pi * pitch * time) * np.exp(-time / DECAY)
    starts = np.round(times * sample_rate).astype(int) - first + len(click)
    inside = starts[(starts > 0) & (starts < samples + len(click))]
    # mir_eval rounds down, and half a sample keeps it from the one before; it also stops at the
    # first click that reaches the end, so there is room for one more.
    length = samples + 2 * len(click)
    sound: np.ndarray = mir_eval.sonify.clicks(
        (inside + 0.5) / sample_rate, sample_rate, click=click, length=length
    )
    return sound[len(click) : len(click) + samples]
