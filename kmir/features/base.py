"""The contract of a feature: a frozen dataclass, callable on samples, that knows its geometry."""

from __future__ import annotations

import abc
import dataclasses
import hashlib
import json
import operator
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from kmir.errors import AudioError, RecordError, UsageError, nearest
from kmir.features import audio
from kmir.features.live import LiveFeature
from kmir.lookup import find_class

SILENT = 1e-5  # a peak below -100 dB of full scale: less than the last bit of 16


class Feature(abc.ABC):
    """Samples to frames. Subclasses are frozen dataclasses whose fields are all JSON values.

    The same object runs at extraction and at prediction: records and presets store it as its
    `config`, and `fingerprint` tells whether two of them compute the same thing.

    Attributes:
        name: Name of the module in ``kmir.features`` that defines the class.
        sample_rate: Sampling rate in Hz that the samples must have.
        hop_length: Samples from frame to frame, where the feature has frames of even distance.
        first_pitch_class: Of chroma, what the first of each twelve bins stands for, C = 0; None for
            features that are not chroma.
        refuses_silence: Whether a file in which nothing sounds is an error; not where silence has
            an answer, such as no beats.
        linear: Whether values are sums of magnitudes, up to a norm, so that a factor is a gain;
            logarithms and counts are not.
    """

    name: ClassVar[str]
    first_pitch_class: ClassVar[int | None] = None
    refuses_silence: ClassVar[bool] = True
    linear: ClassVar[bool] = False
    sample_rate: int
    hop_length: int

    @property
    def frame_rate(self) -> float:
        """Frames per second, from the true hop."""
        return self.sample_rate / self.hop_length

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of one frame: ``(bins,)`` or ``(bins, channels)``."""

    @property
    @abc.abstractmethod
    def silence(self) -> float:
        """Value that digital silence has in every bin; what shorter clips are padded with."""

    @abc.abstractmethod
    def from_blocks(
        self,
        blocks: Iterable[np.ndarray],
        samples: int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> np.ndarray:
        """Features of a recording that arrives in blocks, equal to those of the whole.

        Args:
            blocks: Mono float32 samples at `sample_rate`, in order, of any lengths.
            samples: How many there will be, if known: memory is then taken once.
            dtype: Of the result; float16 halves the memory of long recordings.

        Returns:
            ``(frames, *shape)``; the numbers are computed in float32 whatever the dtype.
        """

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """Features of a whole recording.

        Args:
            samples: ``(samples,)`` mono float32 in [-1, 1] at `sample_rate`.

        Returns:
            ``(frames, *shape)`` float32.

        Raises:
            AudioError: If the samples are integers or not mono, there are none, or they are not
                finite.
        """
        samples = np.asarray(samples)
        if samples.dtype.kind != "f" or samples.ndim != 1:
            raise AudioError(
                f"Expected mono float samples, (samples,). Received: {samples.dtype} of shape "
                f"{samples.shape}; make them so with kmir.features.audio.from_array."
            )
        return self.from_blocks([samples.astype(np.float32, copy=False)], len(samples))

    def from_file(self, path: Path | str, dtype: DTypeLike = np.float32) -> np.ndarray:
        """Features of an audio file, read block by block.

        Args:
            path: In any format, rate and number of channels.
            dtype: Of the result.

        Returns:
            ``(frames, *shape)``.

        Raises:
            AudioError: If the file can't be read, or nothing sounds in it where the feature
                refuses silence.
        """
        loudest = 0.0

        def heard() -> Iterator[np.ndarray]:
            nonlocal loudest
            for block in audio.blocks(path, self.sample_rate):
                loudest = max(loudest, float(np.abs(block).max(initial=0.0)))
                yield block

        expected = int(audio.duration(path) * self.sample_rate)
        features = self.from_blocks(heard(), expected, dtype)
        if self.refuses_silence and loudest < SILENT:
            raise AudioError(
                f"Expected audio in which something sounds. Received: {path}, which is silent; "
                "leave it out or record it again."
            )
        return features

    def live(self) -> LiveFeature:
        """The feature for samples that are just arriving; one object for one recording.

        Raises:
            UsageError: If the feature can't be told before the recording has ended.
        """
        raise UsageError(
            f"Expected a feature that can be told while samples arrive. Received: {self.name}; "
            "take log_frequency, or read the whole recording."
        )

    def read(
        self,
        source: Path | str | np.ndarray,
        sample_rate: int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> np.ndarray:
        """Features of a recording, however it comes.

        Args:
            source: Path of an audio file, or samples ``(samples,)`` or ``(samples, channels)``.
            sample_rate: Of the samples, in Hz; not needed for a path.
            dtype: Of the result.

        Returns:
            ``(frames, *shape)``.

        Raises:
            AudioError: If the audio can't be used.
            UsageError: If the sample rate is missing.
        """
        if isinstance(source, Path | str):
            return self.from_file(source, dtype)
        if sample_rate is None:
            raise UsageError("Expected the sample rate of the samples. Received: none.")
        return self(audio.from_array(source, sample_rate, self.sample_rate)).astype(dtype)

    # === What a feature consists of: itself, unless it is of several side by side ===

    @property
    def members(self) -> tuple[Feature, ...]:
        """The features that this one consists of."""
        return (self,)

    def parts(self, frames: np.ndarray) -> list[np.ndarray]:
        """Frames of each of `members`, from ``(frames, *shape)`` of this one."""
        return [frames]

    def read_parts(
        self,
        source: Path | str | np.ndarray,
        sample_rate: int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> list[np.ndarray]:
        """The `parts` of what `read` gives, which are never joined, as that takes memory."""
        return [self.read(source, sample_rate, dtype)]

    def frames(self, seconds: float) -> int:
        """Number of frames that cover a duration: 29.12 s at 12 kHz, hop 256 → 1366."""
        samples = round(seconds * self.sample_rate)
        # A whole number of hops must not fall short of itself by a rounding error.
        return 1 + int(samples * self.frame_rate / self.sample_rate + 1e-6)

    @property
    def config(self) -> dict[str, Any]:
        """The feature as plain JSON values, `name` included."""
        values: dict[str, Any] = dataclasses.asdict(self)  # type: ignore[call-overload]
        # As JSON gives them back: what is stored is compared with what is asked for.
        plain = {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}
        return {"name": self.name} | plain

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits, equal for features that compute the same thing."""
        text = json.dumps(self.config, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def settle(feature: Feature) -> None:
    """Make a feature's fields plain: 33 and 33.0 Hz, lists and tuples are to have one fingerprint.

    Raises:
        UsageError: If one is not a number, or not numbers.
    """
    for field in dataclasses.fields(feature):  # type: ignore[arg-type]
        value: Any = getattr(feature, field.name)
        try:
            if field.type == "int":
                value = operator.index(value)
            elif field.type == "tuple[int, ...]":
                value = tuple(operator.index(number) for number in value)
            elif str(field.type).startswith("float") and value is not None:
                value = float(value)
        except (TypeError, ValueError):
            raise UsageError(
                f"Expected {field.name} as {field.type}. Received: {value!r}."
            ) from None
        object.__setattr__(feature, field.name, value)


def feature_class(name: str) -> type[Feature]:
    """Class of the feature with this name (``"log_mel"`` → ``LogMel``)."""
    return find_class("feature", name, Feature)


def feature_from_config(config: dict[str, Any]) -> Feature:
    """Feature from what its `config` gave.

    Raises:
        RecordError: If a field is not one of the feature's.
    """
    cls = feature_class(config["name"])
    known = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    values = {key: value for key, value in config.items() if key != "name"}
    for key in values.keys() - known:
        raise RecordError(
            f"Unknown field '{key}' of feature '{config['name']}'. {nearest(key, known)}"
        )
    return cls(**values)
