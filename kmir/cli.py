"""The console command: ``kmir VERB …`` is ``python -m kmir.VERB …``."""

from __future__ import annotations

import importlib

from kmir import command
from kmir.errors import UsageError, nearest

VERBS = {
    "extract": "audio and annotations → records",
    "train": "records → a trained preset",
    "tune": "a search for settings → a trained preset",
    "evaluate": "a preset and records → scores",
    "predict": "a preset and audio → annotations",
    "study": "a table of experiments, run and drawn",
    "benchmark": "how fast it runs here",
}


def dispatch(argv: list[str]) -> int:
    """Hand the arguments to the verb that stands first."""
    if not argv or argv[0] in ("-h", "--help"):
        print("usage: kmir VERB …\n")
        print("\n".join(f"  {verb:10} {what}" for verb, what in VERBS.items()))
        print("\nkmir VERB --help tells more.")
        return 0 if argv else 2
    verb, *rest = argv
    if verb not in VERBS:
        raise UsageError(f"Expected a verb. Received: '{verb}'. {nearest(verb, VERBS)}")
    code: int = importlib.import_module(f"kmir.{verb}").main(rest)
    return code


def main() -> int:
    """Entry point of the console command."""
    return command.run(dispatch)
