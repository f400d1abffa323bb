"""Settings that only fit together with the data are checked before the first step."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from kmir.errors import UsageError
from kmir.evaluate import redecoded
from kmir.extract import extract
from kmir.features.chroma_cqt import ChromaCQT
from kmir.run import prepare
from pipelines.chords import Chords, ChordsConfig


@pytest.fixture(scope="module")
def chroma_from_c(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of twelve chroma, the first of which is C."""
    out = tmp_path_factory.mktemp("chroma") / "records"
    pieces = {"pieces": 4, "seconds": 2.0}
    audio = out.with_name("audio")
    extract("synthetic", audio, out, ChromaCQT(), dataset_options=pieces, workers=1, quiet=True)
    return out


def test_a_model_of_all_keys_asks_where_the_chroma_begin(chroma_from_c: Path) -> None:
    with pytest.raises(UsageError, match=r"Add --config\.model\.first_pitch_class=0"):
        prepare("zoo.chord_crnn", data=str(chroma_from_c), root=None, flags={}, quiet=True)
    flags = {"model.first_pitch_class": "0"}
    run = prepare("zoo.chord_crnn", data=str(chroma_from_c), root=None, flags=flags, quiet=True)
    assert run.model.input_shape == (None, None, 12)


def test_a_lone_output_is_monitored_by_the_name_keras_gives_it(chroma_from_c: Path) -> None:
    flags = {"pipeline.structured": "false"}
    run = prepare("zoo.gru", data=str(chroma_from_c), root=None, flags=flags, quiet=True)
    assert run.config.train.monitor == "val_accuracy"
    several = prepare("zoo.gru", data=str(chroma_from_c), root=None, flags={}, quiet=True)
    assert several.config.train.monitor == "val_chord_accuracy"


def test_float16_scales_the_loss_and_clips_the_gradients_themselves(chroma_from_c: Path) -> None:
    """Adam's first moment after its first step is a tenth of the clipped gradient."""
    flags = {"train.precision": "mixed_float16", "train.weight_decay": "0.1"}
    flags |= {"train.clip_norm": "0.001"}
    settings = {"data": str(chroma_from_c), "root": None, "quiet": True, "task_name": "chords"}
    run = prepare("zoo.dense_baseline", flags=flags, **settings)
    optimizer = run.model.optimizer
    assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    assert optimizer.inner_optimizer.weight_decay == 0.1
    batches = run.batches(0)
    for _ in range(10):  # the first ones may overflow, and halve the scale instead
        if not int(optimizer.iterations):
            loss = run.model.train_on_batch(*next(batches))[0]
    moments = [np.asarray(v) for v in optimizer.variables if "momentum" in v.path]
    norm = np.sqrt(sum((moment.astype(np.float64) ** 2).sum() for moment in moments))
    assert norm == pytest.approx(1e-4, rel=1e-3)
    assert 0 < loss < 20, "as it is, not as it was scaled"
    assert {v.dtype for v in run.model.trainable_variables} == {"float32"}


def test_only_decoding_can_be_changed_in_a_preset() -> None:
    task = Chords(ChordsConfig(), ("C:maj",))
    assert redecoded(task, {"decoder": "none", "median_seconds": "2"}) == ChordsConfig(
        decoder="none", median_seconds=2.0
    )
    with pytest.raises(UsageError, match=r"Received: --task\.vocabulary\. Known: decoder, median"):
        redecoded(task, {"vocabulary": "large"})
