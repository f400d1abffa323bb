"""The stream: what comes, how often, in which order, and what belongs to it.

The features here are readable: track number, frame number in the track, and noise. The frame-level
target is the time of its frame, so a target that lost its frame is seen at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from kmir.annotations import Annotations, Tags
from kmir.datasets import Track
from kmir.errors import RecordError, UsageError
from kmir.features.log_mel import LogMel
from kmir.nn import Output
from kmir.presets import inference
from kmir.records import shards, write
from kmir.records.read import Records
from kmir.records.spec import Manifest, Spec
from kmir.scoring import Score
from pipelines.base import PipelineConfig, Task
from pipelines.stream import Stream, clip_frames, for_model, window_starts, windows_in

FEATURE = LogMel(sample_rate=8000, n_fft=256, hop_length=128, n_mels=3)  # 62.5 frames a second
LENGTHS = (5, 16, 17, 22, 9, 30, 31, 70, 16, 12, 25, 40, 3)
PIECE_FRAMES = 30
CLIP = 16
CLIP_SECONDS = 0.24  # 16 frames: 1 + 0.24 · 62.5
BATCH = 4
UNKNOWN_TAGS = {2, 7}  # tracks whose tags nobody knows
KNOWN_SECONDS = 0.2  # of track 5: after that the frame target is unknown


class Toy(Task):
    """Times of frames, and the parity of tracks."""

    name = "toy"
    Config = PipelineConfig
    feature = FEATURE
    invariant_to = frozenset({"keeps", "mixes"})

    @staticmethod
    def labels_of(spec: Spec) -> tuple[str, ...]:
        return spec.tags

    def outputs(self) -> dict[str, Output]:
        return {"time": Output(1, "linear", "frame"), "tags": Output(2, "sigmoid")}

    def encode(self, annotations: Annotations, times: np.ndarray) -> dict[str, np.ndarray]:
        until = annotations.tempo or np.inf
        time = np.where(times < until, times, np.nan)[:, np.newaxis]
        tags = np.full(2, np.nan)
        if annotations.tags is not None:
            tags = np.isin(self.labels, annotations.tags.labels).astype(float)
        return {"time": time.astype(np.float32), "tags": tags.astype(np.float32)}

    def decode(self, activations: Mapping[str, np.ndarray], times: np.ndarray) -> Annotations:
        raise AssertionError("not asked for here")

    def losses(self, manifest: Manifest) -> dict[str, keras.losses.Loss]:
        raise AssertionError("not asked for here")

    def metrics(self) -> dict[str, list[keras.metrics.Metric]]:
        raise AssertionError("not asked for here")

    def score(self, reference: Annotations, estimate: Annotations) -> dict[str, Any]:
        raise AssertionError("not asked for here")

    def summarise(
        self, references: Sequence[Annotations], estimates: Sequence[Annotations]
    ) -> tuple[list[Score], list[dict[str, Any]]]:
        raise AssertionError("not asked for here")


class Strict(Toy):
    """A task that can't bear mixed labels."""

    invariant_to = frozenset({"keeps"})


def frames_of(track: int) -> np.ndarray:
    noise = np.random.default_rng(track).normal(size=LENGTHS[track])
    number = np.full(LENGTHS[track], track)
    return np.stack([number, np.arange(LENGTHS[track]), noise], axis=1).astype(np.float32)


def known_of(track: int) -> Annotations:
    tags = None if track in UNKNOWN_TAGS else Tags(("odd" if track % 2 else "even",))
    return Annotations(tags=tags, tempo=KNOWN_SECONDS if track == 5 else None)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Records:
    out = tmp_path_factory.mktemp("stream") / "records"
    tracks = [
        Track(
            f"{number}",
            known_of(number),
            features=partial(frames_of, number),
            split="validation" if number in (4, 7, 8) else "train",
        )
        for number in range(len(LENGTHS))
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "PIECE_BYTES", PIECE_FRAMES * 3 * 4)
        write.write_records(out, tracks, FEATURE, dataset="toy", dtype="float32", quiet=True)
    return Records.open(out)


