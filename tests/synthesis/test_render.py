import dataclasses
import itertools

import librosa
import numpy as np
import pytest

from kmir.synthesis import SAMPLE_RATE, annotate, compose, render
from kmir.synthesis.drums import DRUMS, drum
from kmir.synthesis.instruments import TIMBRES
from kmir.synthesis.render import HISS, colour, render_note, render_part
from kmir.synthesis.score import Note, Part


def first(predicate):
    return next(s for s in (compose(1, index) for index in range(500)) if predicate(s))


def alone(score, *, drums=False, **keep):
    """The score with only some of its parts."""
    silent = {
        role: dataclasses.replace(getattr(score, role), notes=())
        for role in ("melody", "accompaniment", "bass")
        if not keep.get(role)
    }
    return dataclasses.replace(score, **silent, **({} if drums else {"hits": ()}))


@pytest.mark.parametrize("seconds", [1.0, 1.37, 8.0, 60.0])
def test_length_peak_and_silence_around_the_music(seconds):
    score = compose(2, 11, seconds=seconds)
    samples = render(score)
    assert samples.dtype == np.float32 and samples.shape == (round(seconds * SAMPLE_RATE),)
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() == pytest.approx(0.9)
    # A hundredth of a second before the first beat there is only hiss, and so at the end.
    for quiet in (samples[: int((score.beats[0] - 0.01) * SAMPLE_RATE)], samples[-20:]):
        assert np.sqrt(np.mean(quiet**2)) < 4 * HISS


def test_same_score_gives_the_same_samples():
    np.testing.assert_array_equal(render(compose(0, 9)), render(compose(0, 9)))


@pytest.mark.parametrize("instrument", sorted(TIMBRES))
@pytest.mark.parametrize("pitch", [40, 60, 80])
def test_note_is_in_tune_and_ends_without_a_click(instrument, pitch):
    sound = render_note(Note(0.0, 1.0, pitch, 127), Part(instrument, ()))
    assert np.isfinite(sound).all()
    assert abs(sound[0]) < 1e-9 and abs(sound[-1]) < 1e-4 * np.abs(sound).max()
    # The tail of the release is as smooth as the note: no step larger than the note itself makes.
    assert np.abs(np.diff(sound[-200:])).max() < np.abs(np.diff(sound[:-200])).max()
    # Independent reference: the autocorrelation has a peak at the period, within 15 cents.
    held = sound[4000:20000] - sound[4000:20000].mean()
    spectrum = np.abs(np.fft.rfft(held, 1 << 17)) ** 2
    period = SAMPLE_RATE / (440 * 2 ** ((pitch - 69) / 12))
    lags = np.fft.irfft(spectrum)[int(period * 0.8) : int(period * 1.2) + 2]
    peak = int(np.argmax(lags[1:-1])) + 1
    a, b, c = lags[peak - 1 : peak + 2]
    found = int(period * 0.8) + peak + 0.5 * (a - c) / (a - 2 * b + c)
    assert abs(1200 * np.log2(found / period)) < 15


def test_timbres_differ():
    """No two instruments have alike mel spectra at the same pitch."""
    spectra = {}
    for name in TIMBRES:
        sound = render_note(Note(0.0, 0.6, 62, 100), Part(name, ()))
        mel = librosa.feature.melspectrogram(y=sound, sr=SAMPLE_RATE, n_mels=64)
        levels = librosa.power_to_db(mel, ref=np.max).mean(axis=1)
        spectra[name] = levels
    for (a, one), (b, other) in itertools.combinations(spectra.items(), 2):
        assert np.abs(one - other).mean() > 4.0, (a, b)


def test_onsets_in_the_audio_are_those_of_the_score():
    """A note is heard within 5 ms of where the truth has it."""
    for index in range(4):
        score = compose(4, index)
        part = dataclasses.replace(score.bass, tremolo=0.0)
        note = part.notes[0]
        sound = render_part(part, round(8 * SAMPLE_RATE))
        heard = np.flatnonzero(np.abs(sound) > 0.05)[0] / SAMPLE_RATE
        assert note.onset <= heard < note.onset + 0.005


