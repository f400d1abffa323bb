"""``import kmir`` is light, and makes TensorFlow silent."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import kmir

ROOT = Path(kmir.__file__).parents[1]


def _python(program: Any, **env: Any) -> Any:
    clean = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, cwd=ROOT, env=clean | env, check=False,
    )  # fmt: skip


def test_import_brings_nothing_heavy() -> None:
    heavy = ("tensorflow", "keras", "numpy", "scipy", "librosa", "soundfile")
    done = _python(f"import kmir, sys; print([m for m in {heavy} if m in sys.modules])")
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_decoders_come_without_tensorflow() -> None:
    program = (
        "import kmir, sys\n"
        "beats = kmir.decoders.beats_from_activations([0.0] * 10, frame_rate=50)\n"
        "print(len(beats), [m for m in ('tensorflow', 'keras') if m in sys.modules])"
    )
    done = _python(program)
    assert (done.stdout.strip(), done.stderr) == ("0 []", "")


@pytest.mark.parametrize("first", ["", "import importlib.util as u; u.find_spec('tensorflow')\n"])
def test_tensorflow_is_silent_after_kmir(first: str) -> None:
    program = (
        f"import kmir\n{first}"
        "import tensorflow as tf, os, sys\n"
        "print(int(tf.reduce_sum([1, 2])))\n"
        "os.write(2, b'heard')\n"  # stderr itself is back
    )
    done = _python(program)
    assert (done.returncode, done.stdout, done.stderr) == (0, "3\n", "heard")


def test_a_failing_import_of_tensorflow_is_still_told(tmp_path: Path) -> None:
    (tmp_path / "tensorflow.py").write_text("raise RuntimeError('no such luck')\n")
    done = _python("import kmir, tensorflow", PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "RuntimeError: no such luck"


def test_names_are_offered_before_they_are_loaded() -> None:
    assert dir(kmir) == sorted(
        ["Preset", "__version__", "decoders", "from_preset", "list_presets", "save_preset"]
    )
    with pytest.raises(AttributeError, match="module 'kmir' has no attribute 'form_preset'"):
        kmir.form_preset  # noqa: B018
