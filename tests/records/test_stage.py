"""Staging: what is kept, what is told of tracks that fail, and what happens to workers."""

import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kmir.annotations import Annotations
from kmir.datasets import Track
from kmir.errors import AudioError, RecordError
from kmir.features.log_mel import LogMel
from kmir.records.stage import Staging

FEATURE = LogMel(n_mels=4)


class Odd(Exception):
    """Goes to another process, but does not come back: it needs two arguments."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first)


def _frames(*shape: int, value: float = 1.5) -> np.ndarray:
    return np.full(shape, value, np.float32)


def _odd() -> None:
    raise Odd("strange", "thing")


def _dead() -> None:
    os._exit(9)


def _track(name: str, features: Any, *args: Any, **kwargs: Any) -> Track:
    return Track(name, Annotations(), features=partial(features, *args, **kwargs))


def _staging(folder: Path, dtype: str = "float16") -> Staging:
    staging = Staging(folder / ".staging", FEATURE, dtype)
    staging.open("source")
    return staging


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_ready_features_are_stored_in_the_dtype(tmp_path: Path, dtype: str) -> None:
    staging = _staging(tmp_path, dtype)
    track = _track("a/b.wav", _frames, 3, 4)
    assert staging.fill([track], workers=1, quiet=True) == {}
    stored = np.load(staging.path(track))
    assert stored.dtype == dtype
    np.testing.assert_array_equal(stored, np.full((3, 4), 1.5, dtype))


def test_what_is_staged_is_not_done_again(tmp_path: Path) -> None:
    staging = _staging(tmp_path)
    first = _track("a", _frames, 3, 4)
    staging.fill([first], workers=1, quiet=True)
    before = staging.path(first).stat().st_mtime_ns
    now_failing = _track("a", _odd)
    failed = staging.fill([now_failing, _track("b", _frames, 2, 4)], workers=1, quiet=True)
    assert failed == {}
    assert staging.path(first).stat().st_mtime_ns == before
    assert sorted(path.suffix for path in staging.folder.iterdir()) == ["", ".npy", ".npy"]


@pytest.mark.parametrize("workers", [1, 2])
def test_every_failure_is_told_and_the_rest_is_done(tmp_path: Path, workers: int) -> None:
    good = [_track(f"good{i}", _frames, 2, 4) for i in range(3)]
    bad = {
        "wide": (_track("wide", _frames, 2, 5), "Received: shape (2, 5) in wide."),
        "flat": (_track("flat", _frames, 8), "Received: shape (8,) in flat."),
        "empty": (_track("empty", _frames, 0, 4), "Received: shape (0, 4) in empty."),
        "nan": (_track("nan", _frames, 2, 4, value=np.nan), "NaN or overflow in nan."),
        "loud": (_track("loud", _frames, 2, 4, value=1e5), "NaN or overflow in loud."),
        "odd": (_track("odd", _odd), "odd: Odd: strange"),
        "gone": (
            Track("gone", Annotations(), audio=tmp_path / "gone.wav"),
            f"{tmp_path / 'gone.wav'} (No such file or directory)",
        ),
    }
    tracks = [*good, *(track for track, _ in bad.values())]
    staging = _staging(tmp_path)
    failed = staging.fill(tracks, workers=workers, quiet=True)
    assert list(failed) == sorted(bad)
    for name, (track, message) in bad.items():
        assert message in failed[name]
        assert not staging.path(track).exists()
    assert all(staging.path(track).exists() for track in good)
    assert failed["wide"].startswith("Expected features as (frames, 4). ")


def test_features_that_cannot_be_sent_to_a_worker_are_told(tmp_path: Path) -> None:
    tracks = [Track(name, Annotations(), features=lambda: _frames(2, 4)) for name in ("a", "b")]
    failed = _staging(tmp_path).fill(tracks, workers=2, quiet=True)
    assert list(failed) == ["a", "b"]
    assert "pickle" in failed["a"].lower()
    assert _staging(tmp_path).fill(tracks, workers=1, quiet=True) == {}


def test_loud_features_are_stored_where_the_dtype_holds_them(tmp_path: Path) -> None:
    track = _track("loud", _frames, 2, 4, value=1e5)
    assert _staging(tmp_path, "float32").fill([track], workers=1, quiet=True) == {}


def test_a_feature_that_overflows_does_not_warn(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    with pytest.raises(AudioError, match="overflow"):
        _staging(tmp_path).stage(_track("loud", _frames, 2, 4, value=1e5))
    assert not recwarn.list


def test_a_worker_that_is_killed_ends_the_run_with_a_remedy(tmp_path: Path) -> None:
    tracks = [_track("a", _dead), _track("b", _frames, 2, 4)]
    with pytest.raises(RecordError, match=r"worker was killed.*same command.*fewer --workers"):
        _staging(tmp_path).fill(tracks, workers=2, quiet=True)
    # What was done is kept, and the same command goes on.
    mended = [_track("a", _frames, 2, 4), tracks[1]]
    assert _staging(tmp_path).fill(mended, workers=2, quiet=True) == {}


def test_numpy_threads_of_this_process_are_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracks = [_track(name, _frames, 2, 4) for name in ("a", "b")]
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    _staging(tmp_path / "set").fill(tracks, workers=2, quiet=True)
    assert os.environ["OPENBLAS_NUM_THREADS"] == "3"
    monkeypatch.delenv("OPENBLAS_NUM_THREADS")
    _staging(tmp_path / "unset").fill(tracks, workers=2, quiet=True)
    assert "OPENBLAS_NUM_THREADS" not in os.environ


def test_a_folder_of_another_source_is_refused(tmp_path: Path) -> None:
    _staging(tmp_path)
    other = Staging(tmp_path / ".staging", FEATURE, "float16")
    with pytest.raises(RecordError, match=r"^Expected to go on with .*--overwrite\.$"):
        other.open("another source")
    other.close()
    other.close()  # nothing left to do
    other.open("another source")
    assert (tmp_path / ".staging" / "source").read_text() == "another source"


def test_progress_is_shown_unless_quiet_or_without_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tracks = [_track("a", _frames, 2, 4)]
    _staging(tmp_path).fill(tracks, workers=1, quiet=False)
    assert capsys.readouterr() == ("", "")