def test_melody_f0_is_the_loudest_low_peak():
    """Truth of the melody, vibrato and slides included, against the peak of the spectrum."""
    for wanted in ("vibrato", "slide", "plain"):
        score = first(
            lambda s, wanted=wanted: (
                s.melody.instrument == "flute"
                and ("vibrato" if s.melody.vibrato else "slide" if s.melody.slide else "plain")
                == wanted
            )
        )
        truth = annotate(score).melody
        edges = np.array([(note.onset, note.offset) for note in score.melody.notes]).ravel()
        sound = render(alone(score, melody=True))
        size, errors = 512, []
        for time, frequency in zip(truth.times, truth.frequencies, strict=True):
            centre = round(time * SAMPLE_RATE)
            frame = sound[centre - size // 2 : centre + size // 2]
            # Not where a note begins, or the release of the one before is still heard.
            if not frequency or np.abs(time - edges).min() < 0.065:
                continue
            spectrum = np.abs(np.fft.rfft(frame * np.hanning(size), 1 << 14))
            bins = np.fft.rfftfreq(1 << 14, 1 / SAMPLE_RATE)
            found = bins[np.argmax(spectrum * (bins < 1600))]
            errors.append(abs(1200 * np.log2(found / frequency)))
        assert len(errors) > 200
        assert np.median(errors) < 12 and np.quantile(errors, 0.95) < 50, wanted


def test_chords_are_heard():
    """Binary templates on librosa's chroma find the triad of nearly all segments."""
    roots = ["C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"]
    names = [f"{root}:{quality}" for root in roots for quality in ("maj", "min")]
    steps = {"maj": [0, 4, 7], "min": [0, 3, 7]}
    templates = np.zeros((24, 12))
    for row, name in enumerate(names):
        root, quality = name.split(":")
        templates[row, (roots.index(root) + np.array(steps[quality])) % 12] = 1
    hits = []
    for index in range(16):
        score = compose(5, index)
        sound = render(alone(score, accompaniment=True))
        chroma = librosa.feature.chroma_stft(y=sound, sr=SAMPLE_RATE, n_fft=8192, hop_length=512)
        for start, end, label in score.chords:
            quality = label.split(":")[-1].split("/")[0]
            if quality not in steps or end - start < 0.8:
                continue
            frames = slice(*librosa.time_to_frames([start + 0.2, end - 0.2], sr=SAMPLE_RATE))
            best = names[np.argmax(templates @ chroma[:, frames].mean(axis=1))]
            hits.append(best == label.split("/")[0])
    assert len(hits) > 20 and np.mean(hits) > 0.9


def test_drums_are_heard_on_their_beats():
    """librosa finds an onset within 50 ms of every stroke, and the beats carry more energy."""
    score = first(lambda s: s.plan.style.name == "rock" and s.hits)
    sound = render(alone(score, drums=True))
    found = librosa.onset.onset_detect(y=sound, sr=SAMPLE_RATE, hop_length=128, units="time")
    times = np.array(sorted({hit.time for hit in score.hits}))
    distance = np.abs(times[:, None] - found[None]).min(axis=1)
    assert np.mean(distance < 0.05) > 0.9
    envelope = librosa.onset.onset_strength(y=sound, sr=SAMPLE_RATE, hop_length=128)
    at = librosa.time_to_frames(times, sr=SAMPLE_RATE, hop_length=128)
    near = np.max([envelope[at + shift] for shift in range(-2, 8)], axis=0)
    assert near.mean() > 5 * envelope.mean()


@pytest.mark.parametrize("name", DRUMS)
def test_strokes_start_at_once_and_die_away(name):
    stroke = drum(name, SAMPLE_RATE)
    assert np.abs(stroke).max() == pytest.approx(1.0)
    assert abs(stroke[-1]) < 1e-4
    assert np.argmax(np.abs(stroke)) < 0.01 * SAMPLE_RATE


def test_drums_differ_in_brightness():
    centroid = {}
    for name in DRUMS:
        power = np.abs(np.fft.rfft(drum(name, SAMPLE_RATE), SAMPLE_RATE)) ** 2
        centroid[name] = np.sum(np.arange(len(power)) * power) / power.sum()
    assert centroid["kick"] < 200 < 1500 < centroid["snare"] < 4000 < centroid["hat"]


def test_tremolo_is_heard_at_its_rate():
    note = Note(0.0, 2.0, 62, 100)
    sound = render_note(note, Part("organ", (note,), tremolo=7.0))
    power = librosa.feature.rms(y=sound, frame_length=512, hop_length=64)[0]
    spectrum = np.abs(np.fft.rfft(power - power.mean(), 1 << 14))
    rates = np.fft.rfftfreq(1 << 14, 64 / SAMPLE_RATE)
    band = rates > 2
    assert rates[band][np.argmax(spectrum[band])] == pytest.approx(7.0, abs=0.3)


def test_colour_changes_levels_and_moves_nothing():
    click = np.zeros(SAMPLE_RATE)
    click[5000] = 1.0
    np.testing.assert_allclose(colour(click, (0.0, 0.0, 0.0)), click, atol=1e-12)
    np.testing.assert_allclose(colour(click, (6.0, 6.0)), click * 10 ** (6 / 20), atol=1e-12)
    coloured = colour(click, (5.0, -5.0, 3.0, 0.0, 4.0))
    assert np.argmax(np.abs(coloured)) == 5000
    assert np.sum(coloured[4800:5200] ** 2) > 0.99 * np.sum(coloured**2)
    t = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    half_way = 700 * (np.sqrt(1 + SAMPLE_RATE / 2 / 700) - 1)
    tone = np.sin(2 * np.pi * half_way * t)
    middle = colour(tone, (0.0, -12.0, 0.0))[5000:15000]
    assert 20 * np.log10(np.std(middle) / np.std(tone)) == pytest.approx(-12.0, abs=0.1)
