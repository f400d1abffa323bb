"""A score becomes sound: mono, 22050 Hz, nothing later or longer than the score says."""

from __future__ import annotations

import numpy as np
from scipy.fft import next_fast_len

from kmir.synthesis.drums import drum
from kmir.synthesis.instruments import SAMPLE_RATE, TIMBRES
from kmir.synthesis.score import Note, Part, Score

# Level of a part while it sounds (root mean square), and of a drum stroke (peak).
LEVELS = {"melody": 0.14, "accompaniment": 0.15, "bass": 0.13}
DRUM_LEVELS = {"kick": 1.0, "snare": 1.0, "hat": 0.7}
# Share of the level that a tremolo takes away at its deepest.
TREMOLO_DEPTH = 0.9
PEAK = 0.9
# Root mean square of the hiss relative to the peak of the music, as on a tape. Without it a log
# spectrogram is mostly the contrast to digital silence: a CRNN of 250 steps gained 0.02 and
# 0.03 ROC-AUC by it (two runs).
HISS = 0.005


def render_note(note: Note, part: Part) -> np.ndarray:
    """Samples of a note from its onset until its release is over.

    Args:
        note: What to play.
        part: Whose instrument and manner to play it with.

    Returns:
        ``(samples,)`` float64 that starts and ends at zero.
    """
    timbre = TIMBRES[part.instrument]
    held = note.offset - note.onset
    t = np.arange(round((held + timbre.release) * SAMPLE_RATE)) / SAMPLE_RATE
    hertz = part.frequency(note.pitch, t)
    phase = np.cumsum(hertz) / SAMPLE_RATE if part.bends else hertz * t
    level = np.clip(t / timbre.attack, 0.0, 1.0)
    level *= 0.5 + 0.5 * np.cos(np.pi * np.clip((t - held) / timbre.release, 0.0, 1.0))
    if part.tremolo:
        level *= 1.0 - TREMOLO_DEPTH * (0.5 - 0.5 * np.cos(2 * np.pi * part.tremolo * t))
    return (
        timbre.tone(phase, t, 440.0 * 2.0 ** ((note.pitch - 69) / 12))
        * level
        * (note.velocity / 127)
    )


def _add(mix: np.ndarray, onset: float, sound: np.ndarray, level: float = 1.0) -> None:
    first = round(onset * SAMPLE_RATE)
    room = mix[first : first + len(sound)]
    room += level * sound[: len(room)]


def render_part(part: Part, samples: int) -> np.ndarray:
    """All notes of a part, at a root mean square of 1 over the time that it sounds.

    Args:
        part: What to play.
        samples: Length of the result.

    Returns:
        ``(samples,)`` float64; zeros where there are no notes.
    """
    mix = np.zeros(samples)
    for note in part.notes:
        _add(mix, note.onset, render_note(note, part))
    sounding = mix[np.abs(mix) > 1e-3]
    return mix / np.sqrt(np.mean(sounding**2)) if sounding.size else mix


def colour(samples: np.ndarray, gains: tuple[float, ...]) -> np.ndarray:
    """Samples through a smooth equaliser of zero phase, which moves no onset.

    Args:
        samples: ``(samples,)``.
        gains: dB at frequencies evenly spaced on the mel scale from 0 to half the sampling rate.
    """
    length = next_fast_len(len(samples) + SAMPLE_RATE // 10, real=True)
    mels = np.log1p(np.fft.rfftfreq(length, 1 / SAMPLE_RATE) / 700.0)
    decibels = np.interp(mels, np.linspace(0.0, mels[-1], len(gains)), gains)
    spectrum = np.fft.rfft(samples, length) * 10.0 ** (decibels / 20)
    return np.fft.irfft(spectrum, length)[: len(samples)]


def render(score: Score) -> np.ndarray:
    """Sound of a piece.

    Args:
        score: The piece.

    Returns:
        ``(samples,)`` float32 at 22050 Hz, peak 0.9; only hiss where the score is silent.
    """
    samples = round(score.seconds * SAMPLE_RATE)
    mix = np.zeros(samples)
    for role, level in LEVELS.items():
        mix += level * render_part(getattr(score, role), samples)
    for hit in score.hits:
        stroke = drum(hit.drum, SAMPLE_RATE)
        _add(mix, hit.time, stroke, DRUM_LEVELS[hit.drum] * hit.velocity / 127)
    mix += HISS * max(np.abs(mix).max(), 1e-3) * np.random.default_rng(4).standard_normal(samples)
    mix = colour(mix, score.plan.colour)
    # The last stroke of a drum may outlast the piece.
    fade = min(samples, round(0.02 * SAMPLE_RATE))
    mix[samples - fade :] *= np.linspace(1.0, 0.0, fade)
    return (mix * (PEAK / np.abs(mix).max())).astype(np.float32)
