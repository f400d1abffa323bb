"""Features while the samples arrive: each frame as soon as its last sample is there."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np

from kmir.errors import AudioError
from kmir.features.framing import CHUNK, checked

# Values of frames (frames, n_fft), and what the next call is to know of them.
Follow = Callable[[np.ndarray, Any], tuple[np.ndarray, Any]]


class LiveFeature:
    """A feature fed with blocks of samples; joined, what it gives equals that of the whole.

    Get one with `Feature.live`. Frame t is given when ``t * hop_length + n_fft / 2`` samples have
    arrived, so half a window after the moment that it is centred on.

    Args:
        n_fft: Length of a frame, even.
        hop_length: Samples from frame to frame, at most `n_fft`.
        follow: Computes the feature of the frames that come next.
        before: What `follow` is to know before the first frame.
    """

    def __init__(self, n_fft: int, hop_length: int, follow: Follow, before: Any) -> None:
        self.n_fft, self.hop_length = n_fft, hop_length
        self._follow, self._before = follow, before
        self._held = np.zeros(n_fft // 2, np.float32)
        self._received = 0
        self._finished = False

    def feed(self, samples: np.ndarray) -> np.ndarray:
        """Feature of the frames that a block completes.

        Args:
            samples: ``(samples,)`` mono float32 in [-1, 1], any number of them.

        Returns:
            ``(frames, *shape)`` float32; often of no frames, if blocks are shorter than a hop.

        Raises:
            AudioError: If the samples are integers or not mono or not finite, or the recording has
                been finished.
        """
        if self._finished:
            raise AudioError("Expected no block after finish(). Received: one; begin anew.")
        samples = np.asarray(samples)
        if samples.dtype.kind != "f":
            raise AudioError(
                f"Expected float samples in [-1, 1]. Received: {samples.dtype}; divide by the full "
                "scale, 32768 for 16 bits."
            )
        (block,) = islice(checked([samples]), 1)  # an empty one is no error here
        self._received += len(block)
        return self._values(block.astype(np.float32, copy=False))

    def finish(self) -> np.ndarray:
        """Feature of the last frames, which reach beyond the end of the recording.

        Returns:
            ``(frames, *shape)`` float32.

        Raises:
            AudioError: If there was no sample at all, or the recording has been finished before.
        """
        if self._finished:
            raise AudioError("Expected one call of finish(). Received: another; begin anew.")
        if not self._received:
            list(checked([]))  # which says so
        self._finished = True
        return self._values(np.zeros(self.n_fft // 2, np.float32))

    def _values(self, samples: np.ndarray) -> np.ndarray:
        held = np.concatenate([self._held, samples])
        count = max(0, 1 + (len(held) - self.n_fft) // self.hop_length)
        self._held = held[count * self.hop_length :].copy()
        values = []
        # As many at once as in a whole recording; and once for no frame, which has a shape too.
        for first in range(0, max(count, 1), CHUNK):
            starts = np.arange(first, min(first + CHUNK, count)) * self.hop_length
            frames = held[starts[:, None] + np.arange(self.n_fft)]
            found, self._before = self._follow(frames, self._before)
            values.append(found)
        return np.concatenate(values)
