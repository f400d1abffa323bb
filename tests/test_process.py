"""Processes of their own: what they print, what they hold, and that they end with their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kmir.process import ending, peak_megabytes, start


def hold(megabytes: int, path: Path) -> None:
    ballast = bytearray(megabytes * 2**20)
    path.write_text(str(peak_megabytes()))
    print(len(ballast), os.environ.get("KMIR_TEST"))


def wait_for_ever(path: Path) -> None:
    path.write_text(str(os.getpid()))
    time.sleep(600)


def test_endings_are_told() -> None:
    assert ending(-9) == "killed by SIGKILL"
    assert ending(3) == "ended with exit code 3"


def test_each_process_has_its_own_memory_output_and_environment(tmp_path: Path) -> None:
    ballast = bytearray(300 * 2**20)  # of the parent: not counted
    for megabytes in (100, 0):
        process = start(
            hold, megabytes, tmp_path / f"{megabytes}", output=tmp_path / "output.txt",
            environment={"KMIR_TEST": "there"},
        )  # fmt: skip
        process.join()
        assert process.exitcode == 0
    peaks = [float((tmp_path / name).read_text()) for name in ("100", "0")]
    assert 95 < peaks[0] - peaks[1] < 110
    assert peaks[1] < len(ballast) / 2**20
    expected = [f"{100 * 2**20} there", "0 there"]
    assert (tmp_path / "output.txt").read_text().splitlines() == expected


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for the process in /proc")
def test_a_process_ends_with_its_parent(tmp_path: Path) -> None:
    program = (
        "import time\nfrom pathlib import Path\nfrom kmir.process import start\n"
        "from tests.test_process import wait_for_ever\n"
        "if __name__ == '__main__':\n"
        f"    start(wait_for_ever, Path({str(tmp_path / 'pid')!r}))\n    time.sleep(600)\n"
    )
    (tmp_path / "program.py").write_text(program)
    root = Path(__file__).parents[1]
    parent = subprocess.Popen(
        [sys.executable, tmp_path / "program.py"], env=os.environ | {"PYTHONPATH": str(root)}
    )
    for _ in range(1200):
        if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text():
            break
        time.sleep(0.05)
    child = Path("/proc") / (tmp_path / "pid").read_text()
    assert child.exists()
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    for _ in range(200):
        if not child.exists():
            break
        time.sleep(0.05)
    assert not child.exists()
