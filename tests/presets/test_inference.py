"""Windows, batches across tracks, and their order."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmir.presets import inference
from kmir.presets.inference import (
    SHORTEST,
    clip_outputs,
    spans,
    stitched,
    track_outputs,
    window_starts,
    windows,
)

SILENCE = -7.0
LENGTH = 6


def ramp(frames: int, start: float = 0) -> np.ndarray:
    """Frames that tell their number; the second bin is noise."""
    noise = np.random.default_rng(frames).normal(size=frames)
    return np.stack([start + np.arange(frames), noise], axis=1).astype(np.float16)


def averaging(length: int | None = LENGTH, *, mask: bool = False) -> keras.Model:
    """Gives the mean over a clip, or over what its mask leaves; and the features themselves."""
    features = keras.Input((length, 2), name="features")
    frames = keras.layers.Identity(name="frames")(features)
    pool = keras.layers.GlobalAveragePooling1D(name="mean")
    if not mask:
        return keras.Model(features, {"mean": pool(features), "frames": frames})
    real = keras.Input((length,), name="mask")
    outputs = {"mean": pool(features, mask=real), "frames": frames}
    return keras.Model({"features": features, "mask": real}, outputs)


@given(frames=st.integers(1, 40), length=st.one_of(st.none(), st.integers(1, 15)))
def test_windows_by_hand(frames: int, length: int | None) -> None:
    track = ramp(frames)
    cut = list(windows(track, length, SILENCE))
    length = length or frames
    assert len(cut) == max(1, -(-frames // length))
    for index, window in enumerate(cut):
        assert window["features"].shape == (length, 2)
        assert window["features"].dtype == window["mask"].dtype == np.float32
        start = min(index * length, max(frames - length, 0))
        real = min(length, frames)
        np.testing.assert_array_equal(window["mask"], np.arange(length) < real)
        np.testing.assert_array_equal(window["features"][:real], track[start : start + real])
        assert (window["features"][real:] == SILENCE).all()


def test_frames_can_have_channels() -> None:
    track = np.ones((4, 3, 2), np.float32)
    (window,) = windows(track, 6, SILENCE)
    assert window["features"].shape == (6, 3, 2)
    assert (window["features"][4:] == SILENCE).all()


@pytest.mark.parametrize("batch_frames", [1, 2 * LENGTH, 5 * LENGTH, 1400])
@pytest.mark.parametrize("mask", [False, True])
def test_tracks_come_back_in_order_whatever_the_batch(
    monkeypatch: pytest.MonkeyPatch, batch_frames: int, mask: bool
) -> None:
    monkeypatch.setattr(inference, "BATCH_FRAMES", batch_frames)
    lengths = [3, 6, 7, 20, 1, 12]
    tracks = [(f"track {n}", ramp(n, start=100 * n)) for n in lengths]
    found = list(clip_outputs(averaging(mask=mask), tracks, silence=SILENCE))
    assert [key for key, _ in found] == [key for key, _ in tracks]
    for (_, outputs), (_, track) in zip(found, tracks, strict=True):
        cut = list(windows(track, LENGTH, SILENCE))
        means = [(w["features"][w["mask"] == 1] if mask else w["features"]).mean(0) for w in cut]
        np.testing.assert_allclose(outputs["mean"], means, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(outputs["frames"], [w["features"] for w in cut])


def test_equal_keys_are_not_one_track() -> None:
    found = list(clip_outputs(averaging(), [("same", ramp(3)), ("same", ramp(9))], silence=SILENCE))
    assert [len(outputs["mean"]) for _, outputs in found] == [1, 2]


def test_a_model_without_a_length_reads_tracks_whole() -> None:
    model = averaging(None, mask=True)
    for frames, outputs in clip_outputs(model, [(n, ramp(n)) for n in (5, 11, 5)], silence=SILENCE):
        assert outputs["frames"].shape == (1, frames, 2)
        assert outputs["mean"][0, 0] == pytest.approx((frames - 1) / 2)


def test_one_output_has_its_name_too() -> None:
    features = keras.Input((LENGTH, 2), name="features")
    tags = keras.layers.Dense(3, name="tags")(keras.layers.Flatten()(features))
    ((_, outputs),) = clip_outputs(keras.Model(features, tags), [(0, ramp(8))], silence=0)
    assert {name: value.shape for name, value in outputs.items()} == {"tags": (2, 3)}


def test_tracks_are_taken_as_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand files must not lie in memory at once."""
    monkeypatch.setattr(inference, "BATCH_FRAMES", 2 * LENGTH)
    taken = []

    def tracks() -> Iterator[tuple[int, np.ndarray]]:
        for number in range(50):
            taken.append(number)
            yield number, ramp(LENGTH)

    found = clip_outputs(averaging(), tracks(), silence=SILENCE)
    next(found)
    assert len(taken) <= 4
    assert len(list(found)) == 49


def test_no_tracks_give_nothing() -> None:
    assert list(clip_outputs(averaging(), [], silence=0)) == []


@given(st.integers(1, 60), st.integers(1, 20))
def test_stitched_clips_are_the_track_again(frames: int, length: int) -> None:
    track = np.arange(frames * 2, dtype=np.float32).reshape(frames, 2)
    clips = np.stack([window["features"] for window in windows(track, length, -1.0)])
    np.testing.assert_array_equal(stitched(clips, frames), track)


# === Windows with margins ===

margins = st.integers(0, 6).flatmap(
    lambda margin: st.tuples(st.just(margin), st.integers(2 * margin + 1, 2 * margin + 15))
)


