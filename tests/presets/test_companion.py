"""A preset for beats that asks another one for the bars: from disk, alone and with many tracks."""

from __future__ import annotations

import dataclasses
import json
import re
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import soundfile

from kmir import command, evaluate, extract, predict
from kmir.annotations import Annotations, Beats
from kmir.annotations.chords import vocabulary
from kmir.decoders import bars_from_downbeats
from kmir.errors import PresetError, RecordError, UsageError
from kmir.evaluate import fitting
from kmir.features.beat_synchronous import BeatSynchronous
from kmir.features.log_frequency import LogFrequency
from kmir.features.nnls_chroma import NNLSChroma
from kmir.features.side_by_side import SideBySide
from kmir.presets import Preset, from_preset, save_preset, with_companion
from kmir.records.read import Records
from pipelines.bars import Bars, BarsConfig
from pipelines.beats import BeatsConfig, BeatTracking
from pipelines.chords import Chords, ChordsConfig
from pipelines.tempo import TEMPI
from zoo import bar_gru, beat_gru, gru

Run = Callable[..., tuple[str, list[str]]]
RATE = 22050
BANDS = LogFrequency(bands_per_octave=4)
CHROMA = NNLSChroma(sample_rate=11025, n_fft=4096, hop_length=512)
BETWEEN = BeatSynchronous(CHROMA.config, subdivisions=2)
BOTH = SideBySide([BANDS.config, CHROMA.config])
CARD = {"data": "noise", "licence": "none", "score": "none", "command": "kmir train …"}


