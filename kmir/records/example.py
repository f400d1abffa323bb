"""One piece of a track as a ``tf.train.Example``, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kmir.datasets import Track

FIELDS = {
    "track": tf.io.FixedLenFeature([], tf.string),
    "piece": tf.io.FixedLenFeature([], tf.int64),
    "pieces": tf.io.FixedLenFeature([], tf.int64),
    "start": tf.io.FixedLenFeature([], tf.int64),
    "features": tf.io.FixedLenFeature([], tf.string),
    "annotations": tf.io.FixedLenFeature([], tf.string),
}


def writer(path: Path) -> tf.io.TFRecordWriter:
    """Writer of serialised examples to an uncompressed TFRecord file."""
    return tf.io.TFRecordWriter(str(path))


def serialise(track: Track, piece: np.ndarray, index: int, count: int, start: int) -> bytes:
    """Bytes of one piece.

    Args:
        track: The track it belongs to; its annotations go with every piece.
        piece: ``(frames, *shape)`` features in the dtype of the records.
        index: Number of the piece in the track, from 0.
        count: Number of pieces of the track.
        start: First frame of the piece in the track.
    """

    def text(value: bytes) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    def number(value: int) -> tf.train.Feature:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    values = {
        "track": text(track.id.encode()),
        "piece": number(index),
        "pieces": number(count),
        "start": number(start),
        "features": text(piece.tobytes()),
        "annotations": text(track.annotations.to_json().encode()),
    }
    example = tf.train.Example(features=tf.train.Features(feature=values))
    # Maps have no order of their own in protobuf: without this, equal examples may differ in bytes.
    serialised: bytes = example.SerializeToString(deterministic=True)
    return serialised


def parse(serialised: tf.Tensor, shape: tuple[int, ...], dtype: str) -> dict[str, Any]:
    """Inverse of `serialise`, as TensorFlow operations.

    Returns:
        ``track``, ``annotations`` (JSON), ``start``, ``piece``, ``pieces`` and ``features``
        ``(frames, *shape)`` in the dtype of the records.
    """
    example = tf.io.parse_single_example(serialised, FIELDS)
    flat = tf.io.decode_raw(example["features"], tf.as_dtype(dtype))
    example["features"] = tf.reshape(flat, (-1, *shape))
    return dict(example)
