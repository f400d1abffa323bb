"""A drum kit of sine sweeps and filtered noise."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.signal import butter, sosfilt

DRUMS = ("kick", "snare", "hat")


def _noise(samples: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1.0, 1.0, samples)


def _kick(t: np.ndarray, sample_rate: int) -> np.ndarray:
    # Falls from 160 to 50 Hz: the phase is the integral of 50 + 110 exp(-t / 0.03).
    phase = 50.0 * t + 110.0 * 0.03 * (1.0 - np.exp(-t / 0.03))
    return np.sin(2 * np.pi * phase) * np.exp(-t / 0.09)


def _snare(t: np.ndarray, sample_rate: int) -> np.ndarray:
    band = butter(2, (1000.0, 6000.0), "bandpass", fs=sample_rate, output="sos")
    rattle = sosfilt(band, _noise(len(t), 1)) * np.exp(-t / 0.06)
    return rattle + 0.5 * np.sin(2 * np.pi * 190.0 * t) * np.exp(-t / 0.04)


def _hat(t: np.ndarray, sample_rate: int) -> np.ndarray:
    band = butter(2, (3500.0, 9500.0), "bandpass", fs=sample_rate, output="sos")
    return sosfilt(band, _noise(len(t), 2)) * np.exp(-t / 0.03)


@lru_cache(maxsize=16)
def drum(name: str, sample_rate: int) -> np.ndarray:
    """One stroke, from its onset until it has died away.

    Args:
        name: One of `DRUMS`.
        sample_rate: Hz, above 20000.

    Returns:
        ``(samples,)`` float64 with a peak of 1; ends at zero.
    """
    make, seconds = {"kick": (_kick, 0.5), "snare": (_snare, 0.35), "hat": (_hat, 0.2)}[name]
    t = np.arange(int(seconds * sample_rate)) / sample_rate
    fade_in = np.clip(t / 0.001, 0.0, 1.0)
    fade_out = np.clip((seconds - t) / 0.02, 0.0, 1.0)
    stroke = make(t, sample_rate) * fade_in * fade_out
    stroke /= np.abs(stroke).max()
    stroke.setflags(write=False)
    return stroke