@given(st.integers(1, 90), margins)
def test_every_frame_has_its_margin(frames: int, sizes: tuple[int, int]) -> None:
    """Context on both sides but at the ends of the track, from as few windows as that takes."""
    margin, length = sizes
    starts = window_starts(frames, length, margin)
    assert len(starts) == 1 + max(0, -(-(frames - length) // (length - 2 * margin)))
    assert starts[0] == 0
    assert starts[-1] == max(frames - length, 0)
    track = np.arange(frames, dtype=np.float32)[:, None]
    clips = [window["features"] for window in windows(track, length, -1.0, margin)]
    assert [int(clip[0, 0]) for clip in clips] == starts
    # Each frame says how far it is from the borders of the window that it is taken from.
    distance = np.minimum(np.arange(length), np.arange(length)[::-1])
    at_start, at_end = np.arange(length), np.arange(length)[::-1]
    taken = stitched(np.stack([np.stack([at_start, at_end], 1)] * len(clips)), frames, margin)
    assert distance.max() >= margin
    inner = np.arange(frames)
    assert (np.minimum(inner, margin) <= taken[:, 0]).all()
    if frames >= length:
        assert (np.minimum(inner[::-1], margin) <= taken[:, 1]).all()
    np.testing.assert_array_equal(stitched(np.stack(clips), frames, margin), track)


@pytest.mark.parametrize("frames", [1, 5, 19, 20, 21, 28, 47, 100])
def test_with_a_margin_as_wide_as_it_sees_a_model_is_as_on_the_whole(frames: int) -> None:
    margin, length = 4, 20
    features = keras.Input((None, 2), name="features")
    x = keras.layers.Conv1D(3, 2 * margin + 1, padding="same", name="frames")(features)
    model = keras.Model(features, x)
    track = ramp(frames)
    tracks = [("a", track), ("b", ramp(33)), ("c", track)]
    found = dict(clip_outputs(model, tracks, silence=0.0, overlap=(length, margin)))
    whole = np.asarray(model(track[None].astype(np.float32)))[0]
    for key in ("a", "c"):
        joined = stitched(found[key]["frames"], frames, margin)
        np.testing.assert_allclose(joined, whole, atol=1e-4)
    assert found["b"]["frames"].shape[:2] == (3, length)


def test_a_model_of_a_set_length_has_no_overlap() -> None:
    """Its windows stand side by side, whatever is asked."""
    ((_, plain),) = clip_outputs(averaging(), [(0, ramp(20))], silence=SILENCE)
    ((_, asked),) = clip_outputs(averaging(), [(0, ramp(20))], silence=SILENCE, overlap=(9, 2))
    np.testing.assert_array_equal(plain["frames"], asked["frames"])


def test_a_track_as_long_as_two_margins_is_one_window() -> None:
    model = averaging(None)
    ((_, found),) = clip_outputs(model, [(0, ramp(18))], silence=SILENCE, overlap=(30, 9))
    assert found["frames"].shape == (1, 18, 2)
    assert stitched(found["frames"], 18, 9).shape == (18, 2)


def test_a_very_short_track_is_padded() -> None:
    """Poolings and unpadded convolutions need some frames."""
    ((_, found),) = clip_outputs(averaging(None), [(0, ramp(1))], silence=SILENCE, overlap=(30, 9))
    assert found["frames"].shape == (1, SHORTEST, 2)
    assert stitched(found["frames"], 1, 9).shape == (1, 2)


@given(frames=st.integers(1, 60), length=st.integers(1, 20), margin=st.integers(0, 9))
def test_each_frame_is_answered_for_once(frames: int, length: int, margin: int) -> None:
    margin = min(margin, (length - 1) // 2)
    places = spans(frames, length, margin)
    assert [start for start, _, _ in places] == window_starts(frames, length, margin)
    assert np.concatenate([np.arange(b, e) for _, b, e in places]).tolist() == list(range(frames))
    for start, begin, end in places:
        assert start <= begin <= end <= start + length
        assert begin in (0, start + margin)


def test_what_is_made_of_the_outputs_for_a_track() -> None:
    model, tracks = averaging(None), [("a", ramp(23)), ("b", ramp(4))]
    kinds = {"frames": "frames", "mean": "clips"}
    options = {"silence": SILENCE, "overlap": (SHORTEST + 2, 3)}
    for (key, track), found in zip(
        tracks, track_outputs(model, tracks, kinds, **options), strict=True
    ):
        assert found[:2] == (key, len(track))
        np.testing.assert_array_equal(found[2]["frames"], track)
        assert found[2]["mean"].shape == (1 + (len(track) > SHORTEST + 2), 2)


def test_wide_models_take_fewer_clips_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    features = keras.Input((None, 2), name="features")
    wide = keras.layers.Dense(64, name="wide")(features)
    model = keras.Model(features, {"out": keras.layers.Dense(1, name="out")(wide)})
    plain = model.predict_on_batch

    def seen(x: np.ndarray) -> dict[str, np.ndarray]:
        sizes.append(len(x))
        return plain(x)

    monkeypatch.setattr(model, "predict_on_batch", seen)
    monkeypatch.setattr(inference, "BATCH_BYTES", 3 * 4 * 64 * SHORTEST)
    list(track_outputs(model, [(0, ramp(8 * SHORTEST))], {"out": "frames"}, silence=0.0,
                       overlap=(SHORTEST, 0)))  # fmt: skip
    assert sizes == [3, 3, 2]
