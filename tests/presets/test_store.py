"""Presets on disk: what is saved comes back, and what is damaged is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import kmir
from kmir.annotations import Annotations, Segments
from kmir.annotations.chords import vocabulary
from kmir.errors import KmirError, PresetError
from kmir.features.log_mel import LogMel
from kmir.features.nnls_chroma import NNLSChroma
from kmir.integrity import sha256
from kmir.presets import Preset, check_golden, from_preset, list_presets, save_preset
from kmir.presets.store import outputs_of
from pipelines.chords import Chords, ChordsConfig
from pipelines.tagging import Tagging, TaggingConfig
from zoo import crnn_tagger, dense_baseline, gru

# In no order, with what breaks tables, and with what ends lines elsewhere than in a file.
LABELS = ("zebra", "Ärger|ä, ö", "no\u2028line\x85\x0c", " space ")
CARD = {"data": "noise", "licence": "none", "score": "roc_auc 0.5", "command": "kmir train …"}
FRAMES = 30
GOLDEN = np.random.default_rng(0).uniform(-90, 0, (40, 24)).astype(np.float32)
ZOO = {
    "zoo.dense_baseline": (dense_baseline, dense_baseline.Config(context=3, units=(7, 5))),
    "zoo.crnn_tagger": (
        crnn_tagger,
        crnn_tagger.Config(
            filters=(3, 4), time_pools=(2, 3), frequency_pools=(2, 4), rnn_units=(4,)
        ),
    ),
}


def made(name: str, labels: tuple[str, ...] = LABELS) -> Preset:
    module, config = ZOO[name]
    task = Tagging(TaggingConfig(clip_seconds=0.7, mixup=0.2), labels)
    keras.utils.set_random_seed(3)
    model = module.build_model(config, (FRAMES, 24), task.outputs())
    feature = LogMel(sample_rate=8000, n_fft=256, hop_length=128, n_mels=24, top_db=None)
    return Preset("mine", model, feature, task, CARD)


def saved(folder: Path, name: str = "zoo.dense_baseline", **changes: Any) -> Preset:
    preset = made(name, **changes)
    save_preset(folder, preset, model_name=name, model_config=ZOO[name][1], golden=GOLDEN)
    return preset


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("presets") / "mine"
    saved(folder)
    return folder


@pytest.fixture
def copy(stored: Path, tmp_path: Path) -> Path:
    """A preset of one's own to break."""
    return Path(shutil.copytree(stored, tmp_path / "mine"))


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


# === There and back ===


@pytest.mark.parametrize("name", list(ZOO))
def test_what_is_saved_comes_back(tmp_path: Path, name: str) -> None:
    preset = saved(tmp_path / "mine", name)
    again = from_preset(tmp_path / "mine")
    assert again.labels == LABELS
    assert again.feature == preset.feature
    assert again.feature.fingerprint == preset.feature.fingerprint
    assert type(again.task) is Tagging
    assert again.task.config == preset.task.config
    assert again.card == CARD
    assert again.name == str(tmp_path / "mine")
    for key, values in outputs_of(preset, GOLDEN).items():
        np.testing.assert_array_equal(outputs_of(again, GOLDEN)[key], values)
    samples = np.random.default_rng(1).uniform(-0.5, 0.5, 9000)
    one, other = preset.predict(samples, 8000).tags, again.predict(samples, 8000).tags
    assert one is not None
    assert other is not None
    assert one.labels == other.labels
    np.testing.assert_array_equal(one.scores, other.scores)


def test_a_preset_can_be_saved_again_in_its_place(copy: Path) -> None:
    preset = from_preset(copy)
    config = ZOO["zoo.dense_baseline"][1]
    names: dict[str, Any] = {"model_name": "zoo.dense_baseline", "model_config": config}
    before = (copy / "config.json").read_text()
    save_preset(copy, preset, golden=GOLDEN, **names)
    again = json.loads((copy / "config.json").read_text())
    assert again["sha256"]["labels.txt"] == json.loads(before)["sha256"]["labels.txt"]
    check_golden(copy)


def test_the_folder_holds_five_files(stored: Path) -> None:
    names = ["README.md", "config.json", "golden.npz", "labels.txt", "model.weights.h5"]
    assert sorted(file.name for file in stored.iterdir()) == names
    hashes = json.loads((stored / "config.json").read_text())["sha256"]
    assert hashes == {file: sha256(stored / file) for file in names[2:]}
    card = (stored / "README.md").read_text(encoding="utf-8")
    assert card.startswith("# mine\n")
    for part in (*CARD.values(), *LABELS, "zoo.dense_baseline", "(30, 24)", "sample_rate=8000"):
        assert part in card


