"""The console command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kmir import cli, command


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(cli.dispatch, ["--help"]) == 0
    told = capsys.readouterr().out
    assert all(f"  {verb}" in told for verb in cli.VERBS)


def test_no_verb_and_a_wrong_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(cli.dispatch, []) == 2
    assert command.run(cli.dispatch, ["trian"]) == 2
    assert "Did you mean 'train'?" in capsys.readouterr().err


@pytest.mark.parametrize("verb", cli.VERBS)
def test_verbs_explain_themselves(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        command.run(cli.dispatch, [verb, "--help"])
    assert stop.value.code == 0
    assert f"usage: kmir {verb}" in capsys.readouterr().out


def test_the_installed_command_and_the_module_do_the_same() -> None:
    console = Path(sys.executable).with_name("kmir")
    if not console.exists():
        pytest.skip(f"the console command is not installed at {console}")
    runs = [
        subprocess.run(program, capture_output=True, text=True, check=False)
        for program in (
            [console, "predict", "no_preset", __file__],
            [sys.executable, "-m", "kmir.predict", "no_preset", __file__],
            [sys.executable, "-m", "kmir", "predict", "no_preset", __file__],
        )
    ]
    assert {run.returncode for run in runs} == {1}
    assert len({run.stderr for run in runs}) == 1
    assert runs[0].stderr.startswith("kmir: error: Expected a preset's name or folder.")
    assert len(runs[0].stderr.splitlines()) == 1
