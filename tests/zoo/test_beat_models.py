"""Beat models: how far each sees, forward or both ways, shapes of the papers, and learning."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from kmir.errors import UsageError
from kmir.lookup import find
from kmir.nn import Output
from kmir.nn.losses import ShiftTolerantBinaryCrossentropy
from zoo import beat_bilstm, beat_crnn, beat_gru, beat_tcn

BEATS = {
    "beat": Output(1, "sigmoid", "frame"),
    "downbeat": Output(1, "sigmoid", "frame"),
    "tempo": Output(6, "softmax", "frame"),
}
BANDS = 17  # the fewest that the front end takes
MODELS = ("beat_bilstm", "beat_gru", "beat_crnn", "beat_tcn")


def spectra(frames: int, *shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(1, frames, *shape)).astype(np.float32)


def lively(model: keras.Model) -> keras.Model:
    """Kernels, biases and statistics that are not those of the start, none of them tiny."""
    random = np.random.default_rng(4)
    for variable in model.variables:
        if "seed" not in variable.path:
            noise = random.normal(scale=0.2, size=variable.shape)
            variable.assign(variable + (np.abs(noise) if "variance" in variable.path else noise))
    return model


def logits(model: keras.Model) -> keras.Model:
    """The outputs' evidence, where no sigmoid hides a small change."""
    return keras.Model(model.input, model.get_layer("embedding").output)


def moved(model: keras.Model, x: np.ndarray, frame: int) -> np.ndarray:
    """``(frames,)`` whether each output differs when one frame of the input does."""
    touched = x.copy()
    touched[:, frame] += 3.0
    change = np.abs(np.asarray(model(touched)) - np.asarray(model(x)))
    return change.max(axis=(0, 2)) > 0


# === How far they see ===


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    ("blocks", "kernel_size", "frames"), [(1, 3, 9), (2, 3, 17), (2, 5, 29), (3, 5, 61)]
)
def test_receptive_field_is_what_moves_an_output(
    blocks: int, kernel_size: int, frames: int, causal: bool
) -> None:
    """Each frame of the field moves the output and none beyond it does, not even by a bit."""
    config = beat_tcn.Config(filters=6, layers=blocks, kernel_size=kernel_size, causal=causal)
    assert beat_tcn.receptive_field(config) == frames
    keras.utils.set_random_seed(2)
    model = logits(lively(beat_tcn.build_model(config, (None, BANDS), BEATS)))
    length, middle = 2 * frames + 5, frames + 2
    x = spectra(length, BANDS)
    answers = moved(model, x, middle)
    ahead = 0 if causal else frames // 2  # of an output; the input's frame moves what is behind
    first, last = middle - ahead, middle - ahead + frames - 1
    assert answers.nonzero()[0].tolist() == list(range(first, last + 1))


