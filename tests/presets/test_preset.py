"""From audio to tags and vectors, against what the parts give by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import soundfile
from keras import layers

from kmir.annotations import Annotations
from kmir.errors import AudioError, PresetError, UsageError
from kmir.features.log_mel import LogMel
from kmir.presets import Preset
from pipelines.tagging import Tagging, TaggingConfig
from zoo import crnn_tagger, dense_baseline

LABELS = ("click", "loud", "noise", "tone")
FRAMES = 32  # about half a second: recordings of a second have two windows
CONFIGS = {
    "dense_baseline": dense_baseline.Config(units=(8, 6)),
    "crnn_tagger": crnn_tagger.Config(
        filters=(4, 4), time_pools=(2, 2), frequency_pools=(4, 4), rnn_units=(5,)
    ),
}
BUILD: dict[str, Callable[..., keras.Model]] = {
    "dense_baseline": dense_baseline.build_model,
    "crnn_tagger": crnn_tagger.build_model,
}


def made(name: str, feature: LogMel, frames: int | None = FRAMES) -> Preset:
    """A preset with weights that nobody trained; its input norm knows decibels."""
    task = Tagging(TaggingConfig(clip_seconds=0.5), LABELS)
    keras.utils.set_random_seed(5)
    model = BUILD[name](CONFIGS[name], (frames, feature.n_mels), task.outputs())
    gamma, beta, _, variance = model.get_layer("input_norm").get_weights()
    model.get_layer("input_norm").set_weights([gamma, beta, gamma - 46, 400 * variance])
    return Preset(name, model, feature, task, card={})


@pytest.fixture(scope="module", params=list(BUILD))
def preset(request: pytest.FixtureRequest, tiny_feature: LogMel) -> Preset:
    return made(request.param, tiny_feature)


def by_label(annotations: Annotations) -> np.ndarray:
    assert annotations.tags is not None
    scores = dict(zip(annotations.tags.labels, annotations.tags.scores, strict=True))
    return np.array([scores[label] for label in LABELS])


def outputs_by_hand(preset: Preset, features: np.ndarray, starts: list[int]) -> np.ndarray:
    """The model's outputs for full clips that begin at the given frames."""
    clips = np.stack([features[start : start + FRAMES] for start in starts])
    every = {"features": clips, "mask": np.ones(clips.shape[:2], np.float32)}
    inputs = [every[tensor.name] for tensor in preset.model.inputs]
    single = len(inputs) == 1
    x = inputs[0] if single else {t.name: every[t.name] for t in preset.model.inputs}
    values: np.ndarray = preset.model.predict(x, verbose=0)
    return values


@pytest.mark.parametrize("file", ["tone/0.wav", "noise/1.wav", "click/3.wav"])
def test_a_path_and_its_samples_are_read_alike(
    preset: Preset, tiny_folder: Path, file: str
) -> None:
    path = tiny_folder / file
    samples, rate = soundfile.read(path, dtype="float32")
    from_samples = by_label(preset.predict(samples, rate))
    np.testing.assert_allclose(by_label(preset.predict(path)), from_samples, atol=1e-5)
    np.testing.assert_allclose(by_label(preset.predict(str(path))), from_samples, atol=1e-5)
    stereo = np.stack([samples, samples], axis=1)
    np.testing.assert_allclose(by_label(preset.predict(stereo, rate)), from_samples, atol=1e-5)


def test_another_rate_and_format_change_little(preset: Preset, tmp_path: Path) -> None:
    """CD stereo, resampled in blocks or at once."""
    time = np.arange(2 * 44100) / 44100
    samples = 0.3 * np.sin(2 * np.pi * np.stack([440 * time, 660 * time], axis=1))
    path = tmp_path / "cd.flac"
    soundfile.write(path, samples, 44100, subtype="PCM_24")
    np.testing.assert_allclose(
        by_label(preset.predict(path)), by_label(preset.predict(samples, 44100)), atol=1e-5
    )


