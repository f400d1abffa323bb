"""Key labels as data sets write them."""

import pytest

from kmir.annotations.keys import key_label


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("E", "E:maj"),
        ("Bb", "Bb:maj"),
        ("A:minor", "A:min"),
        ("F# minor", "F#:min"),
        ("eb Major", "Eb:maj"),
        (" C:min ", "C:min"),
        ("D:mixolydian", "D:mixolydian"),
        ("G: dorian", "G:dorian"),
        ("C:modal", "C:modal"),
    ],
)
def test_tonic_and_mode(text: str, expected: str) -> None:
    assert key_label(text) == expected


@pytest.mark.parametrize("text", ["", "H", "Silence", "C:", "C:happy", "C#b:maj", "C major/minor"])
def test_no_key(text: str) -> None:
    assert key_label(text) is None
