"""A model over tracks of any length: windows side by side, in full batches, across tracks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby, islice
from typing import Any, Literal, TypeVar

import keras
import numpy as np

from kmir.nn.device import compile_with_xla

K = TypeVar("K")
T = TypeVar("T")
Kind = Literal["frames", "clips"]

# Of a batch: one clip of 29 s, or many short ones. A CRNN takes 200 kB a frame while it runs.
BATCH_FRAMES = 1400
# Where the model takes any length: windows of a batch, since recurrent layers share their steps, as
# long as the widest layer takes no more memory than this.
FREE_BATCH, BATCH_BYTES = 32, 2**23
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


def spans(frames: int, length: int, margin: int = 0) -> list[tuple[int, int, int]]:
    """Which frames of a track each clip answers for.

    Args:
        frames: Of the track.
        length: Of a clip.
        margin: As for `window_starts`: what a clip says of its margins doesn't count, but at the
            ends of the track.

    Returns:
        ``(start, begin, end)`` of each clip: where it starts, and from where to where it counts.
        Where the last clip overlaps the one before, the last counts.
    """
    starts = window_starts(frames, length, margin)
    borders = [0, *(start + margin for start in starts[1:]), frames]
    return list(zip(starts, borders, borders[1:], strict=False))


def stitched(clips: np.ndarray, frames: int, margin: int = 0) -> np.ndarray:
    """One value a frame from the values of clips as `windows` cuts them.

    Args:
        clips: ``(clips, length, ...)``.
        frames: Of the whole track.
        margin: As for `spans`.

    Returns:
        ``(frames, ...)``.
    """
    whole = np.empty((frames, *clips.shape[2:]), clips.dtype)
    for (start, begin, end), clip in zip(spans(frames, clips.shape[1], margin), clips, strict=True):
        whole[begin:end] = clip[begin - start : end - start]
    return whole


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
    for _, key, _, rows in _rows(model, tracks, silence, overlap):
        every = [output for _, output in rows]
        yield key, {name: np.stack([output[name] for output in every]) for name in every[0]}


def track_outputs(
    model: keras.Model,
    tracks: Iterable[tuple[K, np.ndarray]],
    kinds: Mapping[str, Kind],
    *,
    silence: float,
    overlap: tuple[int, int] | None = None,
) -> Iterator[tuple[K, int, dict[str, np.ndarray]]]:
    """Outputs of a model for every track, put together as its clips come.

    Args:
        model: As for `clip_outputs`, as are the others.
        tracks: Keys with features ``(frames, *shape)``; taken one at a time.
        kinds: What is wanted of each output.
        silence: What a track shorter than a clip is padded with.
        overlap: Length and margin of the clips.

    Yields:
        Each key with its frames and, by output name, what `joined` makes of it.
    """
    margin = overlap[1] if overlap else 0
    for length, key, frames, rows in _rows(model, tracks, silence, overlap):
        places = spans(frames, length, margin)
        parts = ((*place, output) for place, (_, output) in zip(places, rows, strict=True))
        yield key, frames, joined(parts, frames, kinds)


def joined(
    parts: Iterable[tuple[int, int, int, dict[str, np.ndarray]]],
    frames: int,
    kinds: Mapping[str, Kind],
) -> dict[str, np.ndarray]:
    """Outputs for a track from those for its parts; none of them is kept longer than it must.

    Args:
        parts: ``start``, ``begin`` and ``end`` as of `spans`, and outputs by name.
        frames: Of the track.
        kinds: What is wanted, by output: ``"frames"``, all in their order, or ``"clips"``, outputs
            for parts as they are.

    Returns:
        By name ``(frames, …)`` or ``(parts, …)``.
    """
    whole: dict[str, Any] = {}
    for start, begin, end, outputs in parts:
        for name, kind in kinds.items():
            value = outputs[name]
            if kind == "clips":
                whole.setdefault(name, []).append(value)
                continue
            if name not in whole:
                whole[name] = np.empty((frames, *value.shape[1:]), value.dtype)
            whole[name][begin:end] = value[begin - start : end - start]
    return {name: np.asarray(value) for name, value in whole.items()}


def _rows(
    model: keras.Model,
    tracks: Iterable[tuple[K, np.ndarray]],
    silence: float,
    overlap: tuple[int, int] | None,
) -> Iterator[tuple[int, K, int, Iterator[tuple[int, dict[str, np.ndarray]]]]]:
    """Each track: length of its clips, key, frames, and the outputs for its clips in order."""
    model.jit_compile = compile_with_xla()
    fixed = next(tensor.shape[1] for tensor in model.inputs if tensor.name == "features")
    free = overlap is not None and fixed is None
    size = max(1, BATCH_FRAMES // fixed) if fixed else 1
    if free and overlap:
        fitting = BATCH_BYTES // (4 * _widest(model) * overlap[0])
        size = min(FREE_BATCH, max(1, fitting))

    def clips() -> Iterator[tuple[tuple[int, int, K, int], Window]]:
        for number, (key, features) in enumerate(tracks):
            frames = len(features)
            length, margin = fixed or frames, 0
            if free and overlap:
                length, margin = min(max(frames, SHORTEST), overlap[0]), overlap[1]
            for window in windows(features, length, silence, margin):
                yield (number, length, key, frames), window
            del features  # not to wait in memory until what was found in them is decoded

    for (number, length, key, frames), rows in groupby(
        _outputs(model, clips(), size), key=lambda row: row[0]
    ):
        yield length, key, frames, ((number, output) for _, output in rows)


def _widest(model: keras.Model) -> int:
    """Values a frame of the widest layer."""
    shapes = [layer.output.shape[2:] for layer in model.layers if hasattr(layer.output, "shape")]
    return max(math.prod(size or 1 for size in shape) for shape in shapes)


def _outputs(
    model: keras.Model, clips: Iterator[tuple[T, Window]], batch_size: int
) -> Iterator[tuple[T, dict[str, np.ndarray]]]:
    """Each clip's track with the model's outputs for it, computed in batches."""
    for batch in _batches(clips, batch_size):
        stacked: dict[str, Any] = {
            tensor.name: np.stack([window[tensor.name] for _, window in batch])
            for tensor in model.inputs
        }
        inputs = stacked if len(stacked) > 1 else next(iter(stacked.values()))
        outputs = model.predict_on_batch(inputs)
        if not isinstance(outputs, dict):
            outputs = {model.output_names[0]: outputs}
        for index, (track, _) in enumerate(batch):
            yield track, {name: np.asarray(value[index]) for name, value in outputs.items()}


def _batches(
    clips: Iterator[tuple[T, Window]], batch_size: int
) -> Iterator[list[tuple[T, Window]]]:
    """Clips of equal length in order, at most `batch_size` together."""
    for _, equal in groupby(clips, key=lambda clip: len(clip[1]["mask"])):
        while batch := list(islice(equal, batch_size)):
            yield batch