@pytest.mark.parametrize(("seconds", "windows"), [(0.2, 1), (0.5, 1), (1.0, 2), (3.3, 7)])
def test_tags_are_the_mean_over_windows(preset: Preset, seconds: float, windows: int) -> None:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, int(8000 * seconds)).astype(np.float32)
    samples *= np.linspace(0, 1, len(samples), dtype=np.float32)
    features = preset.features(samples, 8000)
    assert len(features) == 1 + len(samples) // 128
    if len(features) < FRAMES:
        # Short recordings end in silence, which the mask leaves out where a model has one.
        padding = [(0, FRAMES - len(features)), (0, 0)]
        padded = np.pad(features, padding, constant_values=preset.feature.silence)
        mask = (np.arange(FRAMES) < len(features)).astype(np.float32)
        every = {"features": padded[None], "mask": mask[None]}
        x = {tensor.name: every[tensor.name] for tensor in preset.model.inputs}
        expected = preset.model.predict(x if len(x) > 1 else padded[None], verbose=0)
    else:
        last = len(features) - FRAMES
        starts = [*range(0, last, FRAMES), last]
        assert len(starts) == windows
        expected = outputs_by_hand(preset, features, starts)
        if windows > 1:
            assert np.ptp(expected, axis=0).max() > 1e-3, "windows should not all be alike"
    received = by_label(preset.predict(samples, 8000))
    np.testing.assert_allclose(received, expected.mean(0), atol=1e-5)


def test_tracks_together_are_tracks_alone(preset: Preset, tiny_folder: Path) -> None:
    paths = sorted(tiny_folder.glob("*/*.wav"))[:5]
    tracks = [(path.name, preset.features(path)[: 20 + 9 * n]) for n, path in enumerate(paths)]
    together = list(preset.annotate(tracks))
    assert [key for key, _ in together] == [key for key, _ in tracks]
    for (_, annotations), track in zip(together, tracks, strict=True):
        ((_, alone),) = preset.annotate([track])
        np.testing.assert_allclose(by_label(annotations), by_label(alone), atol=1e-5)


def test_embeddings_are_what_the_last_layer_reads(preset: Preset, tiny_folder: Path) -> None:
    path = tiny_folder / "noise" / "1.wav"
    vectors = preset.embed(path)
    last = next(layer for layer in preset.model.layers if layer.name == "tags")
    assert isinstance(last, layers.Dense)
    kernel, bias = last.get_weights()
    assert vectors.shape == (2, len(kernel))  # 63 frames: windows from 0 and from 31
    assert vectors.dtype == np.float32
    tags = 1 / (1 + np.exp(-(vectors @ kernel + bias)))
    features = preset.features(path)
    np.testing.assert_allclose(tags, outputs_by_hand(preset, features, [0, 31]), atol=1e-5)
    np.testing.assert_allclose(tags.mean(0), by_label(preset.predict(path)), atol=1e-5)


@pytest.mark.filterwarnings("error::UserWarning")
def test_predicting_and_embedding_say_nothing(preset: Preset) -> None:
    """Keras warns of inputs that come in another structure than the model's."""
    samples = np.random.default_rng(0).uniform(-0.1, 0.1, 8000)
    preset.predict(samples, 8000)
    preset.embed(samples, 8000)


def test_a_model_without_a_length_reads_recordings_whole(tiny_feature: LogMel) -> None:
    known, free = (made("dense_baseline", tiny_feature, frames) for frames in (94, None))
    free.model.set_weights(known.model.get_weights())
    samples = np.random.default_rng(1).uniform(-0.5, 0.5, 12000)  # 94 frames
    assert free.embed(samples, 8000).shape == (1, 6)
    np.testing.assert_allclose(
        by_label(free.predict(samples, 8000)), by_label(known.predict(samples, 8000)), atol=1e-5
    )


def test_labels_are_in_the_order_of_the_output(preset: Preset) -> None:
    assert preset.labels == LABELS


def test_samples_need_their_rate(preset: Preset) -> None:
    for method in (preset.predict, preset.embed):
        with pytest.raises(UsageError, match="Expected the sample rate of the samples"):
            method(np.zeros(8000))


def test_audio_that_is_none_is_named(preset: Preset, tmp_path: Path) -> None:
    path = tmp_path / "song.wav"
    with pytest.raises(AudioError, match=r"song\.wav"):
        preset.predict(path)
    path.write_text("no audio")
    with pytest.raises(AudioError, match=r"song\.wav"):
        preset.predict(path)
    with pytest.raises(AudioError, match="at least one sample"):
        preset.predict(np.zeros(0, np.float32), 8000)


def test_a_model_without_an_embedding_says_so(preset: Preset) -> None:
    features = keras.Input((FRAMES, 32), name="features")
    tags = layers.Dense(4, name="tags")(layers.GlobalAveragePooling1D()(features))
    bare = dataclasses.replace(preset, name="mine", model=keras.Model(features, tags))
    with pytest.raises(PresetError, match="layer named 'embedding' in the model of mine"):
        bare.embed(np.zeros(8000, np.float32), 8000)
