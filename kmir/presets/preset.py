"""A preset: a trained model with its front end, labels and task, from audio to annotations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import keras
import numpy as np

from kmir.annotations import Annotations
from kmir.errors import PresetError
from kmir.features import audio
from kmir.features.base import Feature
from kmir.presets.inference import clip_outputs, stitched

K = TypeVar("K")


@dataclass(frozen=True)
class Preset:
    """A model that can be used as it stands. Get one with `kmir.from_preset`.

    Args:
        name: Name or folder it was loaded from.
        model: Takes ``(batch, frames, *feature.shape)``.
        feature: The front end that the model was trained on.
        task: Turns the model's outputs into annotations (a `pipelines.base.Task`).
        card: What is known of it: data, licence, scores, command.
    """

    name: str
    model: keras.Model
    feature: Feature
    task: Any
    card: dict[str, Any]

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels in the order of the model's output."""
        labels: tuple[str, ...] = self.task.labels
        return labels

    def predict(
        self, source: Path | str | np.ndarray, sample_rate: int | None = None
    ) -> Annotations:
        """Annotations of one recording.

        Args:
            source: Path of an audio file, or samples ``(samples,)`` or ``(samples, channels)``.
            sample_rate: Of the samples, in Hz; not needed for a path.

        Returns:
            What the task reads: for tagging, ``annotations.tags`` with all tags, highest first.

        Raises:
            AudioError: If the audio can't be used.
        """
        features = self.features(source, sample_rate)
        (_, annotations), *_ = self.annotate([(self.name, features)])
        return annotations

    def embed(self, source: Path | str | np.ndarray, sample_rate: int | None = None) -> np.ndarray:
        """What the model knows before its last layer, clip by clip or frame by frame.

        Args:
            source: Path of an audio file, or samples.
            sample_rate: Of the samples, in Hz; not needed for a path.

        Returns:
            ``(clips, dimensions)`` float32, or ``(frames, dimensions)`` where the model answers
            for frames; average over the first axis for one vector a recording.

        Raises:
            AudioError: If the audio can't be used.
            PresetError: If the model has no layer of the name ``embedding``.
        """
        features = self.features(source, sample_rate)
        overlap, silence = self._overlap, self.feature.silence
        (_, outputs), *_ = clip_outputs(
            self._body, [(0, features)], silence=silence, overlap=overlap
        )
        found = outputs["embedding"].astype(np.float32)
        if self._frames_only:
            found = stitched(found, len(features), overlap[1] if overlap else 0)
        return found.reshape(len(found), -1)

    @cached_property
    def _body(self) -> keras.Model:
        # Made once: another model for every recording would be traced anew each time.
        if "embedding" not in {layer.name for layer in self.model.layers}:
            raise PresetError(
                f"Expected a layer named 'embedding' in the model of {self.name}. Received: none. "
                "Name the one that the last layer reads."
            )
        layer = self.model.get_layer("embedding")
        return keras.Model(self.model.inputs, {"embedding": layer.output})

    def features(
        self, source: Path | str | np.ndarray, sample_rate: int | None = None
    ) -> np.ndarray:
        """Features of one recording, ``(frames, *shape)`` float16, as records hold them."""
        if isinstance(source, Path | str):
            return self.feature.from_file(source, np.float16)
        if sample_rate is None:
            raise PresetError("Expected the sample rate of the samples. Received: none.")
        samples = audio.from_array(source, sample_rate, self.feature.sample_rate)
        return self.feature(samples).astype(np.float16)

    def annotate(self, tracks: Iterable[tuple[K, np.ndarray]]) -> Iterator[tuple[K, Annotations]]:
        """Annotations of many tracks, their clips batched together.

        Outputs for clips are averaged over a track, outputs for frames joined along it.

        Args:
            tracks: Keys with features ``(frames, *shape)``; taken one at a time.
        """
        lengths: list[int] = []

        def counted() -> Iterator[tuple[K, np.ndarray]]:
            for key, features in tracks:
                lengths.append(len(features))
                yield key, features

        rate, overlap = self.feature.frame_rate, self._overlap
        margin = overlap[1] if overlap else 0
        for key, outputs in clip_outputs(
            self.model, counted(), silence=self.feature.silence, overlap=overlap
        ):
            frames = lengths.pop(0)
            whole = {
                name: outputs[name].mean(axis=0)
                if output.level == "clip"
                else stitched(outputs[name], frames, margin)
                for name, output in self.task.outputs().items()
            }
            yield key, self.task.decode(whole, np.arange(frames) / rate)

    @property
    def _overlap(self) -> tuple[int, int] | None:
        """Length and margin of the windows, for models that take any number of frames."""
        free = next(t for t in self.model.inputs if t.name == "features").shape[1] is None
        if not free or not self._frames_only:
            return None
        rate = self.feature.frame_rate
        return round(self.task.window_seconds * rate), round(self.task.margin_seconds * rate)

    @property
    def _frames_only(self) -> bool:
        return all(output.level == "frame" for output in self.task.outputs().values())