def test_a_run_folder_will_do(copy: Path) -> None:
    copy.rename(copy.parent / "preset")
    (copy.parent / "config.json").write_text("{}")  # the run has one of its own
    assert from_preset(copy.parent).labels == LABELS


@pytest.mark.parametrize("label", ["two\nlines", "two\rlines"])
def test_labels_with_line_breaks_are_refused(tmp_path: Path, label: str) -> None:
    with pytest.raises(
        PresetError, match=r"labels without line breaks\. Received: 'two\\[nr]lines'"
    ):
        saved(tmp_path / "mine", labels=("one", label))
    assert not (tmp_path / "mine").exists()


# === What is damaged ===


@pytest.mark.parametrize("file", ["model.weights.h5", "labels.txt", "golden.npz"])
def test_a_changed_file_is_named(copy: Path, file: str) -> None:
    content = bytearray((copy / file).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / file).write_bytes(content)
    with pytest.raises(
        PresetError, match=f"Expected .*{file} with sha256 [0-9a-f]{{64}}"
    ) as caught:
        from_preset(copy)
    assert sha256(copy / file) in str(caught.value)


@pytest.mark.parametrize("file", ["model.weights.h5", "golden.npz"])
def test_a_missing_file_is_named(copy: Path, file: str) -> None:
    (copy / file).unlink()
    with pytest.raises(PresetError, match=rf"Expected .*{file}\. Received: no such file"):
        from_preset(copy)


@pytest.mark.parametrize("file", ["labels.txt", "config.json"])
def test_a_folder_without_labels_or_config_is_none(copy: Path, file: str) -> None:
    (copy / file).unlink()
    with pytest.raises(PresetError, match=r"no finished preset, which has config\.json and labels"):
        from_preset(copy)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"Expected JSON in .*config\.json"),
        ("\ufeff", r"Expected JSON in .*config\.json"),
        ("[]", r"Expected an object in .*config\.json. Received: list"),
        ("{}", r"'card', 'feature', 'model', 'sha256', 'task'\] in .*config\.json"),
    ],
)
def test_a_broken_config_is_named(copy: Path, content: str, message: str) -> None:
    (copy / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(PresetError, match=message):
        from_preset(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["model"].pop("inputs"), r"'inputs' in .*config\.json"),
        (lambda c: c["task"].pop("config"), r"'config' in .*config\.json"),
        (lambda c: c["feature"].pop("name"), r"'name' in .*config\.json"),
        (lambda c: c["model"].update(name="zoo.dense_basline"), "'dense_baseline'"),
        (lambda c: c["task"].update(name="taggin"), "'tagging'"),
        (lambda c: c["model"]["config"].update(unit=[3]), "'unit' of Config.*'units'"),
        (lambda c: c["feature"].update(n_mel=3), "'n_mel' of feature 'log_mel'.*'n_mels'"),
        (lambda c: c["model"]["config"].update(units=[9, 5]), "weights that fit the model of"),
        (lambda c: c["model"].update(inputs=[30, 25]), "weights that fit the model of"),
    ],
)
@pytest.mark.filterwarnings("ignore:Skipping nested container")
def test_a_config_that_does_not_fit(copy: Path, change: Any, message: str) -> None:
    edit(copy, change)
    with pytest.raises(KmirError, match=message):
        from_preset(copy)


@pytest.mark.filterwarnings("ignore:Skipping nested container")
def test_labels_that_do_not_fit_the_weights(copy: Path) -> None:
    (copy / "labels.txt").write_text("one\ntwo\n")
    edit(copy, lambda c: c["sha256"].update({"labels.txt": sha256(copy / "labels.txt")}))
    with pytest.raises(PresetError, match="weights that fit the model of"):
        from_preset(copy)


# === The golden output ===


def test_the_golden_output_is_that_of_the_golden_input(stored: Path) -> None:
    check_golden(stored, tolerance=1e-6)
    with np.load(stored / "golden.npz") as golden:
        assert golden["features"].dtype == np.float16
        np.testing.assert_array_equal(golden["features"], GOLDEN.astype(np.float16))
        assert golden["tags"].shape == (2, 4)  # windows of 30 frames over 40


@pytest.mark.parametrize("damage", [0.01, float("nan")])
def test_another_output_is_refused(copy: Path, damage: float) -> None:
    with np.load(copy / "golden.npz") as golden:
        arrays = dict(golden)
    arrays["tags"][1, 2] += damage
    np.savez_compressed(copy / "golden.npz", **arrays)
    edit(copy, lambda c: c["sha256"].update({"golden.npz": sha256(copy / "golden.npz")}))
    with pytest.raises(PresetError, match=r"output 'tags' of .*mine as it was saved, to 0\.001"):
        check_golden(copy)


