"""A study: data dealt anew, runs, what goes on, the table and what it flags."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kmir import command
from kmir import study as kmir_study
from kmir.annotations import Annotations, Beats, Segments
from kmir.config import override
from kmir.datasets import Track
from kmir.errors import DatasetError, UsageError
from kmir.features.nnls_chroma import NNLSChroma
from kmir.nn import Output
from kmir.records.read import Records
from kmir.records.write import write_records
from kmir.run import RunConfig, TrainConfig, prepare
from kmir.studies.data import deal, derive, known_classes, on_beats, task_of
from kmir.studies.table import converged, flags, row, stalled
from kmir.studies.trial import Trial, restreamed, run_trial
from kmir.train import fit
from pipelines.chords import ChordsConfig
from zoo import bilstm
from zoo.studies import Experiment
from zoo.studies.gct634_chords import FRAME, STUDY

RATE = NNLSChroma().frame_rate
SONGS, FRAMES = 10, 330
CHORDS = ("C:maj", "A:min", "F:maj", "G:maj")
SMALL = """
import dataclasses
from zoo.studies.gct634_chords import FRAME, STUDY as FULL

def small(name, **flags):
    experiment = FULL.experiments[name]
    more = {key.replace("__", "."): value for key, value in flags.items()}
    settings = dict(experiment.flags) | {"train.epochs": "2", "train.batch_size": "4"} | more
    return dataclasses.replace(experiment, flags=settings, quick={"train.epochs": "1"})

STUDY = dataclasses.replace(FULL, quick_songs=6, experiments={
    "a": small("a", model__units="4", train__learning_rate="1e-2"),
    "c": small("c", model__units="4", pipeline__hop_seconds=str(40 * FRAME)),
    "f": small("f", model__units="4", pipeline__hop_seconds=str(128 * FRAME)),
})
"""


def song(number: int) -> Track:
    """Four chords in turn, 2 s each, as noisy chroma; a beat each half second from 0.4 s on."""
    random = np.random.default_rng(number)
    starts = np.arange(0, FRAMES / RATE, 2.0)
    labels = tuple(CHORDS[(number + i) % 4] for i in range(len(starts)))
    at = (np.arange(FRAMES) / RATE // 2).astype(int)
    triads = {"C": (0, 4, 7), "A": (9, 0, 4), "F": (5, 9, 0), "G": (7, 11, 2)}
    chroma = 0.1 * random.random((FRAMES, 24))
    for frame, chord in enumerate(at):
        for pitch in triads[labels[chord][0]]:
            chroma[frame, [(pitch - 9) % 12, 12 + (pitch - 9) % 12]] += 1
    annotations = Annotations(
        chords=Segments(np.stack([starts, starts + 2], axis=1), labels),
        beats=Beats(np.arange(0.4, FRAMES / RATE, 0.5)),
    )
    return Track(f"{number:02d}", annotations, features=partial(np.asarray, chroma))


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of ten songs."""
    out = tmp_path_factory.mktemp("songs") / "records"
    tracks = [song(number) for number in range(SONGS)]
    write_records(out, tracks, NNLSChroma(), dataset="songs", quiet=True)
    return out


