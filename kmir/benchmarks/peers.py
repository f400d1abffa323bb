"""Zoo models written again in PyTorch, as one who knows it writes them, to compare the speed.

Same layers, sizes, loss, optimizer and gradient clipping as the zoo's; with the zoo's weights they
give the same outputs, which the tests check.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from kmir.benchmarks.machine import begin_peak, peak_memory
from kmir.benchmarks.workloads import BILSTM, BILSTM_UNITS, WARM_STEPS, WORKLOADS

EPSILON = 1e-3  # of Keras' batch norms; PyTorch has 1e-5
POOLS = (2, 3, 4, 4)
FILTERS = (64, 128, 128, 128)


class CRNN(nn.Module):
    """`zoo.crnn_tagger`: four convolution blocks, two GRUs; logits of the tags.

    Args:
        mels: Of the input.
        tags: Of the output.
    """

    def __init__(self, mels: int = 96, tags: int = 50) -> None:
        super().__init__()
        self.input_norm = nn.BatchNorm1d(mels, eps=EPSILON, momentum=0.1)
        blocks: list[nn.Module] = []
        channels = 1
        for filters, pool in zip(FILTERS, POOLS, strict=True):
            blocks += [
                nn.Conv2d(channels, filters, 3, padding=1),
                nn.BatchNorm2d(filters, eps=EPSILON, momentum=0.1),
                nn.ELU(inplace=True),
                nn.MaxPool2d(pool),
                nn.Dropout(0.1),
            ]
            channels = filters
        self.blocks = nn.Sequential(*blocks)
        self.gru = nn.GRU(channels, 32, num_layers=2, batch_first=True)
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(32, tags)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(batch, frames, mels)`` → ``(batch, tags)``."""
        x = self.input_norm(x.transpose(1, 2)).transpose(1, 2)
        step = int(np.prod(POOLS))
        frames, mels = (-size % step for size in x.shape[1:])
        around = (mels // 2, mels - mels // 2, frames // 2, frames - frames // 2)
        x = self.blocks(nn.functional.pad(x, around)[:, np.newaxis])
        x = x.permute(0, 2, 3, 1).flatten(2)  # frames, then what is left of mels and channels
        states, _ = self.gru(x)
        return self.head(self.dropout(states[:, -1]))


class BiLSTM(nn.Module):
    """`zoo.bilstm` of two layers: batch norm, BiLSTMs with dropout; logits of the chords.

    Args:
        bins: Of the input.
        chords: Of the output.
    """

    def __init__(self, bins: int = BILSTM.inputs[1], chords: int = 25) -> None:
        super().__init__()
        units, *_ = BILSTM_UNITS
        self.input_norm = nn.BatchNorm1d(bins, eps=EPSILON, momentum=0.02)
        self.lstm = nn.LSTM(
            bins, units, len(BILSTM_UNITS), batch_first=True, dropout=0.25, bidirectional=True
        )
        for name, parameter in self.lstm.named_parameters():
            if name.startswith("bias_hh"):  # PyTorch adds two biases; Keras learns one
                nn.init.zeros_(parameter)
                parameter.requires_grad_(False)
        self.dropout = nn.Dropout(0.25)
        self.head = nn.Linear(2 * units, chords)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(batch, frames, bins)`` → ``(batch, frames, chords)``."""
        x = self.input_norm(x.transpose(1, 2)).transpose(1, 2)
        states, _ = self.lstm(x)
        return self.head(self.dropout(states))


MODELS: dict[str, Any] = {"zoo.crnn_tagger": CRNN, "zoo.bilstm": BiLSTM}


class TorchSteps:
    """Training steps of a peer; as `kmir.benchmarks.steps.KerasSteps`.

    Args:
        model_name: Of the zoo model that it is the peer of.
        cores: Threads that PyTorch takes.
    """

    def __init__(self, model_name: str, cores: int) -> None:
        torch.set_num_threads(cores)
        torch.manual_seed(0)
        crnn = model_name == "zoo.crnn_tagger"
        self._workload = WORKLOADS["tagging"] if crnn else BILSTM
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._before = begin_peak() if self._device == "cpu" else 0.0
        self._model = MODELS[model_name]().to(self._device)
        self._loss = nn.BCEWithLogitsLoss() if crnn else nn.CrossEntropyLoss()
        learned = [p for p in self._model.parameters() if p.requires_grad]
        self._learned = learned
        self._optimizer = torch.optim.Adam(learned, eps=1e-7)
        self._x = self._y = torch.empty(0)

    def facts(self) -> dict[str, Any]:
        """Sizes and device."""
        return {"gpu": self._device == "cuda", "parameters": sum(p.numel() for p in self._learned)}

    def start(self, batch_size: int) -> float:
        """Take batches of this size from here on; the seconds of the first step."""
        x, y = self._workload.batch(batch_size)
        self._x = torch.from_numpy(x["features"]).to(self._device)
        self._y = torch.from_numpy(next(iter(y.values()))).to(self._device)
        return self.steps(1 + WARM_STEPS)[0]

    def steps(self, count: int) -> list[float]:
        """Seconds of so many steps."""
        times = []
        for _ in range(count):
            began = time.perf_counter()
            self._step()
            times.append(time.perf_counter() - began)
        return times

    def memory(self) -> float:
        """Most memory that model and steps have taken so far, MB."""
        return self._memory() - self._before

    def _step(self) -> float:
        self._optimizer.zero_grad(set_to_none=True)
        output = self._model(self._x)
        # Cross-entropy wants one class a row.
        loss = self._loss(output.flatten(0, -2), self._y.flatten(0, -2))
        loss.backward()
        nn.utils.clip_grad_norm_(self._learned, 1.0)
        self._optimizer.step()
        return float(loss.detach())  # waits for the device

    def _memory(self) -> float:
        if self._device == "cuda":
            return torch.cuda.max_memory_allocated() / 2**20
        return peak_memory()


def copy_weights(weights: Sequence[np.ndarray], moving: Sequence[np.ndarray], peer: Any) -> None:
    """Give a peer the weights of the zoo model.

    Args:
        weights: The model's ``trainable_weights`` as arrays, in their order.
        moving: Means and variances of its batch norms, in their order.
        peer: Whose layers stand in the same order.
    """
    given, statistics = iter(weights), iter(moving)
    with torch.no_grad():
        for layer in peer.modules():
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                _fill(layer.weight, next(given))
                _fill(layer.bias, next(given))
                _fill(layer.running_mean, next(statistics))
                _fill(layer.running_var, next(statistics))
            elif isinstance(layer, nn.Conv2d):
                _fill(layer.weight, next(given).transpose(3, 2, 0, 1))
                _fill(layer.bias, next(given))
            elif isinstance(layer, nn.Linear):
                _fill(layer.weight, next(given).T)
                _fill(layer.bias, next(given))
            elif isinstance(layer, nn.GRU | nn.LSTM):
                _fill_recurrent(layer, given)


def _fill_recurrent(layer: Any, given: Iterator[np.ndarray]) -> None:
    """Kernel, recurrent kernel and bias of each layer and direction; gates in PyTorch's order."""
    gru = isinstance(layer, nn.GRU)
    for index in range(layer.num_layers):
        for end in ("", "_reverse") if layer.bidirectional else ("",):
            kernel, recurrent, bias = next(given), next(given), next(given)
            for name, value in (("weight_ih", kernel.T), ("weight_hh", recurrent.T)):
                _fill(getattr(layer, f"{name}_l{index}{end}"), _gates(value, gru))
            biases = bias if gru else (bias, np.zeros_like(bias))
            for name, value in zip(("bias_ih", "bias_hh"), biases, strict=True):
                _fill(getattr(layer, f"{name}_l{index}{end}"), _gates(value, gru))


def _gates(values: np.ndarray, gru: bool) -> np.ndarray:
    """Keras' GRU has update before reset; LSTMs are alike."""
    if not gru:
        return values
    update, reset, candidate = np.split(values, 3)
    return np.concatenate([reset, update, candidate])


def _fill(parameter: Any, value: np.ndarray) -> None:
    parameter.copy_(torch.from_numpy(np.ascontiguousarray(value)))
