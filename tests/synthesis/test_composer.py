import re
from itertools import pairwise

import mir_eval
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmir.synthesis import MELODY_HOP, TAGS, TIMBRE_TAGS, TIME_TAGS, annotate, compose
from kmir.synthesis.composer import STACCATO_SECONDS
from kmir.synthesis.harmony import PROGRESSIONS, Chord, progression, scale, voicing
from kmir.synthesis.styles import FAST_TEMPO, STYLES

PIECES = [compose(0, index) for index in range(200)]
LABELS = [annotate(score).tags.labels for score in PIECES]

seeds = st.integers(0, 2**32)
indices = st.integers(0, 10**6)
durations = st.floats(1.0, 60.0)


def test_same_seed_and_index_give_the_same_score():
    assert compose(7, 3, seconds=5.0) == compose(7, 3, seconds=5.0)
    assert compose(7, 3) != compose(7, 4)
    assert compose(7, 3) != compose(8, 3)


def test_duration_does_not_change_the_plan():
    assert compose(0, 5, seconds=1.0).plan == compose(0, 5, seconds=60.0).plan


@settings(max_examples=60, deadline=None)
@given(seeds, indices, durations)
def test_chords_tile_the_piece_and_nothing_harmonic_sounds_in_n(seed, index, seconds):
    score = compose(seed, index, seconds=seconds)
    starts, ends, labels = zip(*score.chords, strict=True)
    assert starts[0] == 0 and ends[-1] == seconds
    assert starts[1:] == ends[:-1]
    assert all(end > start for start, end in zip(starts, ends, strict=True))
    assert labels[0] == labels[-1] == "N" and "N" not in labels[1:-1]
    for part in score.parts:
        assert all(starts[1] <= note.onset < note.offset <= starts[-1] for note in part.notes)
    mir_eval.chord.encode_many(list(labels))  # raises where a label is not Harte's


@settings(max_examples=60, deadline=None)
@given(seeds, indices, durations)
def test_beats_agree_with_tempo_and_metre(seed, index, seconds):
    score = compose(seed, index, seconds=seconds)
    beats = annotate(score).beats
    np.testing.assert_allclose(np.diff(beats.times), 60 / score.plan.tempo, atol=1e-9)
    meter = 3 if score.plan.style.name == "waltz" else 4
    np.testing.assert_array_equal(beats.positions, np.arange(len(beats.times)) % meter + 1)
    assert 0 < beats.times[0] <= 0.4 and beats.times[-1] < seconds


@settings(max_examples=60, deadline=None)
@given(seeds, indices, durations)
def test_every_voice_plays_and_melody_has_one_note_at_a_time(seed, index, seconds):
    score = compose(seed, index, seconds=seconds)
    assert score.melody.notes
    for part in (score.melody, score.bass):
        assert all(a.offset <= b.onset + 1e-9 for a, b in pairwise(part.notes))
    for role, (low, high) in {
        "bass": (40, 51),
        "accompaniment": (55, 78),
        "melody": (74, 90),
    }.items():
        assert all(low <= note.pitch <= high for note in getattr(score, role).notes)


def test_accompaniment_and_bass_play_what_the_chord_says():
    for score in PIECES[:50]:
        starts = np.array([start for start, *_ in score.chords])
        for note in score.accompaniment.notes + score.bass.notes:
            label = score.chords[np.searchsorted(starts, note.onset + 1e-6) - 1][2]
            root, bitmap, bass = mir_eval.chord.encode(label)
            tones = (root + np.flatnonzero(bitmap)) % 12
            expected = tones if note in score.accompaniment.notes else [(root + bass) % 12]
            assert note.pitch % 12 in expected