@pytest.fixture(scope="module")
def small_study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A study module of one's own."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_studies").mkdir()
    (folder / "own_studies" / "__init__.py").write_text("")
    (folder / "own_studies" / "small.py").write_text(SMALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield "own_studies.small"
    for name in [name for name in sys.modules if name.startswith("own_studies")]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def finished(songs: Path, small_study: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of a, c and f with two seeds of a."""
    workdir = tmp_path_factory.mktemp("studies") / "small"
    settings: dict[str, Any] = {"data": str(songs), "workdir": workdir, "quiet": True}
    kmir_study.study(small_study, only=["a"], seeds=2, **settings)
    return kmir_study.study(small_study, only=["c", "f"], seeds=1, **settings)


# === Data ===


def test_songs_are_dealt_by_sorted_name_train_test_validation() -> None:
    splits = deal([f"{n:02d}" for n in reversed(range(10))], STUDY.shares)
    assert [splits[f"{n:02d}"] for n in range(10)] == (
        ["train"] * 6 + ["test"] * 2 + ["validation"] * 2
    )
    counts = list(deal([str(n) for n in range(545)], STUDY.shares).values())
    assert [counts.count(s) for s in ("train", "test", "validation")] == [327, 109, 109]
    with pytest.raises(DatasetError, match="Received: 2 with chords"):
        deal(["a", "b"], STUDY.shares)


def test_a_song_on_its_beat_clock(songs: Path) -> None:
    records = Records.open(songs)
    task = task_of(STUDY, records)
    name, frames, annotations = next(records.tracks())
    _, means, clocked = on_beats((name, frames, annotations), records.feature, task)
    assert annotations.beats is not None and clocked.chords is not None
    count = len(annotations.beats.times)
    assert means.shape == (count, 24)
    np.testing.assert_array_equal(clocked.chords.intervals[:, 0], np.arange(count))
    # Beats at 0.4, 0.9, 1.4, 1.9: the last of them sounds from 1.9 to 2.4, mostly the next chord.
    first, second = (CHORDS[(int(name) + i) % 4] for i in range(2))
    assert clocked.chords.labels[:4] == (first, first, first, second)
    classes = known_classes(task, clocked, np.arange(count, dtype=float))
    assert [task.labels[c] for c in classes] == list(clocked.chords.labels)


def test_frames_and_beats_hold_the_same_songs_in_the_same_splits(finished: Path) -> None:
    frames, beats = (Records.open(finished / "records" / part) for part in ("frames", "beats"))
    for split, count in (("train", 6), ("validation", 2), ("test", 2)):
        ids = [sorted(n for n, _, _ in records.tracks(split)) for records in (frames, beats)]
        assert ids[0] == ids[1]
        assert len(ids[0]) == count
    assert beats.feature.frame_rate == 1.0


def test_songs_without_beats_are_left_out_of_all(songs: Path, tmp_path: Path) -> None:
    tracks = [song(number) for number in range(SONGS)]
    silent = [Track("zz", Annotations(chords=tracks[0].annotations.chords), features=t.features)
              for t in tracks[:1]]  # fmt: skip
    write_records(tmp_path / "in", tracks + silent, NNLSChroma(), dataset="songs", quiet=True)
    derive(STUDY, str(tmp_path / "in"), None, tmp_path / "out", quiet=True)
    assert "zz" not in [n for n, _, _ in Records.open(tmp_path / "out" / "frames").tracks()]


# === Runs ===


def test_context_is_read_and_not_judged_and_thins_no_loss(songs: Path, small_study: str) -> None:
    """One of 16 frames is judged, and the loss is that of this frame."""
    flags = dict(STUDY.experiments["c"].flags) | {"model.units": "4", "train.batch_size": "8"}
    run = prepare("zoo.bilstm", data=str(songs), root=None, flags=flags, quiet=True)
    run, validation = restreamed(run)
    x, y, weights = next(iter(validation.windows()))
    assert x["features"].shape[1:] == (16, 24)
    np.testing.assert_array_equal(weights["chord"][1], [0] * 15 + [16])
    np.testing.assert_array_equal(x["features"][0, :15], np.zeros((15, 24)))  # before the song
    value = run.model.evaluate(x["features"], y["chord"], sample_weight=weights["chord"], verbose=0)
    last = run.model.predict(x["features"], verbose=0)[:, -1]
    expected = -np.log((last * y["chord"].numpy()[:, -1]).sum(axis=1)).mean()
    assert value[0] == pytest.approx(expected, rel=1e-4)
    splits = run.records.manifest.splits["validation"]
    assert validation.clips == splits.tracks * -(-FRAMES // 32)


def test_what_c_trains_on_is_what_it_reads_songs_with() -> None:
    """The last output over a clip of 16 frames is the window model's for its last frame."""
    outputs = {"chord": Output(25, "softmax", "frame")}
    experiment = STUDY.experiments["c"]
    small = bilstm.Config(units=(8,), dropout=0.0, normalise=False)
    trained = bilstm.build_model(small, (None, 24), outputs)
    reads = bilstm.build_model(override(small, experiment.reading, "reading"), (None, 24), outputs)
    reads.set_weights(trained.get_weights())
    song = np.random.default_rng(0).random((1, 40, 24)).astype(np.float32)
    padded = np.pad(song, [(0, 0), (15, 0), (0, 0)])
    clips = np.stack([padded[0, i : i + 16] for i in range(40)])
    expected = trained.predict(clips, verbose=0)[:, -1]
    np.testing.assert_allclose(reads.predict(song, verbose=0)[0], expected, atol=1e-6)


def test_a_run_keeps_its_story(finished: Path, small_study: str) -> None:
    for seed in (0, 1):
        result = Trial(small_study, "a", seed, finished).result
        assert result is not None
        assert result["epochs"] == 2
        assert result["test_batches"] == -(-2 * 30 // 4)  # two songs of 30 beats
        assert 0 < result["validation"] <= 1
        folder = finished / "a" / f"seed-{seed}"
        assert (folder / "log.csv").exists() and (folder / "curves.png").exists()
        config = json.loads((folder / "config.json").read_text())
        assert config["config"]["train"]["seed"] == seed
        assert len(np.load(folder / "song.npy")) == FRAMES


def test_the_same_command_repeats_nothing(
    finished: Path, songs: Path, small_study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {p: p.stat().st_mtime_ns for p in finished.rglob("result.json")}
    monkeypatch.setattr("kmir.studies.trial.fit", None)  # would fail if it were called
    (finished / "table.md").unlink()
    settings: dict[str, Any] = {"data": str(songs), "workdir": finished, "quiet": True}
    kmir_study.study(small_study, only=["a"], seeds=2, **settings)
    assert {p: p.stat().st_mtime_ns for p in finished.rglob("result.json")} == before
    assert (finished / "table.md").exists()
    with pytest.raises(UsageError, match=r"where quick = False\. Received: True"):
        kmir_study.study(small_study, only=["a"], quick=True, **settings)


def test_an_interrupted_trial_goes_on_and_ends_the_same(
    finished: Path, small_study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "records").symlink_to(finished / "records")
    trial = Trial(small_study, "f", 0, tmp_path)

    def after_one_epoch(run: Any, *args: Any, **kwargs: Any) -> Any:
        short = TrainConfig(**(vars(run.config.train) | {"epochs": 1}))
        config = RunConfig(run.config.model, run.config.pipeline, short)
        object.__setattr__(run, "config", config)
        fit(run, *args, **kwargs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("kmir.studies.trial.fit", after_one_epoch)
        run_trial(trial, quiet=True)
    assert trial.result is None
    run_trial(trial, quiet=True)
    whole = Trial(small_study, "f", 0, finished).result
    assert trial.result is not None and whole is not None
    timeless = [{k: v for k, v in r.items() if k != "seconds"} for r in (trial.result, whole)]
    assert timeless[0] == timeless[1]


def test_many_steps_an_execution_change_nothing(songs: Path, tmp_path: Path) -> None:
    """The same batches in the same order, whether Python sees each of them or not."""
    losses = []
    for together in ("1", "3"):
        flags = dict(STUDY.experiments["f"].flags) | {
            "model.units": "4",
            "train.epochs": "2",
            "train.batch_size": "4",
            "train.steps_per_epoch": "6",
            "train.steps_per_execution": together,
        }
        run = prepare("zoo.bilstm", data=str(songs), root=None, flags=flags, quiet=True)
        assert run.steps == 6
        fit(run, tmp_path / together, title="", quiet=True)
        with (tmp_path / together / "log.csv").open() as file:
            losses.append([float(line["val_loss"]) for line in csv.DictReader(file)])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_epochs_are_whole_executions(songs: Path) -> None:
    flags = {"train.steps_per_epoch": "7", "train.steps_per_execution": "3"}
    run = prepare("zoo.bilstm", data=str(songs), root=None, flags=flags, quiet=True)
    assert run.steps == 9
    flags = {"train.steps_per_epoch": "2", "train.steps_per_execution": "50"}
    run = prepare("zoo.bilstm", data=str(songs), root=None, flags=flags, quiet=True)
    assert run.steps == 2
    with pytest.raises(UsageError, match=r"steps_per_execution of 1 or more\. Received: 0"):
        TrainConfig(steps_per_execution=0)


# === Table ===

RESULT = {
    "validation": 0.5,
    "test": 0.45,
    "most_frequent": 0.15,
    "best_epoch": 20,
    "epochs": 24,
    "stop": "learning rate 4.0e-05 would fall below its floor 1.0e-05",
    "seconds": 90.0,
    "parameters": 6073,
    "train_batches": 834,
    "validation_batches": 323,
    "test_batches": 284,
}


def test_flags_and_convergence() -> None:
    assert (flags(RESULT), converged(RESULT)) == ([], "yes")
    assert converged(RESULT | {"stop": ""}) == "not yet"
    assert flags(RESULT | {"test": 0.51}) == ["test above validation"]
    hardly = RESULT | {"validation": 0.19, "test": 0.18}
    assert stalled(hardly) and converged(hardly) == "no"
    assert flags(hardly) == ["stalls on a plateau"]
    assert flags(RESULT | {"best_epoch": 3}) == ["stalls on a plateau"]
    assert not stalled(RESULT | {"best_epoch": 4})
    assert converged(RESULT | {"best_epoch": 3, "stop": ""}) == "not yet"


def test_a_row_has_means_and_deviations_over_seeds() -> None:
    experiment = Experiment("BiLSTM", "zoo.bilstm", {}, published={"test": "57.75"})
    results = [RESULT | {"test": test} for test in (0.40, 0.45, 0.53)]
    values = row("f", experiment, results)
    # mean 0.46; deviations -0.06, -0.01, 0.07: √(0.0086 / 2) = 0.0656
    assert (values["test"], values["test_deviation"]) == (46.0, 6.56)
    assert (values["validation"], values["validation_deviation"]) == (50.0, 0.0)
    assert values["converged"] == "yes"
    assert values["flags"] == "test above validation (1 of 3)"
    assert values["published_test"] == "57.75"
    assert values["minutes"] == 1.5
    assert row("f", experiment, [RESULT])["test_deviation"] is None


def test_the_table_has_a_row_an_experiment(finished: Path) -> None:
    with (finished / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [values["name"] for values in rows] == ["a", "c", "f"]
    assert [values["seeds"] for values in rows] == ["2", "1", "1"]
    assert rows[2]["published_test"] == "57.75"
    assert rows[0]["test_deviation"] and not rows[1]["test_deviation"]
    lines = (finished / "table.md").read_text().splitlines()
    assert len([line for line in lines if line.startswith("|")]) == 2 + 3
    cells = [cell.strip() for cell in lines[-1].strip("|").split("|")]
    assert cells[:3] == ["f", "BiLSTM(16), 128 frames", "5 / 2 / 2"]
    for picture in ("curves.png", "timelines.png"):
        assert (finished / picture).read_bytes()[:4] == b"\x89PNG"


# === Command ===


def test_what_does_not_exist_is_an_error(songs: Path, tmp_path: Path, small_study: str) -> None:
    message = "Expected an experiment of own_studies.small. Received: 'z'. Known: a, c, f."
    with pytest.raises(UsageError, match=re.escape(message)):
        kmir_study.study(small_study, data=str(songs), workdir=tmp_path, only=["z"])
    with pytest.raises(UsageError, match=r"name of a study\. Received: 'gct63_chords'"):
        kmir_study.study("gct63_chords", data=str(songs), workdir=tmp_path)


@pytest.mark.slow
def test_the_command_on_two_processes(
    songs: Path, tmp_path: Path, small_study: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [small_study, "--data", str(songs), "--workdir", str(tmp_path / "w"), "--quick"]
    assert command.run(kmir_study.main, [*words, "--only", "f", "--jobs", "2"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("f, seed 0: validation ")
    assert told[-1] == str(tmp_path / "w")
    records = Records.open(tmp_path / "w" / "records" / "frames")
    assert sum(split.tracks for split in records.manifest.splits.values()) == 6


def test_every_setting_of_the_lecture_is_one(songs: Path) -> None:
    """Flags parse, and give the clips and models that the homework tells of."""
    for name, parameters, frames, context in (
        ("a", 48_793, 1, 0),
        ("c", 48_793, 1, 15),
        ("d", 177_113, 128, 0),
        ("e", 72_537, 128, 0),
        ("f", 6_073, 128, 0),
    ):
        experiment = STUDY.experiments[name]
        data: dict[str, Any] = {"data": str(songs), "root": None, "quiet": True}
        run = prepare(experiment.model, flags=experiment.flags, **data)
        assert run.model.count_params() == parameters
        assert (run.training.clip_frames, run.training.context_frames) == (frames, context)
        assert isinstance(run.config.pipeline, ChordsConfig)
        assert not run.config.pipeline.transpose and run.config.pipeline.gain_db == 0
        rules = run.config.train
        assert (rules.batch_size, rules.plateau_factor, rules.plateau_patience) == (32, 0.2, 3)
    assert pytest.approx(1 / RATE) == FRAME
