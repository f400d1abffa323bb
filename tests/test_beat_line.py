"""The whole line for beats: from clicks with ``.beats`` files to a model and its answers."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile

from kmir import command, evaluate, extract, predict, train
from kmir.annotations.beats_file import read_beats
from kmir.presets import Preset, from_preset

RATE, SECONDS = 22050, 10.0
FIRST = (0.31, 0.12, 0.45, 0.2, 0.38, 0.27)


def clicks(number: int) -> tuple[np.ndarray, np.ndarray]:
    """A click on every beat of a bar of four, the first one lower and longer; and their times."""
    times = np.arange(FIRST[number], SECONDS - 0.2, 60 / (100 + 8 * number))
    samples = np.zeros(int(SECONDS * RATE))
    t = np.arange(RATE // 20) / RATE
    for beat, time in enumerate(times):
        pitch, decay = (300, 0.02) if beat % 4 == 0 else (1500, 0.005)
        start = round(time * RATE)
        samples[start : start + len(t)] += 0.5 * np.sin(2 * np.pi * pitch * t) * np.exp(-t / decay)
    return samples, times


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six recordings with their beats beside them, no table."""
    root = tmp_path_factory.mktemp("music")
    for number in range(6):
        samples, times = clicks(number)
        soundfile.write(root / f"{number}.wav", samples, RATE)
        lines = [f"{time:.3f}\t{beat % 4 + 1}\n" for beat, time in enumerate(times)]
        (root / f"{number}.beats").write_text("".join(lines))
    return root


@pytest.fixture(scope="module")
def run(music: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small causal model, trained until it hears clicks."""
    folder = tmp_path_factory.mktemp("line")
    flags = [
        "--config.train.epochs=6", "--config.train.steps_per_epoch=20",
        "--config.train.batch_size=4", "--config.train.learning_rate=0.02",
        "--config.pipeline.clip_seconds=4", "--config.pipeline.hop_seconds=2",
        "--config.pipeline.freq_masks=0", "--config.model.units=16", "--config.model.front=16",
        "--config.model.dropout=0",
    ]  # fmt: skip
    extracting = ["folder", "--root", str(music), "--out", str(folder / "records"), "--quiet"]
    assert extract.main([*extracting, "--feature", "log_frequency", "--workers", "1"]) == 0
    training = ["zoo.beat_gru", "--data", str(folder / "records"), "--workdir", str(folder / "run")]
    assert train.main([*training, "--quiet", *flags]) == 0
    return folder / "run"


@pytest.fixture(scope="module")
def preset(run: Path) -> Preset:
    return from_preset(run)


def test_it_hears_the_clicks(run: Path, preset: Preset, music: Path) -> None:
    found = preset.predict(music / "4.wav").beats
    _, times = clicks(4)
    assert found is not None
    nearest = np.abs(found.times[:, None] - times).min(axis=1)
    assert len(found.times) == pytest.approx(len(times), abs=2)
    assert np.median(nearest) < 0.03
    with (run / "scores.csv").open() as file:
        mean = list(csv.DictReader(file))[-1]
    assert float(mean["f_measure"]) > 0.8
    assert (run / "scores_timeline.png").exists()


def test_evaluate_with_another_decoder(run: Path, tmp_path: Path) -> None:
    records, out = str(run.parent / "records"), tmp_path / "scores.csv"
    common = [str(run), "--data", records, "--split", "all", "--out", str(out), "--quiet"]
    assert evaluate.main([*common, "--task.decoder=peaks"]) == 0
    with out.open() as file:
        assert len(list(csv.DictReader(file))) == 6 + 1
    with (tmp_path / "scores_per_label.csv").open() as file:
        assert [row["tempo"] for row in csv.DictReader(file)] == ["80–110 bpm", "110–140 bpm"]


def test_live_is_as_from_the_file(preset: Preset, music: Path) -> None:
    samples, _ = clicks(2)
    whole = preset.activations(samples, RATE)
    stream, parts = preset.stream(), []
    rng = np.random.default_rng(0)
    borders = np.sort(rng.integers(0, len(samples), 40))
    for block in np.split(samples.astype(np.float32), borders):
        parts.append(stream.feed(block))
    parts.append(stream.finish())
    for name, values in whole.items():
        live = np.concatenate([part[name] for part in parts])
        assert live.shape == values.shape
        np.testing.assert_allclose(live, values, atol=1e-4)


def test_beats_and_clicks_are_written(
    run: Path, music: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = [str(run), str(music / "3.wav"), "--format", "beats"]
    assert predict.main([*args, "--out", str(tmp_path), "--click", "--quiet"]) == 0
    problems: list[str] = []
    written = read_beats(tmp_path / "3.beats", problems, "3.beats")
    assert not problems
    assert written is not None
    assert len(written.times) > 10
    with_clicks, rate = soundfile.read(tmp_path / "3_click.wav")
    assert rate == RATE
    assert len(with_clicks) == SECONDS * RATE
    capsys.readouterr()
    assert predict.main([*args, "--quiet"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [float(line.split("\t")[0]) for line in lines] == written.times.tolist()


@pytest.mark.parametrize("seconds", [0.001, 0.5, 70.0])
def test_silence_and_recordings_of_any_length_have_an_answer(
    run: Path, preset: Preset, tmp_path: Path, seconds: float
) -> None:
    silence = tmp_path / "silence.wav"
    soundfile.write(silence, np.zeros(max(1, round(seconds * RATE))), RATE)
    found = preset.predict(silence)
    assert found.beats is not None
    assert len(found.beats.times) == 0
    assert found.tempo is None
    out = tmp_path / "out"
    args = [str(run), str(silence), "--format", "beats", "--click", "--out", str(out), "--quiet"]
    assert predict.main(args) == 0
    assert (out / "silence.beats").read_text() == ""
    sound, _ = soundfile.read(out / "silence_click.wav")
    assert not sound.any()


def test_what_a_model_sees_is_told(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = {"train.epochs": "1", "train.steps_per_epoch": "1", "train.batch_size": "1",
             "pipeline.clip_seconds": "2", "pipeline.hop_seconds": "2", "model.filters": "4",
             "model.layers": "2"}  # fmt: skip
    records = str(run.parent / "records")
    train.train("zoo.beat_tcn", data=records, workdir=tmp_path, flags=flags)
    # Two small convolutions of 3 frames, and 4 · (2 + 4) beyond its own.
    assert "receptive field: 29 frames, 0.6 s" in capsys.readouterr().out


def test_faulty_beats_are_told_all_at_once(
    music: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        (tmp_path / f"{number}.wav").write_bytes((music / f"{number}.wav").read_bytes())
    (tmp_path / "0.beats").write_text("0.5\t1\nhalf past\t2\n1.5\t3\n2.0\t2\n")
    (tmp_path / "1.beats").write_text("0.5\n0.5\n0.4\n")
    (tmp_path / "2.beats").write_text((music / "2.beats").read_text())
    args = ["folder", "--root", str(tmp_path), "--out", str(tmp_path / "records"), "--quiet"]
    code = command.run(extract.main, [*args, "--feature", "log_frequency"])
    assert code == 1
    told = capfd.readouterr().err
    for place in ("0.beats:2", "0.beats:4", "1.beats:2", "1.beats:3"):
        assert place in told
    assert not (tmp_path / "records").exists()
