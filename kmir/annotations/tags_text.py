"""Tags as text: a table with bars, CSV, JSON and JAMS."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kmir.annotations.jams_file import tags_to_jams
from kmir.annotations.recording import Recording, as_csv, as_json

BAR_WIDTH = 20


def tags_table(recordings: Iterable[Recording]) -> str:
    """Each file with its tags, scores and bars."""
    lines = []
    for recording in recordings:
        tags = recording.tags
        width = max(map(len, tags.labels), default=0)
        lines.append(recording.file)
        for tag, score in zip(tags.labels, tags.scores, strict=True):
            lines.append(f"  {tag:{width}}  {score:.3f}  {'█' * round(score * BAR_WIDTH)}".rstrip())
    return "".join(f"{line}\n" for line in lines)


def tags_csv(recordings: Iterable[Recording]) -> str:
    """Rows ``file,tag,score``."""
    return as_csv(
        ("file", "tag", "score"),
        (
            (recording.file, tag, f"{score:.4f}")
            for recording in recordings
            for tag, score in zip(recording.tags.labels, recording.tags.scores, strict=True)
        ),
    )


def tags_json(recordings: Iterable[Recording]) -> str:
    """A list of ``{"file": …, "tags": {tag: score}}``."""
    entries = []
    for recording in recordings:
        pairs = zip(recording.tags.labels, recording.tags.scores, strict=True)
        scores = {tag: round(float(score), 4) for tag, score in pairs}
        entries.append({"file": recording.file, "tags": scores})
    return as_json(entries)


def tags_jams(recordings: Sequence[Recording]) -> str:
    """A JAMS file, namespace ``tag_open``, with scores as confidence."""
    (recording,) = recordings
    return tags_to_jams(recording.tags, duration=recording.duration(), title=recording.title)
