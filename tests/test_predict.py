"""Prediction from the command line: formats, folders, long files, bad files."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from kmir import command, evaluate, predict, train
from kmir.features.log_mel import LogMel
from kmir.presets import from_preset


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
