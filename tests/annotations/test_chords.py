"""Chord labels: what they say, their classes, and what they are in other keys."""

from __future__ import annotations

import mir_eval.chord
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmir.annotations.chords import (
    NO_CHORD,
    ROOTS,
    UNKNOWN,
    Chord,
    indices,
    parse,
    transposed,
    vocabulary,
)
from kmir.errors import AnnotationError, UsageError

# Of mir_eval's, those that its own grammar knows.
QUALITIES = tuple(
    quality
    for quality in (*mir_eval.chord.QUALITIES, *mir_eval.chord.EXTENDED_QUALITY_REDUX)
    if quality and mir_eval.chord.CHORD_RE.match(f"C:{quality}")
)
DEGREES = ("1", "b2", "2", "b3", "3", "4", "b5", "5", "#5", "6", "b7", "7", "9")
roots = st.builds(
    lambda letter, accidentals: letter + accidentals,
    st.sampled_from("ABCDEFG"),
    st.sampled_from(["", "#", "b", "##", "bb"]),
)
tails = st.one_of(
    st.just(""),
    st.sampled_from(QUALITIES).map(lambda quality: f":{quality}"),
    st.sampled_from(["(1,5)", "maj(9)", "min7(*5)", "maj(*1,#11)", "(b3,5)"]).map(":{}".format),
)
basses = st.one_of(st.just(""), st.sampled_from(DEGREES).map("/{}".format))
chords = st.builds(lambda root, tail, bass: root + tail + bass, roots, tails, basses)
labels = st.one_of(chords, st.sampled_from([NO_CHORD, UNKNOWN]))


def pitch_classes(label: str) -> list[int]:
    chord = parse(label)
    assert chord is not None
    return np.flatnonzero(chord.pitch_classes).tolist()


# === What a label says ===


@pytest.mark.parametrize(
    ("label", "root", "bass", "sounding"),
    [
        ("C", 0, 0, [0, 4, 7]),
        ("C:maj", 0, 0, [0, 4, 7]),
        ("A:min7/b3", 9, 0, [0, 4, 7, 9]),
        ("Bb:7", 10, 10, [2, 5, 8, 10]),
        ("A#:7", 10, 10, [2, 5, 8, 10]),
        ("Cb:maj", 11, 11, [3, 6, 11]),
        ("G##:min", 9, 9, [0, 4, 9]),
        ("D:sus4(b7)", 2, 2, [0, 2, 7, 9]),
        ("E:(1,5)", 4, 4, [4, 11]),
        ("C:maj/2", 0, 2, [0, 2, 4, 7]),  # the bass sounds, whatever it is called over
        ("F#:hdim7", 6, 6, [0, 4, 6, 9]),
        ("A:maj(*1)/3", 9, 1, [1, 4]),
    ],
)
def test_what_a_label_says(label: str, root: int, bass: int, sounding: list[int]) -> None:
    chord = parse(label)
    assert chord is not None
    assert (chord.root, chord.bass) == (root, bass)
    assert pitch_classes(label) == sounding


def test_a_bass_from_outside_leaves_the_quality() -> None:
    plain, over = parse("C:maj"), parse("C:maj/2")
    assert plain is not None
    assert over is not None
    assert plain.intervals == over.intervals == (1, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0)


def test_no_chord_and_a_chord_without_a_name() -> None:
    assert parse(NO_CHORD) == Chord(None, None, (0,) * 12)
    assert pitch_classes(NO_CHORD) == []
    assert parse(UNKNOWN) is None


@pytest.mark.parametrize(
    "label", ["", "H", "c", "C:", "C:mja", "Cm", "C:maj/", "C:maj/H", "C/b", "C:maj(", "n", "C maj"]
)
def test_what_is_no_chord(label: str) -> None:
    with pytest.raises(AnnotationError) as caught:
        parse(label)
    assert str(caught.value) == (
        f"Expected a chord in Harte's syntax, such as A:min7/b3 or N. Received: '{label}'."
    )


# === Vocabularies ===


def test_the_classes() -> None:
    small, large = vocabulary("majmin"), vocabulary("large")
    assert len(small.labels) == 25
    assert small.labels[:3] == ("C:maj", "C#:maj", "D:maj")
    assert small.labels[12:15] + small.labels[-1:] == ("C:min", "C#:min", "D:min", "N")
    assert len(large.labels) == 170
    assert len(large.qualities) == 14
    assert large.labels[-3:] == ("B:sus4", "N", "X")
    np.testing.assert_array_equal(indices(small, small.labels), np.arange(25))
    np.testing.assert_array_equal(indices(large, large.labels), [*range(169), -1])


