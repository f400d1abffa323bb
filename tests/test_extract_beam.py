"""Extraction by Apache Beam gives what extraction on this machine gives, to the last byte."""

import builtins
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

pytest.importorskip("apache_beam")

import apache_beam as beam

from kmir import command, extract_beam
from kmir.annotations import Annotations, Tags
from kmir.datasets import Track
from kmir.datasets.folder import tracks as folder_tracks
from kmir.errors import RecordError, UsageError
from kmir.extract import extract, main
from kmir.extract_beam import extract_with_beam
from kmir.features.log_mel import LogMel
from kmir.features.nnls_chroma import NNLSChroma
from kmir.records import shards
from kmir.records.beam import Job
from kmir.records.read import Records
from kmir.records.stage import Staging
from kmir.records.write import plan_records
from kmir.remote import Folder

Run = Callable[..., tuple[int, list[str], str]]
TINY = ("--feature.sample_rate=8000", "--feature.n_fft=256", "--feature.hop_length=128",
        "--feature.n_mels=32")  # fmt: skip


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``kmir extract --runner beam`` in this process: exit code, lines of stdout, stderr."""

    def run(*argv: Any, runner: str = "beam") -> tuple[int, list[str], str]:
        code = command.run(main, [*(str(word) for word in argv), "--runner", runner])
        out, err = capsys.readouterr()
        return code, out.splitlines(), err

    return run


def _content(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*")}


def _in_memory(memory: dict[str, bytes], url: str) -> dict[str, bytes]:
    return {
        path.removeprefix(f"{url}/"): content
        for path, content in memory.items()
        if path.startswith(f"{url}/")
    }


def _spread(memory: dict[str, bytes], folder: Path, url: str) -> None:
    for name, content in _content_of_files(folder).items():
        memory[f"{url}/{name}"] = content


def _content_of_files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


# === The same bytes ===


def test_every_file_is_that_of_the_local_runner(
    run: Run, tiny_folder: Path, tiny_records: Path, tmp_path: Path
) -> None:
    out = tmp_path / "deep" / "records [1]"
    ask = ("folder", "--root", tiny_folder, "--out", out, *TINY)
    code, lines, err = run(*ask)
    assert (code, err) == (0, "")
    assert lines == [
        "train           6 tracks       0.1 min    6 shards",
        "validation      3 tracks       0.1 min    3 shards",
        "test            3 tracks       0.1 min    3 shards",
        str(out),
    ]
    assert _content(out) == _content(tiny_records)
    assert len(_content(out)) == 14
    # Again, nothing is done, and the same is said; the local runner sees that it is done, too.
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert run(*ask) == (0, lines, "")
    assert run(*ask, runner="local") == (0, lines, "")
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before


@pytest.mark.slow
def test_two_processes_write_the_same_bytes(
    tiny_folder: Path, tiny_records: Path, tiny_feature: LogMel, tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    flags = {"direct_num_workers": "2", "direct_running_mode": "multi_processing"}
    extract_with_beam("folder", str(tiny_folder), str(tmp_path), tiny_feature, flags=flags)
    assert _content(tmp_path) == _content(tiny_records)
    assert capfd.readouterr() == ("", "")  # no word of the workers


def test_long_tracks_and_many_shards_are_cut_alike(
    tiny_folder: Path, tiny_feature: LogMel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "PIECE_BYTES", 1000)
    monkeypatch.setattr(shards, "MIN_SHARDS", 1)
    monkeypatch.setattr(shards, "SHARD_BYTES", 9000)
    monkeypatch.setattr("kmir.records.beam.CHUNK", 5)
    local, out = tmp_path / "local", tmp_path / "beam"
    ask = ("folder", tiny_folder, local, tiny_feature)
    manifest = extract(*ask, dtype="float32", seed=3, workers=1, quiet=True)
    assert [len(split.shards) for split in manifest.splits.values()] == [6, 3, 3]
    assert manifest.splits["train"].pieces == 6 * 9
    again = extract_with_beam(
        "folder", str(tiny_folder), str(out), tiny_feature, dtype="float32", seed=3, quiet=True
    )
    assert again == manifest
    assert _content(out) == _content(local)


def test_features_that_come_ready_made(tmp_path: Path) -> None:
    root = tmp_path / "billboard"
    for number in (3, 4, 1001):
        folder = root / "McGill-Billboard" / f"{number:04}"
        folder.mkdir(parents=True)
        chroma = np.random.default_rng(number).random((40, 24)).round(4)
        rows = [
            f",{i * 2048 / 44100:.9f}," + ",".join(map(str, row)) for i, row in enumerate(chroma)
        ]
        (folder / "bothchroma.csv").write_text("\n".join(rows) + "\n")
        (folder / "full.lab").write_text("0.000\t0.500\tN\n0.500\t1.900\tA:min7/b3\n")
    extract("billboard", root, tmp_path / "local", NNLSChroma(), workers=1, quiet=True)
    extract_with_beam("billboard", str(root), str(tmp_path / "beam"), NNLSChroma(), quiet=True)
    assert _content(tmp_path / "beam") == _content(tmp_path / "local")


# === Object stores ===


def test_records_go_to_an_object_store(
    run: Run, tiny_folder: Path, tiny_records: Path, memory: dict[str, bytes]
) -> None:
    url = "mem://bucket/records"
    code, lines, err = run("folder", "--root", tiny_folder, "--out", url, *TINY)
    assert (code, lines[-1], err) == (0, url, "")
    assert _in_memory(memory, url) == _content(tiny_records)
    assert run("folder", "--root", tiny_folder, "--out", url, *TINY) == (0, lines, "")


def test_audio_comes_from_an_object_store(
    run: Run, tiny_folder: Path, tiny_records: Path, memory: dict[str, bytes], tmp_path: Path
) -> None:
    _spread(memory, tiny_folder, "mem://music")
    memory["mem://music/tone/0.wav"] = b"no audio at all"
    out = tmp_path / "records"
    code, _, err = run("folder", "--root", "mem://music", "--out", out, *TINY)
    assert code == 1
    first, told = err.splitlines()
    assert first == "1 file could not be read:"
    assert told.startswith("  Expected an audio file of .wav")
    assert "Received: tone/0.wav, 15 bytes" in told
    # Mended, all shards are those of the folder on a disc.
    _spread(memory, tiny_folder, "mem://music")
    assert run("folder", "--root", "mem://music", "--out", out, *TINY, "--overwrite")[0] == 0
    ours, theirs = _content(out), _content(tiny_records)
    del ours["manifest.json"], theirs["manifest.json"]  # the source is another
    assert ours == theirs
    assert Records.open(out).manifest.splits == Records.open(tiny_records).manifest.splits


def test_data_sets_that_read_more_than_labels_are_refused(
    run: Run, memory: dict[str, bytes], tmp_path: Path
) -> None:
    memory["mem://b/McGill-Billboard/0003/bothchroma.csv"] = b""
    code, lines, err = run("billboard", "--root", "mem://b", "--out", tmp_path / "r")
    assert (code, lines) == (2, [])
    assert err == (
        "kmir: error: Expected --root on a disc for data set 'billboard', which reads more than "
        "labels to tell its tracks. Received: mem://b. Copy it to a disc that all workers see.\n"
    )
    assert not (tmp_path / "r").exists()


# === Bad files ===


def test_bad_files_are_told_and_the_rest_is_done_alike(
    run: Run, tiny_folder: Path, tmp_path: Path
) -> None:
    music = shutil.copytree(tiny_folder, tmp_path / "music")
    (music / "tone" / "0.wav").write_bytes(b"no audio at all")
    soundfile.write(music / "noise" / "2.wav", np.zeros(8000), 8000)
    ask = ("folder", "--root", music, *TINY, "--out")
    code, lines, err = run(*ask, tmp_path / "beam")
    assert code == 1
    assert err.splitlines()[0] == "2 files could not be read:"
    assert "Traceback" not in err
    assert run(*ask, tmp_path / "local", runner="local") == (
        1, [*lines[:-1], str(tmp_path / "local")], err,
    )  # fmt: skip
    assert list(Records.open(tmp_path / "beam").manifest.failed) == ["noise/2.wav", "tone/0.wav"]
    assert _content(tmp_path / "beam") == _content(tmp_path / "local")


def test_nothing_readable_is_an_error_with_every_reason(
    run: Run, tiny_folder: Path, tmp_path: Path
) -> None:
    music = shutil.copytree(tiny_folder, tmp_path / "music")
    for path in music.rglob("*.wav"):
        path.write_bytes(b"")
    ask = ("folder", "--root", music, *TINY, "--out")
    code, lines, err = run(*ask, tmp_path / "beam")
    assert (code, lines) == (1, [])
    assert err.startswith("kmir: error: Expected at least one readable track. Received: none.\n")
    assert len(err.splitlines()) == 13
    assert run(*ask, tmp_path / "local", runner="local")[2] == err
    assert not (tmp_path / "beam" / "manifest.json").exists()


# === Tracks of all kinds, and what is killed ===


def _job(out: str, tracks: Sequence[Track]) -> tuple[Job, dict[str, str]]:
    spec, splits, source = plan_records(tracks, LogMel(n_mels=4), dataset="x")
    return Job(Folder(out), LogMel(n_mels=4), spec, source), splits


def _piped(out: str, tracks: Sequence[Track]) -> Any:
    job, splits = _job(out, tracks)
    assert job.open(overwrite=False) is None
    pipeline = beam.Pipeline(runner="FnApiRunner")
    job.pipeline(pipeline, job.send(tracks, splits))
    pipeline.run().wait_until_finish()
    return job.close()


def _track(name: str, features: Callable[[], np.ndarray]) -> Track:
    return Track(name, Annotations(tags=Tags(("x",))), features=features, split="train")


def test_functions_inside_functions_travel_and_what_cannot_is_told(tmp_path: Path) -> None:
    frames = (np.zeros((2, 4), np.float32) for _ in range(1))

    tracks = [
        _track("lambda", lambda: np.full((2, 4), 5, np.float32)),
        _track("partial", partial(np.full, (3, 4), 1, np.float32)),
        _track("generator", lambda: next(frames)),
    ]
    manifest = _piped(str(tmp_path), tracks)
    assert list(manifest.failed) == ["generator"]
    assert manifest.failed["generator"].startswith("generator: TypeError: cannot pickle")
    back = {name: features for name, features, _ in Records.open(tmp_path).tracks()}
    assert {name: features.shape for name, features in back.items()} == {
        "lambda": (2, 4),
        "partial": (3, 4),
    }
    np.testing.assert_array_equal(back["lambda"], np.full((2, 4), 5))


def test_no_file_has_its_name_before_it_is_whole(
    memory: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.memory_files import CREATED

    _piped("mem://out", [_track(f"t{i}", partial(np.zeros, (2, 4), np.float32)) for i in range(3)])
    assert {path.rpartition("/")[0] for path in CREATED} == {"mem://out/.staging"}
    assert all(path.endswith(".tmp") for path in CREATED)
    assert sorted(memory)[0] == "mem://out/manifest.json"
    assert len(memory) == 2 + 3


def test_a_pipeline_that_broke_goes_on(
    run: Run, tiny_folder: Path, tiny_records: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def no_room(*args: Any) -> Any:
        raise OSError("No space left on device")

    ask = ("folder", "--root", tiny_folder, "--out", tmp_path, *TINY)
    with monkeypatch.context() as patch:
        patch.setattr("kmir.records.beam.write_shard", no_room)
        code, lines, err = run(*ask, "--quiet")
    assert (code, lines) == (1, [])
    assert err.splitlines()[-1].startswith(
        "kmir: error: Expected the Beam pipeline to end well. Received: OSError: No space left on "
    )
    assert err.endswith("Run the same command again: what is staged is not computed again.\n")
    assert [path.name for path in tmp_path.iterdir()] == [".staging"]
    assert len(list((tmp_path / ".staging").glob("*.npy"))) == 12
    (tmp_path / "train-00000-of-00099.tfrecord").write_bytes(b"left")
    # Other data may not go on with it; the same does, and computes nothing again.
    code, _, err = run(*ask, "--dtype", "float32")
    assert code == 1
    assert err.startswith(f"kmir: error: Expected to go on with the extraction begun in {tmp_path}")

    def not_again(self: Staging, track: Track) -> None:
        raise AssertionError(f"{track.id} was staged already")

    monkeypatch.setattr(Staging, "stage", not_again)
    code, _, err = run(*ask)
    assert (code, err) == (0, "")
    assert _content(tmp_path) == _content(tiny_records)


def test_the_local_runner_goes_on_where_beam_broke_off(
    tiny_folder: Path, tiny_records: Path, tiny_feature: LogMel, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    tracks = list(folder_tracks(tiny_folder))
    spec, splits, source = plan_records(tracks, tiny_feature, dataset="folder")
    job = Job(Folder(str(tmp_path)), tiny_feature, spec, source)
    assert job.open(overwrite=False) is None
    for chunk in job.send(tracks, splits):
        for parcel in job.receive(chunk):
            assert job.extract(parcel)[3] == ""
    monkeypatch.setattr(Staging, "stage", None)
    extract("folder", tiny_folder, tmp_path, tiny_feature, workers=1, quiet=True)
    assert _content(tmp_path) == _content(tiny_records)


def test_other_records_are_refused_or_overwritten(
    tiny_folder: Path, tiny_records: Path, tiny_feature: LogMel, memory: dict[str, bytes]
) -> None:
    url = "mem://records"
    _spread(memory, tiny_records, url)
    ask = ("folder", str(tiny_folder), url, LogMel(n_mels=8, sample_rate=8000))
    with pytest.raises(RecordError, match=r"Received: mem://records, which holds others\."):
        extract_with_beam(*ask)
    del memory[f"{url}/manifest.json"]
    memory[f"{url}/.staging/source"] = b"another"
    with pytest.raises(RecordError, match=r"the extraction begun in mem://records\. Received: oth"):
        extract_with_beam(*ask)
    memory[f"{url}/mine.txt"] = b"precious"
    with pytest.raises(RecordError, match=r"mem://records to hold only records\. Received: also m"):
        extract_with_beam(*ask, overwrite=True)
    del memory[f"{url}/mine.txt"]
    extract_with_beam("folder", str(tiny_folder), url, tiny_feature, overwrite=True)
    assert _in_memory(memory, url) == _content(tiny_records)


def test_workers_that_do_not_see_the_folder_say_so(tmp_path: Path) -> None:
    job, _ = _job(str(tmp_path), [_track("a", partial(np.zeros, (2, 4), np.float32))])
    with pytest.raises(RecordError, match=r"^Expected workers to see .* --out that this machine"):
        list(job.receive(".staging/tracks-00000"))
    with pytest.raises(RecordError, match=r"^Expected manifest\.json in .* after the pipeline"):
        job.close()


# === Wrong usage ===


def test_without_beam_it_says_how_to_install_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any) -> Any:
        if name.partition(".")[0] == "apache_beam":
            raise ModuleNotFoundError("No module named 'apache_beam'")
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", missing)
    assert run("synthetic", "--out", tmp_path / "out") == (
        2,
        [],
        "kmir: error: Expected the library apache-beam for --runner beam. Received: No module "
        "named 'apache_beam'. Install it: pip install kmir[beam].\n",
    )


@pytest.mark.parametrize(
    ("words", "runner", "message"),
    [
        (["--beam.runner=FlinkRunner"], "local", "Expected --beam.runner with --runner beam."),
        (["--out", "gs://x"], "local", "Expected --runner beam for an object store. Received: gs:"),
        (["--root", "s3://x"], "local", "Expected --runner beam for an object store. Received: s3"),
        (["--workers", "2"], "beam", "Expected --workers with --runner local."),
        (["--beam.runer=x"], "beam", "Unknown setting --beam.runer. Did you mean 'runner'?"),
        (["--beam.runner=DataflowRunner"], "beam", "Expected --beam.runner with what it needs. "),
        (["--out", "foo://x"], "beam", "Expected a path, or a URL that Apache Beam reads and wri"),
    ],
)
def test_wrong_usage_is_told_in_one_line(
    run: Run, tmp_path: Path, words: list[str], runner: str, message: str
) -> None:
    code, lines, err = run("synthetic", "--out", tmp_path / "out", *words, runner=runner)
    assert (code, lines) == (2, [])
    assert err.startswith(f"kmir: error: {message}")
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_data_set_of_that_name_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^Expected the name of a data set\. Received: 'foldr'"):
        extract_with_beam("foldr", "mem://x", str(tmp_path), LogMel())


# === Progress ===


class _Staged:
    """A job of which one track more is staged at each look."""

    count = 0

    def staged(self) -> int:
        self.count += 1
        return min(self.count, 5)


@pytest.mark.parametrize(("quiet", "terminal"), [(False, True), (True, True), (False, False)])
def test_progress_is_shown_on_a_terminal_unless_quiet(
    quiet: bool, terminal: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extract_beam, "EVERY", 0.001)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    job = _Staged()
    with extract_beam._progress(job, 5, quiet=quiet):  # type: ignore[arg-type]
        while terminal and not quiet and job.count < 5:
            time.sleep(0.001)
    err = capsys.readouterr().err
    assert ("5/5" in err) == (terminal and not quiet)
    assert bool(err) == (terminal and not quiet)
