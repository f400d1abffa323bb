"""Options of Apache Beam and of its runners, from ``--beam.NAME=VALUE``."""

from __future__ import annotations

import argparse
import contextlib
import io
from collections.abc import Iterator, Mapping

from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions, TypeOptions

from kmir.errors import UsageError, nearest

DIRECT = "DirectRunner"


def pipeline_options(flags: Mapping[str, str]) -> PipelineOptions:
    """Options of a pipeline.

    Args:
        flags: Text by name, as Beam calls them: ``{"direct_num_workers": "2"}``. Switches are
            ``true`` or ``false``. Without ``runner`` it is the DirectRunner, on this machine.

    Raises:
        UsageError: If Beam knows no such option or runner (the nearest is offered), or a value
            doesn't fit.
    """
    parser = _parser()
    actions = {
        name.removeprefix("--"): action
        for action in parser._actions
        for name in action.option_strings
        if not isinstance(action, argparse._HelpAction)
    }
    words: list[str] = []
    for name, text in flags.items():
        if name not in actions:
            raise UsageError(f"Unknown setting --beam.{name}. {nearest(name, actions)}")
        words += _words(name, text, actions[name])
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            parser.parse_args(words)
    except SystemExit:
        reason = said.getvalue().strip().rpartition("error: argument --")[2]
        raise UsageError(f"Expected options that Beam takes. Received: --beam.{reason}.") from None
    options = PipelineOptions([*words, f"--runner={_runner(flags.get('runner', DIRECT))}"])
    if options.view_as(StandardOptions).runner == DIRECT:
        # Else Beam fetches a runner of its own from GitHub, which starts no worker processes. We
        # have no triggers: this changes nothing but that.
        options.view_as(TypeOptions).allow_unsafe_triggers = True
    return options


def _parser() -> argparse.ArgumentParser:
    """Beam's own parser, with the options of all its runners."""
    taken: list[argparse.ArgumentParser] = []
    PipelineOptions([]).get_all_options(add_extra_args_fn=taken.append)
    return taken[0]


def _words(name: str, text: str, action: argparse.Action) -> Iterator[str]:
    """An option as Beam's command line has it."""
    if action.nargs == 0:
        if text.lower() not in ("true", "false"):
            raise UsageError(f"Expected --beam.{name} as true or false. Received: '{text}'.")
        if text.lower() == "true":
            yield f"--{name}"
    elif isinstance(action, argparse._AppendAction):
        yield from (f"--{name}={part}" for part in text.split(","))
    else:
        yield f"--{name}={text}"


def _runner(name: str) -> str:
    """Name of a runner as Beam writes it: ``flink`` is ``FlinkRunner``; a dotted class stands."""
    known = {runner.lower(): runner for runner in StandardOptions.KNOWN_RUNNER_NAMES}
    found = known.get(name.lower()) or known.get(f"{name.lower()}runner")
    if found is None and "." not in name:
        raise UsageError(
            f"Expected --beam.runner as a runner of Beam. Received: '{name}'. "
            f"{nearest(name, known.values())}"
        )
    return found or name