@pytest.mark.parametrize(
    ("label", "small", "large"),
    [
        ("Db", "C#:maj", "C#:maj"),
        ("G:7", "G:maj", "G:7"),
        ("G:9", "G:maj", "G:7"),
        ("G:maj(9)", "G:maj", "G:maj"),
        ("Eb:minmaj7", "Eb:min", "Eb:minmaj7"),
        ("D:min6/5", "D:min", "D:min6"),
        ("C:maj/2", "C:maj", "C:maj"),
        ("B:hdim7", None, "B:hdim7"),
        ("B:dim", None, "B:dim"),
        ("A:sus4", None, "A:sus4"),
        ("A:maj(*1)/3", None, "X"),
        ("E:5", None, "X"),
        ("E:1", None, "X"),
        ("X", None, None),
        ("N", "N", "N"),
    ],
)
def test_classes_of_labels(label: str, small: str | None, large: str | None) -> None:
    for name, expected in (("majmin", small), ("large", large)):
        words = vocabulary(name)
        assert words.index(label) == (-1 if expected is None else words.labels.index(expected))


@given(chords)
def test_majmin_is_what_mir_eval_compares(label: str) -> None:
    """Right for one class alone, out of the score where there is none."""
    chord = parse(label)
    assert chord is not None
    assert chord.bass is not None
    assert chord.root is not None
    if not chord.intervals[(chord.bass - chord.root) % 12]:
        label = label.partition("/")[0]  # mir_eval counts a bass from outside among the notes
    words = vocabulary("majmin")
    scores = mir_eval.chord.majmin([label] * 25, list(words.labels))
    found = words.index(label)
    expected = np.full(25, -1) if found < 0 else np.arange(25) == found
    np.testing.assert_array_equal(scores, expected)


@given(chords)
def test_large_is_finer_than_tetrads_and_never_wrong(label: str) -> None:
    label = label.partition("/")[0]
    words = vocabulary("large")
    scores = mir_eval.chord.tetrads([label] * 169, list(words.labels[:-1]))
    found = words.index(label)
    if words.labels[found] == UNKNOWN:
        assert not (scores == 1).any()
    else:
        np.testing.assert_array_equal(scores, np.arange(169) == found)


def test_an_unknown_vocabulary() -> None:
    with pytest.raises(UsageError, match=r"^Expected a vocabulary of .*Received: 'huge'\.$"):
        vocabulary("huge")
    with pytest.raises(AnnotationError, match="Received: 'H'"):
        indices(vocabulary("majmin"), ["C", "H"])


# === Other keys ===


@pytest.mark.parametrize(
    ("label", "semitones", "expected"),
    [
        ("Bb:min7/b3", 3, "C#:min7/b3"),
        ("B/b7", 1, "C/b7"),
        ("Bb/b7", 2, "C/b7"),
        ("Bbb", 2, "B"),
        ("C:maj(b7)", -1, "B:maj(b7)"),
        ("E", 12, "E"),
        ("Fb", 0, "Fb"),
        ("N", 5, "N"),
        ("X", 5, "X"),
    ],
)
def test_golden_transpositions(label: str, semitones: int, expected: str) -> None:
    assert transposed(label, semitones) == expected


@given(labels, st.integers(-30, 30))
def test_there_and_back(label: str, semitones: int) -> None:
    assert parse(transposed(transposed(label, semitones), -semitones)) == parse(label)


@given(chords, st.integers(-30, 30))
def test_all_that_sounds_moves(label: str, semitones: int) -> None:
    before, after = parse(label), parse(transposed(label, semitones))
    assert before is not None
    assert after is not None
    assert (before.root, before.bass) != (None, None)
    assert after.root == (before.root + semitones) % 12  # type: ignore[operator]
    assert after.bass == (before.bass + semitones) % 12  # type: ignore[operator]
    assert after.intervals == before.intervals
    np.testing.assert_array_equal(after.pitch_classes, np.roll(before.pitch_classes, semitones))


@given(labels, st.integers(-30, 30), st.sampled_from(["majmin", "large"]))
def test_the_class_of_a_transposed_label(label: str, semitones: int, name: str) -> None:
    words = vocabulary(name)
    before, after = words.index(label), words.index(transposed(label, semitones))
    assert after == (-1 if before < 0 else words.transposition(semitones)[before])


@pytest.mark.parametrize("name", ["majmin", "large"])
def test_transpositions_are_a_group(name: str) -> None:
    words = vocabulary(name)
    everything = np.arange(len(words.labels))
    for k in range(12):
        move = words.transposition(k)
        assert sorted(move) == list(everything)
        np.testing.assert_array_equal(words.transposition(-k)[move], everything)
        np.testing.assert_array_equal(words.transposition(k + 1), words.transposition(1)[move])
    assert words.labels[words.transposition(2)[words.labels.index("B:min")]] == "C#:min"
    assert ROOTS[1] == "C#"
