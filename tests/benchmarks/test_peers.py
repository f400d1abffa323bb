"""The peers in PyTorch compute what the zoo's models compute."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import keras
import numpy as np
import pytest

from kmir.benchmarks.workloads import BILSTM, BILSTM_UNITS, WORKLOADS, Workload
from kmir.lookup import find

torch = pytest.importorskip("torch")
peers = pytest.importorskip("kmir.benchmarks.peers")

CASES = {
    "zoo.crnn_tagger": (WORKLOADS["tagging"], {}),
    "zoo.bilstm": (BILSTM, {"units": BILSTM_UNITS}),
}


def pair(name: str) -> tuple[keras.Model, Any, Workload]:
    """The zoo's model with random weights and statistics, and its peer with the same."""
    workload, settings = CASES[name]
    module = find("model", name)
    model = workload.compiled(module, module.Config(**settings), "float32")
    random = np.random.default_rng(0)
    for weight in [*model.trainable_weights, *_moving(model)]:
        about_one = weight.path.endswith(("gamma", "variance"))
        noise = 0.1 * random.normal(size=weight.shape)
        weight.assign(1 + np.abs(noise) if about_one else noise)
    peer = peers.MODELS[name]()
    arrays = ([np.asarray(w) for w in some] for some in (model.trainable_weights, _moving(model)))
    peers.copy_weights(*arrays, peer)
    return model, peer, workload


def _moving(model: keras.Model) -> list[Any]:
    return [w for w in model.non_trainable_weights if "moving" in w.path]


@pytest.mark.parametrize("name", CASES)
def test_same_parameters_outputs_and_loss(name: str) -> None:
    model, peer, workload = pair(name)
    learned = sum(p.numel() for p in peer.parameters() if p.requires_grad)
    assert learned == sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    x, y = workload.batch(2)
    ours = np.asarray(model(x["features"], training=False))
    peer.eval()
    with torch.no_grad():
        logits = peer(torch.from_numpy(x["features"]))
    head = workload.outputs[model.output_names[0]].activation
    theirs = torch.sigmoid(logits) if head == "sigmoid" else torch.softmax(logits, -1)
    assert ours.std() > 0.004
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5)

    (target,), (loss,) = y.values(), workload.losses().values()
    mean = torch.nn.BCEWithLogitsLoss() if head == "sigmoid" else torch.nn.CrossEntropyLoss()
    flat = logits.flatten(0, -2), torch.from_numpy(target).flatten(0, -2)
    assert float(loss(target, ours)) == pytest.approx(float(mean(*flat)), rel=1e-4)


def test_pytorch_has_a_process_without_keras() -> None:
    code = "import sys, kmir.benchmarks.peers; print('keras' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_step_learns() -> None:
    steps = peers.TorchSteps("zoo.bilstm", 1)
    assert steps.facts()["parameters"] == 141_489
    assert steps.start(4) > 0
    before = [p.detach().clone() for p in steps._learned]
    first = steps._step()
    assert any((p != old).any() for p, old in zip(steps._learned, before, strict=True))
    assert len(steps.steps(5)) == 5
    assert steps._step() < first
