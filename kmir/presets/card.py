"""The card of a preset: what it was trained on, how well it does, how to use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def card_text(name: str, config: Mapping[str, Any], labels: Sequence[str]) -> str:
    """Markdown text of the card.

    Args:
        name: Of the preset.
        config: As in its ``config.json``; its card may have ``use``, lines of Python with the
            preset, and ``tables``: rows by title.
        labels: In the order of the output.
    """
    card = config["card"]
    feature = ", ".join(f"{key}={value}" for key, value in config["feature"].items())
    return f"""# {name}

| | |
|---|---|
| task | {config["task"]["name"]} |
| model | `{config["model"]["name"]}`, input {tuple(config["model"]["inputs"])} |
| front end | {feature} |
| data | {card["data"]} |
| licence | {card["licence"]} |
{_row("seed", card)}| score | {card["score"]} |
| command | `{card["command"]}` |

{len(labels)} labels: {", ".join(labels)}.

```python
import kmir

preset = kmir.from_preset("{name}")
{card.get("use", 'print(preset.predict("song.mp3"))')}
```
{"".join(_section(title, rows) for title, rows in card.get("tables", {}).items())}"""


def _section(title: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """A table of what was measured besides; its columns are those of the first row."""
    columns = list(rows[0])
    lines = [columns, ["---"] * len(columns), *([row[name] for name in columns] for row in rows)]
    table = "".join(f"| {' | '.join(map(str, cells))} |\n" for cells in lines)
    return f"\n## {title}\n\n{table}"


def _row(name: str, card: Mapping[str, Any]) -> str:
    """A line of the table, for what not every card has."""
    return f"| {name} | {card[name]} |\n" if name in card else ""
