"""What a training step of a task is made of: sizes, outputs and losses, without data.

It is told here once more, and not asked of the tasks, so that a step can be measured where there
are Keras and a backend alone, without TensorFlow, audio or records; a test holds it to the tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from kmir.errors import UsageError
from kmir.nn import Output

if TYPE_CHECKING:
    import keras

SEED = 0
WARM_STEPS = 3  # after the first, which traces or compiles


@dataclass(frozen=True)
class Workload:
    """A training step of a task at its usual size.

    Args:
        inputs: ``(frames, *shape)`` of a clip.
        batch_size: Clips a step.
        outputs: What a model must put out.
        losses: Makes the loss of each output.
    """

    inputs: tuple[int, ...]
    batch_size: int
    outputs: Mapping[str, Output]
    losses: Callable[[], dict[str, keras.losses.Loss]]

    @property
    def model_inputs(self) -> tuple[int | None, ...]:
        """What a model is built for: models of frames read clips of any length."""
        if all(output.level == "frame" for output in self.outputs.values()):
            return (None, *self.inputs[1:])
        return self.inputs

    def compiled(self, module: Any, config: Any, policy: str) -> keras.Model:
        """A model, ready to train as `kmir.run` does it, but for the metrics.

        Args:
            module: Of the model.
            config: Of the model.
            policy: Keras dtype policy.
        """
        import keras

        from kmir.nn.device import compile_with_xla

        keras.utils.set_random_seed(SEED)
        keras.config.set_dtype_policy(policy)
        try:
            model = module.build_model(config, self.model_inputs, self.outputs)
        finally:
            keras.config.set_dtype_policy("float32")
        losses, single = self.losses(), len(self.outputs) == 1
        model.compile(
            keras.optimizers.Adam(global_clipnorm=1.0),
            loss=next(iter(losses.values())) if single else losses,
            loss_weights=None if single else {n: o.loss_weight for n, o in self.outputs.items()},
            jit_compile=compile_with_xla(),
        )
        return model

    def batch(self, batch_size: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Random clips and targets, by name; the targets are what a softmax or sigmoid can be."""
        random = np.random.default_rng(SEED)
        clips = (batch_size, *self.inputs)
        x = {
            "features": random.normal(size=clips).astype(np.float32),
            "mask": np.ones(clips[:2], np.float32),
        }
        y = {}
        for name, output in self.outputs.items():
            places = clips[:2] if output.level == "frame" else clips[:1]
            if output.activation == "softmax":
                chosen = random.integers(0, output.size, places)
                y[name] = np.eye(output.size, dtype=np.float32)[chosen]
            else:
                held = random.random((*places, output.size)) < 0.05
                y[name] = held.astype(np.float32)
        return x, y


# Losses are made where Keras is loaded: a process with PyTorch alone asks for sizes and batches.
def _tag_losses() -> dict[str, keras.losses.Loss]:
    import keras

    return {"tags": keras.losses.BinaryCrossentropy()}


def _chord_losses() -> dict[str, keras.losses.Loss]:
    import keras

    losses: dict[str, keras.losses.Loss] = {
        name: keras.losses.CategoricalCrossentropy() for name in ("chord", "root", "bass")
    }
    return losses | {"pitch_classes": keras.losses.BinaryCrossentropy()}


def _bilstm_losses() -> dict[str, keras.losses.Loss]:
    import keras

    return {"chord": keras.losses.CategoricalCrossentropy()}


def _beat_losses() -> dict[str, keras.losses.Loss]:
    import keras

    from kmir.nn.losses import ShiftTolerantBinaryCrossentropy

    return {
        "beat": ShiftTolerantBinaryCrossentropy(2, positive_weight=5.0),
        "downbeat": ShiftTolerantBinaryCrossentropy(2, positive_weight=15.0),
        "tempo": keras.losses.CategoricalCrossentropy(),
    }


def _bar_losses() -> dict[str, keras.losses.Loss]:
    import keras

    return {"downbeat": keras.losses.BinaryCrossentropy()}


_helping = partial(Output, level="frame", loss_weight=0.3, decoded=False)

# By task: Choi's 29.12 s and 50 tags; 11.88 s of chroma; 20 s of log-frequency bands; 48 beats.
WORKLOADS = {
    "tagging": Workload(
        (1366, 96),
        8,
        {"tags": Output(50, "sigmoid", "clip")},
        _tag_losses,
    ),
    "chords": Workload(
        (256, 24),
        16,
        {
            "chord": Output(25, "softmax", "frame"),
            "root": _helping(13, "softmax"),
            "bass": _helping(13, "softmax"),
            "pitch_classes": _helping(12, "sigmoid"),
        },
        _chord_losses,
    ),
    "beats": Workload(
        (1001, 86, 2),
        16,
        {
            "beat": Output(1, "sigmoid", "frame"),
            "downbeat": Output(1, "sigmoid", "frame"),
            "tempo": Output(77, "softmax", "frame", loss_weight=0.05, decoded=False),
        },
        _beat_losses,
    ),
    "bars": Workload(
        (49, 96),
        32,
        {"downbeat": Output(1, "sigmoid", "frame")},
        _bar_losses,
    ),
}

# The lecture's BiLSTM, as it is compared with other frameworks: 32 clips of 128 frames of chroma.
BILSTM = Workload(
    (128, 12),
    32,
    {"chord": Output(25, "softmax", "frame")},
    _bilstm_losses,
)
BILSTM_UNITS = (64, 64)


def workload_of(module: Any) -> Workload:
    """The workload of a model's task.

    Raises:
        UsageError: If it is made for another task.
    """
    task = getattr(module, "TASK", None)
    if task not in WORKLOADS:
        raise UsageError(
            f"Expected a model for {', '.join(WORKLOADS)}. Received: {module.__name__}, "
            f"made for {task}."
        )
    return WORKLOADS[task]
