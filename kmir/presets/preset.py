"""A preset: a trained model with its front end, labels and task, from audio to annotations."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import keras
import numpy as np

from kmir.annotations import Annotations
from kmir.errors import PresetError
from kmir.features.base import Feature
from kmir.features.beat_synchronous import BeatSynchronous
from kmir.features.side_by_side import SideBySide
from kmir.presets.inference import Kind, track_outputs
from kmir.presets.live import CarriedModel, Stream

K = TypeVar("K")
T = TypeVar("T")


@dataclass(frozen=True)
class Preset:
    """A model that can be used as it stands. Get one with `kmir.from_preset`.

    Args:
        name: Name or folder it was loaded from.
        model: Takes ``(batch, frames, *feature.shape)``.
        feature: The front end that the model was trained on.
        task: Turns the model's outputs into annotations (a `pipelines.base.Task`).
        card: What is known of it: data, licence, scores, command.
        companion: Preset that is asked about the beats that this one finds, and reads a feature of
            its own between them; None where the task goes without.
    """

    name: str
    model: keras.Model
    feature: Feature
    task: Any
    card: dict[str, Any]
    companion: Preset | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels in the order of the model's output."""
        labels: tuple[str, ...] = self.task.labels
        return labels

    @cached_property
    def front_end(self) -> Feature:
        """What `annotate` reads: the feature of the model, and beside it that of the companion."""
        if self.companion is None:
            return self.feature
        assert isinstance(self.companion.feature, BeatSynchronous)  # `with_companion` has checked
        return SideBySide([self.feature.config, self.companion.feature.averaged.config])

    def predict(
        self, source: Path | str | np.ndarray, sample_rate: int | None = None
    ) -> Annotations:
        """Annotations of one recording.

        Args:
            source: Path of an audio file, or samples ``(samples,)`` or ``(samples, channels)``.
            sample_rate: Of the samples, in Hz; not needed for a path.

        Returns:
            What the task reads: tags with all their scores, highest first; chords; or beats with
            their tempo. What it doesn't read is None.

        Raises:
            AudioError: If the audio can't be used.
        """
        ((_, annotations),) = self.annotate(self._one(self.parts, source, sample_rate))
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
        kind: Kind = "frames" if self._frames_only else "clips"
        ((_, _, outputs),) = self._outputs(
            self._body,
            self._carried_body,
            self._one(self._own, source, sample_rate),
            {"embedding": kind},
        )
        found = outputs["embedding"].astype(np.float32)
        return found.reshape(len(found), -1)

    def stream(self) -> Stream:
        """The preset for samples that are just arriving, mono at ``feature.sample_rate``.

        One object serves one recording. Its activations, joined, are those of `activations` for the
        whole. A frame comes half a window of the feature after its time: 46 ms with log_frequency's
        defaults. What tasks make of activations takes the whole recording: a decoder weighs what
        came after as well.

        Raises:
            PresetError: If the model looks ahead, or answers for clips instead of frames.
            UsageError: If the feature can't be told before the recording has ended.
        """
        if not self._frames_only:
            raise PresetError(
                f"Expected a preset that answers for frames, to stream. Received: {self.name}, "
                "which answers for clips; use predict."
            )
        # A model of its own: streams side by side don't share their state.
        return Stream(self.feature, CarriedModel(self.model, self.name))

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
        """What records hold of one recording, ``(frames, *front_end.shape)`` float16."""
        return self.front_end.read(source, sample_rate, np.float16)

    def parts(
        self, source: Path | str | np.ndarray, sample_rate: int | None = None
    ) -> list[np.ndarray]:
        """The same, feature by feature: what the model reads, and what the companion reads."""
        return self.front_end.read_parts(source, sample_rate, np.float16)

    def activations(
        self, source: Path | str | np.ndarray, sample_rate: int | None = None
    ) -> dict[str, np.ndarray]:
        """The model's outputs for one recording.

        `predict` decodes these, but for those that only help the model to learn.

        Args:
            source: Path of an audio file, or samples.
            sample_rate: Of the samples, in Hz; not needed for a path.

        Returns:
            By name ``(size,)`` for the whole recording, or ``(frames, size)``.

        Raises:
            AudioError: If the audio can't be used.
        """
        recording = self._one(self._own, source, sample_rate)
        ((_, _, activations),) = self._activations(recording, every=True)
        return activations

    def annotate(
        self, tracks: Iterable[tuple[K, np.ndarray | list[np.ndarray]]]
    ) -> Iterator[tuple[K, Annotations]]:
        """Annotations of many tracks.

        Outputs for clips are averaged over a track, outputs for frames joined along it. Clips are
        batched together, also those of several tracks; a causal model reads one track after the
        other from its beginning to its end, as it does live.

        Args:
            tracks: Keys with `features` or `parts` of a recording; taken one at a time.
        """
        beside: deque[np.ndarray] = deque()  # for the companion, of tracks that the model reads

        def own() -> Iterator[tuple[K, np.ndarray]]:
            for key, features in tracks:
                if isinstance(features, list):
                    parts = [*features]
                else:
                    parts = self.front_end.parts(features)
                beside.extend(part.copy() for part in parts[1:])
                del features, parts[1:]  # not to wait in memory until what they tell is decoded
                yield key, parts.pop()

        for key, frames, activations in self._activations(own(), every=False):
            times, heard = np.arange(frames) / self.feature.frame_rate, {}
            found = self.task.decode(activations, times)
            if self.companion is not None:
                beats, rate = found.beats.times, self.feature.frame_rate
                heard = self.companion.between_beats(beside.popleft(), beats, rate)
            yield key, self.task.conclude(found, activations, times, heard)

    def between_beats(
        self, frames: np.ndarray, beats: np.ndarray, frame_rate: float
    ) -> dict[str, np.ndarray]:
        """The outputs of a model of beats, for beats that somebody else has found.

        Args:
            frames: ``(frames, bins)`` of the feature that is averaged between beats.
            beats: ``(beats,)`` seconds.
            frame_rate: Of the frames.

        Returns:
            ``(beats, size)`` by output name; without beats, of no beat.

        Raises:
            PresetError: If the preset is of another kind.
        """
        if not isinstance(self.feature, BeatSynchronous):
            raise PresetError(
                f"Expected a preset that reads {BeatSynchronous.name}. Received: {self.name}, "
                f"which reads {self.feature.name}; use predict."
            )
        if not len(beats):
            return {n: np.zeros((0, o.size), np.float32) for n, o in self.task.outputs().items()}
        features = self.feature.between(frames, beats, frame_rate).astype(np.float16)
        ((_, _, activations),) = self._activations([(self.name, features)], every=False)
        return activations

    def _one(
        self, read: Callable[..., T], source: Path | str | np.ndarray, sample_rate: int | None
    ) -> Iterator[tuple[str, T]]:
        """A recording as it is read; nobody holds that longer than who takes it."""
        yield self.name, read(source, sample_rate)

    def _own(self, source: Path | str | np.ndarray, sample_rate: int | None) -> np.ndarray:
        """What the model reads of a recording."""
        return self.feature.read(source, sample_rate, np.float16)

    def _activations(
        self, tracks: Iterable[tuple[K, np.ndarray]], *, every: bool
    ) -> Iterator[tuple[K, int, dict[str, np.ndarray]]]:
        """Each key with its frames and outputs: every one, or those that are decoded."""
        kinds: dict[str, Kind] = {
            name: "clips" if output.level == "clip" else "frames"
            for name, output in self.task.outputs().items()
            if output.decoded or every
        }
        for key, frames, outputs in self._outputs(self.model, self._carried, tracks, kinds):
            for name, kind in kinds.items():
                if kind == "clips":
                    outputs[name] = outputs[name].mean(axis=0)
            yield key, frames, outputs

    def _outputs(
        self,
        model: keras.Model,
        carried: CarriedModel | None,
        tracks: Iterable[tuple[K, np.ndarray]],
        kinds: Mapping[str, Kind],
    ) -> Iterator[tuple[K, int, dict[str, np.ndarray]]]:
        if carried is None:
            silence, overlap = self.feature.silence, self._overlap
            yield from track_outputs(model, tracks, kinds, silence=silence, overlap=overlap)
            return
        for key, features in tracks:
            frames, outputs = len(features), carried.whole(features, kinds)
            del features  # not to wait in memory until the outputs are decoded
            yield key, frames, outputs

    @cached_property
    def _carried(self) -> CarriedModel | None:
        return self._carrying(self.model)

    @cached_property
    def _carried_body(self) -> CarriedModel | None:
        return self._carrying(self._body)

    def _carrying(self, model: keras.Model) -> CarriedModel | None:
        """A causal model that reads recordings of any length; None of another one."""
        if self._overlap is None:
            return None
        try:
            return CarriedModel(model, self.name)
        except PresetError:
            return None

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