def test_melody_pitch_is_that_of_its_notes():
    for score in PIECES[:20]:
        pitch = annotate(score).melody
        np.testing.assert_allclose(pitch.times, np.arange(800) * MELODY_HOP)
        expected = np.zeros(800)
        for note in score.melody.notes:
            inside = (pitch.times >= note.onset) & (pitch.times < note.offset)
            expected[inside] = note.pitch
        np.testing.assert_array_equal(pitch.frequencies > 0, expected > 0)
        voiced = expected > 0
        error = 12 * np.log2(pitch.frequencies[voiced] / 440) + 69 - expected[voiced]
        low, high = (
            (-5, 0) if score.melody.slide else (-0.7, 0.7) if score.melody.vibrato else (0, 0)
        )
        assert error.min() >= low - 1e-9 and error.max() <= high + 1e-9


def test_notes_of_all_parts_are_annotated():
    score = PIECES[0]
    notes = annotate(score).notes
    assert len(notes.pitches) == sum(len(part.notes) for part in score.parts)
    assert (np.diff(notes.intervals[:, 0]) >= 0).all()
    assert set(notes.velocities) == {88.0, 120.0}


def test_every_tag_holds_for_a_sane_share_of_pieces():
    assert TAGS == TIMBRE_TAGS + TIME_TAGS and len(set(TAGS)) == 18
    for tag in TAGS:
        share = np.mean([tag in labels for labels in LABELS])
        assert 0.14 <= share <= 0.6, tag


def onsets(part):
    return sorted({note.onset for note in part.notes})


@pytest.mark.parametrize("score, labels", zip(PIECES[:60], LABELS[:60], strict=True))
def test_tags_say_what_the_score_does(score, labels):
    chords, melody = score.accompaniment, score.melody
    assert (set(labels) & {"organ", "piano", "strings", "guitar"}) == {chords.instrument}
    assert (set(labels) & {"flute", "brass"}) == {melody.instrument} - {"synth"}
    assert ("drums" in labels) == bool(score.hits)
    assert ("waltz" in labels) == (max(score.positions) == 3)
    beat = np.median(np.diff(score.beats))
    assert ("fast" in labels) == (60 / beat >= FAST_TEMPO)
    lengths = np.array([note.offset - note.onset for note in chords.notes])
    assert ("staccato" in labels) == (lengths.max() < STACCATO_SECONDS + 1e-6)
    arpeggio = len(onsets(chords)) == len(chords.notes)
    assert any("arpeggio" in label for label in labels) == arpeggio
    steps = np.diff([note.pitch for note in chords.notes])
    assert ("rising arpeggio" in labels) == (arpeggio and (steps > 0).sum() > (steps < 0).sum())
    assert ("tremolo" in labels) == (chords.tremolo > 6)
    assert ("vibrato" in labels) == (melody.vibrato > 5)
    assert ("slide" in labels) == melody.slide
    styles = {style.name for style in STYLES}
    assert set(labels) & styles == {score.plan.style.name}


def test_shares_of_styles_sum_to_one_and_tempi_leave_a_gap():
    assert sum(style.share for style in STYLES) == pytest.approx(1.0)
    ranges = [tempi for style in STYLES for tempi in style.tempi]
    assert all(high <= 90 or low >= FAST_TEMPO for low, high in ranges)


def test_progressions_transpose_to_harte_labels():
    chords = progression("C:maj G:maj/3 D:min7", 2)
    assert [chord.label for chord in chords] == ["D:maj", "A:maj/3", "E:min7"]
    assert chords[1].bass == 1
    assert chords[2].pitch_classes == (4, 7, 11, 2)
    for text in (text for texts in PROGRESSIONS.values() for text in texts):
        assert " ".join(chord.label for chord in progression(text, 0)) == text
        assert all(re.fullmatch(r"[A-G][b#]?:\w+(/b?\d)?", label) for label in text.split())


def test_voicing_and_scale():
    assert voicing(Chord(0, "maj").pitch_classes, 55) == (55, 60, 64)
    assert scale(9, "min", 57, 69) == (57, 59, 60, 62, 64, 65, 67, 69)
