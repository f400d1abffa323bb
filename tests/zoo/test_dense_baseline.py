"""The dense baseline against NumPy: one frame, context, and the mask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import keras
import keras_tuner
import numpy as np
import pytest

from kmir.errors import UsageError
from kmir.nn import Output
from zoo.dense_baseline import Config, build_model, search_space

TAGS = {"tags": Output(4, "sigmoid")}


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def randomise(model: keras.Model) -> keras.Model:
    """Weights without zeros, so that a lost bias or statistic shows."""
    model.set_weights([0.5 + np.abs(noise(*w.shape, seed=i)) for i, w in enumerate(model.weights)])
    for i, layer in enumerate(model.layers):
        if layer.name.startswith("hidden"):
            layer.set_weights([noise(*w.shape, seed=i) for w in layer.get_weights()])
    return model


def numpy_frames(model: keras.Model, clip: np.ndarray) -> np.ndarray:
    """Last hidden layer of a clip ``(frames, bins)``, dense layers on windows of frames."""
    gamma, beta, mean, variance = model.get_layer("input_norm").get_weights()
    x = gamma * (clip - mean) / np.sqrt(variance + 1e-3) + beta
    for name in ("hidden1", "hidden2"):
        kernel, bias = model.get_layer(name).get_weights()  # (context, in, out)
        half = len(kernel) // 2
        padded = np.pad(x, ((half, half), (0, 0)))
        windows = np.stack([padded[t : t + len(kernel)].ravel() for t in range(len(x))])
        x = np.maximum(windows @ kernel.reshape(-1, kernel.shape[-1]) + bias, 0)
    return x


def head(model: keras.Model, name: str, x: np.ndarray) -> np.ndarray:
    kernel, bias = model.get_layer(name).get_weights()
    return 1 / (1 + np.exp(-(x @ kernel + bias)))


@pytest.mark.parametrize("context", [1, 5])
@pytest.mark.parametrize("frames", [None, 12])
def test_equals_numpy(context: int, frames: int | None) -> None:
    model = randomise(build_model(Config(context=context, units=(6, 5)), (frames, 3), TAGS))
    x, mask = noise(2, 12, 3), np.ones((2, 12), np.float32)
    mask[1, 7:] = 0
    received = model.predict({"features": x, "mask": mask}, verbose=0)
    hidden = [numpy_frames(model, clip[:n]) for clip, n in zip(x, (12, 7), strict=True)]
    embeddings = np.stack([h.mean(axis=0) for h in hidden])
    np.testing.assert_allclose(received, head(model, "tags", embeddings), atol=1e-5)
    probe = keras.Model(model.input, model.get_layer("embedding").output)
    np.testing.assert_allclose(
        probe.predict({"features": x, "mask": mask}, verbose=0), embeddings, rtol=1e-4
    )


def test_mean_of_embeddings_is_mean_of_logits() -> None:
    model = randomise(build_model(Config(units=(6, 5)), (None, 3), TAGS))
    x, mask = noise(1, 9, 3), np.ones((1, 9), bool)
    value = model.predict({"features": x, "mask": mask}, verbose=0)[0]
    kernel, bias = model.get_layer("tags").get_weights()
    logits = numpy_frames(model, x[0]) @ kernel + bias
    np.testing.assert_allclose(value, 1 / (1 + np.exp(-logits.mean(axis=0))), atol=1e-5)


@pytest.mark.parametrize("dtype", [bool, np.float32])
def test_padding_changes_nothing(dtype: type) -> None:
    outputs = {"tags": Output(4, "sigmoid"), "beat": Output(1, "sigmoid", "frame")}
    model = randomise(build_model(Config(context=5, units=(6, 5)), (None, 3), outputs))
    x = noise(2, 8, 3)
    alone = model.predict({"features": x, "mask": np.ones((2, 8), dtype)}, verbose=0)
    padded = np.concatenate([x, np.full((2, 20, 3), -80, np.float32)], axis=1)
    mask = np.concatenate([np.ones((2, 8), dtype), np.zeros((2, 20), dtype)], axis=1)
    together = model.predict({"features": padded, "mask": mask}, verbose=0)
    np.testing.assert_allclose(together["tags"], alone["tags"], atol=1e-6)
    np.testing.assert_allclose(together["beat"][:, :8], alone["beat"], atol=1e-6)


def test_context_reaches_as_far_as_it_says() -> None:
    outputs = {"beat": Output(1, "sigmoid", "frame")}
    model = build_model(Config(context=5, units=(16, 16)), (None, 3), outputs)
    x, mask = noise(1, 21, 3), np.ones((1, 21))
    changed = x.copy()
    changed[0, 10] += 5
    first, second = (
        model.predict({"features": f, "mask": mask}, verbose=0)[0, :, 0] for f in (x, changed)
    )
    moved = np.flatnonzero(np.abs(first - second) > 1e-6)
    assert moved.tolist() == [8, 9, 10, 11, 12]
    assert model.get_layer("embedding").output.shape == (None, None, 16)


def test_channels_stand_side_by_side() -> None:
    flat = build_model(Config(units=(4,)), (None, 6), TAGS)
    deep = build_model(Config(units=(4,)), (None, 3, 2), TAGS)
    deep.set_weights(flat.get_weights())
    x, mask = noise(2, 7, 3, 2), np.ones((2, 7))
    np.testing.assert_allclose(
        deep.predict({"features": x, "mask": mask}, verbose=0),
        flat.predict({"features": x.reshape(2, 7, 6), "mask": mask}, verbose=0),
        atol=1e-6,
    )


def test_weights_survive_a_file(tmp_path: Path) -> None:
    model, again = (build_model(Config(units=(8,)), (None, 3), TAGS) for _ in range(2))
    model.save_weights(tmp_path / "model.weights.h5")
    again.load_weights(tmp_path / "model.weights.h5")
    x = {"features": noise(2, 9, 3), "mask": np.ones((2, 9))}
    np.testing.assert_array_equal(model.predict(x, verbose=0), again.predict(x, verbose=0))


def test_learns_from_few_clips() -> None:
    """A tone somewhere in noise at -40 dB, 96 clips: told apart on others after 60 steps."""
    keras.utils.set_random_seed(1)

    def clips(seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        targets = np.arange(96) % 2
        x = 8 * noise(96, 30, 24, seed=seed) - 40
        x[:, :, 10] += 12 * targets[:, None]
        return {"features": x, "mask": np.ones((96, 30))}, targets[:, None].astype(np.float32)

    model = build_model(Config(units=(16, 16)), (None, 24), {"tone": Output(1, "sigmoid")})
    model.compile(keras.optimizers.Adam(1e-2), "binary_crossentropy", metrics=["accuracy"])
    x, y = clips(seed=0)
    model.fit(x, y, batch_size=16, epochs=10, verbose=0)
    _, accuracy = model.evaluate(*clips(seed=1), verbose=0)
    assert accuracy > 0.95


@pytest.fixture
def bfloat16() -> Iterator[None]:
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(policy)


def test_bfloat16_counts_frames_exactly(bfloat16: None) -> None:
    model = build_model(Config(units=(4,)), (None, 3), TAGS)
    model.compile("adam", "binary_crossentropy")
    x, mask = np.zeros((1, 1001, 3), np.float32), np.ones((1, 1001), np.float32)
    assert np.isfinite(
        model.fit({"features": x, "mask": mask}, np.ones((1, 4)), verbose=0).history["loss"]
    )
    model.get_layer("hidden1").set_weights([np.zeros((1, 3, 4)), np.ones(4)])
    probe = keras.Model(model.input, [model.get_layer("embedding").output, model.output])
    embedding, values = probe.predict({"features": x, "mask": mask}, verbose=0)
    np.testing.assert_array_equal(embedding, np.ones((1, 4), np.float32))
    assert values.dtype == np.float32


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (Config(context=4), "Received: 4. Take 5"),
        (Config(context=0), "Received: 0. Take 1"),
        (Config(units=()), "at least one hidden layer"),
    ],
)
def test_refusals(config: Config, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build_model(config, (None, 3), TAGS)


def test_search_starts_at_the_default() -> None:
    assert search_space(keras_tuner.HyperParameters()) == Config()
