"""The whole state of a training run in one file: weights, optimizer, and random generators.

Keras' own ``.weights.h5`` leaves out the state of the dropout layers' generators, without which a
resumed run would not end where an uninterrupted one does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from kmir.errors import KmirError


def save_state(model: keras.Model, path: Path, *, epochs: int) -> None:
    """Write all variables of a compiled model, atomically.

    Args:
        model: Compiled; its optimizer may not have taken a step yet.
        path: ``.npz`` file to write.
        epochs: How many epochs it has been trained for.
    """
    state = {f"{i:05d}": np.asarray(value) for i, value in enumerate(_variables(model))}
    state["epochs"] = np.asarray(epochs)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        np.savez(file, **state)  # type: ignore[arg-type]  # numpy's stub reads ** as its flag
    temporary.replace(path)


def load_state(model: keras.Model, path: Path) -> int:
    """Set all variables of a model compiled in the same way.

    Returns:
        How many epochs it had been trained for.

    Raises:
        KmirError: If the file is of another model.
    """
    variables = _variables(model)
    with np.load(path) as file:
        state = dict(file)
    epochs = int(state.pop("epochs"))
    if [value.shape for value in state.values()] != [tuple(v.shape) for v in variables]:
        raise KmirError(f"Expected a checkpoint of this model in {path}. Received: another's.")
    for value, variable in zip(state.values(), variables, strict=True):
        variable.assign(value)
    return epochs


def load_mean(model: keras.Model, paths: Sequence[Path]) -> None:
    """Set the weights of a model to the mean of those in some checkpoints.

    Weights from along one run, averaged, often generalise better than each of them: P. Izmailov et
    al., "Averaging weights leads to wider optima and better generalization", UAI 2018.

    Args:
        model: Compiled in the same way; what is not a weight, such as the optimizer's state, is
            that of the last checkpoint.
        paths: Of the checkpoints.
    """
    total = [np.zeros(variable.shape) for variable in model.weights]
    for path in paths:
        load_state(model, path)
        total = [t + np.asarray(w) for t, w in zip(total, model.weights, strict=True)]
    for variable, value in zip(model.weights, total, strict=True):
        variable.assign(value / len(paths))


def _variables(model: keras.Model) -> list[keras.Variable]:
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    found: list[keras.Variable] = model.variables + model.optimizer.variables
    return found
