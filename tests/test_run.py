"""Settings that only fit together with the data are checked before the first step."""

from __future__ import annotations

from pathlib import Path

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


def test_only_decoding_can_be_changed_in_a_preset() -> None:
    task = Chords(ChordsConfig(), ("C:maj",))
    assert redecoded(task, {"decoder": "none", "median_seconds": "2"}) == ChordsConfig(
        decoder="none", median_seconds=2.0
    )
    with pytest.raises(UsageError, match=r"Received: --task\.vocabulary\. Known: decoder, median"):
        redecoded(task, {"vocabulary": "large"})