@pytest.mark.parametrize("causal", [False, True])
def test_receptive_field_of_the_default_network(causal: bool) -> None:
    """By the gradient, as what comes from the edges of 2045 frames is below float32's steps."""
    config = beat_tcn.Config(filters=4, causal=causal)
    frames = beat_tcn.receptive_field(config)
    assert frames == beat_tcn.receptive_field(beat_tcn.Config()) == 2045
    model = logits(lively(beat_tcn.build_model(config, (None, BANDS), BEATS)))
    x = tf.constant(spectra(frames + 40, BANDS))
    output = 20 + (frames - 1 if causal else frames // 2)
    with tf.GradientTape() as tape:
        tape.watch(x)
        heard = tf.reduce_sum(model(x)[:, output])
    seen = np.abs(tape.gradient(heard, x).numpy()).max(axis=(0, 2)).nonzero()[0]
    assert (seen[0], seen[-1]) == (20, 20 + frames - 1)


@pytest.mark.parametrize(
    ("name", "settings", "ahead"),
    [
        ("beat_gru", {}, False),
        ("beat_gru", {"bidirectional": True}, True),
        ("beat_bilstm", {}, True),
        ("beat_crnn", {"causal": True}, False),
        ("beat_crnn", {}, True),
        ("beat_tcn", {"causal": True, "layers": 3}, False),
        ("beat_tcn", {"layers": 3}, True),
    ],
)
def test_who_sees_ahead(name: str, settings: dict[str, Any], ahead: bool) -> None:
    module = find("model", name)
    model = lively(module.build_model(module.Config(**settings), (None, BANDS, 2), BEATS))
    answers = moved(logits(model), spectra(24, BANDS, 2), 12)
    assert answers[12:].all()
    assert answers[:12].any() == ahead


def test_causal_gru_carries_nothing_but_its_states() -> None:
    """Cut in two, with the states carried over by hand, it gives what it gives for the whole."""
    model = lively(beat_gru.build_model(beat_gru.Config(), (None, BANDS, 2), BEATS))
    kinds = {type(layer).__name__ for layer in model.layers}
    assert kinds == {
        "InputLayer", "Reshape", "BatchNormalization", "Dense", "Dropout", "GRU", "Identity",
        "Concatenate",
    }  # fmt: skip
    x = spectra(40, BANDS, 2)
    features = keras.Model(model.input, model.get_layer("front_dropout").output)(x)
    whole = np.asarray(logits(model)(x))
    states: dict[str, Any] = {}
    for part in (features[:, :13], features[:, 13:]):
        found = part
        for name in ("gru1", "gru2"):
            layer = model.get_layer(name)
            again = keras.layers.GRU(layer.units, return_sequences=True, return_state=True)
            again.build(found.shape)
            again.set_weights(layer.get_weights())
            found, states[name] = again(found, initial_state=states.get(name))
    np.testing.assert_allclose(found, whole[:, 13:], atol=1e-5)


# === Shapes ===


def test_shapes_of_the_front_end() -> None:
    """81 bands: 79, pooled 26, 24, pooled 8, 1, as in the paper."""
    model = beat_tcn.build_model(beat_tcn.Config(), (1000, 81, 2), BEATS)
    shapes = {layer.name: layer.output.shape[1:] for layer in model.layers}
    assert shapes["image"] == (1000, 81, 2)
    assert shapes["front_conv1"] == (1000, 79, 32)
    assert shapes["front_pool1"] == (1000, 26, 32)
    assert shapes["front_conv2"] == (1000, 24, 32)
    assert shapes["front_pool2"] == (1000, 8, 32)
    assert shapes["front"] == (1000, 32)
    crnn = beat_crnn.build_model(beat_crnn.Config(), (1000, 81, 2), BEATS)
    names = [layer.name for layer in crnn.layers]
    assert names[: names.index("front") + 1] == [
        layer.name for layer in model.layers[: names.index("front") + 1]
    ]


def test_blocks_have_two_dilations_each() -> None:
    model = beat_tcn.build_model(beat_tcn.Config(layers=4), (None, 81, 2), BEATS)
    for i in range(4):
        assert model.get_layer(f"near{i + 1}").dilation_rate == (2**i,)
        assert model.get_layer(f"far{i + 1}").dilation_rate == (2 ** (i + 1),)
    assert model.get_layer("sum4").output.shape == (None, None, 32)


def test_the_sum_of_the_blocks_is_what_the_heads_read() -> None:
    """The residual stream, as it would leave the last block, less what came into the first."""
    config = beat_tcn.Config(filters=5, layers=3)
    model = lively(beat_tcn.build_model(config, (None, BANDS), BEATS))
    named = ["front", "residual2", "found3", "sum3"]
    probe = keras.Model(model.input, [model.get_layer(name).output for name in named])
    front, stream, last, total = (np.asarray(v) for v in probe(spectra(30, BANDS)))
    np.testing.assert_allclose(stream + last - front, total, atol=1e-4)


def test_shapes_of_the_recurrent_models() -> None:
    bilstm = beat_bilstm.build_model(beat_bilstm.Config(), (1000, 81, 2), BEATS)
    assert [bilstm.get_layer(f"bilstm{i}").output.shape[-1] for i in (1, 2, 3)] == [50, 50, 50]
    gru = beat_gru.build_model(beat_gru.Config(bidirectional=True), (1000, 81, 2), BEATS)
    assert [gru.get_layer(f"bigru{i}").output.shape[-1] for i in (1, 2)] == [128, 128]


@pytest.mark.parametrize("name", MODELS)
def test_they_are_small(name: str) -> None:
    module = find("model", name)
    model = module.build_model(module.Config(), (None, 81, 2), BEATS)
    assert model.count_params() < 150_000
    assert model.name == name


# === Refusals ===


@pytest.mark.parametrize(
    ("name", "settings", "inputs", "message"),
    [
        ("beat_tcn", {}, (None, 16, 2), "17 bands or more. Received: 16"),
        ("beat_crnn", {}, (None, 16), "17 bands or more. Received: 16"),
        ("beat_tcn", {"layers": 0}, (None, 81, 2), "at least one layer.*Received: 0"),
        ("beat_tcn", {"kernel_size": 4}, (None, 81, 2), "odd kernel_size from 3.*Received: 4"),
        ("beat_tcn", {"kernel_size": 1}, (None, 81, 2), "odd kernel_size from 3.*Received: 1"),
        ("beat_gru", {"units": ()}, (None, 81, 2), "at least one recurrent layer"),
        ("beat_bilstm", {"units": ()}, (None, 81, 2), "at least one recurrent layer"),
    ],
)
def test_settings_that_can_not_be(
    name: str, settings: dict[str, Any], inputs: Any, message: str
) -> None:
    module = find("model", name)
    with pytest.raises(UsageError, match=message):
        module.build_model(module.Config(**settings), inputs, BEATS)


# === Learning ===


def clicks(clips: int, frames: int, seed: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Noise with a burst every 10 frames from a random one, every third in the low bands too."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(clips, frames, BANDS, 2)).astype(np.float32)
    y = {name: np.zeros((clips, frames, 1), np.float32) for name in ("beat", "downbeat")}
    for clip in range(clips):
        beats = np.arange(random.integers(10), frames, 10)
        downbeats = beats[random.integers(3) :: 3]
        x[clip, beats, 8:] += 2.0
        x[clip, downbeats, :8] += 2.0
        y["beat"][clip, beats], y["downbeat"][clip, downbeats] = 1, 1
    return x, y


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("beat_tcn", {"filters": 8, "layers": 3}),
        ("beat_crnn", {"filters": 8, "units": (8,)}),
        ("beat_gru", {"front": 16, "units": (16,)}),
        ("beat_bilstm", {"units": (8,)}),
    ],
)
def test_learns_where_the_clicks_are(name: str, settings: dict[str, Any]) -> None:
    keras.utils.set_random_seed(1)
    module, outputs = find("model", name), {n: BEATS[n] for n in ("beat", "downbeat")}
    model = module.build_model(module.Config(**settings), (60, BANDS, 2), outputs)
    loss = {n: ShiftTolerantBinaryCrossentropy(1, positive_weight=4.0) for n in outputs}
    model.compile(keras.optimizers.Adam(1e-2), loss)
    x, y = clicks(48, 60, seed=0)
    model.fit(x, y, batch_size=8, epochs=8, verbose=0)
    x, y = clicks(8, 60, seed=1)
    found = model.predict(x, verbose=0)
    for output, truth in y.items():
        near = np.max([np.roll(truth, k, axis=1) for k in (-1, 0, 1)], axis=0) > 0
        highest = np.max([np.roll(found[output], k, axis=1) for k in (-1, 0, 1)], axis=0)
        assert (highest[truth > 0] > 0.5).mean() > 0.9, output
        assert (found[output][~near] < 0.5).mean() > 0.9, output