@pytest.mark.parametrize("shape", [(3, 4), (1, 4)])
def test_an_output_of_another_shape_is_refused(copy: Path, shape: tuple[int, int]) -> None:
    """(1, 4) would broadcast."""
    with np.load(copy / "golden.npz") as golden:
        arrays = dict(golden) | {"tags": np.resize(golden["tags"], shape)}
    np.savez_compressed(copy / "golden.npz", **arrays)
    edit(copy, lambda c: c["sha256"].update({"golden.npz": sha256(copy / "golden.npz")}))
    with pytest.raises(PresetError, match=r"output 'tags' .* of shape .*Received: \(2, 4\)"):
        check_golden(copy)


# === The library ===


def test_an_unknown_name_offers_the_nearest(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kmir.presets.store._library", lambda: stored.parent)
    (info,) = list_presets()
    assert info.__dict__ == {
        "name": "mine",
        "task": "tagging",
        "data": "noise",
        "licence": "none",
        "score": "roc_auc 0.5",
    }
    assert from_preset("mine").labels == LABELS
    with pytest.raises(PresetError, match=r"Received: 'mien'\. Did you mean 'mine'\?"):
        from_preset("mien")
    with pytest.raises(PresetError, match=r"Received: 'xyz'\. Known: mine\."):
        from_preset("xyz")


def test_the_package_offers_the_same_functions() -> None:
    assert kmir.from_preset is from_preset
    assert kmir.save_preset is save_preset
    assert kmir.list_presets is list_presets


# === What the task learned ===


def chord_preset(folder: Path, *, learned: bool) -> Preset:
    """A GRU for chords whose transitions, if learned, are of one song."""
    feature = NNLSChroma()
    task = Chords(ChordsConfig(), vocabulary("majmin").labels)
    if learned:
        song = Segments(np.array([(0.0, 2.0), (2.0, 4.0)]), ("C:maj", "G:maj"))
        task.learn([Annotations(chords=song)], feature.frame_rate)
    config = gru.Config(units=(3,))
    preset = Preset("c", gru.build_model(config, (None, 24), task.outputs()), feature, task, CARD)
    golden = np.random.default_rng(0).random((40, 24)).astype(np.float32)
    save_preset(folder, preset, model_name="zoo.gru", model_config=config, golden=golden)
    return preset


def test_what_the_task_learned_comes_back(tmp_path: Path) -> None:
    preset = chord_preset(tmp_path / "c", learned=True)
    again = from_preset(tmp_path / "c")
    assert again.task.learned.keys() == {"log_transition"}
    for key, array in preset.task.learned.items():
        assert again.task.learned[key].dtype == array.dtype
        np.testing.assert_array_equal(again.task.learned[key], array)
    check_golden(tmp_path / "c", tolerance=1e-6)
    samples = np.random.default_rng(1).uniform(-0.5, 0.5, 2 * 44100)
    assert again.predict(samples, 44100) == preset.predict(samples, 44100)


def test_what_was_learned_is_checked_like_the_weights(tmp_path: Path) -> None:
    chord_preset(tmp_path / "c", learned=True)
    np.savez_compressed(tmp_path / "c" / "learned.npz", log_transition=np.zeros((25, 25)))
    with pytest.raises(PresetError, match=r"Expected .*learned\.npz with sha256"):
        from_preset(tmp_path / "c")
    (tmp_path / "c" / "learned.npz").unlink()
    with pytest.raises(PresetError, match=r"Expected .*learned\.npz\. Received: no such file"):
        from_preset(tmp_path / "c")


def test_nothing_learned_is_no_file_and_what_lies_there_is_not_read(tmp_path: Path) -> None:
    chord_preset(tmp_path / "bare", learned=False)
    assert not (tmp_path / "bare" / "learned.npz").exists()
    assert from_preset(tmp_path / "bare").task.learned == {}
    chord_preset(tmp_path / "c", learned=True)
    chord_preset(tmp_path / "c", learned=False)  # in its place
    assert from_preset(tmp_path / "c").task.learned == {}


def test_a_long_recording_in_windows_is_as_in_one(tmp_path: Path) -> None:
    """A model that sees less than the margin says the same of a minute as of the whole."""
    preset = chord_preset(tmp_path / "c", learned=True)
    frames = np.random.default_rng(3).random((1400, 24)).astype(np.float16)
    ((_, found),) = preset.annotate([("long", frames)])
    whole = outputs_of(preset, frames)["chord"][0]
    expected = preset.task.decode({"chord": whole}, np.arange(1400) / preset.feature.frame_rate)
    assert found.chords is not None
    assert expected.chords is not None
    assert found.chords.labels == expected.chords.labels
    np.testing.assert_array_equal(found.chords.intervals, expected.chords.intervals)
