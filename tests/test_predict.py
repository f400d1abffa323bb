"""Prediction from the command line: formats, folders, long files, bad files."""

from __future__ import annotations

import csv
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from kmir import command, evaluate, predict, train
from kmir.annotations import Annotations, Beats, Segments
from kmir.annotations.beats_file import read_beats
from kmir.annotations.chords import vocabulary
from kmir.annotations.lab import read_chords
from kmir.errors import UsageError
from kmir.features.beat_synchronous import BeatSynchronous
from kmir.features.log_mel import LogMel
from kmir.features.nnls_chroma import NNLSChroma
from kmir.presets import Preset, from_preset, save_preset
from kmir.synthesis import click
from pipelines.chords import Chords, ChordsConfig
from zoo import gru


@pytest.fixture(scope="module")
def preset(tiny_records: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folder of a dense baseline on clips of half a second."""
    return train.train(
        "zoo.dense_baseline",
        data=str(tiny_records),
        workdir=tmp_path_factory.mktemp("runs") / "dense",
        flags={"train.epochs": "2", "model.units": "8", "pipeline.clip_seconds": "0.5"},
        quiet=True,
    )


@pytest.fixture(scope="module")
def chord_preset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GRU that has learned nothing but how chords follow each other."""
    folder = tmp_path_factory.mktemp("presets") / "chords"
    feature = NNLSChroma()
    task = Chords(ChordsConfig(), vocabulary("majmin").labels)
    song = Segments(np.array([(0.0, 2.0), (2.0, 4.0)]), ("C:maj", "G:maj"))
    task.learn([Annotations(chords=song)], feature.frame_rate)
    config = gru.Config(units=(4,))
    model = gru.build_model(config, (None, 24), task.outputs())
    card = {"data": "none", "licence": "none", "score": "none", "command": "none"}
    golden = np.random.default_rng(0).random((30, 24)).astype(np.float32)
    preset = Preset("chords", model, feature, task, card)
    save_preset(folder, preset, model_name="zoo.gru", model_config=config, golden=golden)
    return folder


class Metronome(Chords):
    """Finds a beat every 0.2 s in bars of three, whatever is played; none in a single frame."""

    def decode(self, activations: object, times: np.ndarray) -> Annotations:
        found = np.arange(0.1, times[-1], 0.2)
        return Annotations(
            beats=Beats(found, np.arange(len(found)) % 3 + 1),
            tempo=300 if len(found) else None,
        )


@pytest.fixture
def beat_preset(chord_preset: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of a preset that reads beats."""
    chords = from_preset(chord_preset)
    made = replace(chords, name="metronome", task=Metronome(ChordsConfig(), chords.labels))
    monkeypatch.setattr(predict, "from_preset", {"metronome": made}.__getitem__)
    return "metronome"


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """A folder with two recordings below it, in two formats and rates."""
    root = tmp_path / "music"
    (root / "more").mkdir(parents=True)
    time = np.arange(22050) / 22050
    soundfile.write(root / "tone.wav", 0.5 * np.sin(2 * np.pi * 440 * time), 22050)
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (44100, 2))
    soundfile.write(root / "more" / "noise.mp3", noise, 44100)
    return root


def test_table_on_the_terminal(
    preset: Path, music: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.run(predict.main, [str(preset), str(music / "tone.wav"), "--top", "2"]) == 0
    title, *lines = capsys.readouterr().out.splitlines()
    assert title == str(music / "tone.wav")
    best = from_preset(preset).predict(music / "tone.wav").tags.top(2)
    assert [line.split()[:2] for line in lines] == [
        [tag, f"{score:.3f}"] for tag, score in zip(best.labels, best.scores, strict=True)
    ]


def test_a_file_each_below_out(preset: Path, music: Path, tmp_path: Path) -> None:
    out = tmp_path / "tags"
    for form in ("csv", "json"):
        argv = [str(preset), str(music), "--format", form, "--out", str(out)]
        assert command.run(predict.main, argv) == 0
    found = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.*"))
    assert found == ["more/noise.csv", "more/noise.json", "tone.csv", "tone.json"]
    with (out / "tone.csv").open() as file:
        rows = {row["tag"]: float(row["score"]) for row in csv.DictReader(file)}
    (entry,) = json.loads((out / "tone.json").read_text())
    assert entry["tags"] == rows
    assert list(rows.values()) == sorted(rows.values(), reverse=True)
    assert set(rows) == {"click", "loud", "noise", "tone"}


def test_names_that_would_clash_keep_their_suffix(
    preset: Path, music: Path, tmp_path: Path
) -> None:
    soundfile.write(music / "tone.flac", np.full(8000, 0.1), 8000)
    out = tmp_path / "tags"
    assert command.run(predict.main, [str(preset), str(music), "--out", str(out)]) == 0
    found = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.txt"))
    assert found == ["more/noise.txt", "tone.flac.txt", "tone.wav.txt"]


def test_two_sources_with_a_file_of_one_name(preset: Path, music: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "tone.wav", np.full(8000, 0.1), 8000)
    out = tmp_path / "tags"
    argv = [str(preset), str(tmp_path / "tone.wav"), str(music), "--out", str(out)]
    assert command.run(predict.main, argv) == 0
    found = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.txt"))
    assert found == ["more/noise.txt", "music/tone.txt", f"{tmp_path.name}/tone.txt"]


def test_bad_files_among_good_ones(
    preset: Path, music: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (music / "broken.mp3").write_bytes(bytes(range(256)) * 20)
    soundfile.write(music / "empty.wav", np.zeros(0), 8000)
    soundfile.write(music / "holes.wav", np.full(800, np.nan), 8000, subtype="FLOAT")
    soundfile.write(music / "silent.wav", np.zeros(8000), 8000)
    assert command.run(predict.main, [str(preset), str(music), "--format", "csv"]) == 1
    told = capsys.readouterr()
    done = {Path(row["file"]).name for row in csv.DictReader(io.StringIO(told.out))}
    assert done == {"tone.wav", "noise.mp3"}
    lines = told.err.strip().splitlines()
    names = ["broken.mp3", "empty.wav", "holes.wav", "silent.wav"]
    for line, name in zip(lines, names, strict=True):
        assert line.startswith("kmir: error: Expected ")
        assert name in line


@pytest.mark.parametrize(
    ("argv", "code", "line"),
    [
        (["crnn_tager_msd", "{music}"], 1, "Did you mean 'crnn_tagger_msd'?"),
        (["{music}", "{music}"], 1, "The folder holds no finished preset"),
        (["{preset}", "no/such.mp3"], 2, "no/such.mp3, no such file"),
        (["{preset}", "{empty}"], 2, "which has none"),
    ],
)
def test_wrong_usage_is_one_line(
    preset: Path,
    music: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    argv: list[str],
    code: int,
    line: str,
) -> None:
    (tmp_path / "empty").mkdir()
    places = {"music": music, "preset": preset, "empty": tmp_path / "empty"}
    assert command.run(predict.main, [word.format(**places) for word in argv]) == code
    told = capsys.readouterr().err.strip()
    assert line in told
    assert len(told.splitlines()) == 1


def test_long_recordings_are_read_in_blocks(preset: Path, tmp_path: Path) -> None:
    # 90 s are three blocks of the reader; the array goes through as one.
    samples = np.random.default_rng(1).uniform(-0.5, 0.5, 90 * 8000).astype(np.float32)
    samples[: 45 * 8000] *= np.sin(np.arange(45 * 8000) / 3).astype(np.float32)
    soundfile.write(tmp_path / "long.wav", samples, 8000, subtype="FLOAT")
    model = from_preset(preset)
    blocks, whole = model.predict(tmp_path / "long.wav"), model.predict(samples, 8000)
    assert blocks.tags.labels == whole.tags.labels
    np.testing.assert_allclose(blocks.tags.scores, whole.tags.scores, atol=1e-6)


# === Chords ===


def predicted_chords(preset: Path, path: Path) -> Segments:
    found = from_preset(preset).predict(path).chords
    assert found is not None
    return found


def test_chords_on_the_terminal(
    chord_preset: Path, music: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = music / "tone.wav"
    chords = predicted_chords(chord_preset, path)
    rows = list(zip(chords.intervals.tolist(), chords.labels, strict=True))
    assert chords.intervals[0, 0] == 0
    assert chords.intervals[-1, 1] == pytest.approx(1, abs=2048 / 44100)
    assert command.run(predict.main, [str(chord_preset), str(path)]) == 0
    title, *lines = capsys.readouterr().out.splitlines()
    assert title == str(path)
    assert lines == [f"  {start:.2f}  {end:.2f}  {label}" for (start, end), label in rows]
    assert command.run(predict.main, [str(chord_preset), str(path), "--format", "lab"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{start:.6f}\t{end:.6f}\t{label}" for (start, end), label in rows
    ]
    assert command.run(predict.main, [str(chord_preset), str(path), "--format", "json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert [row["chord"] for row in entry["chords"]] == list(chords.labels)


def test_a_lab_file_each_below_out(chord_preset: Path, music: Path, tmp_path: Path) -> None:
    out = tmp_path / "chords"
    argv = [str(chord_preset), str(music), "--format", "lab", "--out", str(out)]
    assert command.run(predict.main, argv) == 0
    found = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.*"))
    assert found == ["more/noise.lab", "tone.lab"]
    problems: list[str] = []
    back = read_chords(out / "more" / "noise.lab", problems, "noise.lab")
    assert back is not None
    assert back.labels == predicted_chords(chord_preset, music / "more" / "noise.mp3").labels


def test_jams_tell_the_length_of_the_audio(
    preset: Path, chord_preset: Path, music: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("jams")
    for reader, namespace in ((chord_preset, "chord"), (preset, "tag_open")):
        argv = [str(reader), str(music / "tone.wav"), "--format", "jams"]
        assert command.run(predict.main, argv) == 0
        jam = json.loads(capsys.readouterr().out)
        assert (jam["file_metadata"]["title"], jam["file_metadata"]["duration"]) == ("tone", 1.0)
        assert [annotation["namespace"] for annotation in jam["annotations"]] == [namespace]


@pytest.mark.parametrize(
    ("who", "more", "line"),
    [
        (
            "preset",
            ["--format", "lab"],
            "Expected --format as one of table, csv, json, jams for the tags that {who} reads. "
            "Received: lab.",
        ),
        (
            "chords",
            ["--top", "3"],
            "Expected --top with a preset that reads tags. Received: {who}, which reads chords. "
            "Leave it out.",
        ),
        (
            "chords",
            ["--format", "lab"],
            "Expected --out FOLDER, for lab holds one recording a file. Received: none, for 2 "
            "recordings.",
        ),
        (
            "chords",
            ["--format", "jams"],
            "Expected --out FOLDER, for jams holds one recording a file. Received: none, for 2 "
            "recordings.",
        ),
    ],
)
def test_a_format_that_does_not_fit_is_refused_before_audio_is_read(
    preset: Path,
    chord_preset: Path,
    music: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    who: str,
    more: list[str],
    line: str,
) -> None:
    def no(*args: object) -> None:
        raise AssertionError("audio was read")

    monkeypatch.setattr(Preset, "parts", no)
    reader = {"preset": preset, "chords": chord_preset}[who]
    assert command.run(predict.main, [str(reader), str(music), *more]) == 2
    assert capsys.readouterr() == ("", f"kmir: error: {line.format(who=reader)}\n")


def test_what_a_preset_reads_is_known_beforehand(preset: Path, chord_preset: Path) -> None:
    tags, chords = from_preset(preset), from_preset(chord_preset)
    assert (predict.reads(tags), predict.reads(chords)) == ("tags", "chords")

    class Tempo(Chords):
        def decode(self, activations: object, times: np.ndarray) -> Annotations:
            return Annotations(tempo=120)

    beats = replace(chords, task=Metronome(ChordsConfig(), chords.labels))
    assert predict.reads(beats) == "beats"
    odd = replace(chords, task=Tempo(ChordsConfig(), chords.labels))
    with pytest.raises(UsageError, match=r"reads tags or chords or beats. .*, which reads tempo\."):
        predict.reads(odd)
    bars = Preset("bars", model=None, feature=BeatSynchronous(), task=None, card={})
    with pytest.raises(UsageError, match=r"^Expected a preset that reads audio\. Received: bars,"):
        predict.reads(bars)


def test_bad_files_and_the_shortest_for_chords(
    chord_preset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "songs"
    root.mkdir()
    (root / "a_text.mp3").write_text("The lyrics of a song.\n" * 50)
    soundfile.write(root / "b_none.wav", np.zeros(0), 44100)
    soundfile.write(root / "c_silent.wav", np.zeros(44100), 44100)
    short = 0.5 * np.sin(2 * np.pi * 440 * np.arange(2205) / 44100)
    soundfile.write(root / "d_short.wav", short, 44100)
    soundfile.write(root / "e_click.wav", np.full(1, 0.5), 44100)
    assert command.run(predict.main, [str(chord_preset), str(root), "--format", "csv"]) == 1
    told = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(told.out)))
    assert {Path(row["file"]).name for row in rows} == {"d_short.wav"}  # a click is no chord
    short_rows = [row for row in rows if row["file"].endswith("d_short.wav")]
    assert float(short_rows[0]["start"]) == 0
    assert 0.05 <= float(short_rows[-1]["end"]) < 0.1  # up to half a frame beyond the audio
    lines = told.err.splitlines()
    for line, name in zip(lines, ["a_text.mp3", "b_none.wav", "c_silent.wav"], strict=True):
        assert line.startswith("kmir: error: Expected ")
        assert name in line
    # Alone, the same; and nothing is written where nothing was read.
    alone = [str(chord_preset), str(root / "c_silent.wav"), "--format", "lab"]
    assert command.run(predict.main, alone) == 1
    assert capsys.readouterr() == ("", f"{lines[2]}\n")
    assert command.run(predict.main, [str(chord_preset), str(root / "none.mp3")]) == 2
    assert capsys.readouterr().err == (
        "kmir: error: Expected an audio file or folder. "
        f"Received: {root / 'none.mp3'}, no such file.\n"
    )


# === Beats ===


def test_beats_on_the_terminal(
    beat_preset: str, music: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = music / "tone.wav"
    assert command.run(predict.main, [beat_preset, str(path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        str(path),
        "  300.0 BPM",
        "  0.10  1.1",
        "  0.30  1.2",
        "  0.50  1.3",
        "  0.70  2.1",
        "  0.90  2.2",
    ]
    told = {}
    for form in ("beats", "csv", "json", "labels"):
        assert command.run(predict.main, [beat_preset, str(path), "--format", form]) == 0
        told[form] = capsys.readouterr().out
    assert told["beats"].splitlines()[3] == "0.700\t1"
    assert told["csv"].splitlines()[4] == f"{path},0.700,1"
    assert told["labels"].splitlines()[3] == "0.700000\t0.700000\t1"
    (entry,) = json.loads(told["json"])
    assert (entry["tempo"], entry["beats"][3]) == (300, {"time": 0.7, "position": 1})


def test_files_of_beats_below_out(beat_preset: str, music: Path, tmp_path: Path) -> None:
    out = tmp_path / "beats"
    for form in ("beats", "labels"):
        argv = [beat_preset, str(music), "--format", form, "--out", str(out)]
        assert command.run(predict.main, argv) == 0
    found = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.*"))
    assert found == ["more/noise.beats", "more/noise.txt", "tone.beats", "tone.txt"]
    problems: list[str] = []
    beats = read_beats(out / "tone.beats", problems, "tone.beats")
    assert beats is not None
    np.testing.assert_allclose(beats.times, [0.1, 0.3, 0.5, 0.7, 0.9])
    assert beats.positions.tolist() == [1, 2, 3, 1, 2]


def test_audio_with_clicks(
    beat_preset: str, music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = np.arange(8 * 8000) / 8000
    loud = np.stack([np.sin(2 * np.pi * 440 * time), np.zeros(len(time))], axis=1)
    soundfile.write(music / "loud.wav", loud, 8000, subtype="PCM_24")
    soundfile.write(music / "loud.flac", loud[:4000], 8000)
    monkeypatch.setattr(click, "BLOCK_SECONDS", 1)
    out = tmp_path / "beats"
    argv = [beat_preset, str(music), "--format", "csv", "--out", str(out), "--click"]
    assert command.run(predict.main, argv) == 0
    found = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.wav"))
    assert found == [
        "loud.flac_click.wav",
        "loud.wav_click.wav",
        "more/noise_click.wav",
        "tone_click.wav",
    ]
    mix, rate = soundfile.read(out / "loud.wav_click.wav")
    assert (rate, mix.shape) == (8000, loud.shape)
    assert np.abs(mix).max() < 1
    # The right channel was silent: clicks are heard from 0.1 s on, 0.2 s apart.
    onsets = [0.1 + 0.2 * k for k in range(39)]
    heard = np.abs(mix[:, 1]) > 1e-3
    for onset in onsets:
        first = round(onset * rate)
        assert not heard[first - 400 : first].any()
        assert heard[first : first + 40].any()
    downbeat, beat = (np.abs(np.fft.rfft(mix[a : a + 800, 1])).argmax() for a in (800, 2400))
    assert (downbeat, beat) == (200, 100)  # 10 Hz a bin
    np.testing.assert_allclose(mix[:800], 0.6 * loud[:800], atol=1e-4)
    mix, rate = soundfile.read(out / "more" / "noise_click.wav")
    assert (rate, mix.shape[1]) == (44100, 2)


def test_clicks_that_cannot_be_written_stop_no_other_file(
    beat_preset: str, music: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "beats"
    (out / "tone_click.wav").mkdir(parents=True)
    assert command.run(predict.main, [beat_preset, str(music), "--out", str(out), "--click"]) == 1
    told = capsys.readouterr().err
    assert told.count("kmir: error: ") == 1
    assert f"kmir: error: Expected to write audio with clicks. Received: {out}/tone_click" in told
    assert (out / "tone.txt").read_text()
    assert soundfile.info(out / "more" / "noise_click.wav").channels == 2


@pytest.mark.parametrize(
    ("who", "more", "line"),
    [
        (
            "metronome",
            ["--click"],
            "Expected --out FOLDER with --click, for the audio. Received: none.",
        ),
        (
            "metronome",
            ["--click", "--out", "{music}"],
            "Expected recordings that --click does not overwrite. Received: "
            "{music}/tone_click.wav. Choose another folder for --out, or remove it.",
        ),
        (
            "metronome",
            ["--format", "labels"],
            "Expected --out FOLDER, for labels holds one recording a file. Received: none, for 3 "
            "recordings.",
        ),
        (
            "metronome",
            ["--format", "lab"],
            "Expected --format as one of table, csv, json, beats, jams, labels for the beats that "
            "metronome reads. Received: lab.",
        ),
    ],
)
def test_what_beats_are_not_asked_for(
    beat_preset: str,
    music: Path,
    capsys: pytest.CaptureFixture[str],
    who: str,
    more: list[str],
    line: str,
) -> None:
    shutil.copy(music / "tone.wav", music / "tone_click.wav")
    words = [word.format(music=music) for word in more]
    assert command.run(predict.main, [who, str(music), *words]) == 2
    assert capsys.readouterr() == ("", f"kmir: error: {line.format(music=music)}\n")


def test_clicks_are_for_beats(
    chord_preset: Path, music: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [str(chord_preset), str(music), "--click", "--out", str(tmp_path / "out")]
    assert command.run(predict.main, argv) == 2
    assert capsys.readouterr().err == (
        f"kmir: error: Expected --click with a preset that reads beats. Received: {chord_preset}, "
        "which reads chords. Leave it out.\n"
    )
    assert not (tmp_path / "out").exists()


def test_the_list_of_presets(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(predict.main, ["--list"]) == 0
    assert "crnn_tagger_msd\n  tagging, Million Song Dataset" in capsys.readouterr().out


def test_evaluating_a_preset(
    preset: Path, tiny_records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "all.csv"
    argv = [str(preset), "--data", str(tiny_records), "--split", "all", "--out", str(out)]
    assert command.run(evaluate.main, argv) == 0
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["track"] for row in rows[-1:]] == ["mean"]
    assert len(rows) == 12 + 1
    told = capsys.readouterr().out
    assert f"roc_auc {float(rows[-1]['roc_auc']):20.3f}" in told
    argv[4] = "tset"
    assert command.run(evaluate.main, argv) == 1
    assert "Did you mean 'test'?" in capsys.readouterr().err


def test_labels_that_the_preset_does_not_know(
    preset: Path, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from kmir.extract import extract

    feature = from_preset(preset).feature
    table = (tiny_folder / "tags.csv").read_text()
    odd = "".join(f"tone/{i}.wav,odd\n" for i in range(4))
    for name, text, code, line in (
        ("some", table.replace("loud", "soft"), 0, "left out of the scores: soft"),
        ("none", f"file,tags\n{odd}", 1, "Received: odd"),
    ):
        root = tmp_path / name
        shutil.copytree(tiny_folder, root)
        (root / "tags.csv").write_text(text)
        extract("folder", root, tmp_path / f"{name} records", feature, workers=1, quiet=True)
        argv = [str(preset), "--data", str(tmp_path / f"{name} records")]
        assert command.run(evaluate.main, [*argv, "--out", str(tmp_path / "s.csv")]) == code
        assert line in capsys.readouterr().err


def test_records_of_another_feature_are_refused(
    preset: Path, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from kmir.extract import extract

    other = LogMel(sample_rate=8000, n_fft=256, hop_length=128, n_mels=16)
    extract("folder", tiny_folder, tmp_path / "other", other, workers=1, quiet=True)
    assert command.run(evaluate.main, [str(preset), "--data", str(tmp_path / "other")]) == 1
    told = capsys.readouterr().err
    assert "n_mels=32. Received: n_mels=16" in told
    assert len(told.strip().splitlines()) == 1