def clicks(seconds: float = 9.0, bpm: float = 120.0, seed: int = 0) -> np.ndarray:
    """A click on every beat, over chords that change with every second one."""
    samples = np.zeros(round(seconds * RATE))
    rng, t = np.random.default_rng(seed), np.arange(RATE // 20) / RATE
    for beat, time in enumerate(np.arange(0.3, seconds - 0.1, 60 / bpm)):
        start = round(time * RATE)
        if beat % 2 == 0:
            pitches = 220 * 2 ** (rng.choice(12, 3, replace=False) / 12)
            left = np.arange(len(samples) - start) / RATE
            samples[start:] = 0.1 * np.sin(2 * np.pi * pitches[:, np.newaxis] * left).sum(axis=0)
        samples[start : start + len(t)] += 0.5 * np.sin(2 * np.pi * 1500 * t) * np.exp(-t / 0.005)
    return samples.astype(np.float32)


def bars_preset(folder: Path) -> str:
    """Bars, of weights that nobody trained but that tell one beat from another."""
    task, config = Bars(BarsConfig(), ("downbeat",)), bar_gru.Config(filters=6, units=(5,))
    keras.utils.set_random_seed(2)
    model = bar_gru.build_model(config, (None, *BETWEEN.shape), task.outputs())
    kernel, bias = model.get_layer("downbeat").get_weights()
    model.get_layer("downbeat").set_weights([8 * kernel, bias])
    golden = np.random.default_rng(0).random((20, *BETWEEN.shape))
    preset = Preset("bars", model, BETWEEN, task, CARD)
    save_preset(folder, preset, model_name="zoo.bar_gru", model_config=config, golden=golden)
    return str(folder)


def beats_preset(folder: Path, bars: str, **settings: Any) -> str:
    """Beats: the model hears clicks, since its last layer is scaled until it does."""
    chosen: dict[str, Any] = {"decoder": "dbn_bars", "bars": bars} | settings
    task = BeatTracking(BeatsConfig(**chosen), tuple(f"{tempo:.1f}" for tempo in TEMPI))
    config = beat_gru.Config(front=8, units=(8,))
    keras.utils.set_random_seed(1)
    model = beat_gru.build_model(config, (None, *BANDS.shape), task.outputs())
    frames = BANDS(clicks())
    quiet, heard = (
        _logit(model.predict(x[np.newaxis], verbose=0)["beat"].ravel())
        for x in (np.zeros_like(frames), frames)
    )
    # From 4 below zero in silence, to 4 above at the loudest click.
    loudest = heard[np.abs(heard - quiet[-1]).argmax()]
    factor = 8 / (loudest - quiet[-1])
    kernel, bias = model.get_layer("beat").get_weights()
    model.get_layer("beat").set_weights([factor * kernel, factor * (bias - quiet[-1]) - 4])
    preset = Preset("beats", model, BANDS, task, CARD)
    names: dict[str, Any] = {"model_name": "zoo.beat_gru", "model_config": config}
    save_preset(folder, preset, golden=frames[:40], **names)
    return str(folder)


def _logit(p: np.ndarray) -> np.ndarray:
    return np.log(p) - np.log1p(-p)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of ``bars`` and ``beats``, of which the latter goes by the harmony alone."""
    root = tmp_path_factory.mktemp("presets")
    beats_preset(root / "beats", bars_preset(root / "bars"), harmony=1.0)
    return root


@pytest.fixture(scope="module")
def preset(stored: Path) -> Preset:
    return from_preset(stored / "beats")


@pytest.fixture(scope="module")
def alone(preset: Preset) -> Preset:
    return dataclasses.replace(preset, companion=None)


def beats_of(preset: Preset, source: Any, rate: int | None = None) -> Beats:
    found = preset.predict(source, rate).beats
    assert found is not None
    return found


# === From disk ===


def test_the_companion_comes_with_the_preset(preset: Preset, stored: Path) -> None:
    assert preset.companion is not None
    assert preset.companion.name == str(stored / "bars")
    assert isinstance(preset.companion.task, Bars)
    assert preset.companion.companion is None
    assert preset.feature == BANDS
    assert preset.front_end == BOTH
    assert preset.companion.front_end == preset.companion.feature == BETWEEN


def test_it_goes_where_the_decoder_does_not_ask(preset: Preset, alone: Preset) -> None:
    assert alone.front_end == BANDS
    config = dataclasses.replace(preset.task.config, decoder="dbn")
    other = dataclasses.replace(preset, task=BeatTracking(config, preset.labels))
    assert with_companion(other).companion is None
    again = with_companion(alone)
    assert again.companion is not None
    assert again.front_end == BOTH


def test_a_missing_companion_is_named(tmp_path: Path) -> None:
    beats_preset(tmp_path / "beats", "bar_gru_nobody")
    with pytest.raises(PresetError) as caught:
        from_preset(tmp_path / "beats")
    message = "Expected a preset's name or folder. Received: 'bar_gru_nobody'."
    assert str(caught.value).startswith(message)
    assert len(str(caught.value).splitlines()) == 1


def test_a_companion_that_knows_nothing_of_beats_is_refused(tmp_path: Path) -> None:
    labels = vocabulary("majmin").labels
    task, config = Chords(ChordsConfig(decoder="none"), labels), gru.Config(units=(4,))
    model = gru.build_model(config, (None, 24), task.outputs())
    names: dict[str, Any] = {"model_name": "zoo.gru", "model_config": config}
    chords = Preset("chords", model, CHROMA, task, CARD)
    save_preset(tmp_path / "chords", chords, golden=np.zeros((20, 24)), **names)
    beats_preset(tmp_path / "beats", str(tmp_path / "chords"))
    with pytest.raises(PresetError) as caught:
        from_preset(tmp_path / "beats")
    assert str(caught.value) == (
        "Expected a preset that reads beat_synchronous, to go on from the beats of "
        f"{tmp_path / 'beats'}. Received: {tmp_path / 'chords'}, which reads nnls_chroma."
    )


def test_nobody_is_a_companion_of_its_own(tmp_path: Path) -> None:
    beats_preset(tmp_path / "beats", str(tmp_path / "beats"))
    with pytest.raises(PresetError, match=r"^Expected a preset that reads beat_synchronous, to go"):
        from_preset(tmp_path / "beats")


# === One recording ===


def test_files_and_samples_have_bars(preset: Preset, alone: Preset, tmp_path: Path) -> None:
    path = tmp_path / "clicks.wav"
    soundfile.write(path, clicks(), RATE, subtype="FLOAT")
    of_file, of_samples = beats_of(preset, path), beats_of(preset, clicks(), RATE)
    assert len(of_file.times) > 8
    assert set(of_file.positions) <= {1, 2, 3, 4}
    np.testing.assert_allclose(of_samples.times, of_file.times, atol=1e-6)
    np.testing.assert_array_equal(of_samples.positions, of_file.positions)
    # The companion moves no beat, and gives each one its place.
    np.testing.assert_array_equal(beats_of(alone, path).times, of_file.times)


def test_the_bars_are_what_the_companion_hears(preset: Preset, alone: Preset) -> None:
    """By hand: chroma between the beats that the model alone finds, its companion's outputs."""
    features = preset.features(clicks(), RATE)
    assert features.dtype == np.float16
    _, chroma = BOTH.parts(features)
    beats = beats_of(alone, clicks(), RATE)
    between = BETWEEN.between(chroma, beats.times, BANDS.frame_rate).astype(np.float16)
    assert len(between) >= 16  # a companion is given no fewer at a time
    assert preset.companion is not None
    model = preset.companion.model
    downbeat = model.predict(between[np.newaxis].astype(np.float32), verbose=0)[0]
    assert np.ptp(downbeat) > 0.2
    heard = preset.companion.between_beats(chroma, beats.times, BANDS.frame_rate)
    np.testing.assert_allclose(heard["downbeat"], downbeat, atol=1e-6)
    expected = bars_from_downbeats(downbeat[:, 0].astype(np.float64))
    np.testing.assert_array_equal(beats_of(preset, clicks(), RATE).positions, expected)
    assert (expected != beats.positions).any()  # by its own downbeats the model counts otherwise


def test_what_is_not_decoded_reads_the_models_own_feature_alone(
    preset: Preset, alone: Preset
) -> None:
    whole = preset.activations(clicks(), RATE)
    assert set(whole) == {"beat", "downbeat", "tempo"}
    for name, values in alone.activations(clicks(), RATE).items():
        np.testing.assert_array_equal(whole[name], values)
    vectors = preset.embed(clicks(), RATE)
    assert vectors.shape == (len(whole["beat"]), 8)
    np.testing.assert_array_equal(vectors, alone.embed(clicks(), RATE))
    stream = preset.stream()
    parts = [stream.feed(block) for block in np.array_split(clicks(), 7)] + [stream.finish()]
    for name, values in whole.items():
        live = np.concatenate([part[name] for part in parts])
        np.testing.assert_allclose(live, values, atol=5e-3)  # the whole is stored in half precision


@pytest.mark.parametrize("seconds", [0.001, 0.5, 5.0])
def test_silence_has_no_beats(preset: Preset, tmp_path: Path, seconds: float) -> None:
    silence = np.zeros(max(1, round(seconds * RATE)), np.float32)
    soundfile.write(tmp_path / "silence.wav", silence, RATE)
    for source in ((silence, RATE), (tmp_path / "silence.wav",)):
        assert len(beats_of(preset, *source).times) == 0


def test_no_beats_have_no_answer_and_a_single_one_has(preset: Preset) -> None:
    assert preset.companion is not None
    chroma = np.ones((50, 24), np.float32)
    none = preset.companion.between_beats(chroma, np.zeros(0), 50.0)
    assert {name: values.shape for name, values in none.items()} == {"downbeat": (0, 1)}
    single = preset.companion.between_beats(chroma, np.array([0.3]), 50.0)
    assert single["downbeat"].shape == (1, 1)


def test_a_companion_by_itself_knows_no_beats_of_audio(preset: Preset) -> None:
    assert preset.companion is not None
    with pytest.raises(UsageError, match=r"^Expected beats beside the audio, for beat_synchronous"):
        preset.companion.predict(clicks(1.0), RATE)


# === Many recordings ===


def test_tracks_together_are_tracks_alone(preset: Preset) -> None:
    """Of several lengths, one of them silent, so that each keeps its own chroma."""
    songs = [clicks(6.0, 100, 1), np.zeros(RATE * 2), clicks(9.0, 140, 2), clicks(4.0, 120, 3)]
    tracks = [(number, preset.features(song, RATE)) for number, song in enumerate(songs)]
    together = list(preset.annotate(iter(tracks)))
    assert [number for number, _ in together] == [0, 1, 2, 3]
    for number, found in together:
        expected = beats_of(preset, songs[number], RATE)
        assert found.beats is not None
        assert bool(len(expected.times)) == (number != 1)
        np.testing.assert_array_equal(found.beats.times, expected.times)
        np.testing.assert_array_equal(found.beats.positions, expected.positions)


class Noting(BeatTracking):
    """Notes what the companion heard."""

    def __init__(self, config: BeatsConfig, labels: tuple[str, ...]):
        super().__init__(config, labels)
        self.noted: list[np.ndarray] = []

    def conclude(
        self,
        found: Annotations,
        activations: Mapping[str, np.ndarray],
        times: np.ndarray,
        heard: Mapping[str, np.ndarray],
    ) -> Annotations:
        self.noted.append(heard["downbeat"])
        return super().conclude(found, activations, times, heard)


class Watching(BeatTracking):
    """Notes whether what was read of a recording is still in memory when it is decoded."""

    read: weakref.ref[np.ndarray]

    def decode(self, activations: Mapping[str, np.ndarray], times: np.ndarray) -> Annotations:
        self.kept = self.read() is not None
        return super().decode(activations, times)


def test_features_do_not_wait_for_the_decoder(preset: Preset) -> None:
    task = Watching(preset.task.config, preset.labels)
    watched = dataclasses.replace(preset, task=task)

    def parts() -> list[np.ndarray]:
        found = preset.parts(clicks(), RATE)
        task.read = weakref.ref(found[0])
        return found

    def recordings() -> Iterator[tuple[int, list[np.ndarray]]]:
        yield 0, parts()

    ((_, found),) = watched.annotate(recordings())
    assert found.beats is not None
    assert len(found.beats.times) > 10
    assert not task.kept


def test_parts_are_what_is_joined(preset: Preset) -> None:
    for part, other in zip(
        preset.parts(clicks(), RATE), BOTH.parts(preset.features(clicks(), RATE)), strict=True
    ):
        np.testing.assert_array_equal(part, other)


def test_between_beats_is_for_presets_of_beats(preset: Preset) -> None:
    with pytest.raises(PresetError, match=r"^Expected a preset that reads beat_sync.*use predict"):
        preset.between_beats(np.zeros((9, 24)), np.array([0.1]), 10.0)


def test_each_track_keeps_its_chroma_where_several_are_read_ahead(preset: Preset) -> None:
    """A model that looks ahead takes tracks of one length together before it answers."""
    config = beat_gru.Config(front=8, units=(4,), bidirectional=True)
    model = beat_gru.build_model(config, (None, *BANDS.shape), preset.task.outputs())
    task = Noting(dataclasses.replace(preset.task.config, threshold=0.0), preset.labels)
    both_ways = dataclasses.replace(preset, model=model, task=task)
    songs = [clicks(5.0, 90 + 20 * number, number) for number in range(4)]
    tracks = [(number, both_ways.features(song, RATE)) for number, song in enumerate(songs)]
    taken: list[int] = []

    def read() -> Iterator[tuple[int, np.ndarray]]:
        for number, features in tracks:
            taken.append(number)
            yield number, features

    for number, found in both_ways.annotate(read()):
        assert taken == [0, 1, 2, 3]
        ((_, single),) = both_ways.annotate([tracks[number]])
        together, alone = task.noted[-2:]
        np.testing.assert_allclose(together, alone, atol=1e-5)
        assert found.beats is not None
        assert single.beats is not None
        np.testing.assert_array_equal(found.beats.times, single.beats.times)
        np.testing.assert_array_equal(found.beats.positions, single.beats.positions)
    # No two songs sound alike.
    starts = [noted[:4].tobytes() for noted in task.noted[::2]]
    assert len(set(starts)) == 4


# === Commands ===


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("music")
    for number in range(3):
        samples = clicks(7.0, 100 + 10 * number, number)
        soundfile.write(root / f"{number}.wav", samples, RATE)
        times = np.arange(0.3, 6.9, 60 / (100 + 10 * number))
        lines = [f"{time:.3f}\t{beat % 4 + 1}\n" for beat, time in enumerate(times)]
        (root / f"{number}.beats").write_text("".join(lines))
    return root


@pytest.fixture(scope="module")
def records(music: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Records]:
    """Of the model's feature alone, and of both."""
    root, found = tmp_path_factory.mktemp("records"), {}
    for feature in (BANDS, BOTH, CHROMA):
        extract.extract("folder", music, root / feature.name, feature, workers=1, quiet=True)
        found[feature.name] = Records.open(root / feature.name)
    return found


def test_records_decide_whether_the_companion_comes_along(
    preset: Preset, records: dict[str, Records], capsys: pytest.CaptureFixture[str]
) -> None:
    assert fitting(preset, records["side_by_side"]) is preset
    assert capsys.readouterr().err == ""
    without = fitting(preset, records["log_frequency"])
    assert without.companion is None
    assert without.model is preset.model
    assert preset.companion is not None
    root, name = records["log_frequency"].root, preset.companion.name
    told = f"{root} holds nothing for {name}: {preset.name} goes without\n"
    assert capsys.readouterr().err == told
    assert fitting(without, records["log_frequency"]) is without
    assert fitting(without, records["side_by_side"]).companion is None
    assert capsys.readouterr().err == ""
    expected = re.escape(f"Expected records with the feature of {preset.name}: name=log_frequency")
    for one in (preset, without):
        with pytest.raises(RecordError, match=f"^{expected}.* Received: name=nnls_chroma,"):
            fitting(one, records["nnls_chroma"])


@pytest.fixture
def run(stored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Evaluate the preset on all that there is: stderr, and lines of the scores."""

    def run(data: Any, *more: Any) -> tuple[str, list[str]]:
        out = tmp_path / "scores.csv"
        ask = [stored / "beats", "--data", data, "--split", "all", "--quiet", "--out", out, *more]
        assert command.run(evaluate.main, [str(word) for word in ask]) == 0
        return capsys.readouterr().err, out.read_text().splitlines()

    return run


def test_evaluating_with_and_without(run: Run, records: dict[str, Records]) -> None:
    told, both = run(records["side_by_side"].root)
    assert told == ""
    assert len(both) == 1 + 3 + 1
    told, one = run(records["log_frequency"].root)
    assert "goes without" in told
    assert one != both
    # Another decoder doesn't ask it, and records of the feature alone are all that it needs.
    joint = run(records["log_frequency"].root, "--task.decoder=dbn")
    assert joint[0] == ""
    assert run(records["side_by_side"].root, "--task.decoder=dbn") == joint


def test_a_missing_companion_can_be_done_without(
    records: dict[str, Records], tmp_path: Path
) -> None:
    name, out = beats_preset(tmp_path / "beats", "bar_gru_nobody"), tmp_path / "scores.csv"
    ask = [name, "--data", str(records["log_frequency"].root), "--split", "all", "--out", str(out)]
    assert command.run(evaluate.main, [*ask, "--quiet"]) == 1
    assert command.run(evaluate.main, [*ask, "--quiet", "--task.decoder=dbn_beats"]) == 0
    assert out.exists()


def test_records_extracted_for_it_hold_what_the_companion_needs(
    run: Run, preset: Preset, records: dict[str, Records], music: Path
) -> None:
    made = extract.records_for("folder", music, preset.front_end, quiet=True)
    assert made.feature == BOTH
    assert run("folder", "--root", music) == run(records["side_by_side"].root)


def test_predicting_from_the_command_line(
    stored: Path, preset: Preset, music: Path, tmp_path: Path
) -> None:
    ask = [str(stored / "beats"), str(music / "1.wav"), "--out", str(tmp_path), "--quiet"]
    assert command.run(predict.main, [*ask, "--format", "beats"]) == 0
    expected = beats_of(preset, music / "1.wav")
    lines = [line.split("\t") for line in (tmp_path / "1.beats").read_text().splitlines()]
    assert [int(position) for _, position in lines] == expected.positions.tolist()
    np.testing.assert_allclose([float(t) for t, _ in lines], expected.times, atol=1e-3)


def test_what_is_stored_names_the_companion(stored: Path) -> None:
    config = json.loads((stored / "beats" / "config.json").read_text())
    assert config["feature"] == BANDS.config
    assert config["task"]["config"]["bars"] == str(stored / "bars")
