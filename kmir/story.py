"""What a run folder tells of its run: settings, versions, data, time and scores."""

from __future__ import annotations

import dataclasses
import datetime
import json
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from kmir.config import to_dict
from kmir.errors import UsageError
from kmir.integrity import sha256, write_json
from kmir.records.read import Records
from kmir.scoring import Score
from kmir.versions import git_hash, version_of

PACKAGES = ("kmir", "keras", "tensorflow", "numpy", "librosa", "soxr", "soundfile")


@dataclass(frozen=True)
class Story:
    """``config.json`` and ``run.json`` of a run folder."""

    folder: Path
    command: str
    facts: dict[str, Any]
    began: float

    @classmethod
    def begin(
        cls,
        folder: Path,
        model_name: str,
        config: Any,
        records: Records,
        argv: Sequence[str] | None,
        *,
        writes: bool = True,
    ) -> Story:
        """Write what is known before the first step.

        Args:
            folder: The run folder; made if it is not there.
            model_name: Module of the model.
            config: All settings of the run.
            records: What it trains on.
            argv: The arguments of the command; None outside the command line.
            writes: Whether this process writes: of several hosts, one does.

        Raises:
            UsageError: If the folder is of a run with other settings or data. More epochs are fine.
        """
        command = f"python -m kmir.train {'…' if argv is None else shlex.join(argv)}"
        manifest = sha256(records.root / "manifest.json")
        data = {"manifest_sha256": manifest}
        settings = {"model": model_name, "config": to_dict(config), "data": data}
        check_same(folder / "config.json", settings, what="run", free=("config.train.epochs",))
        if writes:
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / "config.json", settings)
        facts = {
            "command": command,
            "records": str(records.root),
            "backend": keras.backend.backend(),
            "git": git_hash(),
            "versions": {name: version_of(name) or "not installed" for name in PACKAGES},
            "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }
        path = folder / "run.json"
        before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        facts |= {name: before[name] for name in ("started", "wall_seconds") if name in before}
        if writes:
            write_json(path, facts)
        return cls(folder, command, facts, time.monotonic())

    def end(self, scores: Sequence[Score]) -> None:
        """Add the wall time in seconds, of all the processes that ended well, and the scores."""
        before = self.facts.get("wall_seconds", 0.0)
        seconds = round(before + time.monotonic() - self.began, 1)
        told = {"wall_seconds": seconds, "scores": [dataclasses.asdict(s) for s in scores]}
        write_json(self.folder / "run.json", self.facts | told)


def check_same(
    path: Path, settings: Mapping[str, Any], *, what: str, free: Sequence[str] = ()
) -> None:
    """Refuse a folder that something else was begun in.

    Args:
        path: JSON file in it that holds what it was begun with; all is fine where there is none.
        settings: Of what is to be done now.
        what: A run, a study, a search: for the message.
        free: Dotted names of settings that may differ.

    Raises:
        UsageError: If a setting differs; the first is named.
    """
    if not path.exists():
        return
    before = _flat(json.loads(path.read_text(encoding="utf-8")))
    now = _flat(json.loads(json.dumps(settings)))  # as if read back: tuples are lists in JSON
    different = [
        name
        for name in sorted(before | now)
        if before.get(name) != now.get(name) and name not in free
    ]
    if different:
        name = different[0]
        raise UsageError(
            f"Expected to go on with the {what} in {path.parent}, where {name} = "
            f"{before.get(name)}. Received: {now.get(name)}. "
            "Give another --workdir, or remove the folder."
        )


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        inner = (
            _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
        )
        flat |= inner
    return flat
