"""What a track must have."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from kmir.annotations import Annotations
from kmir.datasets.track import Track
from kmir.errors import DatasetError
from kmir.synthesis.midi import Rendering

SOUNDS = {
    "audio": Path("a.wav"),
    "features": partial(np.zeros, (3, 4)),
    "render": Rendering(Path("a.mid"), Path("a.sf2")),
}


@pytest.mark.parametrize("name", SOUNDS)
def test_its_sound_in_one_of_three_forms(name):
    track = Track("a", Annotations(), **{name: SOUNDS[name]})
    assert getattr(track, name) is SOUNDS[name]
    assert track.group == "a"


@pytest.mark.parametrize("names", [(), ("audio", "render"), tuple(SOUNDS)])
def test_neither_none_nor_several(names):
    with pytest.raises(DatasetError, match="one of audio, features and render for track 'a'"):
        Track("a", Annotations(), **{name: SOUNDS[name] for name in names})


def test_the_splits_that_there_are():
    with pytest.raises(DatasetError, match=r"for track 'a'\. Received: 'valid'"):
        Track("a", Annotations(), audio=Path("a.wav"), split="valid")
