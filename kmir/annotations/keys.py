"""Key labels: ``"C:maj"``, ``"A:min"``, ``"D:dorian"``; how data sets write them is read here."""

from __future__ import annotations

import re

MODES = {"": "maj", "major": "maj", "maj": "maj", "minor": "min", "min": "min"} | {
    mode: mode
    for mode in (
        *("ionian", "dorian", "phrygian", "lydian", "mixolydian", "aeolian", "locrian"),
        "modal",  # Isophonics: a tonic, but no mode that has a name
    )
}
KEY = re.compile(r"([A-G])(#+|b+|)(?:[:\s]\s*([a-z]+))?", re.IGNORECASE)


def key_label(text: str) -> str | None:
    """A key as kmir writes it, or None if the text is none.

    A tonic alone is major, as in Isophonics.

    Example:
        >>> key_label("Bb"), key_label("F# minor"), key_label("D:mixolydian")
        ('Bb:maj', 'F#:min', 'D:mixolydian')
    """
    found = KEY.fullmatch(text.strip())
    mode = found and MODES.get((found[3] or "").lower())
    return f"{found[1].upper()}{found[2].lower()}:{mode}" if found and mode else None
