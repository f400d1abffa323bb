"""The presets that come with kmir: whole, small, and able to do what they are for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import kmir
from kmir.lookup import ROOMS
from kmir.presets import check_golden

FOLDERS = sorted((Path(__file__).parents[2] / ROOMS["model"] / "presets").glob("*/config.json"))
every_preset = pytest.mark.parametrize("config", FOLDERS, ids=lambda path: path.parent.name)

RATE = 44100


@every_preset
def test_is_small_and_says_where_it_comes_from(config: Path) -> None:
    size = sum(path.stat().st_size for path in config.parent.iterdir())
    assert size < 8e6
    card = json.loads(config.read_text(encoding="utf-8"))["card"]
    assert {"data", "licence", "command", "score"} <= card.keys()
    text = (config.parent / "README.md").read_text(encoding="utf-8")
    for told in (card["data"], card["licence"], card["command"], card["score"]):
        assert told in text


@every_preset
def test_gives_its_golden_output(config: Path) -> None:
    if "published" in json.loads(config.read_text(encoding="utf-8")):
        pytest.skip("its weights are fetched over the network")
    check_golden(config.parent)


def tones(pitches: list[int], seconds: float) -> np.ndarray:
    """Notes with eight partials that decay like those of a plucked string."""
    t = np.arange(int(seconds * RATE)) / RATE
    notes = [
        0.6**k * np.sin(2 * np.pi * k * 440 * 2 ** ((pitch - 69) / 12) * t)
        for pitch in pitches
        for k in range(1, 9)
    ]
    return (0.05 * np.sum(notes, axis=0) * np.exp(-1.5 * t)).astype(np.float32)


def of_task(task: str) -> list[str]:
    """Names of the presets for it."""
    configs = {path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in FOLDERS}
    return [name for name, config in configs.items() if config["task"]["name"] == task]


@pytest.mark.parametrize("name", of_task("chords"))
def test_names_the_chords_of_a_cadence(name: str) -> None:
    """I–vi–IV–V in D, twice, two seconds a chord, struck every half second."""
    chords = [
        ("D:maj", [38, 62, 66, 69]),
        ("B:min", [47, 62, 66, 71]),
        ("G:maj", [43, 62, 67, 71]),
        ("A:maj", [45, 61, 64, 69]),
    ] * 2
    samples = np.concatenate([tones(notes, 0.5) for _, notes in chords for _ in range(4)])
    found = kmir.from_preset(name).predict(samples, RATE).chords
    assert found is not None
    middles = 1.0 + 2.0 * np.arange(len(chords))
    where = [int(np.searchsorted(found.intervals[:, 1], middle)) for middle in middles]
    right = [found.labels[i] == label for i, (label, _) in zip(where, chords, strict=True)]
    assert np.mean(right) >= 0.75


def test_embedding_of_frames() -> None:
    samples = tones([50, 62, 66, 69], 3.0)
    preset = kmir.from_preset("chord_crnn_billboard")
    vectors = preset.embed(samples, RATE)
    frames = len(preset.features(samples, RATE))
    assert vectors.shape == (frames, 12 * 96)
    assert np.isfinite(vectors).all()
