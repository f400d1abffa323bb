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

Window = dict[str, np.ndarray]


def window_starts(frames: int, length: int) -> list[int]:
    """First frames of the clips that cover a track side by side, the last flush with its end."""
    last = max(frames - length, 0)
    return [*range(0, last, length), last]


def stitched(clips: np.ndarray, frames: int) -> np.ndarray:
    """One value a frame from the values of clips as `windows` cuts them.

    Args:
        clips: ``(clips, length, ...)``.
        frames: Of the whole track.

    Returns:
        ``(frames, ...)``; where the last clip overlaps the one before, the last counts.
    """
    length = clips.shape[1]
    whole = np.empty((max(frames, length), *clips.shape[2:]), clips.dtype)
    for start, clip in zip(window_starts(frames, length), clips, strict=True):
        whole[start : start + length] = clip
    return whole[:frames]


def windows(features: np.ndarray, length: int | None, silence: float) -> Iterator[Window]:
    """Clips that cover a track side by side, the last one flush with its end.

    Args:
        features: ``(frames, *shape)``.
        length: Frames of a clip; None gives the track whole.
        silence: What a track shorter than a clip is padded with.

    Yields:
        ``features`` ``(length, *shape)`` float32 and ``mask`` ``(length,)``, 1 where a frame is
        real.
    """
    frames = len(features)
    length = length or frames
    for start in window_starts(frames, length):
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
) -> Iterator[tuple[K, dict[str, np.ndarray]]]:
    """Outputs of a model for every window of every track.

    Args:
        model: With inputs named ``features`` and, if it wants one, ``mask``.
        tracks: Keys with features ``(frames, *shape)``; taken one at a time.
        silence: What a track shorter than a clip is padded with.

    Yields:
        Each key with ``(windows, ...)`` by output name, in the order of the tracks.
    """
    model.jit_compile = compile_with_xla()
    length = next(tensor.shape[1] for tensor in model.inputs if tensor.name == "features")
    clips = (
        (number, key, window)
        for number, (key, features) in enumerate(tracks)
        for window in windows(features, length, silence)
    )
    outputs = _outputs(model, clips, max(1, BATCH_FRAMES // length) if length else 1)
    for _, rows in groupby(outputs, key=lambda row: row[0]):
        (_, key, first), *others = rows
        every = [first, *(output for _, _, output in others)]
        yield key, {name: np.stack([output[name] for output in every]) for name in first}


def _outputs(
    model: keras.Model, clips: Iterator[tuple[int, K, Window]], batch_size: int
) -> Iterator[tuple[int, K, Window]]:
    """Each clip with the model's outputs in its place, computed in batches."""
    while batch := list(islice(clips, batch_size)):
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
