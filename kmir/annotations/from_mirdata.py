"""Annotations as mirdata's tracks have them, made ours.

Each reader takes a value of mirdata, the place that messages name, a way to learn how long the
recording is, and the list that problems are added to; it gives a field of `Annotations`, or None
where the value says nothing that kmir knows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kmir.annotations.keys import key_label
from kmir.annotations.lab import Span, chord_segments, ordered_segments
from kmir.annotations.types import Beats, Segments, Tags
from kmir.errors import AnnotationError

Length = Callable[[], float | None]  # seconds; None where the audio can't be read

SECONDS = {"s": 1.0, "ms": 1e-3}  # mirdata's units of time, other than MIDI ticks


def _chords(value: Any, place: str, length: Length, problems: list[str]) -> Segments | None:
    return chord_segments(_spans(value, value.labels, place), problems, place)


def _key(value: Any, place: str, length: Length, problems: list[str]) -> Segments | None:
    if isinstance(value, list) and len(value) == 1:
        (value,) = value
    if isinstance(value, str):
        label = key_label(value)
        seconds = length() if label else None
        return Segments([(0, seconds)], (label,)) if label and seconds else None  # type: ignore[arg-type]
    if not hasattr(value, "keys") or not hasattr(value, "intervals"):
        return None
    labels = [key_label(key) or "" for key in value.keys]
    spans = [span for span in _spans(value, labels, place) if span.label]
    return ordered_segments(spans, problems, place) if spans else None


def _beats(value: Any, place: str, length: Length, problems: list[str]) -> Beats:
    times = np.asarray(value.times) * _unit(value.time_unit)
    if value.positions is None or value.position_unit != "bar_index":
        return Beats(times)
    return Beats(times, np.nan_to_num(np.asarray(value.positions, float)).astype(int))


def _tempo(value: Any, place: str, length: Length, problems: list[str]) -> float | None:
    if hasattr(value, "tempos"):
        certain = value.confidence
        value = value.tempos[0 if certain is None else int(np.argmax(certain))]
    try:
        tempo = float(value)
    except (TypeError, ValueError):  # a word for it
        return None
    return tempo if tempo > 0 else None


def _tags(value: Any, place: str, length: Length, problems: list[str]) -> Tags | None:
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        return None
    return Tags(tuple(dict.fromkeys(words)))


def _spans(value: Any, labels: list[str], place: str) -> list[Span]:
    unit = _unit(getattr(value, "interval_unit", "s"))
    return [
        Span(f"{place}[{index}]", float(start) * unit, float(end) * unit, label)
        for index, ((start, end), label) in enumerate(zip(value.intervals, labels, strict=True))
    ]


def _unit(name: str) -> float:
    if name not in SECONDS:
        raise AnnotationError(f"Expected times in {' or '.join(SECONDS)}. Received: {name}.")
    return SECONDS[name]


# Of each field of `Annotations`: what mirdata's tracks call it, the best first, and its reader.
FIELDS: dict[str, tuple[tuple[str, ...], Callable[[Any, str, Length, list[str]], Any]]] = {
    "chords": (("chords", "chords_full", "leadsheet_chords"), _chords),
    "key": (("key", "key_mode"), _key),
    "beats": (("beats",), _beats),
    "tempo": (("tempo",), _tempo),
    "tags": (("tags", "genre", "genres"), _tags),
}
