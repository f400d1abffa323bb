"""Exit codes, one line for an error, and pipes that close early."""

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import kmir
from kmir import command
from kmir.cache import cache_dir
from kmir.errors import AudioError, KmirError, UsageError

ROOT = Path(kmir.__file__).parents[1]


def _raising(error: BaseException) -> Any:
    def main(argv: list[str]) -> None:
        raise error

    return main


def test_what_main_gives_is_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    assert command.run(len, ["a", "b"]) == 2
    monkeypatch.setattr(sys, "argv", ["program", "only"])
    assert command.run(len) == 1


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (KmirError("Expected x."), 1, "kmir: error: Expected x.\n"),
        (AudioError("Expected audio."), 1, "kmir: error: Expected audio.\n"),
        (UsageError("Expected y."), 2, "kmir: error: Expected y.\n"),
        (
            KeyboardInterrupt(),
            130,
            "kmir: interrupted. Run the same command again to go on.\n",
        ),
        (
            OSError(28, "No space left on device", "out/x"),
            1,
            "kmir: error: [Errno 28] No space left on device: 'out/x'\n",
        ),
    ],
)
def test_an_error_is_one_line_and_a_code(
    capsys: pytest.CaptureFixture[str], error: BaseException, code: int, line: str
) -> None:
    assert command.run(_raising(error), []) == code
    assert capsys.readouterr() == ("", line)


def test_what_the_library_logs_is_told_a_plain_line_each(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = logging.getLogger("kmir")
    before = (list(log.handlers), log.level)

    def main(argv: list[str]) -> int:
        log.debug("nothing for people")
        log.info("%d audio files without chords, ignored: %s …", 2, "a.mp3")
        log.warning("may be other versions")
        return 0

    assert command.run(main, ["--out", "x"]) == 0
    assert capsys.readouterr() == (
        "",
        "kmir: 2 audio files without chords, ignored: a.mp3 …\nkmir: may be other versions\n",
    )
    assert command.run(main, ["--quiet"]) == 0
    assert capsys.readouterr() == ("", "kmir: may be other versions\n")
    assert command.run(_raising(KmirError("Expected x.")), []) == 1
    assert (list(log.handlers), log.level) == before


def test_a_mistake_in_the_program_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        command.run(_raising(ZeroDivisionError()), [])


def test_modules_where_the_command_is_run_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "found_beside.py").write_text("VALUE = 7\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert command.run(lambda argv: __import__("found_beside").VALUE, []) == 7
    before = list(sys.path)
    command.run(lambda argv: 0, [])
    assert sys.path == before  # added once


@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_pipe_that_closes_early_is_no_error(lines: int) -> None:
    program = (
        "import sys; from kmir import command\n"
        "def main(argv):\n"
        f"    for i in range({lines}): print('line', i)\n"
        "    return 0\n"
        "sys.exit(command.run(main))\n"
    )
    reader, writer = os.pipe()
    os.close(reader)
    # Python's own buffer of stdout is what hides a closed pipe until the end.
    env = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", program],
            stdout=writer, stderr=subprocess.PIPE, cwd=ROOT, env=env, check=False,
        )  # fmt: skip
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_cache_is_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KMIR_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.setenv("KMIR_CACHE", "~/kept")
    assert cache_dir() == Path.home() / "kept"
    monkeypatch.setenv("KMIR_CACHE", "")
    assert cache_dir() == Path.home() / ".cache" / "kmir"
