"""The chord CRNN: transposed music gives transposed chords; geometry of the lecture's forms."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from kmir.annotations.chords import vocabulary
from kmir.errors import UsageError
from kmir.nn import Output
from pipelines.chords import Chords, ChordsConfig
from zoo.chord_crnn import Config, build_model

TASK = Chords(ChordsConfig(), vocabulary("majmin").labels)
CHORD = {"chord": Output(25, "softmax", "frame")}


def chroma(frames: int = 40, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).gamma(1.0, size=(2, frames, 24)).astype(np.float32)


def trained_a_little(config: Config, outputs: dict[str, Output]) -> keras.Model:
    """Weights, biases and batch norms that are no longer those of the start."""
    keras.utils.set_random_seed(3)
    model = build_model(config, (None, 24), outputs)
    random = np.random.default_rng(4)
    for variable in model.variables:
        if "seed" not in variable.path:
            noise = random.normal(scale=0.1, size=variable.shape)
            variable.assign(variable + (np.abs(noise) if "variance" in variable.path else noise))
    return model


def values(model: keras.Model, x: np.ndarray) -> dict[str, np.ndarray]:
    found: Any = model.predict(x, verbose=0)
    return found if isinstance(found, dict) else {"chord": found}


@pytest.mark.parametrize("semitones", [1, 5, 11])
@pytest.mark.parametrize("vocabulary_name", ["majmin", "large"])
def test_transposed_music_gives_transposed_outputs(semitones: int, vocabulary_name: str) -> None:
    """An independent statement of the same tables that training data are rotated by."""
    task = Chords(
        ChordsConfig(vocabulary=vocabulary_name),  # type: ignore[arg-type]
        vocabulary(vocabulary_name).labels,
    )
    model = trained_a_little(Config(), task.outputs())
    x = chroma()
    rotated = np.roll(x.reshape(2, -1, 2, 12), semitones, axis=-1).reshape(x.shape)
    before, after = values(model, x), values(model, rotated)
    for name, table in task.transpositions().items():
        assert before[name].std() > 1e-3
        np.testing.assert_allclose(after[name], before[name][..., table[semitones]], atol=1e-5)


def test_the_chord_on_a_pitch_comes_from_its_bin() -> None:
    """A lone D moves the chords of the same root, whichever pitch class the bins begin with."""
    lit: set[int] = set()
    for first in (0, 9):
        model = trained_a_little(Config(first_pitch_class=first), CHORD)
        silent, lone = np.zeros((1, 9, 24), np.float32), np.zeros((1, 9, 24), np.float32)
        lone[..., (2 - first) % 12] = 1.0
        moved = np.log(values(model, lone)["chord"]) - np.log(values(model, silent)["chord"])
        roots = moved[0, 4, :12] - moved[0, 4, :12].mean()
        lit.add(int(np.abs(roots).argmax()))
    assert len(lit) == 1, "the same for both ways of counting"


def test_causal_model_does_not_see_ahead() -> None:
    for causal in (True, False):
        model = trained_a_little(Config(causal=causal), CHORD)
        x, cut = chroma(), chroma()
        cut[:, 20:] = 0
        change = np.abs(values(model, x)["chord"] - values(model, cut)["chord"]).max(axis=(0, 2))
        assert change[20:].max() > 1e-4
        assert (change[:20].max() < 1e-6) == causal


@pytest.mark.parametrize(
    ("form", "steps", "channels"), [("two_layer", 20, 128), ("one_layer", 17, 64)]
)
def test_shapes_of_the_lecture(form: Any, steps: int, channels: int) -> None:
    model = build_model(Config(form=form), (128, 12), CHORD)
    assert model.get_layer("steps").output.shape == (None, steps, channels)
    assert model.output_shape == (None, 128, 25)
    kernels = {"two_layer": [(3, 3), (3, 3)], "one_layer": [(5, 5)]}[form]
    for i, kernel in enumerate(kernels, start=1):
        assert model.get_layer(f"conv{i}").kernel_size == kernel
    assert model.get_layer("bilstm").forward_layer.units == 64


@pytest.mark.parametrize(("form", "stride", "sees"), [("two_layer", 6, 12), ("one_layer", 7, 11)])
def test_a_step_stands_for_the_frames_that_it_sees(form: Any, stride: int, sees: int) -> None:
    """The centre and stride that outputs are expanded by, found from which frames move a step."""
    model = trained_a_little(Config(form=form), CHORD)
    convolutions = keras.Model(model.inputs, model.get_layer("steps").output)
    x = chroma(128)[:1]
    before = convolutions.predict(x, verbose=0)
    seen = []
    for frame in range(40):
        touched = x.copy()
        touched[:, frame] += 50.0
        if np.abs(convolutions.predict(touched, verbose=0) - before)[0, 2].max() > 1e-6:
            seen.append(frame)
    expand = model.get_layer("embedding")
    assert expand.stride == stride
    assert len(seen) <= sees
    assert (seen[0] + seen[-1]) / 2 == pytest.approx(expand.offset + 2 * stride, abs=1.0)


@pytest.mark.parametrize(
    ("config", "inputs", "message"),
    [
        (Config(), (None, 96), None),
        (Config(), (None, 40), "12 bins an octave"),
        (Config(), (None, 12, 2), "12 bins an octave"),
        (Config(frames=4), (None, 24), "odd number of frames"),
        (Config(filters=(8,)), (None, 24), "width for each"),
        (Config(form="one_layer", causal=True), (None, 24), "form=octave"),
    ],
)
def test_settings_that_can_not_be(config: Config, inputs: Any, message: str | None) -> None:
    if message is None:
        assert build_model(config, inputs, CHORD).output_shape == (None, None, 25)
        return
    with pytest.raises(UsageError, match=message):
        build_model(config, inputs, CHORD)
