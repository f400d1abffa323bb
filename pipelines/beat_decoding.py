"""From the outputs of a model of beats to beats, and on to bars."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from kmir.annotations import Beats
from kmir.decoders import (
    bars_from_downbeats,
    beats_from_activations,
    downbeats_from_activations,
    peaks,
)
from kmir.decoders.bars import CERTAIN
from kmir.errors import check_values
from pipelines.base import PipelineConfig

SLOWEST, FASTEST = 55.0, 215.0  # bpm: tempi that are decoded
TOP_BPM = 1000.0  # beats of six such frames; more is a slip
# The network is to see a tempo of 200 bpm in steps of 3 %, finer than frames of 20 ms.
DECODED_RATE = 100.0
NEAR = 0.07  # seconds: the window within which a beat counts as found; 4 frames at 50 a second

Outputs = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class BeatDecoding(PipelineConfig):
    """Settings of the decoder of beats.

    Args:
        decoder: ``"dbn"`` finds beats and bars together, ``"dbn_beats"`` beats, with no bars,
            ``"dbn_bars"`` beats, and then bars, of which it asks the preset `bars` too, ``"peaks"``
            both by their peaks alone.
        bars: Preset that hears in the harmony between beats where bars begin (``"dbn_bars"``).
        harmony: Weight of what that preset hears against the model's own downbeats: 0 for the model
            alone, 1 for the harmony alone (``"dbn_bars"``).
        beats_per_bar: Metres that ``"dbn"`` and ``"dbn_bars"`` may choose from.
        min_bpm: Slowest tempo of the network.
        max_bpm: Fastest tempo.
        transition_lambda: How steady the tempo is (all but ``"peaks"``).
        threshold: Activation below which there is no music at both ends (all but ``"peaks"``).
        peak_threshold: Activation below which there is no peak (``"peaks"``).
    """

    decoder: Literal["dbn", "dbn_beats", "dbn_bars", "peaks"] = "dbn"
    bars: str = "bar_gru_billboard"
    harmony: float = 0.75
    beats_per_bar: tuple[int, ...] = (3, 4)
    min_bpm: float = SLOWEST
    max_bpm: float = FASTEST
    transition_lambda: float = 100.0
    threshold: float = 0.2
    peak_threshold: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        slower = f"above 0 and below max_bpm ({self.max_bpm:g})"
        rules = (
            ("harmony", 0 <= self.harmony <= 1, "from 0 to 1"),
            ("beats_per_bar", min(self.beats_per_bar, default=0) >= 1, "with one metre or more"),
            ("max_bpm", 0 < self.max_bpm <= TOP_BPM, f"above 0, to {TOP_BPM:g}"),
            ("min_bpm", 0 < self.min_bpm < self.max_bpm, slower),
            ("transition_lambda", 0 <= self.transition_lambda < math.inf, "from 0, and finite"),
            ("threshold", 0 <= self.threshold < 1, "from 0 to below 1"),
            ("peak_threshold", 0 <= self.peak_threshold < 1, "from 0 to below 1"),
        )
        check_values(vars(self), rules)


def beats_of(config: BeatDecoding, activations: Outputs, times: np.ndarray) -> Beats:
    """Beats by the decoder of the settings, with positions if it tells bars by itself.

    Args:
        config: Settings.
        activations: ``(frames, 1)`` of ``beat`` and ``downbeat``.
        times: ``(frames,)`` seconds.
    """
    if len(times) < 2:
        return Beats(np.zeros(0))
    beat = np.asarray(activations["beat"], np.float64)[:, 0].clip(0, 1)
    downbeat = np.asarray(activations["downbeat"], np.float64)[:, 0].clip(0, 1)
    rate = 1 / (times[1] - times[0])
    if config.decoder == "peaks":
        found = peaks(beat, rate, threshold=config.peak_threshold)
        firsts = peaks(downbeat, rate, threshold=config.peak_threshold)
        return Beats(times[0] + found, _positions(found, firsts))
    step = max(1, round(DECODED_RATE / rate))
    fine = np.arange((len(times) - 1) * step + 1) / step
    beat, downbeat = (np.interp(fine, np.arange(len(times)), x) for x in (beat, downbeat))
    network: Callable[..., np.ndarray] = partial(
        downbeats_from_activations if config.decoder == "dbn" else beats_from_activations,
        frame_rate=rate * step,
        min_bpm=config.min_bpm,
        max_bpm=config.max_bpm,
        transition_lambda=config.transition_lambda,
        threshold=config.threshold,
    )
    if config.decoder != "dbn":
        return Beats(times[0] + network(beat))
    both = np.stack([np.maximum(beat - downbeat, 0.0), np.minimum(downbeat, beat)], axis=1)
    found = network(both, beats_per_bar=config.beats_per_bar)
    return Beats(times[0] + found[:, 0], found[:, 1].astype(int))


def with_bars(
    config: BeatDecoding,
    beats: Beats,
    activations: Outputs,
    times: np.ndarray,
    heard: Outputs,
) -> Beats:
    """Beats with the positions that fit the model's downbeats and the harmony best.

    Of the two, log-odds are averaged: who is sure decides. Without harmony the model decides.

    Args:
        config: Settings.
        beats: By `beats_of`, from the same activations; one or more.
        activations: As for `beats_of`.
        times: As for `beats_of`.
        heard: ``downbeat``, ``(beats, 1)``, of the companion; nothing without one.
    """
    rate = 1 / (times[1] - times[0])
    near = max(1, round(NEAR * rate))
    around = np.rint((beats.times - times[0]) * rate).astype(int)[:, np.newaxis]
    frames = (around + np.arange(-near, near + 1)).clip(0, len(times) - 1)
    odds = _log_odds(activations["downbeat"][frames, 0].max(axis=1))
    if "downbeat" in heard:
        share = config.harmony
        odds = share * _log_odds(heard["downbeat"][:, 0]) + (1 - share) * odds
    positions = bars_from_downbeats(1 / (1 + np.exp(-odds)), config.beats_per_bar)
    return Beats(beats.times, positions)


def _log_odds(probabilities: np.ndarray) -> np.ndarray:
    """Of probabilities that are certain to `CERTAIN` at most."""
    p = np.asarray(probabilities, np.float64).clip(CERTAIN, 1 - CERTAIN)
    return np.asarray(np.log(p) - np.log1p(-p))


def _positions(beats: np.ndarray, downbeats: np.ndarray) -> np.ndarray:
    """``(n,)`` position of each beat, counted from those that are downbeats; 0 before the first.

    A beat is one if a peak of downbeats lies within `NEAR` of it; peaks beside all beats are noise.
    """
    if not len(beats):
        return np.zeros(0, int)
    nearest = np.searchsorted((beats[1:] + beats[:-1]) / 2, downbeats)
    firsts = np.unique(nearest[np.abs(beats[nearest] - downbeats) <= NEAR])
    if not len(firsts):
        return np.zeros(len(beats), int)
    since = np.searchsorted(firsts, np.arange(len(beats)), side="right") - 1
    return np.where(since >= 0, np.arange(len(beats)) - firsts[since] + 1, 0)
