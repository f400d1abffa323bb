"""Whatever stands in the zoo keeps its contract; there is no list to keep."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import keras_tuner
import numpy as np
import pytest

from kmir.config import from_dict, to_dict
from kmir.lookup import find, known
from kmir.nn import Output
from pipelines.base import task_class

INPUTS = (110, 24)  # enough frames for two steps of a recurrent layer after 96-fold pooling
BATCH = 3
LABELS = ("a", "b", "c", "d", "e")
BACKENDS = {"tensorflow", "tf", "jax", "torch", "tensorflow_io"}

every_model = pytest.mark.parametrize("name", known("model"))


@pytest.fixture(autouse=True)
def _float32_afterwards() -> Iterator[None]:
    yield
    keras.config.set_dtype_policy("float32")


def outputs_of(module: ModuleType) -> dict[str, Output]:
    task = task_class(module.TASK)
    return task(task.Config(), LABELS).outputs()


def build(name: str, policy: str = "float32") -> keras.Model:
    """The model with its default config and weights that only the seed decides."""
    module = find("model", name)
    keras.utils.set_random_seed(7)
    keras.config.set_dtype_policy(policy)
    model = module.build_model(module.Config(), INPUTS, outputs_of(module))
    keras.config.set_dtype_policy("float32")
    return model


@cache
def shared(name: str) -> keras.Model:
    """One that no test changes."""
    return build(name)


def batch(model: keras.Model, clips: slice = slice(None), frames: int = INPUTS[0]) -> Any:
    """Clips as the model takes them, half of the last one padded: by name, or one by itself."""
    random = np.random.default_rng(0)
    mask = np.ones((BATCH, frames), np.float32)
    mask[-1, frames // 2 :] = 0
    features = random.normal(size=(BATCH, frames, INPUTS[1])).astype(np.float32)
    every = {"features": features[clips], "mask": mask[clips]}
    taken = {tensor.name: every[tensor.name] for tensor in model.inputs}
    return taken if len(taken) > 1 else next(iter(taken.values()))


def predict(model: keras.Model, *cut: Any) -> dict[str, np.ndarray]:
    values = model.predict(batch(model, *cut), verbose=0)
    return values if isinstance(values, dict) else {model.output_names[0]: values}


def targets(outputs: dict[str, Output]) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    made: dict[str, Any] = {}
    for name, output in outputs.items():
        frames = (INPUTS[0],) if output.level == "frame" else ()
        if output.activation == "softmax":
            made[name] = np.eye(output.size)[random.integers(0, output.size, (BATCH, *frames))]
        else:
            made[name] = random.integers(0, 2, (BATCH, *frames, output.size))
    return {name: value.astype(np.float32) for name, value in made.items()}


def compiled(name: str, policy: str = "float32") -> keras.Model:
    model = build(name, policy)
    losses = {"softmax": "categorical_crossentropy", "sigmoid": "binary_crossentropy"}
    outputs = outputs_of(find("model", name))
    by_name = {key: losses.get(output.activation, "mse") for key, output in outputs.items()}
    single = len(outputs) == 1
    model.compile(keras.optimizers.Adam(1e-3), next(iter(by_name.values())) if single else by_name)
    return model


@every_model
def test_contract(name: str) -> None:
    module = find("model", name)
    assert module.__doc__
    assert len(module.__doc__.splitlines()) > 5, "paper, shapes, command, time, score"
    assert f"python -m kmir.train zoo.{name}" in module.__doc__
    assert task_class(module.TASK).name == module.TASK
    config = module.Config()
    assert dataclasses.is_dataclass(config)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(config, dataclasses.fields(config)[0].name, 1)
    assert module.Config.__doc__
    assert list(inspect.signature(module.build_model).parameters) == ["config", "inputs", "outputs"]


@every_model
def test_config_survives_json(name: str) -> None:
    config = find("model", name).Config()
    assert from_dict(type(config), json.loads(json.dumps(to_dict(config)))) == config


@every_model
def test_code_knows_keras_alone(name: str) -> None:
    """No backend and no Lambda layer, so that it runs on all backends and loads safely."""
    source = Path(str(find("model", name).__file__)).read_text(encoding="utf-8")
    tree = ast.parse(source)
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
    assert not imported & BACKENDS
    assert "keras" in imported
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert "Lambda" not in names
    assert not any(isinstance(layer, keras.layers.Lambda) for layer in shared(name).layers)


@every_model
def test_inputs_and_outputs_have_their_names_and_shapes(name: str) -> None:
    model, outputs = shared(name), outputs_of(find("model", name))
    shapes = {tensor.name: tensor.shape for tensor in model.inputs}
    assert shapes["features"] == (None, *INPUTS)
    assert shapes.keys() <= {"features", "mask"}
    assert shapes.get("mask", (None, INPUTS[0])) == (None, INPUTS[0])
    assert sorted(model.output_names) == sorted(outputs)
    assert {"embedding"} <= {layer.name for layer in model.layers}
    for key, values in predict(model).items():
        frames = (INPUTS[0],) if outputs[key].level == "frame" else ()
        assert values.shape == (BATCH, *frames, outputs[key].size)
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
        assert model.get_layer(key).activation == keras.activations.get(outputs[key].activation)


@every_model
def test_two_outputs_come_by_name(name: str) -> None:
    module = find("model", name)
    outputs = outputs_of(module)
    level = next(iter(outputs.values())).level
    outputs |= {"another": Output(3, "softmax", level)}
    keras.utils.set_random_seed(0)
    values = predict(module.build_model(module.Config(), INPUTS, outputs))
    assert values.keys() == outputs.keys()
    np.testing.assert_allclose(values["another"].sum(-1), 1, rtol=1e-5)


@every_model
def test_clips_of_a_batch_do_not_touch(name: str) -> None:
    alone = predict(shared(name), slice(1))
    for key, values in predict(shared(name)).items():
        np.testing.assert_allclose(values[:1], alone[key], atol=1e-5)


@every_model
def test_any_number_of_frames(name: str) -> None:
    """Without a clip length, the same weights read clips of any."""
    module = find("model", name)
    free = module.build_model(module.Config(), (None, INPUTS[1]), outputs_of(module))
    free.set_weights(shared(name).get_weights())
    for key, values in predict(shared(name)).items():
        np.testing.assert_allclose(predict(free)[key], values, atol=1e-5)
    assert all(np.isfinite(values).all() for values in predict(free, slice(None), 131).values())


@every_model
def test_weights_survive_a_file(name: str, tmp_path: Path) -> None:
    model = shared(name)
    model.save_weights(tmp_path / "model.weights.h5")
    module = find("model", name)
    keras.utils.set_random_seed(8)
    again = module.build_model(module.Config(), INPUTS, outputs_of(module))
    before = predict(again)
    again.load_weights(tmp_path / "model.weights.h5")
    for key, values in predict(model).items():
        assert (before[key] != values).any()
        np.testing.assert_array_equal(predict(again)[key], values)


@every_model
def test_the_whole_model_survives_a_file(name: str, tmp_path: Path) -> None:
    shared(name).save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    for key, values in predict(shared(name)).items():
        np.testing.assert_array_equal(predict(again)[key], values)


@every_model
@pytest.mark.parametrize(
    "policy", ["float32", pytest.param("mixed_bfloat16", marks=pytest.mark.slow)]
)
def test_one_step_changes_every_kernel(name: str, policy: str) -> None:
    model = compiled(name, policy)
    before = [np.asarray(v) for v in model.trainable_variables]
    y = targets(outputs_of(find("model", name)))
    single = len(y) == 1
    loss = model.train_on_batch(batch(model), next(iter(y.values())) if single else y)
    assert np.isfinite(loss).all()
    for variable, old in zip(model.trainable_variables, before, strict=True):
        assert np.isfinite(np.asarray(variable)).all(), variable.path
        # The gradient of a bias under a batch norm is 0.
        assert len(variable.shape) < 2 or (np.asarray(variable) != old).any(), variable.path
    for values in predict(model).values():
        assert np.isfinite(values).all()


@every_model
@pytest.mark.parametrize(
    ("policy", "tolerance"), [("mixed_bfloat16", 0.03), ("mixed_float16", 0.004)]
)
def test_mixed_precision_gives_nearly_the_same(name: str, policy: str, tolerance: float) -> None:
    """Eight bits of mantissa, and eleven; outputs are float32 whatever is inside."""
    model = build(name, policy)
    compute = {layer.compute_dtype for layer in model.layers}
    assert policy.removeprefix("mixed_") in compute
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
    for key, values in predict(model).items():
        assert values.dtype == np.float32
        np.testing.assert_allclose(values, predict(shared(name))[key], atol=tolerance)


@cache
def learned(name: str, policy: str) -> list[float]:
    """Losses of some steps on one batch, without dropout, whose masks differ with the format.

    A step whose gradients overflow in float16 halves the scale of the loss and does not count.
    """
    model = compiled(name, policy)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0
    y = targets(outputs_of(find("model", name)))
    y = y if len(y) > 1 else next(iter(y.values()))
    losses: list[float] = []
    for _ in range(12):
        loss = model.train_on_batch(batch(model), y)
        if len(losses) < int(model.optimizer.iterations) <= 4:
            losses.append(float(np.ravel(loss)[0]))
    assert len(losses) == 4
    return losses


@pytest.mark.slow
@every_model
@pytest.mark.parametrize(
    ("policy", "tolerance"), [("mixed_bfloat16", 0.005), ("mixed_float16", 0.0005)]
)
def test_mixed_precision_learns_nearly_the_same(name: str, policy: str, tolerance: float) -> None:
    """One loss with the same weights; Adam's first steps then magnify what is rounded in small
    gradients, as they go as far for a small one as for a large one.
    """
    exact, near = learned(name, "float32"), learned(name, policy)
    assert near[-1] < near[0]
    np.testing.assert_allclose(near[0], exact[0], rtol=tolerance)
    np.testing.assert_allclose(near, exact, rtol=0.02)


@every_model
def test_search_space_gives_models(name: str) -> None:
    module = find("model", name)
    space = keras_tuner.HyperParameters()
    default = module.search_space(space)
    assert isinstance(default, module.Config)
    assert space.space, "nothing to search"
    assert default == module.Config(), "a search begins at the default"
    for seed in range(3):
        drawn = space.copy()
        drawn.values = {each.name: each.random_sample(seed) for each in space.space}
        config = module.search_space(drawn)
        assert json.loads(json.dumps(to_dict(config)))
        model = module.build_model(config, (None, INPUTS[1]), outputs_of(module))
        assert sorted(model.output_names) == sorted(outputs_of(module))
