"""Timbres: additive wavetables, frequency modulation, a plucked string and breath noise.

A tone is a function of the phase in cycles and of the time since the onset, so that vibrato is no
special case; a `Timbre` adds how it begins and how it ends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.signal import butter, lfilter, sosfilt

SAMPLE_RATE = 22050
TABLE = 2048
# Seconds that a plucked string is computed for; its sound is gone by then.
PLUCK_SECONDS = 5.0

Tone = Callable[[np.ndarray, np.ndarray, float], np.ndarray]


@dataclass(frozen=True)
class Timbre:
    """How an instrument sounds.

    Args:
        tone: From phase ``(n,)`` in cycles, time since the onset ``(n,)`` in seconds and nominal
            frequency in Hz to samples ``(n,)``.
        attack: Seconds from silence to full level.
        release: Seconds from the offset to silence.
    """

    tone: Tone
    attack: float
    release: float


@lru_cache(maxsize=1024)
def _table(partials: tuple[float, ...], frequency: float) -> np.ndarray:
    """One period of a sum of sines, without those that would alias; one sample more, to wrap."""
    audible = [
        level if number * frequency < 0.45 * SAMPLE_RATE else 0.0
        for number, level in enumerate(partials, start=1)
    ]
    spectrum = np.zeros(TABLE // 2 + 1, complex)
    spectrum[1 : len(audible) + 1] = -0.5j * TABLE * np.array(audible)
    period = np.fft.irfft(spectrum)
    return np.append(period, period[0]) / np.sqrt(np.mean(period**2))


def _read(partials: tuple[float, ...], phase: np.ndarray, frequency: float) -> np.ndarray:
    table = _table(partials, frequency)
    position = (phase % 1.0) * TABLE
    index = position.astype(np.intp)
    below = table[index]
    return below + (position - index) * (table[index + 1] - below)


@lru_cache(maxsize=8)
def _noise(lowest: float, highest: float) -> np.ndarray:
    """Four seconds of noise between two frequencies in Hz, at a root mean square of 1."""
    band = butter(2, (lowest, highest), "bandpass", fs=SAMPLE_RATE, output="sos")
    noise = sosfilt(band, np.random.default_rng(3).standard_normal(4 * SAMPLE_RATE))
    return noise / np.sqrt(np.mean(noise**2))


# The noise of breath, bow, hammer and pick stays where it is whatever the pitch, and so is what a
# small network learns an instrument by first.
SAW = tuple(1.0 / n for n in range(1, 41))
SQUARE = tuple((n % 2) / n for n in range(1, 41))
# Octaves only, up to the sixteenth partial, which no other timbre here has.
ORGAN = (1.0, 0.8, 0.0, 0.6, 0.0, 0.0, 0.0, 0.4, *[0.0] * 7, 0.4)
HAMMER = tuple(0.0 if n < 3 else 1.0 / n for n in range(1, 16))


def _organ(phase: np.ndarray, t: np.ndarray, frequency: float) -> np.ndarray:
    return _read(ORGAN, phase, frequency)


def _piano(phase: np.ndarray, t: np.ndarray, frequency: float) -> np.ndarray:
    body = _read((1.0, 0.45, 0.2, 0.1), phase, frequency) * np.exp(-t / 0.6)
    strike = _read(HAMMER, phase, frequency) * np.exp(-t / 0.08)
    knock = np.resize(_noise(900.0, 1600.0), len(t)) * np.exp(-t / 0.03)
    return 1.6 * body + strike + 0.5 * knock


def _strings(phase: np.ndarray, t: np.ndarray, frequency: float) -> np.ndarray:
    players = [_read(SAW, phase * 2.0 ** (cents / 1200), frequency) for cents in (-8, 0, 9)]
    return sum(players, np.zeros(len(t))) / 1.8 + 0.12 * np.resize(_noise(2800.0, 3600.0), len(t))


@lru_cache(maxsize=128)
def _string(frequency: float) -> np.ndarray:
    """A plucked string (Karplus and Strong, 1983), tuned by a fraction of a sample.

    The loop is a delay, an average of two samples (half a sample late) and an interpolation that
    is late by the fraction which is still missing.
    """
    delay = SAMPLE_RATE / frequency - 0.5
    whole, fraction = int(delay), delay % 1.0
    loop = 0.996 * np.convolve([0.5, 0.5], [1.0 - fraction, fraction])
    burst = np.zeros(int(PLUCK_SECONDS * SAMPLE_RATE))
    burst[:whole] = np.random.default_rng(whole).uniform(-1.0, 1.0, whole)
    burst[:whole] -= burst[:whole].mean()
    sound = lfilter([1.0], np.concatenate([[1.0], np.zeros(whole - 1), -loop]), burst)
    return sound / np.sqrt(np.mean(sound[: SAMPLE_RATE // 5] ** 2))


def _guitar(phase: np.ndarray, t: np.ndarray, frequency: float) -> np.ndarray:
    sound = _string(frequency)[: len(t)]
    pick = 0.5 * np.resize(_noise(3000.0, 8000.0), len(t)) * np.exp(-t / 0.012)
    return np.pad(sound, (0, len(t) - len(sound))) + pick


def _flute(phase: np.ndarray, t: np.ndarray, frequency: float) -> np.ndarray:
    breath = np.resize(_noise(4500.0, 7000.0), len(t))
    return _read((1.0, 0.3, 0.1), phase, frequency) + 0.15 * breath


def _brass(phase: np.ndarray, t: np.ndarray, frequency: float) -> np.ndarray:
    # Chowning (1973): the index of modulation follows the loudness, so brightness comes late.
    index = 3.5 * (1.0 - np.exp(-t / 0.06))
    angle = 2 * np.pi * phase
    return 1.4 * np.sin(angle + index * np.sin(angle))


def _synth(phase: np.ndarray, t: np.ndarray, frequency: float) -> np.ndarray:
    detuned = _read(SQUARE, phase * 2.0 ** (6 / 1200), frequency)
    return (_read(SQUARE, phase, frequency) + detuned) / 1.4


def _bass(phase: np.ndarray, t: np.ndarray, frequency: float) -> np.ndarray:
    return _read((1.0, 0.4, 0.1), phase, frequency) * np.exp(-t / 1.0)


def _synth_bass(phase: np.ndarray, t: np.ndarray, frequency: float) -> np.ndarray:
    # A filter that closes: full at the onset, six partials after a tenth of a second.
    body = _read((1.0, 0.7, 0.5, 0.35, 0.2, 0.1), phase, frequency)
    return 0.8 * body + _read(SAW, phase, frequency) * np.exp(-t / 0.05)


TIMBRES = {
    "organ": Timbre(_organ, 0.006, 0.04),
    "piano": Timbre(_piano, 0.002, 0.06),
    "strings": Timbre(_strings, 0.04, 0.06),
    "guitar": Timbre(_guitar, 0.001, 0.05),
    "flute": Timbre(_flute, 0.03, 0.05),
    "brass": Timbre(_brass, 0.015, 0.05),
    "synth": Timbre(_synth, 0.004, 0.03),
    "bass": Timbre(_bass, 0.006, 0.04),
    "synth bass": Timbre(_synth_bass, 0.004, 0.04),
}
