"""What is searched: every model's space can be built, and what a flag says is not searched."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import keras_tuner
import numpy as np
import pytest

from kmir.annotations import Annotations, Beats, Segments, Tags
from kmir.datasets import Track
from kmir.features.base import Feature
from kmir.lookup import known
from kmir.records.read import Records
from kmir.records.write import write_records
from kmir.run import settings
from kmir.tuning.space import Space
from pipelines.base import task_class

approx = partial(pytest.approx, rel=5e-3)
SAMPLES = 6  # of each model's space
FRAMES = 600


def noise(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).random((FRAMES, *shape), np.float32)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Records]:
    """One track of noise a split, as the feature of each task, with all annotations."""
    annotations = Annotations(
        chords=Segments(np.array([[0.0, 9.0]]), ("C:maj",)),
        beats=Beats(np.arange(0.5, 9, 0.5), np.tile([1, 2], 9)[:17]),
        tags=Tags(("loud",)),
    )
    made = {}
    for name in known("task"):
        feature: Feature = task_class(name).feature
        frames = partial(noise, feature.shape)
        tracks = [
            Track(split, annotations, features=frames, split=split)
            for split in ("train", "validation")
        ]
        folder = tmp_path_factory.mktemp("records") / name
        write_records(folder, tracks, feature, dataset="noise", workers=1, quiet=True)
        made[name] = Records.open(folder)
    return made


def space(
    records: Mapping[str, Records], model: str, task: str | None = None, **flags: str
) -> Space:
    fixed = {name.replace("__", "."): text for name, text in flags.items()}
    module, task_type, usual = settings(model, fixed, task)
    return Space.of(module, task_type, usual, fixed, records[task_type.name])


def sample(made: Space, seed: int) -> dict[str, Any]:
    return {hp.name: hp.random_sample(seed) for hp in made.hyperparameters.space}


@pytest.mark.parametrize("name", known("model"))
def test_every_sample_of_every_model_is_a_run(records: Mapping[str, Records], name: str) -> None:
    """Its flags give the settings that the values say, and a model comes of them."""
    made = space(records, name)
    module = made.module
    task = task_class(module.TASK)
    outputs = task(task.Config(), ("a", "b", "c")).outputs()
    shape = records[task.name].feature.shape
    for seed in range(SAMPLES):
        values = sample(made, seed)
        *_, config = settings(name, made.flags(values))
        hp = keras_tuner.HyperParameters()
        hp.values = values | made.shown(values)
        assert config.model == module.search_space(hp)
        for hp_name, value in made.shown(values).items():
            drawn = values[hp_name]
            assert value == (drawn if isinstance(drawn, str) else approx(drawn))
        assert config.train.learning_rate == made.shown(values)["train.learning_rate"]
        assert config.train.batch_size == values["train.batch_size"]
    assert module.build_model(config.model, (None, *shape), outputs).count_params() > 0
    assert module.search_space(keras_tuner.HyperParameters()) == module.Config()
    assert made.flags({hp.name: hp.default for hp in made.hyperparameters.space}) == {}


def test_what_a_flag_says_is_not_searched(records: Mapping[str, Records]) -> None:
    everything = space(records, "gru").searched.keys()
    assert everything == {
        "units", "layers", "bidirectional", "dropout", "train.learning_rate", "train.batch_size",
        "train.weight_decay", "pipeline.clip_seconds", "pipeline.transpose", "pipeline.gain_db",
    }  # fmt: skip
    made = space(records, "gru", model__units="48,24", train__learning_rate="1e-3")
    assert made.searched.keys() == everything - {"units", "layers", "train.learning_rate"}
    flags = made.flags(sample(made, 0))
    assert (flags["model.units"], flags["train.learning_rate"]) == ("48,24", "1e-3")
    crnn = space(records, "chord_crnn", model__filters="8,8,8").searched
    assert not {"filters1", "filters2", "filters3"} & crnn.keys() and "units" in crnn


def test_what_a_task_or_feature_can_not_bear_is_not_searched(
    records: Mapping[str, Records],
) -> None:
    tagger = space(records, "crnn_tagger").searched.keys()
    assert {"pipeline.freq_masks", "pipeline.time_masks", "pipeline.mixup"} <= tagger
    assert not {"pipeline.transpose", "pipeline.gain_db", "pipeline.clip_seconds"} & tagger
    chords = space(records, "dense_baseline", "chords").searched.keys()
    assert {"pipeline.transpose", "pipeline.gain_db", "pipeline.clip_seconds"} <= chords
    assert not {"pipeline.freq_masks", "pipeline.mixup"} & chords


def test_an_epoch_hears_as_much_music(records: Mapping[str, Records]) -> None:
    """125 steps of 16 clips of 11.88 s are as much as 31 of 32 clips of 23.76 s."""
    made = space(records, "gru")
    usual = {hp.name: hp.default for hp in made.hyperparameters.space}
    flags = made.flags(usual | {"train.batch_size": 32, "pipeline.clip_seconds": 23.76})
    assert flags == {
        "train.batch_size": "32",
        "pipeline.clip_seconds": "23.76",
        "train.steps_per_epoch": "31",
    }
    fixed = space(records, "gru", train__steps_per_epoch="10")
    assert fixed.flags(usual | {"train.batch_size": 32})["train.steps_per_epoch"] == "10"
    beats = space(records, "beat_gru")
    usual = {hp.name: hp.default for hp in beats.hyperparameters.space}
    halved = beats.flags(usual | {"pipeline.clip_seconds": 10.0})
    assert (halved["pipeline.hop_seconds"], halved["train.steps_per_epoch"]) == ("10.0", "840")


def test_clips_are_no_longer_than_tracks(records: Mapping[str, Records]) -> None:
    """600 frames are 27.9 s of chroma, and 12 s of the beats' feature."""
    chords = space(records, "gru").searched["pipeline.clip_seconds"].values
    assert list(chords) == [5.94, 11.88, 23.76]
    assert list(space(records, "beat_gru").searched["pipeline.clip_seconds"].values) == [10.0, 20.0]


def test_numbers_have_as_many_digits_as_they_need(records: Mapping[str, Records]) -> None:
    made = space(records, "gru")
    usual = {hp.name: hp.default for hp in made.hyperparameters.space}
    values = usual | {"dropout": 0.1 + 0.2, "train.learning_rate": 0.0021652122785234323}
    flags = {"model.dropout": "0.3", "train.learning_rate": "0.00217"}
    assert made.flags(values) == {"train.learning_rate": "0.00217"}  # 0.3 is as usual
    assert made.flags(values | {"dropout": 0.1 * 4}) == flags | {"model.dropout": "0.4"}
    assert made.shown(values)["train.learning_rate"] == 0.00217
