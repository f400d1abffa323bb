"""Augmentations of the stream, each with what it does to labels.

An augmentation declares its effect: ``"keeps"`` leaves labels alone, ``"mixes"`` blends the labels
of two clips, ``"transposes"`` shifts pitches, ``"rescales"`` stretches time. A task lists the
effects that its targets follow; any other pair would make labels wrong and is an error.

SpecAugment: Park et al., "SpecAugment: A Simple Data Augmentation Method for Automatic Speech
Recognition", Interspeech 2019. Mixup: Zhang et al., "mixup: Beyond Empirical Risk Minimization",
ICLR 2018.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from kmir.errors import UsageError
from kmir.features.base import Feature
from pipelines.base import Task

with warnings.catch_warnings():  # its native operations stop at TF 2.17; the masks are plain Python
    warnings.simplefilter("ignore")
    import tensorflow_io as tfio

Batch = tuple[dict[str, tf.Tensor], dict[str, tf.Tensor], dict[str, tf.Tensor]]


@dataclass(frozen=True)
class Augmentation:
    """A change to training data.

    Args:
        name: For messages.
        effect: ``"keeps"``, ``"mixes"``, ``"transposes"`` or ``"rescales"``.
        apply: The change: on one clip's features, or on a batch.
    """

    name: str
    effect: str
    apply: Callable[..., Any]

    def check(self, task: Task) -> Augmentation:
        """Itself, where the task's labels follow its effect.

        Raises:
            UsageError: Where labels would become wrong.
        """
        if self.effect not in task.invariant_to:
            raise UsageError(
                f"Expected an augmentation that leaves labels of {task.name} right. Received: "
                f"{self.name}, which {self.effect} them. Switch it off."
            )
        return self


def spec_augment(
    *, freq_masks: int, freq_mask_bins: int, time_masks: int, time_mask_frames: int, silence: float
) -> Augmentation:
    """Masks over bands and moments of a clip; what is masked is silent.

    Args:
        freq_masks: Number of frequency masks.
        freq_mask_bins: Bins that one spans at most.
        time_masks: Number of time masks.
        time_mask_frames: Frames that one spans at most.
        silence: Value of digital silence in the feature.
    """

    def apply(features: tf.Tensor) -> tf.Tensor:
        frames, bins = tf.shape(features)[0], tf.shape(features)[1]
        # tensorflow-io knows no channels and writes zeros: it masks a plane of ones.
        kept = tf.ones((frames, bins))
        for _ in range(freq_masks):
            kept = tfio.audio.freq_mask(kept, tf.minimum(freq_mask_bins + 1, bins))
        for _ in range(time_masks):
            kept = tfio.audio.time_mask(kept, tf.minimum(time_mask_frames + 1, frames))
        kept = tf.reshape(kept, [frames, bins] + [1] * (features.shape.rank - 2))
        return tf.where(kept > 0, features, silence)

    return Augmentation("SpecAugment", "keeps", apply)


def mixup(alpha: float) -> Augmentation:
    """Blend every clip of a batch, labels too, with the one that mirrors it in the batch.

    Args:
        alpha: Of the beta distribution of the share; small values blend little.
    """

    def apply(batch: Batch, seed: tf.Tensor) -> Batch:
        x, y, weights = batch
        count = tf.shape(x["mask"])[0]
        gamma = tf.random.stateless_gamma((2, count), seed, alpha)
        share = gamma[0] / (gamma[0] + gamma[1])

        def blend(value: tf.Tensor) -> tf.Tensor:
            factor = tf.reshape(share, [-1] + [1] * (value.shape.rank - 1))
            return factor * value + (1 - factor) * value[::-1]

        both = {name: tf.minimum(weight, weight[::-1]) for name, weight in weights.items()}
        mixed = {
            "features": blend(x["features"]),
            "mask": tf.maximum(x["mask"], x["mask"][::-1]),
        }
        return mixed, {name: blend(target) for name, target in y.items()}, both

    return Augmentation("mixup", "mixes", apply)


def transposition(feature: Feature, task: Task) -> Augmentation:
    """Every clip of a batch moved up by 0 to 11 semitones, drawn alike, labels with it.

    On chroma this is a rotation of each block of twelve bins, and exact.

    Args:
        feature: What is rotated.
        task: Gives the tables by which targets are transposed.

    Raises:
        UsageError: If the feature is not chroma.
    """
    if feature.first_pitch_class is None:
        raise UsageError(
            f"Expected chroma, which can be rotated, for transpose. Received: {feature.name}. "
            "Switch it off: --config.pipeline.transpose=false"
        )
    bins = np.arange(feature.shape[0])
    rotation = np.stack([bins // 12 * 12 + (bins - k) % 12 for k in range(12)])
    tables = task.transpositions()

    def apply(batch: Batch, seed: tf.Tensor) -> Batch:
        x, y, weights = batch
        semitones = tf.random.stateless_uniform((tf.shape(x["mask"])[0],), seed, 0, 12, tf.int32)

        def moved(values: tf.Tensor, table: np.ndarray) -> tf.Tensor:
            return tf.gather(values, tf.gather(table, semitones), axis=-1, batch_dims=1)

        features = {"features": moved(x["features"], rotation)}
        return x | features, {name: moved(y[name], tables[name]) for name in y}, weights

    return Augmentation("transpose", "transposes", apply)


def gain_and_noise(feature: Feature, *, gain_db: float, noise: float) -> Augmentation:
    """Clips made louder or softer, and noise on every bin.

    Args:
        feature: One that is linear, such as chroma.
        gain_db: A clip's gain is drawn evenly from minus to plus this; 20 dB are a factor of 10.
        noise: Standard deviation of the noise; what falls below zero is zero.

    Raises:
        UsageError: If the feature is on another scale.
    """
    if not feature.linear:
        raise UsageError(
            "Expected a feature whose values are linear, such as nnls_chroma, for gain_db and "
            f"noise. Received: {feature.name}. Set both to 0."
        )

    def apply(batch: Batch, seed: tf.Tensor) -> Batch:
        x, y, weights = batch
        features = x["features"]
        ones = [1] * (features.shape.rank - 1)
        decibels = tf.random.stateless_uniform(
            tf.concat([tf.shape(features)[:1], ones], 0), seed, -gain_db, gain_db
        )
        features *= 10.0 ** (decibels / 20)
        features += noise * tf.random.stateless_normal(tf.shape(features), seed + 1)
        return x | {"features": tf.maximum(features, 0.0)}, y, weights

    return Augmentation("gain_and_noise", "keeps", apply)
