"""A model over tracks of any length: windows side by side, in full batches, across tracks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from typing import Any, TypeVar

import keras
import numpy as np

from kmir.nn.device import compile_with_xla

K = TypeVar("K")

# Of a batch: one clip of 29 s, or many short ones. A CRNN takes 200 kB a frame while it runs.
BATCH_FRAMES = 1400
# Where the model takes any length: windows of a batch, since recurrent layers share their steps,
# and frames, since convolutions over a spectrogram take 20 kB each.
FREE_BATCH, FREE_FRAMES = 32, 9600
# Frames that such a model is given at least: poolings leave nothing of fewer.
SHORTEST = 16

Window = dict[str, np.ndarray]


def window_starts(frames: int, length: int, margin: int = 0) -> list[int]:
    """First frames of the clips that cover a track side by side, the last flush with its end.

    Args:
        frames: Of the track.
        length: Of a clip.
        margin: Frames that a clip has in common with its neighbours on either side, for context.
    """
    last = max(frames - length, 0)
    return [*range(0, last, max(1, length - 2 * margin)), last]


def stitched(clips: np.ndarray, frames: int, margin: int = 0) -> np.ndarray:
    """One value a frame from the values of clips as `windows` cuts them.

    Args:
        clips: ``(clips, length, ...)``.
        frames: Of the whole track.
        margin: As for `window_starts`: what a clip says of its margins doesn't count, but at the
            ends of the track.

    Returns:
        ``(frames, ...)``; where the last clip overlaps the one before, the last counts.
    """
    length = clips.shape[1]
    whole = np.empty((max(frames, length), *clips.shape[2:]), clips.dtype)
    for start, clip in zip(window_starts(frames, length, margin), clips, strict=True):
        skipped = margin if start else 0
        whole[start + skipped : start + length] = clip[skipped:]
    return whole[:frames]


def windows(
    features: np.ndarray, length: int | None, silence: float, margin: int = 0
) -> Iterator[Window]:
    """Clips that cover a track side by side, the last one flush with its end.

    Args:
        features: ``(frames, *shape)``.
        length: Frames of a clip; None gives the track whole.
        silence: What a track shorter than a clip is padded with.
        margin: As for `window_starts`.

    Yields:
        ``features`` ``(length, *shape)`` float32 and ``mask`` ``(length,)``, 1 where a frame is
        real.
    """
    frames = len(features)
    length = length or frames
    for start in window_starts(frames, length, margin):
        clip = features[start : start + length].astype(np.float32)
        missing = length - len(clip)
        padding = [(0, missing)] + [(0, 0)] * (clip.ndim - 1)
        mask = (np.arange(length) < len(clip)).astype(np.float32)
        yield {"features": np.pad(clip, padding, constant_values=silence), "mask": mask}


def clip_outputs(
    model: keras.Model,
    tracks: Iterable[tuple[K, np.ndarray]],
    *,
    silence: float,
    overlap: tuple[int, int] | None = None,
) -> Iterator[tuple[K, dict[str, np.ndarray]]]:
    """Outputs of a model for every window of every track.

    Args:
        model: With inputs named ``features`` and, if it wants one, ``mask``.
        tracks: Keys with features ``(frames, *shape)``; taken one at a time.
        silence: What a track shorter than a clip is padded with.
        overlap: Length and margin of the clips, in frames, where the model takes any length;
            a shorter track is one clip, of `SHORTEST` frames at least. None: clips as long as the
            model's input.

    Yields:
        Each key with ``(windows, ...)`` by output name, in the order of the tracks.
    """
    model.jit_compile = compile_with_xla()
    length = next(tensor.shape[1] for tensor in model.inputs if tensor.name == "features")
    free = overlap is not None and length is None

    def cut(features: np.ndarray) -> Iterator[Window]:
        if overlap is None or not free:
            return windows(features, length, silence)
        frames = min(max(len(features), SHORTEST), overlap[0])
        return windows(features, frames, silence, overlap[1])

    clips = (
        (number, key, window)
        for number, (key, features) in enumerate(tracks)
        for window in cut(features)
    )
    size = max(1, BATCH_FRAMES // length) if length else 1
    if free and overlap:
        size = min(FREE_BATCH, max(1, FREE_FRAMES // overlap[0]))
    outputs = _outputs(model, clips, size)
    for _, rows in groupby(outputs, key=lambda row: row[0]):
        (_, key, first), *others = rows
        every = [first, *(output for _, _, output in others)]
        yield key, {name: np.stack([output[name] for output in every]) for name in first}


def _outputs(
    model: keras.Model, clips: Iterator[tuple[int, K, Window]], batch_size: int
) -> Iterator[tuple[int, K, Window]]:
    """Each clip with the model's outputs in its place, computed in batches."""
    for batch in _batches(clips, batch_size):
        stacked: dict[str, Any] = {
            tensor.name: np.stack([window[tensor.name] for _, _, window in batch])
            for tensor in model.inputs
        }
        inputs = stacked if len(stacked) > 1 else next(iter(stacked.values()))
        outputs = model.predict_on_batch(inputs)
        if not isinstance(outputs, dict):
            outputs = {model.output_names[0]: outputs}
        for index, (number, key, _) in enumerate(batch):
            yield number, key, {name: np.asarray(value[index]) for name, value in outputs.items()}


def _batches(
    clips: Iterator[tuple[int, K, Window]], batch_size: int
) -> Iterator[list[tuple[int, K, Window]]]:
    """Clips of equal length in order, at most `batch_size` together."""
    for _, equal in groupby(clips, key=lambda clip: len(clip[2]["mask"])):
        while batch := list(islice(equal, batch_size)):
            yield batch
