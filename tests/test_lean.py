"""What commands start without."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kmir import lean

NOBODY = "a module that is not there"


@pytest.fixture
def as_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As if this process were a command of kmir on TensorFlow."""
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "kmir.predict", "song.mp3"])
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(lean, "HIDDEN", (NOBODY,))


@pytest.mark.usefixtures("as_command")
def test_hidden_for_the_time_of_the_block_alone() -> None:
    with pytest.raises(RuntimeError), lean.lean_import():
        assert sys.modules[NOBODY] is None
        raise RuntimeError
    assert NOBODY not in sys.modules


@pytest.mark.usefixtures("as_command")
def test_what_is_imported_already_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lean, "HIDDEN", ("json",))
    with lean.lean_import():
        assert sys.modules["json"] is json
    assert sys.modules["json"] is json


@pytest.mark.usefixtures("as_command")
@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("/usr/bin/pytest", ["python", "-m", "pytest", "kmir"]),
        ("mine.py", ["python", "mine.py", "kmir.predict"]),
        ("-m", ["python", "-m", "kmirror.predict"]),
        ("-c", ["python", "-c", "import kmir"]),
        ("-m", ["python", "-m"]),
    ],
)
def test_other_programs_see_all(
    monkeypatch: pytest.MonkeyPatch, program: str, words: list[str]
) -> None:
    monkeypatch.setattr(sys, "orig_argv", words)
    monkeypatch.setattr(sys, "argv", [program])
    with lean.lean_import():
        assert NOBODY not in sys.modules


@pytest.mark.usefixtures("as_command")
def test_the_console_command_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "orig_argv", ["python", "/somewhere/bin/kmir", "predict"])
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/kmir", "predict"])
    with lean.lean_import():
        assert NOBODY in sys.modules


@pytest.mark.usefixtures("as_command")
def test_other_backends_see_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with lean.lean_import():
        assert NOBODY not in sys.modules
    monkeypatch.delenv("KERAS_BACKEND")
    config = tmp_path / "keras.json"
    for text, hides in (
        ('{"backend": "torch"}', False),
        ('{"backend": "tensorflow"}', True),
        ("{}", True),
        ("no JSON", True),
    ):
        config.write_text(text)
        with lean.lean_import():
            assert (NOBODY in sys.modules) == hides, text


@pytest.mark.parametrize(("module", "seen"), [("kmir.predict", False), ("keras", True)])
def test_a_command_starts_without_them(module: str, seen: bool, tmp_path: Path) -> None:
    """Told by Python itself, which lists every import."""
    ask = ["-m", "kmir.predict", "--list"] if module == "kmir.predict" else ["-c", "import keras"]
    env = {**os.environ, "KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "tensorflow"}
    told = subprocess.run(
        [sys.executable, "-X", "importtime", *ask],
        capture_output=True, text=True, check=True, env=env,
    ).stderr  # fmt: skip
    names = {line.rpartition("|")[2].strip() for line in told.splitlines()}
    assert "keras" in names
    assert ("matplotlib" in names) == seen
