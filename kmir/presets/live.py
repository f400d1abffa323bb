"""Causal models at work: live, and over recordings of any length with one state."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

from kmir.features.base import Feature
from kmir.nn.device import compile_with_xla
from kmir.presets.causal import carried_copy, forget
from kmir.presets.inference import Kind, joined

BLOCK = 1000  # frames of a long recording at once


class CarriedModel:
    """A causal model whose state is carried from one call to the next.

    Args:
        model: A functional model from ``features`` ``(batch, frames, *shape)``, for any number of
            frames; a copy is made of its weights.
        name: Of the preset, for errors.

    Raises:
        PresetError: If the model looks ahead, or can't be known not to.
    """

    def __init__(self, model: keras.Model, name: str) -> None:
        self._model = carried_copy(model, name)
        self._model.jit_compile = compile_with_xla()
        outputs = self._model.output
        if not isinstance(outputs, dict):
            outputs = {self._model.output_names[0]: outputs}
        self._sizes = {name: tensor.shape[2:] for name, tensor in outputs.items()}

    def reset(self) -> None:
        """Begin another recording."""
        forget(self._model)

    def feed(self, features: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs for the frames that come next.

        Args:
            features: ``(frames, *shape)``, of any number of frames.

        Returns:
            ``(frames, size)`` by output name.
        """
        if not len(features):
            return {name: np.zeros((0, *size), np.float32) for name, size in self._sizes.items()}
        outputs = self._model.predict_on_batch(features[None].astype(np.float32))
        if not isinstance(outputs, dict):
            outputs = {self._model.output_names[0]: outputs}
        return {name: np.asarray(value[0]) for name, value in outputs.items()}

    def whole(self, features: np.ndarray, kinds: Mapping[str, Kind]) -> dict[str, np.ndarray]:
        """Outputs for a whole recording; the state begins anew.

        Args:
            features: ``(frames, *shape)``, of one frame at least.
            kinds: What is wanted of each output; see `kmir.presets.inference.joined`.

        Returns:
            By name ``(frames, size)``, or ``(size,)``.
        """
        self.reset()
        frames = len(features)
        parts = (
            (start, start, min(start + BLOCK, frames), self.feed(features[start : start + BLOCK]))
            for start in range(0, frames, BLOCK)
        )
        return joined(parts, frames, kinds)


class Stream:
    """A preset at work while samples arrive. Get one with `Preset.stream`.

    Args:
        feature: Of the preset.
        model: Of the preset; the stream's own.
    """

    def __init__(self, feature: Feature, model: CarriedModel) -> None:
        self._feature, self._model = feature.live(), model
        # TensorFlow traces a model for its first lengths, which takes a second: not the listener's.
        for frames in (1, 2):
            model.feed(np.zeros((frames, *feature.shape), np.float32))
        model.reset()

    def feed(self, samples: np.ndarray) -> dict[str, np.ndarray]:
        """Activations of the frames that a block of samples completes.

        Args:
            samples: ``(samples,)`` mono float32 in [-1, 1] at the feature's sample rate, any
                number of them.

        Returns:
            ``(frames, size)`` by output name; often of no frames, if blocks are shorter than one.

        Raises:
            AudioError: If the samples can't be used, or the stream has been finished.
        """
        return self._activations(self._feature.feed(samples))

    def finish(self) -> dict[str, np.ndarray]:
        """Activations of the last frames, whose windows reach beyond the end.

        Raises:
            AudioError: If there was no sample at all, or the stream has been finished before.
        """
        return self._activations(self._feature.finish())

    def _activations(self, features: np.ndarray) -> dict[str, np.ndarray]:
        return self._model.feed(features.astype(np.float16))  # the precision of records
