"""A recording and what is known of it, about to be written; what the formats share."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from kmir.annotations.bundle import Annotations
from kmir.annotations.types import Beats, Segments, Tags
from kmir.errors import AnnotationError

T = TypeVar("T")


@dataclass(frozen=True)
class Recording:
    """What is known of one recording, and what a file about it says besides.

    Args:
        file: Name of the audio file.
        annotations: What is known.
        duration: Gives its length in seconds; only formats that tell it ask.
    """

    file: str
    annotations: Annotations
    duration: Callable[[], float]

    @property
    def title(self) -> str:
        """Name of the file without folder and suffix."""
        return Path(self.file).stem

    @property
    def tags(self) -> Tags:
        """Tags, highest score first."""
        tags = self._known("tags", self.annotations.tags)
        return tags.top(len(tags.labels))

    @property
    def chords(self) -> Segments:
        """Chord segments."""
        return self._known("chords", self.annotations.chords)

    @property
    def beats(self) -> Beats:
        """Beats."""
        return self._known("beats", self.annotations.beats)

    def _known(self, kind: str, value: T | None) -> T:
        if value is None:
            known = ", ".join(self.annotations.known) or "nothing"
            raise AnnotationError(f"Expected {kind} to write. Received: {known}.")
        return value


def as_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Text of a CSV file, with a header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def as_json(entries: Sequence[Mapping[str, Any]]) -> str:
    """Text of a JSON file that people can read too."""
    return json.dumps(entries, indent=1, ensure_ascii=False) + "\n"
