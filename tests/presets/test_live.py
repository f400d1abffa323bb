"""Activations while samples arrive, against those of the whole recording."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from kmir.annotations import Annotations
from kmir.errors import AudioError, PresetError, UsageError
from kmir.features.base import Feature
from kmir.features.log_frequency import LogFrequency
from kmir.features.log_mel import LogMel
from kmir.nn import Output, fused
from kmir.presets import Preset, live
from kmir.presets.live import CarriedModel
from pipelines.tagging import Tagging, TaggingConfig
from zoo import gru

FEATURE = LogFrequency(bands_per_octave=4, f_min=60.0)
OUTPUTS = {
    "beat": Output(1, "sigmoid", level="frame"),
    "tempo": Output(5, "softmax", level="frame"),
}


class Frames(Tagging):
    """Answers for frames; a model of any length is given windows of two seconds."""

    window_seconds = 2.0
    margin_seconds = 0.2

    def outputs(self) -> dict[str, Output]:
        return OUTPUTS

    def decode(self, activations: Mapping[str, np.ndarray], times: np.ndarray) -> Annotations:
        self.decoded = activations, times
        return Annotations()


def causal_gru(cell: type[layers.Layer] = layers.GRU, **settings: Any) -> keras.Model:
    """Dense front, two recurrent layers, two heads; untrained, with weights that say something."""
    features = keras.Input((None, *FEATURE.shape), name="features")
    x = layers.Reshape((-1, int(np.prod(FEATURE.shape))))(features)
    x = layers.BatchNormalization()(x)
    x = layers.LayerNormalization()(layers.Dense(12, activation="elu")(x))
    for i in (1, 2):
        x = cell(8, return_sequences=True, name=f"recurrent{i}", **settings)(x)
        x = layers.Dropout(0.5)(x)
    x = layers.Identity(name="embedding")(x)
    tempo = layers.Dense(5, activation="softmax", name="tempo")(x)
    beat = layers.Dense(1, activation="sigmoid", name="beat")(layers.Concatenate()([x, tempo]))
    return keras.Model(features, {"tempo": tempo, "beat": beat})  # in no order of theirs


def causal_convolutions() -> keras.Model:
    """Convolutions over bands and frames, padded before the first frame; then dilated ones."""
    features = keras.Input((None, *FEATURE.shape), name="features")
    x = layers.ZeroPadding2D(((2, 0), (1, 1)), name="pad")(features)
    x = layers.BatchNormalization()(x)  # what was padded is no longer zero
    x = layers.Conv2D(4, 3, name="small")(x)
    x = layers.MaxPooling2D((1, 3))(x)
    x = layers.Conv2D(8, (1, x.shape[2]), bias_initializer="ones")(x)
    x = layers.Reshape((-1, 8))(x)
    for i in (1, 4, 40):  # the last one sees farther than a block
        found = layers.Conv1D(8, 3, dilation_rate=i, padding="causal", name=f"dilated{i}")(x)
        x = layers.Add()([x, layers.Conv1D(8, 1)(layers.LeakyReLU()(found))])
    x = layers.ZeroPadding1D((1, 0))(x)
    x = layers.Conv1D(8, 2, name="pair")(x)
    tempo = layers.Dense(5, activation="softmax", name="tempo")(x)
    beat = layers.Dense(1, activation="sigmoid", name="beat")(x)
    return keras.Model(features, {"beat": beat, "tempo": tempo})


MODELS: dict[str, Callable[[], keras.Model]] = {
    "gru": lambda: causal_gru(recurrent_dropout=0.2, dropout=0.2),
    "lstm": lambda: causal_gru(layers.LSTM),
    "fused": lambda: causal_gru(fused.LSTM),
    "simple_rnn": lambda: causal_gru(layers.SimpleRNN),
    "convolutions": causal_convolutions,
    "zoo": lambda: gru.build_model(
        gru.Config(units=(8, 8), bidirectional=False), (None, *FEATURE.shape), OUTPUTS
    ),
}


def preset_of(model: keras.Model, feature: Feature = FEATURE, name: str = "mine") -> Preset:
    return Preset(name, model, feature, Frames(TaggingConfig(), ("one",)), card={})


@pytest.fixture(scope="module", params=list(MODELS))
def preset(request: pytest.FixtureRequest) -> Preset:
    keras.utils.set_random_seed(1)
    model = MODELS[request.param]()
    rng = np.random.default_rng(0)
    for layer in model.layers:  # large ones, so that the state matters; variances are above zero
        noisy = [rng.normal(weights, 0.3) for weights in layer.get_weights()]
        layer.set_weights([np.abs(w) for w in noisy] if "norm" in layer.name else noisy)
    return preset_of(model, name=request.param)


def music(seconds: float) -> np.ndarray:
    """Noise that comes and goes."""
    count = int(seconds * FEATURE.sample_rate)
    swell = np.sin(2 * np.pi * 1.7 * np.arange(count) / FEATURE.sample_rate) ** 4
    return (swell * np.random.default_rng(3).normal(0, 0.2, count)).astype(np.float32)


def joined(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in OUTPUTS}


def streamed(preset: Preset, blocks: list[np.ndarray]) -> dict[str, np.ndarray]:
    stream = preset.stream()
    return joined([*(stream.feed(block) for block in blocks), stream.finish()])


def assert_close(ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> None:
    assert ours.keys() == theirs.keys() == OUTPUTS.keys()
    for name, values in ours.items():
        assert values.shape == (len(values), OUTPUTS[name].size)
        np.testing.assert_allclose(values, theirs[name], rtol=0, atol=1e-4)


def at_once(preset: Preset, samples: np.ndarray) -> dict[str, np.ndarray]:
    """The model as it was built, over the whole recording in one call."""
    features = preset.features(samples, FEATURE.sample_rate)[None].astype(np.float32)
    return {name: values[0] for name, values in preset.model.predict(features, verbose=0).items()}


def test_a_recording_is_read_as_one(preset: Preset, monkeypatch: pytest.MonkeyPatch) -> None:
    # 7 s in blocks of a second, where windows of 2 s with margins would begin anew five times.
    monkeypatch.setattr(live, "BLOCK", 50)
    samples = music(7)
    whole = preset.activations(samples, FEATURE.sample_rate)
    assert len(whole["beat"]) == 351 and np.ptp(whole["beat"]) > 0.01
    assert_close(whole, at_once(preset, samples))
    preset.predict(samples, FEATURE.sample_rate)
    decoded, times = preset.task.decoded
    assert_close(decoded, whole)  # the second recording begins anew too
    assert times[-1] == 7.0


@pytest.mark.parametrize("block", [100, 3000])
def test_blocks_joined_are_the_whole(preset: Preset, block: int) -> None:
    samples = music(0.5 if block == 100 else 3)
    blocks = [samples[start : start + block] for start in range(0, len(samples), block)]
    whole = preset.activations(samples, FEATURE.sample_rate)
    assert_close(streamed(preset, blocks), whole)


@settings(deadline=None, max_examples=20)
@given(cuts=st.lists(st.integers(0, 120), max_size=8))
def test_frames_in_random_blocks_are_the_whole(preset: Preset, cuts: list[int]) -> None:
    carried, rows = preset._carried, preset.features(music(2.39), FEATURE.sample_rate)
    assert carried is not None and len(rows) == 120
    carried.reset()
    found = joined([carried.feed(block) for block in np.split(rows, sorted(cuts))])
    assert_close(found, carried.whole(rows, dict.fromkeys(found, "frames")))


def test_a_frame_comes_with_its_last_sample() -> None:
    stream, samples = preset_of(causal_gru()).stream(), music(1)
    assert {k: v.shape for k, v in stream.feed(samples[:1023]).items()} == {
        "beat": (0, 1), "tempo": (0, 5),
    }  # fmt: skip
    assert len(stream.feed(samples[1023:1024])["beat"]) == 1  # half of 2048: the frame at 0 s
    assert len(stream.feed(samples[1024 : 1024 + 10 * 441])["beat"]) == 10
    # In all 1 + 5434 // 441 frames.
    assert len(stream.finish()["beat"]) == 2
    with pytest.raises(AudioError, match=r"Expected no block after finish\(\)"):
        stream.feed(samples)


def test_streams_side_by_side_do_not_mix() -> None:
    preset, samples = preset_of(causal_gru()), music(2)
    whole = preset.activations(samples, FEATURE.sample_rate)
    one, other = preset.stream(), preset.stream()
    parts = [one.feed(samples[:20000])]
    other.feed(samples[5000:30000])
    assert_close(preset.activations(samples, FEATURE.sample_rate), whole)
    parts += [one.feed(samples[20000:]), one.finish()]
    assert_close(joined(parts), whole)


def test_embeddings_are_of_the_whole_too() -> None:
    preset, samples = preset_of(causal_gru()), music(5)
    features = preset.features(samples, FEATURE.sample_rate)[None].astype(np.float32)
    body = keras.Model(preset.model.inputs, preset.model.get_layer("embedding").output)
    expected = body.predict(features, verbose=0)[0]
    np.testing.assert_allclose(preset.embed(samples, FEATURE.sample_rate), expected, atol=1e-4)


def test_a_model_of_one_output_has_its_name() -> None:
    features = keras.Input((None, *FEATURE.shape), name="features")
    x = layers.GRU(4, return_sequences=True)(layers.Reshape((-1, 60))(features))
    model = keras.Model(features, layers.Dense(1, name="beat")(x))
    rows = np.random.default_rng(0).uniform(0, 1, (30, *FEATURE.shape)).astype(np.float16)
    carried = CarriedModel(model, "mine")
    parts = [carried.feed(rows[:7]), carried.feed(rows[7:7]), carried.feed(rows[7:])]
    assert [part["beat"].shape for part in parts] == [(7, 1), (0, 1), (23, 1)]
    expected = model.predict(rows[None].astype(np.float32), verbose=0)[0]
    found = np.concatenate([part["beat"] for part in parts])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_weights_are_copied_and_the_model_is_left_alone() -> None:
    model = causal_gru()
    model.compile(loss={"beat": lambda y, p: p, "tempo": lambda y, p: p})  # can't be rebuilt
    before = [w.copy() for w in model.get_weights()]
    CarriedModel(model, "mine").feed(np.ones((3, *FEATURE.shape), np.float32))
    assert not model.get_layer("recurrent1").stateful
    for ours, theirs in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def through(*chain: layers.Layer) -> keras.Model:
    """Features as vectors, then layers one on the other."""
    features = keras.Input((None, *FEATURE.shape), name="features")
    x = layers.Reshape((-1, 60), name="vectors")(features)
    for layer in chain:
        x = layer(x)
    return keras.Model(features, {"beat": x})


def shared() -> keras.Model:
    layer = layers.GRU(60, return_sequences=True, name="both")
    return through(layer, layer)


def guided() -> keras.Model:
    features = keras.Input((None, *FEATURE.shape), name="features")
    x = layers.Reshape((-1, 60))(features)
    state = layers.GRU(4, name="ending")(x)
    return keras.Model(
        features, {"beat": layers.GRU(4, return_sequences=True)(x, initial_state=state)}
    )


def attending() -> keras.Model:
    features = keras.Input((None, *FEATURE.shape), name="features")
    x = layers.Reshape((-1, 60))(features)
    return keras.Model(features, {"beat": layers.MultiHeadAttention(1, 4, name="look")(x, x)})


def operating() -> keras.Model:
    features = keras.Input((None, *FEATURE.shape), name="features")
    return keras.Model(features, {"beat": keras.ops.flip(features, axis=1)})


def recurrent(name: str, **settings: Any) -> layers.Layer:
    return layers.GRU(4, name=name, **{"return_sequences": True} | settings)


REFUSED: dict[str, tuple[Callable[[], keras.Model], str]] = {
    "both ways": (lambda: through(layers.Bidirectional(recurrent("x"), name="bi1")),
                  "'bi1' (Bidirectional)"),
    "backwards": (lambda: through(recurrent("back", go_backwards=True)), "'back' (GRU)"),
    "last only": (lambda: through(recurrent("last", return_sequences=False)), "'last' (GRU)"),
    "same": (lambda: through(layers.Conv1D(4, 3, padding="same", name="near")), "'near' (Conv1D)"),
    "valid": (lambda: through(layers.Conv1D(4, 3, name="near")), "'near' (Conv1D)"),
    "stride": (lambda: through(layers.Conv1D(4, 3, 2, padding="causal", name="half")),
               "'half' (Conv1D)"),
    "padded after": (lambda: through(layers.ZeroPadding1D((0, 2), name="pad"), layers.Conv1D(4, 3)),
                     "'pad' (ZeroPadding1D)"),
    "too little": (lambda: through(layers.ZeroPadding1D((1, 0)), layers.Conv1D(4, 3, name="wide")),
                   "'wide' (Conv1D)"),
    "padded, then recurrent": (lambda: through(layers.ZeroPadding1D((2, 0)), recurrent("late")),
                               "'late' (GRU)"),
    "regrouped": (lambda: through(layers.Reshape((-1, 120), name="pairs")), "'pairs' (Reshape)"),
    "pooled": (lambda: through(layers.AveragePooling1D(2, name="pool")),
               "'pool' (AveragePooling1D)"),
    "shared": (shared, "'both' (GRU)"),
    "guided": (guided, "'ending' (GRU)"),
    "attention": (attending, "'look' (MultiHeadAttention)"),
    "operation": (operating, "(Flip)"),
}  # fmt: skip


@pytest.mark.parametrize("case", list(REFUSED))
def test_what_looks_ahead_is_refused_by_name(case: str) -> None:
    build, layer = REFUSED[case]
    with pytest.raises(PresetError, match=re.escape(layer)) as caught:
        preset_of(build(), name="his").stream()
    assert str(caught.value).startswith("Expected layers that look only back and keep one state")
    assert str(caught.value).endswith("of his; take a causal preset, such as beat_gru_pop909.")


def test_a_model_that_looks_ahead_still_reads_windows() -> None:
    preset = preset_of(through(layers.Bidirectional(recurrent("x")), layers.Dense(1)))
    rows = np.random.default_rng(0).uniform(0, 1, (300, *FEATURE.shape)).astype(np.float16)
    preset.task.outputs = lambda: {"beat": OUTPUTS["beat"]}
    list(preset.annotate([("a", rows)]))
    found = preset.task.decoded[0]["beat"]
    first = preset.model.predict(rows[None, :100].astype(np.float32), verbose=0)["beat"][0]
    np.testing.assert_allclose(found[:90], first[:90], atol=1e-5)
    whole = preset.model.predict(rows[None].astype(np.float32), verbose=0)["beat"][0]
    assert np.abs(found - whole).max() > 1e-6


def test_frames_too_many_are_refused() -> None:
    with pytest.raises(PresetError, match=r"Expected an output a frame of mine\. Received: more"):
        preset_of(through(layers.ZeroPadding1D((2, 0)))).stream()


def test_other_presets_are_refused() -> None:
    features = keras.Input((100, *FEATURE.shape), name="features")
    fixed = keras.Model(features, {"beat": features})
    with pytest.raises(
        PresetError, match=r"any number of frames.*Received: mine, .*\(100, 30, 2\)"
    ):
        preset_of(fixed).stream()
    clips = Preset("hers", fixed, FEATURE, Tagging(TaggingConfig(), ("one",)), card={})
    with pytest.raises(PresetError, match=r"answers for frames, to stream\. Received: hers, which"):
        clips.stream()
    mel = LogMel(n_mels=30)
    features = keras.Input((None, *mel.shape), name="features")
    model = keras.Model(features, {"beat": recurrent("x")(features)})
    with pytest.raises(UsageError, match=r"while samples arrive\. Received: log_mel"):
        preset_of(model, mel).stream()
