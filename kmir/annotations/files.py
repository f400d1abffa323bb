"""Annotations as text: CSV and JSON, and a table for the terminal."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping

from kmir.annotations.bundle import Annotations
from kmir.annotations.types import Tags
from kmir.errors import AnnotationError

BAR_WIDTH = 20


def to_csv(files: Mapping[str, Annotations], top: int | None = None) -> str:
    """Rows ``file,tag,score`` for some recordings, highest score first.

    Args:
        files: Annotations by file name.
        top: How many tags of each; None gives all.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "tag", "score"])
    for file, annotations in files.items():
        tags = _tags(annotations, top)
        rows = zip(tags.labels, tags.scores, strict=True)
        writer.writerows([file, tag, f"{score:.4f}"] for tag, score in rows)
    return text.getvalue()


def to_json(files: Mapping[str, Annotations], top: int | None = None) -> str:
    """A list of ``{"file": …, "tags": {tag: score}}``, highest score first.

    Args:
        files: Annotations by file name.
        top: How many tags of each; None gives all.
    """
    entries = []
    for file, annotations in files.items():
        tags = _tags(annotations, top)
        scores = {t: round(float(s), 4) for t, s in zip(tags.labels, tags.scores, strict=True)}
        entries.append({"file": file, "tags": scores})
    return json.dumps(entries, indent=1, ensure_ascii=False) + "\n"


def to_table(files: Mapping[str, Annotations], top: int | None = 5) -> str:
    """For the terminal: each file with its tags, scores and bars."""
    lines = []
    for file, annotations in files.items():
        tags = _tags(annotations, top)
        width = max(map(len, tags.labels), default=0)
        lines.append(file)
        for tag, score in zip(tags.labels, tags.scores, strict=True):
            lines.append(f"  {tag:{width}}  {score:.3f}  {'█' * round(score * BAR_WIDTH)}".rstrip())
    return "".join(f"{line}\n" for line in lines)


def _tags(annotations: Annotations, top: int | None) -> Tags:
    if annotations.tags is None:
        known = ", ".join(annotations.known) or "nothing"
        raise AnnotationError(f"Expected tags to write. Received: {known}.")
    return annotations.tags.top(len(annotations.tags.labels) if top is None else top)
