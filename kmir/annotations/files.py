"""Annotations as text: tables for the terminal, CSV, JSON, and the formats of the field.

`FORMATS` says which kind of annotation can be written in which format. Formats of the field,
``.lab``, ``.beats``, JAMS and Audacity's labels, hold one recording a file; the others any number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from kmir.annotations.beats_text import (
    beats_csv,
    beats_file,
    beats_jams,
    beats_json,
    beats_labels,
    beats_table,
)
from kmir.annotations.chords_text import (
    chords_csv,
    chords_jams,
    chords_json,
    chords_lab,
    chords_table,
)
from kmir.annotations.recording import Recording
from kmir.annotations.tags_text import tags_csv, tags_jams, tags_json, tags_table


@dataclass(frozen=True)
class Format:
    """How one kind of annotation becomes text.

    Args:
        write: The text of some recordings.
        single: Whether it holds one recording only.
    """

    write: Callable[[Sequence[Recording]], str]
    single: bool = False


FORMATS: Mapping[str, Mapping[str, Format]] = {
    "tags": {
        "table": Format(tags_table),
        "csv": Format(tags_csv),
        "json": Format(tags_json),
        "jams": Format(tags_jams, single=True),
    },
    "chords": {
        "table": Format(chords_table),
        "csv": Format(chords_csv),
        "json": Format(chords_json),
        "lab": Format(chords_lab, single=True),
        "jams": Format(chords_jams, single=True),
    },
    "beats": {
        "table": Format(beats_table),
        "csv": Format(beats_csv),
        "json": Format(beats_json),
        "beats": Format(beats_file, single=True),
        "jams": Format(beats_jams, single=True),
        "labels": Format(beats_labels, single=True),
    },
}
# Suffix of a file in a format whose name is not its suffix.
SUFFIXES = {"table": ".txt", "labels": ".txt"}
