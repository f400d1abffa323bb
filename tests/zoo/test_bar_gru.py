"""Bars from what sounds between beats."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from kmir.errors import UsageError
from kmir.nn import Output
from zoo import bar_gru

OUTPUTS = {"downbeat": Output(1, "sigmoid", "frame")}


def test_learns_that_bars_begin_where_the_chord_changes() -> None:
    """Four beats a chord; where in a song the first one changes is drawn."""
    rng = np.random.default_rng(0)
    x = np.zeros((24, 32, 96), np.float32)
    y = np.zeros((24, 32, 1), np.float32)
    for song in range(len(x)):
        first = rng.integers(4)
        for beat in range(32):
            bar = (beat - first) // 4
            chord = np.random.default_rng([song, bar + 1]).random(24) > 0.7
            x[song, beat] = np.tile(chord, 4)
            y[song, beat] = (beat - first) % 4 == 0
    keras.utils.set_random_seed(0)
    config = bar_gru.Config(filters=16, units=(16,), dropout=0.0)
    model = bar_gru.build_model(config, (None, 96), OUTPUTS)
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    model.fit(x[:16], y[:16], epochs=30, batch_size=8, verbose=0)
    found = model.predict(x[16:], verbose=0)
    # By a beat of the edges there is no bar to compare with.
    assert ((found > 0.5) == (y[16:] > 0.5))[:, 4:-4].mean() > 0.95


def test_similarities_stand_beside_the_chroma() -> None:
    model = bar_gru.build_model(bar_gru.Config(lags=3), (None, 48), OUTPUTS)
    assert model.get_layer("input_norm").output.shape == (None, None, 48 + 3 * 2 * 3)


@pytest.mark.parametrize("values", [20, None])
def test_what_is_no_bass_and_treble_chroma_is_refused(values: int | None) -> None:
    message = rf"^Expected 24 values for each part of a beat.* Received: {values} values a beat"
    with pytest.raises(UsageError, match=message):
        bar_gru.build_model(bar_gru.Config(), (None, values), OUTPUTS)
