"""Training steps of a zoo model, timed one by one in the loop that trains it, `keras.Model.fit`."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

import keras

from kmir.benchmarks.machine import begin_peak, peak_memory
from kmir.benchmarks.workloads import BILSTM, BILSTM_UNITS, WARM_STEPS, workload_of
from kmir.lookup import find
from kmir.nn.device import has_gpu
from kmir.nn.precision import dtype_policy


class StepClock(keras.callbacks.Callback):
    """Notes the time after each step; asking for the loss waits until the device has it."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """A step is done."""
        del batch
        float((logs or {})["loss"])
        self.times.append(time.perf_counter())


class KerasSteps:
    """Training steps of one model, for a `kmir.benchmarks.contender.Contender`.

    Args:
        model_name: Such as ``"zoo.crnn_tagger"``.
        policy: ``"float32"``, or ``"mixed"`` for the format that the device is good at.
        bilstm: Make the BiLSTM that PyTorch's is compared with, whatever the model's own sizes.
    """

    def __init__(self, model_name: str, policy: str, bilstm: bool = False) -> None:
        self.policy = mixed() if policy == "mixed" else policy
        module = find("model", model_name)
        self._workload = BILSTM if bilstm else workload_of(module)
        config = module.Config(units=BILSTM_UNITS) if bilstm else module.Config()
        self._before = 0.0 if has_gpu() else begin_peak()
        self._model = self._workload.compiled(module, config, self.policy)
        self._batch: Any = None

    def facts(self) -> dict[str, Any]:
        """Sizes, backend and device."""
        return {
            "backend": keras.backend.backend(),
            "gpu": gpu_name(),
            "policy": self.policy,
            "batch_size": self._workload.batch_size,
            "parameters": sum(_size(w) for w in self._model.trainable_weights),
        }

    def start(self, batch_size: int) -> float:
        """Take batches of this size from here on; the seconds of the first step."""
        x, y = self._workload.batch(batch_size)
        taken = {tensor.name: x[tensor.name] for tensor in self._model.inputs}
        self._batch = (
            taken if len(taken) > 1 else next(iter(taken.values())),
            y if len(y) > 1 else next(iter(y.values())),
        )
        began = time.perf_counter()
        clock = self._fit(1 + WARM_STEPS)
        return clock.times[0] - began

    def steps(self, count: int) -> list[float]:
        """Seconds of so many steps; the one that starts the loop is not counted."""
        times = self._fit(count + 1).times
        return [after - before for before, after in itertools.pairwise(times)]

    def memory(self) -> float:
        """Most memory that model and steps have taken so far, MB."""
        return memory() - self._before

    def _fit(self, steps: int) -> StepClock:
        clock = StepClock()
        self._model.fit(
            self._batches(), steps_per_epoch=steps, shuffle=False, verbose=0, callbacks=[clock]
        )
        return clock

    def _batches(self) -> Iterator[Any]:
        while True:
            yield self._batch


def mixed() -> str:
    """The format of mixed precision that the device is good at."""
    return dtype_policy("auto") if has_gpu() else "mixed_bfloat16"


def gpu_name() -> str | None:
    """Name of the first GPU that the backend sees; None without one."""
    if not has_gpu():
        return None
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return str(jax.devices()[0].device_kind)
    if backend == "torch":
        import torch

        return str(torch.cuda.get_device_name())
    import tensorflow as tf

    first = tf.config.list_physical_devices("GPU")[0]
    return str(tf.config.experimental.get_device_details(first).get("device_name", "GPU"))


def memory() -> float:
    """Most memory held so far, MB: of the GPU, or of the process where there is none."""
    if not has_gpu():
        return peak_memory()
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        peak = (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0)
    elif backend == "torch":
        import torch

        peak = torch.cuda.max_memory_allocated()
    else:
        import tensorflow as tf

        peak = tf.config.experimental.get_memory_info("GPU:0")["peak"]
    return float(peak) / 2**20


def _size(variable: Any) -> int:
    size = 1
    for length in variable.shape:
        size *= length
    return size