def stream(
    records: Records,
    split: str = "train",
    *,
    seed: int = 0,
    task: type[Task] = Toy,
    **settings: Any,
) -> Stream:
    config = PipelineConfig(**{"clip_seconds": CLIP_SECONDS} | settings)
    return Stream(records, task(config, ("even", "odd")), split, batch_size=BATCH, seed=seed)


@dataclass(frozen=True)
class Clip:
    """One clip of a batch, as NumPy arrays."""

    features: np.ndarray
    mask: np.ndarray
    y: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]

    @property
    def real(self) -> np.ndarray:
        """Frames that are not padding."""
        return self.features[self.mask == 1]

    @property
    def track(self) -> int:
        return int(self.real[0, 0])

    @property
    def piece(self) -> tuple[int, int]:
        """Track, and number of the stored piece in it."""
        pieces = np.array_split(np.arange(LENGTHS[self.track]), -(-LENGTHS[self.track] // 30))
        (index,) = (i for i, frames in enumerate(pieces) if self.real[0, 1] in frames)
        assert set(self.real[:, 1]) <= set(pieces[index]), "a clip spans two pieces"
        return self.track, index


def clips(batches: Any) -> list[Clip]:
    found = []
    for batch in batches:
        x, y, weights = tf.nest.map_structure(lambda tensor: tensor.numpy(), batch)
        for row in range(len(x["mask"])):
            y_row = {name: value[row] for name, value in y.items()}
            w_row = {name: value[row] for name, value in weights.items()}
            found.append(Clip(x["features"][row], x["mask"][row], y_row, w_row))
    return found


def arrays(batches: Any) -> list[np.ndarray]:
    return [tensor.numpy() for batch in batches for tensor in tf.nest.flatten(batch)]


def assert_equal(first: Any, second: Any) -> None:
    a, b = arrays(first), arrays(second)
    assert len(a) == len(b) > 0
    for one, other in zip(a, b, strict=True):
        np.testing.assert_array_equal(one, other)


def differ(first: Any, second: Any) -> bool:
    pairs = zip(arrays(first), arrays(second), strict=True)
    return any(not np.array_equal(one, other) for one, other in pairs)


ALL_PIECES = Counter(
    (track, index)
    for track, frames in enumerate(LENGTHS)
    if track not in (4, 7, 8)
    for index in range(-(-frames // PIECE_FRAMES))
)
UNCACHED: dict[str, Any] = {"cache_megabytes": 0, "shuffle_buffer": 3}
AUGMENTED: dict[str, Any] = {
    "freq_masks": 2,
    "freq_mask_bins": 1,
    "time_masks": 2,
    "time_mask_seconds": 0.1,
    "mixup": 0.4,
}


# === What comes ===


@pytest.mark.parametrize("settings", [{}, UNCACHED, UNCACHED | {"deterministic": False}])
def test_every_piece_once_before_the_order_begins_again(
    records: Records, settings: dict[str, Any]
) -> None:
    training = stream(records, **settings)
    pieces = sum(ALL_PIECES.values())
    assert training.steps == -(-pieces // BATCH)
    for number in (0, 1, 7):
        found = [clip.piece for clip in clips(training.epoch(number))]
        assert len(found) == training.steps * BATCH
        again = Counter(found) - ALL_PIECES
        assert again.total() == len(found) - pieces
        assert set(again.values()) <= {1}
        if settings.get("deterministic", True):
            assert Counter(found[:pieces]) == ALL_PIECES
            for place in range(pieces, len(found)):  # each lane begins again
                assert found[place] == found[place % BATCH]


@pytest.mark.parametrize("settings", [{}, UNCACHED])
def test_an_epoch_can_be_longer_or_shorter_than_the_records(
    records: Records, settings: dict[str, Any]
) -> None:
    training = stream(records, **settings)
    assert len(clips(training.epoch(0, steps=1))) == BATCH
    found = Counter(clip.piece for clip in clips(training.epoch(0, steps=9)))
    assert set(found) == set(ALL_PIECES)
    assert max(found.values()) - min(found.values()) <= 1


def test_clips_are_cut_from_what_is_stored(records: Records) -> None:
    starts = set()
    for number in range(4):
        for clip in clips(stream(records).epoch(number)):
            whole = frames_of(clip.track)
            first = int(clip.real[0, 1])
            np.testing.assert_array_equal(clip.real, whole[first : first + len(clip.real)])
            if clip.track == 5:  # 30 frames in one piece
                starts.add(first)
    assert starts <= set(range(30 - CLIP + 1))
    assert len(starts) > 2


def test_all_starts_occur_to_the_last_and_follow_no_pattern(records: Records) -> None:
    training = stream(records)
    starts: dict[int, list[int]] = {}  # by position in the epoch, of a track of 17 frames
    for number in range(40):
        for position, clip in enumerate(clips(training.epoch(number))):
            if clip.track == 2:
                starts.setdefault(position, []).append(int(clip.real[0, 1]))
    every = Counter(start for some in starts.values() for start in some)
    assert set(every) == {0, 1}
    assert min(every.values()) > 10
    assert any(len(set(some)) == 2 for some in starts.values()), "each position has its start"


def test_shapes_are_constant_in_training(records: Records) -> None:
    for x, y, weights in stream(records).epoch(0):
        assert x["features"].shape == (BATCH, CLIP, 3)
        assert x["mask"].shape == (BATCH, CLIP)
        assert y["time"].shape == (BATCH, CLIP, 1)
        assert weights["time"].shape == (BATCH, CLIP)
        assert y["tags"].shape == (BATCH, 2)
        assert weights["tags"].shape == (BATCH,)
        tensors = tf.nest.flatten((x, y, weights))
        assert {tensor.dtype for tensor in tensors} == {tf.float32}


def test_shorter_clips_end_in_silence(records: Records) -> None:
    short = [clip for clip in clips(stream(records).epoch(0)) if LENGTHS[clip.track] < CLIP]
    assert {clip.track for clip in short} == {0, 9, 12}
    for clip in short:
        length = LENGTHS[clip.track]
        np.testing.assert_array_equal(clip.mask, np.arange(CLIP) < length)
        np.testing.assert_array_equal(clip.features[:length], frames_of(clip.track))
        assert (clip.features[length:] == FEATURE.silence).all()
        assert (clip.weights["time"][length:] == 0).all()
        assert (clip.y["time"][length:] == 0).all()


# === Targets ===


@pytest.mark.parametrize("settings", [{}, UNCACHED, {"clip_seconds": None}])
def test_frame_targets_are_cropped_along(records: Records, settings: dict[str, Any]) -> None:
    for clip in clips(stream(records, **settings).epoch(2)):
        times = clip.real[:, 1] / FEATURE.frame_rate
        known = times < (KNOWN_SECONDS if clip.track == 5 else np.inf)
        np.testing.assert_array_equal(clip.weights["time"][clip.mask == 1], known)
        expected = np.where(known, times, 0)
        np.testing.assert_allclose(clip.y["time"][clip.mask == 1, 0], expected, rtol=1e-6)


def test_unknown_targets_count_nothing(records: Records) -> None:
    for clip in clips(stream(records).epoch(0)):
        if clip.track in UNKNOWN_TAGS:
            assert clip.weights["tags"] == 0
            np.testing.assert_array_equal(clip.y["tags"], [0, 0])
        else:
            assert clip.weights["tags"] == 1
            np.testing.assert_array_equal(clip.y["tags"], [1 - clip.track % 2, clip.track % 2])


# === Chance ===


@pytest.mark.parametrize("cache", [{}, UNCACHED])
@pytest.mark.parametrize("changes", [{}, AUGMENTED])
def test_an_epoch_follows_from_seed_and_number(
    records: Records, cache: dict[str, Any], changes: dict[str, Any]
) -> None:
    one = stream(records, seed=3, **cache, **changes)
    for number in range(2):
        list(one.epoch(number))
    third = arrays(one.epoch(2))
    tf.random.set_seed(99)  # what came before in the process must not matter
    tf.random.uniform((5,))
    assert_equal_arrays(third, arrays(stream(records, seed=3, **cache, **changes).epoch(2)))
    assert_equal_arrays(third, arrays(one.epoch(2)))


def assert_equal_arrays(first: list[np.ndarray], second: list[np.ndarray]) -> None:
    assert len(first) == len(second) > 0
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_epochs_can_begin_anywhere(records: Records) -> None:
    steps = 2
    endless = stream(records, **AUGMENTED).epochs(0, steps)
    whole = [next(endless) for _ in range(3 * steps)]
    later = stream(records, **AUGMENTED).epochs(1, steps)
    assert_equal(whole[steps:], [next(later) for _ in range(2 * steps)])


@pytest.mark.parametrize("cache", [{}, UNCACHED])
def test_epochs_and_seeds_differ(records: Records, cache: dict[str, Any]) -> None:
    training = stream(records, **cache)
    order = [[clip.piece for clip in clips(training.epoch(number))] for number in range(3)]
    assert order[0] != order[1] != order[2] != order[0]
    assert differ(training.epoch(0), stream(records, seed=1, **cache).epoch(0))


def test_masks_of_clips_and_epochs_differ(records: Records) -> None:
    training = stream(records, time_masks=1, time_mask_seconds=0.2)
    masked = {
        number: [
            tuple(np.flatnonzero((clip.features == FEATURE.silence).all(1) & (clip.mask == 1)))
            for clip in clips(training.epoch(number))
        ]
        for number in range(2)
    }
    assert masked[0] != masked[1]
    assert len(set(masked[0])) > 3
    assert max(map(len, masked[0])) <= round(0.2 * FEATURE.frame_rate)


def test_validation_is_never_augmented(records: Records) -> None:
    plain = stream(records, "validation").windows()
    assert_equal(plain, stream(records, "validation", **AUGMENTED).windows())


def test_an_augmentation_that_makes_labels_wrong_is_refused(records: Records) -> None:
    training = stream(records, task=Strict, mixup=0.2)
    with pytest.raises(UsageError, match=r"labels of toy right\. Received: mixup, which mixes"):
        training.epoch(0)


# === Windows ===


@pytest.mark.parametrize("cache", [{}, UNCACHED])
@pytest.mark.parametrize("seconds", [CLIP_SECONDS, 0.08, None])
@pytest.mark.parametrize("split", ["train", "validation"])
def test_windows_cover_every_frame_in_order(
    records: Records, cache: dict[str, Any], seconds: float | None, split: str
) -> None:
    batches = stream(records, split, clip_seconds=seconds, **cache).windows()
    assert int(batches.cardinality()) == len(list(batches))
    found = clips(batches)
    seen: dict[int, list[float]] = {}
    for clip in found:
        seen.setdefault(clip.track, []).extend(clip.real[:, 1])
    tracks = [n for n in range(len(LENGTHS)) if (n in (4, 7, 8)) == (split == "validation")]
    assert sorted(seen) == tracks
    for track, frames in seen.items():
        assert sorted(set(frames)) == list(range(LENGTHS[track]))
        assert len(frames) - LENGTHS[track] < (CLIP if seconds else 1) * 3  # once a piece at most
    assert_equal(batches, stream(records, split, clip_seconds=seconds, **cache).windows())


def test_windows_before_and_after_training_are_equal(records: Records) -> None:
    training = stream(records)
    before = arrays(training.windows())
    list(training.epoch(0))
    assert_equal_arrays(before, arrays(training.windows()))


@given(frames=st.integers(1, 300), length=st.one_of(st.none(), st.integers(1, 80)))
def test_windows_are_those_of_prediction(frames: int, length: int | None) -> None:
    starts = window_starts(tf.constant(frames), length).numpy()
    assert len(starts) == windows_in(frames, length)
    features = np.arange(frames, dtype=np.float32)[:, np.newaxis]
    at_prediction = list(inference.windows(features, length, silence=-1))
    assert [window["features"][0, 0] for window in at_prediction] == starts.tolist()
    covered = {i for start in starts for i in range(start, min(start + (length or frames), frames))}
    assert covered == set(range(frames))
    assert starts[-1] == max(frames - (length or frames), 0)


# === Whole tracks, and other edges ===


def test_whole_tracks_are_padded_to_the_longest_of_the_batch(records: Records) -> None:
    training = stream(records, clip_seconds=None)
    assert training.clip_frames is None
    for x, y, weights in training.epoch(0):
        lengths = x["mask"].numpy().sum(1).astype(int)
        assert x["features"].shape == (BATCH, lengths.max(), 3)
        for row, length in enumerate(lengths):
            assert (x["features"][row, length:] == FEATURE.silence).numpy().all()
            assert not weights["time"][row, length:].numpy().any()
            assert not y["time"][row, length:].numpy().any()
    pieces = Counter(clip.piece for clip in clips(training.epoch(0))[: sum(ALL_PIECES.values())])
    assert pieces == ALL_PIECES


def test_whole_tracks_can_be_augmented(records: Records) -> None:
    values = arrays(stream(records, clip_seconds=None, **AUGMENTED).epoch(0))
    assert all(np.isfinite(value).all() for value in values)


def test_a_clip_is_no_longer_than_the_longest_piece(records: Records) -> None:
    for seconds, expected in ((CLIP_SECONDS, 16), (60.0, PIECE_FRAMES), (1e-6, 1), (None, None)):
        config = PipelineConfig(clip_seconds=seconds)
        assert clip_frames(Toy(config, ()), records) == expected


def test_an_unknown_split_is_refused(records: Records) -> None:
    with pytest.raises(RecordError, match=r"Received: 'valid'\. Did you mean 'validation'\?"):
        stream(records, "valid")


def test_a_model_takes_what_it_has_inputs_for(records: Records) -> None:
    batch = next(iter(stream(records).epoch(0)))
    x, y, weights = batch
    features = keras.Input((CLIP, 3), name="features")
    mask = keras.Input((CLIP,), name="mask")
    time = keras.layers.Dense(1, name="time")(features)
    tags = keras.layers.Dense(2, name="tags")(keras.layers.Flatten()(features))

    alone = for_model(keras.Model({"features": features}, tags), batch)
    assert alone == (x["features"], y["tags"], weights["tags"])
    both = keras.Model({"features": features, "mask": mask}, {"time": time, "tags": tags})
    assert for_model(both, batch) == (x, y, weights)


def test_weights_of_zero_take_a_clip_out_of_the_loss(records: Records) -> None:
    """Keras gets the weights the right way round: a batch without known tags costs nothing."""
    x, y, weights = next(iter(stream(records).epoch(0)))
    model = keras.Sequential(
        [keras.Input((CLIP, 3)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    model.compile(loss=keras.losses.BinaryCrossentropy(from_logits=True))
    cost = model.evaluate(x["features"], y["tags"], sample_weight=0 * weights["tags"], verbose=0)
    assert cost == 0


# === Clips at a hop, and their context ===

HOP_SECONDS, HOP = 0.16, 10  # frames
CONTEXT_SECONDS, CONTEXT = 0.08, 5


def starts_of_pieces(hop: int) -> Counter[tuple[int, int]]:
    """Track, and first frame, of every clip at a hop; pieces of a long track begin anew."""
    found: Counter[tuple[int, int]] = Counter()
    for track, frames in enumerate(LENGTHS):
        if track not in (4, 7, 8):
            for piece in np.array_split(np.arange(frames), -(-frames // PIECE_FRAMES)):
                found.update((track, int(first)) for first in piece[::hop])
    return found


@pytest.mark.parametrize("settings", [{}, {"cache_megabytes": 0, "shuffle_buffer": 100}])
@pytest.mark.parametrize(("seconds", "hop"), [(HOP_SECONDS, HOP), (0.001, 1), (9.0, 562)])
def test_an_epoch_has_all_clips_at_a_hop(
    records: Records, settings: dict[str, Any], seconds: float, hop: int
) -> None:
    one = stream(records, hop_seconds=seconds, **settings)
    expected = starts_of_pieces(hop)
    assert one.steps == -(-expected.total() // BATCH)
    every = clips(one.epoch(0))
    assert len(every) == one.steps * BATCH
    found = Counter((clip.track, int(clip.real[0, 1])) for clip in every[: expected.total()])
    assert found == expected
    first, second = (
        [(clip.track, clip.real[0, 1]) for clip in clips(one.epoch(number))] for number in (0, 1)
    )
    assert first != second or hop > 100  # pieces are few then
    assert_equal(one.epoch(3), stream(records, hop_seconds=seconds, **settings).epoch(3))


def test_clips_at_a_hop_end_in_silence(records: Records) -> None:
    for clip in clips(stream(records, hop_seconds=HOP_SECONDS).epoch(0)):
        assert clip.features.shape == (CLIP, 3)
        count = len(clip.real)
        np.testing.assert_array_equal(clip.mask, np.arange(CLIP) < count)
        np.testing.assert_array_equal(clip.real[:, 1], clip.real[0, 1] + np.arange(count))
        np.testing.assert_array_equal(clip.features[count:], FEATURE.silence)
        np.testing.assert_array_equal(clip.weights["time"][count:], 0)


@pytest.mark.parametrize("settings", [{}, {"hop_seconds": HOP_SECONDS}])
def test_context_is_heard_but_not_judged(records: Records, settings: dict[str, Any]) -> None:
    one = stream(records, context_seconds=CONTEXT_SECONDS, **settings)
    assert (one.context_frames, one.clip_frames) == (CONTEXT, CLIP)
    plain = {(c.track, c.real[0, 1]) for c in clips(stream(records, **settings).epoch(2))}
    judged = set()
    for clip in clips(one.epoch(2)):
        assert clip.features.shape == (CONTEXT + CLIP, 3)
        frames = clip.real[:, 1]
        np.testing.assert_array_equal(np.diff(frames), 1)
        first = int(clip.features[CONTEXT, 1])  # of the clip itself
        # Before the clip are the frames before it, as far as its piece has them, then silence.
        missing = CONTEXT - int(first - frames[0])
        np.testing.assert_array_equal(clip.features[:missing], FEATURE.silence)
        np.testing.assert_array_equal(clip.mask[:missing], 0)
        track, piece = clip.piece
        pieces = np.array_split(np.arange(LENGTHS[track]), -(-LENGTHS[track] // PIECE_FRAMES))
        assert missing == max(0, CONTEXT - (first - pieces[piece][0]))
        np.testing.assert_array_equal(clip.weights["time"][:CONTEXT], 0)
        known = clip.weights["time"] == 1
        np.testing.assert_allclose(
            clip.y["time"][known, 0], clip.features[known, 1] / FEATURE.frame_rate, rtol=1e-6
        )
        judged.add((clip.track, first))
    assert judged == plain  # the context changes nothing of what is drawn


def test_validation_has_context_and_judges_each_frame(records: Records) -> None:
    """All frames but those of the last, flush window count once."""
    plain = clips(stream(records, "validation").windows())
    heard = clips(stream(records, "validation", context_seconds=CONTEXT_SECONDS).windows())
    assert len(plain) == len(heard)
    for one, other in zip(plain, heard, strict=True):
        np.testing.assert_array_equal(other.features[CONTEXT:], one.features)
        np.testing.assert_array_equal(other.weights["time"][CONTEXT:], one.weights["time"])
        np.testing.assert_array_equal(other.weights["time"][:CONTEXT], 0)
        np.testing.assert_array_equal(other.y["time"][CONTEXT:], one.y["time"])
        np.testing.assert_array_equal(other.y["tags"], one.y["tags"])


def test_whole_tracks_can_have_context(records: Records) -> None:
    one = stream(records, clip_seconds=None, context_seconds=CONTEXT_SECONDS)
    for clip in clips(one.epoch(0)):
        np.testing.assert_array_equal(clip.mask[:CONTEXT], 0)
        assert clip.real[0, 1] == clip.features[CONTEXT, 1]
        np.testing.assert_array_equal(clip.weights["time"][:CONTEXT], 0)
