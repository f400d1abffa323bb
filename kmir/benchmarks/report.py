"""What a benchmark found: tables in Markdown for people, one JSON file for programs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kmir.benchmarks.timing import Spread, digits
from kmir.integrity import write_json


@dataclass(frozen=True)
class Table:
    """Rows of figures.

    Args:
        title: What was measured, and how.
        columns: Heading by the name of a value; values without one stand in the JSON alone.
        rows: Values by name: text, numbers, `Spread`, or None for what is not known.
    """

    title: str
    columns: Mapping[str, str]
    rows: Sequence[Mapping[str, Any]]

    def markdown(self) -> str:
        """The table as the README has it."""
        lines = [
            f"**{self.title}**",
            "",
            "| " + " | ".join(self.columns.values()) + " |",
            "|" + "---|" * len(self.columns),
        ]
        for row in self.rows:
            cells = [row.get(name) for name in self.columns]
            shown = ["–" if cell is None else digits(cell) for cell in cells]
            lines.append("| " + " | ".join(shown) + " |")
        return "\n".join(lines)


@dataclass(frozen=True)
class Goal:
    """What a measure should be.

    Args:
        name: What is asked for, in words.
        measured: What was found.
        limit: Of the measure.
        at_most: Whether it should not be above the limit; else, not below.
        format: Of both in the line that tells them.
    """

    name: str
    measured: float
    limit: float
    at_most: bool
    format: str = ".2f"

    @property
    def met(self) -> bool:
        """Whether it is as it should be."""
        if self.at_most:
            return self.measured <= self.limit
        return self.measured >= self.limit

    def __str__(self) -> str:
        sign = "≤" if self.at_most else "≥"
        told = f"{self.name} {sign} {self.limit:{self.format}}: {self.measured:{self.format}}"
        return f"- {told}, {'met' if self.met else '**missed**'}"


@dataclass(frozen=True)
class Report:
    """What one benchmark found.

    Args:
        name: Of the benchmark.
        machine: Where, and with which versions.
        tables: The figures.
        goals: What was to be reached.
        notes: What else should be known, such as what was skipped.
    """

    name: str
    machine: Mapping[str, Any]
    tables: Sequence[Table]
    goals: Sequence[Goal] = ()
    notes: Sequence[str] = field(default=())

    def markdown(self) -> str:
        """All of it, fit to be pasted into the README."""
        m = self.machine
        versions = ", ".join(f"{name} {number}" for name, number in m["versions"].items())
        where = f"{m['device']}, {m['cores']} cores; {m['python']}, {versions}"
        parts = [table.markdown() for table in self.tables]
        parts += ["\n".join(str(goal) for goal in self.goals)] if self.goals else []
        return "\n\n".join([*parts, *self.notes, f"Measured on {where}."])

    def write(self, path: Path) -> None:
        """Write it as JSON; the folder is made."""
        path.parent.mkdir(parents=True, exist_ok=True)
        tables = [{"title": table.title, "rows": _plain(table.rows)} for table in self.tables]
        goals = [dataclasses.asdict(goal) | {"met": goal.met} for goal in self.goals]
        found = {"benchmark": self.name, "machine": dict(self.machine), "tables": tables}
        write_json(path, found | {"goals": goals, "notes": list(self.notes)})


def _plain(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    def value(cell: Any) -> Any:
        return dataclasses.asdict(cell) if isinstance(cell, Spread) else cell

    return [{name: value(cell) for name, cell in row.items()} for row in rows]
