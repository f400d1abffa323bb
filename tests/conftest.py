"""Small data, made by code once a session. Tests read it; one that changes something copies it."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import soundfile

from kmir.features.log_mel import LogMel

# The same examples in every run, and no time limit on one: machines that test are shared and noisy.
hypothesis.settings.register_profile("kmir", derandomize=True, deadline=None)
hypothesis.settings.load_profile("kmir")

SAMPLE_RATE = 8000
SPLITS = ("train", "train", "validation", "test")


@pytest.fixture(scope="session", autouse=True)
def _cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests, and the processes they start, away from the cache of who runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "KMIR_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _workers_find_the_tests(pytestconfig: pytest.Config) -> Iterator[None]:
    """Let processes that tests start import, by its full name, the test that a function is from."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(pytestconfig.rootpath)
        yield


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ``folder`` data set: 12 recordings of 1 s at 8 kHz.

    Four of each class, ``tone`` (one steady pitch), ``noise`` and ``click`` (8 a second); of each
    class two train, in one group, one validates and one tests. In training and in the test split
    there is a recording of each class that is ``loud`` besides.
    """
    root = tmp_path_factory.mktemp("tiny_folder")
    lines = ["file,tags,split,group"]
    for name, sound in _SOUNDS.items():
        (root / name).mkdir()
        for index, split in enumerate(SPLITS):
            loud = index in (1, 3)
            samples = sound(index) * (0.9 if loud else 0.09)
            soundfile.write(root / name / f"{index}.wav", samples, SAMPLE_RATE)
            tags = f"{name}|loud" if loud else name
            lines.append(f"{name}/{index}.wav,{tags},{split},{name} {split}")
    (root / "tags.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


@pytest.fixture(scope="session")
def tiny_feature() -> LogMel:
    """The feature of `tiny_records`: 62.5 frames a second, so 63 for each recording."""
    return LogMel(sample_rate=SAMPLE_RATE, n_fft=256, hop_length=128, n_mels=32)


@pytest.fixture(scope="session")
def tiny_records(
    tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path, tiny_feature: LogMel
) -> Path:
    """Records folder of `tiny_folder`: 6 tracks train, 3 validation, 3 test."""
    from kmir.extract import extract

    out = tmp_path_factory.mktemp("records") / "tiny"
    extract("folder", tiny_folder, out, tiny_feature, workers=1, quiet=True)
    return out


@pytest.fixture
def memory(_workers_find_the_tests: None) -> dict[str, bytes]:
    """Content by URL of what stands at ``mem://``; empty at first."""
    pytest.importorskip("apache_beam")
    memory_files = importlib.import_module("tests.memory_files")
    for kept in (memory_files.FILES, memory_files.CHANGED, memory_files.CREATED):
        kept.clear()
    files: dict[str, bytes] = memory_files.FILES
    return files


def _tone(index: int) -> np.ndarray:
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    return np.sin(2 * np.pi * 440 * (1 + index / 12) * time)


def _noise(index: int) -> np.ndarray:
    return np.random.default_rng(index).uniform(-1, 1, SAMPLE_RATE)


def _click(index: int) -> np.ndarray:
    samples = np.zeros(SAMPLE_RATE)
    samples[index * 50 :: SAMPLE_RATE // 8] = 1
    return samples


_SOUNDS: dict[str, Callable[[int], np.ndarray]] = {
    "tone": _tone,
    "noise": _noise,
    "click": _click,
}
