"""A run that was stopped and resumed ends at the very weights of one that was not."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from kmir.errors import KmirError
from kmir.nn.checkpoint import load_mean, load_state, save_state

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(16, 12, 6)).astype(np.float32)
Y = RANDOM.integers(0, 2, (16, 3)).astype(np.float32)


def made(policy: str = "float32", units: int = 5) -> keras.Model:
    """Layers with every kind of state: dropout, batch norm, a GRU with dropouts of its own."""
    keras.config.set_dtype_policy(policy)
    try:
        x = features = keras.Input((12, 6), name="features")
        x = layers.BatchNormalization()(x)
        x = layers.Dropout(0.3)(x)
        x = layers.GRU(units, dropout=0.2, recurrent_dropout=0.2)(x)
        x = layers.Dropout(0.3)(x)
        model = keras.Model(features, layers.Dense(3, activation="sigmoid", dtype="float32")(x))
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile(keras.optimizers.Adam(1e-2, global_clipnorm=1.0), "binary_crossentropy")
    return model


def steps(model: keras.Model, count: int) -> list[float]:
    return [float(model.train_on_batch(X, Y)) for _ in range(count)]


def state(model: keras.Model) -> list[np.ndarray]:
    return [np.asarray(value) for value in model.variables + model.optimizer.variables]


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_resumed_equals_uninterrupted(tmp_path: Path, policy: str) -> None:
    keras.utils.set_random_seed(0)
    whole = made(policy)
    steps(whole, 3)
    save_state(whole, tmp_path / "last.npz", epochs=7)
    later = steps(whole, 3)

    keras.utils.set_random_seed(1)  # other weights, other dropout
    resumed = made(policy)
    assert load_state(resumed, tmp_path / "last.npz") == 7
    assert steps(resumed, 3) == later
    for one, other in zip(state(whole), state(resumed), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_state_of_dropout_is_kept(tmp_path: Path) -> None:
    model = made()
    seeds = [v for v in model.variables if "seed_generator_state" in v.path]
    assert len(seeds) >= 3
    steps(model, 2)
    before = [np.asarray(v) for v in seeds]
    save_state(model, tmp_path / "last.npz", epochs=1)
    steps(model, 1)
    assert any((np.asarray(v) != old).any() for v, old in zip(seeds, before, strict=True))
    load_state(model, tmp_path / "last.npz")
    for variable, old in zip(seeds, before, strict=True):
        np.testing.assert_array_equal(variable, old)


def test_the_scale_of_the_loss_and_the_learning_rate_are_kept(tmp_path: Path) -> None:
    model = made("mixed_float16")
    steps(model, 1)
    model.optimizer.dynamic_scale.assign(1024.0)
    model.optimizer.learning_rate = 3e-4
    save_state(model, tmp_path / "last.npz", epochs=1)
    other = made("mixed_float16")
    load_state(other, tmp_path / "last.npz")
    assert float(other.optimizer.dynamic_scale) == 1024.0
    assert float(other.optimizer.learning_rate) == pytest.approx(3e-4)
    assert int(other.optimizer.iterations) == int(model.optimizer.iterations)


def test_a_model_that_took_no_step_can_be_saved_and_filled(tmp_path: Path) -> None:
    model = made()
    save_state(model, tmp_path / "deep" / "er" / "best.npz", epochs=0)
    other = made()
    assert load_state(other, tmp_path / "deep" / "er" / "best.npz") == 0
    np.testing.assert_array_equal(model.predict(X, verbose=0), other.predict(X, verbose=0))


@pytest.mark.parametrize("other", [{"units": 4}, {"policy": "mixed_float16"}])
def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path, other: dict[str, int]) -> None:
    save_state(made(), tmp_path / "last.npz", epochs=1)
    model = made(**other)  # type: ignore[arg-type]
    before = model.get_weights()
    with pytest.raises(KmirError, match=r"checkpoint of this model in .*last\.npz"):
        load_state(model, tmp_path / "last.npz")
    for one, unchanged in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, unchanged)


def test_a_save_that_is_killed_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = made()
    path = tmp_path / "last.npz"
    save_state(model, path, epochs=1)
    whole = path.read_bytes()

    def killed(file: object, **arrays: np.ndarray) -> None:
        file.write(b"half a file")  # type: ignore[attr-defined]
        raise KeyboardInterrupt

    monkeypatch.setattr("kmir.nn.checkpoint.np.savez", killed)
    with pytest.raises(KeyboardInterrupt):
        save_state(model, path, epochs=2)
    assert path.read_bytes() == whole
    assert load_state(made(), path) == 1
    monkeypatch.undo()
    save_state(model, path, epochs=3)
    assert [file.name for file in tmp_path.iterdir()] == ["last.npz"]


def test_mean_of_two_checkpoints(tmp_path: Path) -> None:
    model = made()
    kept, paths = [], [tmp_path / "a.npz", tmp_path / "b.npz"]
    for path in paths:
        steps(model, 2)
        save_state(model, path, epochs=1)
        kept.append([np.asarray(weight) for weight in model.weights])
    steps(model, 1)
    load_mean(model, paths)
    for found, first, second in zip(model.weights, *kept, strict=True):
        np.testing.assert_allclose(found, (first + second) / 2, rtol=1e-5, atol=1e-7)
