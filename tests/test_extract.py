"""The command that makes records: killed, refused, misspelt, and with bad files among good ones."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import kmir
from kmir import command
from kmir.datasets import Track
from kmir.datasets.folder import tracks as folder_tracks
from kmir.errors import RecordError, UsageError
from kmir.extract import extract, main, records_for
from kmir.features.log_mel import LogMel
from kmir.features.nnls_chroma import NNLSChroma
from kmir.lookup import known
from kmir.records import write
from kmir.records.read import Records
from kmir.records.shards import Written
from kmir.records.stage import Staging

Run = Callable[..., tuple[int, list[str], str]]
ROOT = Path(kmir.__file__).parents[1]
TINY = ("--feature.sample_rate=8000", "--feature.n_fft=256", "--feature.hop_length=128",
        "--feature.n_mels=32", "--workers", "1")  # fmt: skip


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``kmir extract`` in this process: exit code, lines of stdout, stderr."""

    def run(*argv: Any) -> tuple[int, list[str], str]:
        code = command.run(main, [str(word) for word in argv])
        out, err = capsys.readouterr()
        return code, out.splitlines(), err

    return run


@pytest.fixture
def music(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny folder, to be spoilt."""
    return shutil.copytree(tiny_folder, tmp_path / "music")


def _hashes(root: Path) -> dict[str, str]:
    return {shard.file: shard.sha256 for shard in Records.open(root).shards()}


# === The way it should go ===


def test_a_folder_becomes_records(
    run: Run, tiny_folder: Path, tiny_records: Path, tmp_path: Path
) -> None:
    out = tmp_path / "deep" / "records"
    code, lines, err = run("folder", "--root", tiny_folder, "--out", out, *TINY)
    assert (code, err) == (0, "")
    assert lines == [
        "train           6 tracks       0.1 min    6 shards",
        "validation      3 tracks       0.1 min    3 shards",
        "test            3 tracks       0.1 min    3 shards",
        str(out),
    ]
    assert _hashes(out) == _hashes(tiny_records)
    Records.open(out).verify()
    # Again, nothing is done, and the same is said.
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert run("folder", "--root", tiny_folder, "--out", out, *TINY) == (0, lines, "")
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before


def test_fields_options_and_type_reach_the_records(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "records"
    fields = ("--feature.n_fft=256", "--feature.hop_length", "512", "--feature.n_fft=1024")
    options = ("--option.pieces=3", "--option.seconds=1", "--option.seed=5")
    code, _, err = run(
        "synthetic", "--out", out, *fields, *options, "--dtype", "float32", "--workers", "1"
    )
    assert (code, err) == (0, "")
    records = Records.open(out)
    assert records.feature == LogMel(n_fft=1024, hop_length=512)
    assert records.spec.dtype == "float32"
    names = sorted(name for name, _, _ in records.tracks())
    assert names == ["synthetic-5-00000", "synthetic-5-00001", "synthetic-5-00002"]
    assert [split.tracks for split in records.manifest.splits.values()] == [1, 1, 1]


def test_a_data_set_of_ones_own_with_ready_features(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ready_made.py").write_text(
        "from functools import partial\n"
        "import numpy as np\n"
        "from kmir.annotations import Annotations, Tags\n"
        "from kmir.datasets import Track\n"
        "def tracks(root=None, *, count=4):\n"
        "    for i in range(int(count)):\n"
        "        frames = partial(np.full, (5, 96), i, np.float32)\n"
        "        yield Track(f't{i}', Annotations(tags=Tags(('x',))), features=frames)\n"
    )
    (tmp_path / "own").mkdir()
    shutil.move(tmp_path / "ready_made.py", tmp_path / "own")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    code, _, err = run("own.ready_made", "--out", "records", "--option.count=6", "--workers", 2)
    assert (code, err) == (0, "")
    back = {name: features for name, features, _ in Records.open("records").tracks()}
    assert len(back) == 6
    np.testing.assert_array_equal(back["t4"], np.full((5, 96), 4, np.float16))


def test_a_name_of_a_data_set_is_extracted_into_the_cache_once(
    music: Path, tiny_feature: LogMel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kmir.extract.cores", lambda: 1)
    first = records_for("folder", music, tiny_feature, quiet=True)
    assert Path(os.environ["KMIR_CACHE"]) in first.root.parents
    before = (first.root / "manifest.json").stat().st_mtime_ns
    again = records_for("folder", music, tiny_feature, quiet=True)
    assert (again.root, again.manifest) == (first.root, first.manifest)
    assert (first.root / "manifest.json").stat().st_mtime_ns == before
    # Another feature, or other data, has a place of its own.
    other = records_for("folder", music, LogMel(n_mels=16), quiet=True)
    with (music / "tags.csv").open("a") as table:
        table.write("tone/0.flac,tone,train,\n")
    soundfile.write(music / "tone" / "0.flac", np.full(8000, 0.5), 8000)
    more = records_for("folder", music, tiny_feature, quiet=True)
    assert len({first.root, other.root, more.root}) == 3
    assert more.manifest.splits["train"].tracks == 7
    assert records_for(str(first.root), None, tiny_feature).root == first.root
    with pytest.raises(UsageError, match=r"^Expected --root DIR, the folder of data set 'folder'"):
        records_for("folder", None, tiny_feature)


def test_a_part_of_a_data_set_is_spelled_after_a_colon(
    run: Run, tmp_path: Path, tiny_feature: LogMel, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "parted.py").write_text(
        "from functools import partial\n"
        "import numpy as np\n"
        "from kmir.annotations import Annotations, Tags\n"
        "from kmir.datasets import Track\n"
        "def tracks(root=None, *, name: str = 'none', count: int = 3):\n"
        "    for i in range(count):\n"
        "        frames = partial(np.zeros, (5, 32), np.float32)\n"
        "        yield Track(f'{name}{i}', Annotations(tags=Tags(('x',))), features=frames)\n"
    )
    (tmp_path / "mine").mkdir()
    shutil.move(tmp_path / "parted.py", tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    code, _, err = run("mine.parted:jazz", "--out", "records", "--workers", 1, *TINY[:4])
    assert (code, err) == (0, "")
    records = Records.open("records")
    assert records.spec.dataset == "mine.parted:jazz"
    assert sorted(name for name, _, _ in records.tracks()) == ["jazz0", "jazz1", "jazz2"]
    # In the cache, too, with options, and under a name that any file system takes.
    monkeypatch.setattr("kmir.extract.cores", lambda: 1)
    more = records_for("mine.parted:pop", None, tiny_feature, flags={"count": "5"}, quiet=True)
    assert more.root.name.startswith("mine.parted-pop-")
    assert sum(split.tracks for split in more.manifest.splits.values()) == 5
    with pytest.raises(UsageError, match=r"^Unknown setting --option.cuont. Did you mean 'count'"):
        records_for("mine.parted:pop", None, tiny_feature, flags={"cuont": "5"})
    with pytest.raises(UsageError, match=r"^Expected a data set by name for --option.count\. Rec"):
        records_for(str(more.root), None, tiny_feature, flags={"count": "5"})


# === Bad annotations: all of them at once ===

SECONDS = 2048 / 44100
GOOD_LAB = "0.000\t0.500\tN\n0.500\t1.900\tA:min7/b3\n"
BAD_LABS = {
    "words": ("0.0 0.5 N\nverse one\n", ":2: Expected start and end in seconds and a label"),
    "overlap": ("0.0 1.0 C\n0.5 2.0 G\n", ":2: Expected segments that don't overlap"),
    "unsorted": ("1.0 2.0 C\n0.0 1.0 G\n", ":2: Expected lines in order of time"),
    "grammar": ("0.0 1.0 C\n1.0 2.0 Hmaj\n", ":2: Expected a chord in Harte's syntax"),
    "empty": ("# nothing\n", ": Expected one segment or more"),
    "backwards": ("0.0 1.0 C\n2.0 1.0 G\n", ":2: Expected an end after the start"),
}


def told_at_once(err: str, root: Path, expected: dict[str, str]) -> None:
    """Each problem has its line, and there is nothing else."""
    first, *lines = err.splitlines()
    assert first == f"kmir: error: {len(expected)} problems in '{root}':"
    assert len(lines) == len(expected)
    for place, problem in expected.items():
        assert sum(line.startswith(f"  {place}{problem}") for line in lines) == 1, (place, err)
    assert all(" Received: " in line for line in lines)


def slot(root: Path, number: int, lab: str = GOOD_LAB) -> Path:
    """A slot of Billboard: 40 frames of chroma, the same for the same number."""
    folder = root / "McGill-Billboard" / f"{number:04}"
    folder.mkdir(parents=True)
    chroma = np.random.default_rng(number).random((40, 24)).round(4)
    rows = [f",{i * SECONDS:.9f}," + ",".join(map(str, row)) for i, row in enumerate(chroma)]
    (folder / "bothchroma.csv").write_text("\n".join(rows) + "\n")
    (folder / "full.lab").write_text(lab)
    return folder


def test_all_problems_of_billboard_at_once(run: Run, tmp_path: Path) -> None:
    root = tmp_path / "billboard"
    slot(root, 3)
    expected = {}
    for number, (lab, problem) in enumerate(BAD_LABS.values(), start=10):
        slot(root, number, lab)
        expected[f"{number:04}/full.lab"] = problem
    columns = slot(root, 20) / "bothchroma.csv"
    lines = columns.read_text().splitlines()
    columns.write_text("\n".join([*lines[:6], lines[6].rpartition(",")[0], *lines[7:]]))
    expected["0020/bothchroma.csv"] = ":7: Expected a file name or nothing, seconds and 24 chroma."
    nan = slot(root, 21) / "bothchroma.csv"
    text = nan.read_text().splitlines()
    nan.write_text("\n".join([*text[:2], f"{text[2].rpartition(',')[0]},NaN", *text[3:]]))
    expected["0021/bothchroma.csv"] = ":3: Expected a file name or nothing, seconds and 24 chroma."
    (slot(root, 22) / "bothchroma.csv").write_text("")
    expected["0022/bothchroma.csv"] = ":1: Expected a line for each frame."
    out = tmp_path / "records"
    ask = ("billboard", "--root", root, "--out", out, "--feature", "nnls_chroma", "--workers", 1)
    code, _, err = run(*ask)
    assert code == 1
    for file, problem in expected.items():
        assert f"{file}{problem}" in err
    assert err.splitlines()[0] == f"{len(expected)} files could not be read:"
    assert "Received: 25 cells. Copy the file again." in err
    assert "Received: 'NaN'. Copy the file again." in err
    # The sound one was done.
    ((name, features, known_of_it),) = Records.open(out).tracks()
    assert (name, features.shape, Records.open(out).feature) == ("0003", (40, 24), NNLSChroma())
    assert known_of_it.chords is not None
    assert known_of_it.chords.labels == ("N", "A:min7/b3")


def test_all_problems_of_a_folder_at_once(run: Run, tmp_path: Path) -> None:
    root = tmp_path / "songs"
    root.mkdir()
    expected = {}
    for name, (lab, problem) in BAD_LABS.items():
        soundfile.write(root / f"{name}.wav", np.full(16000, 0.1), 8000)
        (root / f"{name}.lab").write_text(lab)
        expected[f"{name}.lab"] = problem
    soundfile.write(root / "latin.wav", np.full(16000, 0.1), 8000)
    (root / "latin.lab").write_bytes("0.0 1.0 Réb\n".encode("latin1"))
    expected["latin.lab"] = ": Expected UTF-8 text."
    code, lines, err = run("folder", "--root", root, "--out", tmp_path / "records", *TINY)
    assert (code, lines) == (1, [])
    told_at_once(err, root, expected)
    assert not (tmp_path / "records").exists()


def test_all_problems_of_jams_at_once(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("jams")
    root = tmp_path / "songs"
    root.mkdir()
    entries: dict[str, tuple[list[Any], str]] = {
        "overlap": ([(0, 1, "C"), (0.5, 1, "G")], "[1]: Expected segments that don't overlap"),
        "grammar": ([(0, 1, "C"), (1, 1, "Hmaj")], "[1]: Expected a chord in Harte's syntax"),
        "kind": ([(0, 1, "C"), (1, 1, 5)], "[1]: Expected time and duration in seconds"),
        "empty": ([], ": Expected one segment or more"),
    }  # fmt: skip
    expected = {}
    for name, (rows, problem) in entries.items():
        soundfile.write(root / f"{name}.wav", np.full(16000, 0.1), 8000)
        data = [
            {"time": time, "duration": duration, "value": value, "confidence": None}
            for time, duration, value in rows
        ]
        jam = {"annotations": [{"namespace": "chord", "data": data}]}
        (root / f"{name}.jams").write_text(json.dumps(jam))
        expected[f"{name}.jams"] = problem
    soundfile.write(root / "text.wav", np.full(16000, 0.1), 8000)
    (root / "text.jams").write_text("no JSON")
    expected["text.jams"] = ": Expected a JAMS file"
    code, lines, err = run("folder", "--root", root, "--out", tmp_path / "records", *TINY)
    assert (code, lines) == (1, [])
    told_at_once(err, root, expected)


def test_what_is_left_out_is_told_unless_quiet(run: Run, tmp_path: Path) -> None:
    root = tmp_path / "songs"
    root.mkdir()
    for name in ("a", "b", "c"):
        soundfile.write(root / f"{name}.wav", np.full(16000, 0.1), 8000)
    (root / "b.lab").write_text(GOOD_LAB)
    ask = ("folder", "--root", root, "--out", tmp_path / "records", *TINY)
    assert run(*ask)[2] == "kmir: 2 audio files without chords, ignored: a.wav …\n"
    assert run(*ask, "--quiet")[2] == ""


# === Bad files ===


def test_bad_files_are_told_and_the_rest_is_done(run: Run, music: Path, tmp_path: Path) -> None:
    (music / "tone" / "0.wav").write_bytes(b"no audio at all")
    (music / "click" / "1.wav").write_bytes(b"")
    samples = np.zeros(8000, np.float32)
    samples[5] = np.nan
    soundfile.write(music / "noise" / "2.wav", samples, 8000, subtype="FLOAT")
    out = tmp_path / "records"
    code, lines, err = run("folder", "--root", music, "--out", out, *TINY)
    assert code == 1
    assert [line.split()[:2] for line in lines[:3]] == [
        ["train", "4"],
        ["validation", "2"],
        ["test", "3"],
    ]
    first, *told = err.splitlines()
    assert first == "3 files could not be read:"
    assert len(told) == 3
    assert f"Received: {music / 'click' / '1.wav'}, 0 bytes" in told[0]
    assert f"Received: {music / 'noise' / '2.wav'} with nan at sample 5" in told[1]
    assert f"Received: {music / 'tone' / '0.wav'}, 15 bytes" in told[2]
    assert "Traceback" not in err
    failed = Records.open(out).manifest.failed
    assert list(failed) == ["click/1.wav", "noise/2.wav", "tone/0.wav"]
    # The same command tells the same again.
    assert run("folder", "--root", music, "--out", out, *TINY) == (1, lines, err)


def test_one_bad_file_is_one(run: Run, music: Path, tmp_path: Path) -> None:
    (music / "tone" / "0.wav").write_bytes(b"no audio at all")
    code, _, err = run("folder", "--root", music, "--out", tmp_path / "records", *TINY)
    assert code == 1
    assert err.startswith("1 file could not be read:\n  Expected an audio file")


def test_nothing_readable_is_an_error(run: Run, music: Path, tmp_path: Path) -> None:
    for path in music.rglob("*.wav"):
        path.write_bytes(b"no audio at all")
    code, lines, err = run("folder", "--root", music, "--out", tmp_path / "records", *TINY)
    assert (code, lines) == (1, [])
    first, *reasons = err.splitlines()
    assert first == "kmir: error: Expected at least one readable track. Received: none."
    assert len(reasons) == 12


# === What stands in the folder ===


def test_other_records_are_refused_and_overwritten_when_asked(
    run: Run, music: Path, tmp_path: Path
) -> None:
    out = tmp_path / "records"
    ask = ("folder", "--root", music, "--out", out)
    assert run(*ask, *TINY)[0] == 0
    before = _hashes(out)
    code, _, err = run(*ask, *TINY, "--dtype", "float32")
    assert (code, _hashes(out)) == (1, before)
    assert err == (
        "kmir: error: Expected an empty folder, or records of the same data and feature. "
        f"Received: {out}, which holds others. Choose another --out, or add --overwrite.\n"
    )
    assert run(*ask, *TINY, "--dtype", "float32", "--overwrite")[0] == 0
    assert Records.open(out).spec.dtype == "float32"
    # Damaged ones, too, and those of another format.
    for name, text in (("manifest.json", '{"format": 2}'), ("spec.json", "{")):
        (out / name).write_text(text)
        assert run(*ask, *TINY, "--overwrite")[0] == 0
        assert _hashes(out) == before
    (out / "manifest.json").write_text('{"format": 2}')
    code, _, err = run(*ask, *TINY)
    assert code == 1
    assert err.endswith("Received: 2. Extract them again with --overwrite.\n")


def test_overwriting_removes_nothing_but_records(
    run: Run, tiny_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "chapter1.tex").write_text("mine")
    code, _, err = run("folder", "--root", tiny_folder, "--out", out, *TINY, "--overwrite")
    assert code == 1
    assert err == (
        f"kmir: error: Expected {out} to hold only records. Received: also chapter1.tex.\n"
    )
    assert (out / "chapter1.tex").read_text() == "mine"


def test_a_mistake_costs_no_records_that_were_to_be_overwritten(
    run: Run, music: Path, tmp_path: Path
) -> None:
    out = tmp_path / "records"
    assert run("folder", "--root", music, "--out", out, *TINY)[0] == 0
    before = _hashes(out)
    assert run("folder", "--root", music / "typo", "--out", out, *TINY, "--overwrite")[0] == 1
    assert run("folder", "--root", music, "--out", out, "--feature.mels=3", "--overwrite")[0] == 2
    assert _hashes(out) == before


def test_what_was_killed_while_shards_were_written_can_be_overwritten(
    run: Run, tiny_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "records"
    (out / ".staging").mkdir(parents=True)
    for name in ("train-00000-of-00006.tfrecord.tmp", "spec.json.tmp", "test-00000-of-1.tfrecord"):
        (out / name).write_bytes(b"left")
    code, _, err = run("folder", "--root", tiny_folder, "--out", out, *TINY, "--overwrite")
    assert (code, err) == (0, "")
    assert {path.name for path in out.iterdir()} == {"spec.json", "manifest.json", *_hashes(out)}


def test_an_unfinished_run_with_other_settings_is_refused(
    run: Run, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "records"
    ask = ("folder", "--root", tiny_folder, "--out", out, *TINY)

    def interrupted(*args: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(write, "write_shard", interrupted)
        code, lines, err = run(*ask)
    assert (code, lines) == (130, [])
    assert err == "kmir: interrupted. Run the same command again to go on.\n"
    with pytest.raises(RecordError, match="finish one that was interrupted"):
        Records.open(out)
    code, _, err = run(*ask, "--dtype", "float32")
    assert code == 1
    assert err.startswith(f"kmir: error: Expected to go on with the extraction begun in {out}.")
    assert run(*ask)[0] == 0


# === Killed ===


def test_killed_while_shards_are_written_it_ends_with_the_same_bytes(
    tiny_folder: Path,
    tiny_records: Path,
    tiny_feature: LogMel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_shard, count = write.write_shard, 0

    def third_time_unlucky(path: Path, *args: Any) -> Written:
        nonlocal count
        count += 1
        if count == 3:
            path.with_name(path.name + ".tmp").write_bytes(b"half a shard")
            raise KeyboardInterrupt
        return write_shard(path, *args)

    with monkeypatch.context() as patch:
        patch.setattr(write, "write_shard", third_time_unlucky)
        with pytest.raises(KeyboardInterrupt):
            extract("folder", tiny_folder, tmp_path, tiny_feature, workers=1, quiet=True)
    assert len(list(tmp_path.glob("*.tfrecord"))) == 2

    def not_again(self: Staging, track: Track) -> None:
        raise AssertionError(f"{track.id} was staged already")

    monkeypatch.setattr(Staging, "stage", not_again)
    manifest = extract("folder", tiny_folder, tmp_path, tiny_feature, workers=1, quiet=True)
    assert manifest.failed == {}
    assert _hashes(tmp_path) == _hashes(tiny_records)
    expected = {path.name for path in tiny_records.iterdir()}
    assert {path.name for path in tmp_path.iterdir()} == expected


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Enough audio to be killed in the middle of: 40 recordings of a minute."""
    root = tmp_path / "many"
    noise = np.random.default_rng(0).integers(-(2**15), 2**15, 60 * 8000, np.int16)
    for index in range(40):
        path = root / "ab"[index % 2] / f"{index:02}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.roll(noise, index), 8000)
    return root


def _begun(root: Path, out: Path) -> subprocess.Popen[bytes]:
    """The command in processes of its own, when it has staged a few tracks."""
    argv = [sys.executable, "-m", "kmir.extract", "folder", "--root", root, "--out", out]
    process = subprocess.Popen(
        [*map(str, argv), "--workers", "2", "--quiet"], cwd=ROOT, start_new_session=True
    )
    until = time.monotonic() + 120
    while len(list((out / ".staging").glob("*.npy"))) < 3:
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.002)
    return process


def test_killed_in_the_middle_it_goes_on_and_ends_with_the_same_bytes(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "killed"
    process = _begun(many, out)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    staged = {path.name: path.stat().st_mtime_ns for path in (out / ".staging").glob("*.npy")}
    assert 3 <= len(staged) < 40
    assert not (out / "manifest.json").exists()

    last, close = {}, Staging.close

    def noted(self: Staging) -> None:
        last.update({path.name: path.stat().st_mtime_ns for path in self.folder.glob("*.npy")})
        close(self)

    monkeypatch.setattr(Staging, "close", noted)
    extract("folder", many, out, LogMel(), workers=1, quiet=True)
    assert len(last) == 40
    assert staged.items() <= last.items()  # none was done twice
    uninterrupted = tmp_path / "uninterrupted"
    extract("folder", many, uninterrupted, LogMel(), workers=1, quiet=True)
    assert _hashes(out) == _hashes(uninterrupted)
    assert (out / "manifest.json").read_bytes() == (uninterrupted / "manifest.json").read_bytes()
    assert {path.name for path in out.iterdir()} == {p.name for p in uninterrupted.iterdir()}


def test_workers_do_not_outlive_who_started_them(many: Path, tmp_path: Path) -> None:
    process = _begun(many, tmp_path / "out")
    process.kill()  # this one alone
    process.wait()
    until = time.monotonic() + 20
    while _group_lives(process.pid):
        assert time.monotonic() < until
        time.sleep(0.02)


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


# === Wrong usage ===


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (
            ["foldr"],
            "Expected the name of a data set. Received: 'foldr'. Did you mean 'folder'?",
        ),
        (
            ["./music"],
            "Expected the name of a data set. Received: './music'. "
            f"Known: {', '.join(known('data set'))}.",
        ),
        (
            ["folder:jazz"],
            "Expected 'folder' alone, a data set that has no parts. Received: 'folder:jazz'.",
        ),
        (
            ["mirdat:beatles"],
            "Expected the name of a data set. Received: 'mirdat'. Did you mean 'mirdata'?",
        ),
        (
            ["mirdata:beatles", "--root", "x", "--option.name=queen"],
            "Expected the name of the data set once. Received: 'mirdata:beatles' and an option.",
        ),
        (
            ["json.decoder"],
            "Expected a data set, with a function tracks(root). Received: 'json.decoder'.",
        ),
        (["folder"], "Expected --root DIR, the folder of data set 'folder'. Received: none."),
        (
            ["folder", "--feature", "logmel"],
            "Expected the name of a feature. Received: 'logmel'. Did you mean 'log_mel'?",
        ),
        (
            ["folder", "--feature.n_mel=3"],
            "Unknown setting --feature.n_mel. Did you mean 'n_mels'?",
        ),
        (
            ["folder", "--feature.n_mels=many"],
            "Expected --feature.n_mels as a whole number. Received: 'many'.",
        ),
        (["folder", "--feature.n_mels"], "Expected a value: --feature.n_mels=VALUE. Received: "),
        (["folder", "--feature.n_fft=3"], "Expected n_fft even and above 0. Received: 3."),
        (
            ["synthetic", "--option.piece=3"],
            "Unknown setting --option.piece. Did you mean 'pieces'?",
        ),
        (["folder", "--option.x=3"], "Unknown setting --option.x. Known: none."),
        (
            ["synthetic", "--option.seconds=long"],
            "Expected --option.seconds as a number. Received: 'long'.",
        ),
        (
            ["synthetic", "--option.pieces=0"],
            "Expected at least 1 piece. Received: pieces=0. Ask for 1 or more.",
        ),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(
    run: Run, tmp_path: Path, argv: list[str], line: str
) -> None:
    code, lines, err = run(*argv, "--out", tmp_path / "out")
    assert (code, lines) == (2, [])
    assert err.startswith(f"kmir: error: {line}")
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["folder", "--root", "x"], "the following arguments are required: --out"),
        (["--out", "x"], "the following arguments are required: dataset"),
        (["folder", "--out", "x", "--workers", "0"], "--workers of 1 or more. Received: 0."),
        (["folder", "--out", "x", "--workers", "two"], "invalid int value: 'two'"),
        (["folder", "--out", "x", "--dtype", "int8"], "invalid choice: 'int8'"),
        (["folder", "--out", "x", "--features.n_mels=3"], "--features.n_mels=3"),
    ],
)
def test_wrong_flags_are_told_by_the_parser_with_code_2(
    run: Run, capsys: pytest.CaptureFixture[str], argv: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        run(*argv)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_wrong_data_is_one_line_and_code_1(run: Run, tiny_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, lines, err = run("folder", "--root", tmp_path / "none", "--out", out)
    assert (code, lines) == (1, [])
    assert err == (
        f"kmir: error: Expected a folder with audio at '{tmp_path / 'none'}'. "
        "Received: nothing of that name.\n"
    )
    out.write_text("a file")
    code, lines, err = run("folder", "--root", tiny_folder, "--out", out, *TINY)
    assert (code, lines) == (1, [])
    assert err == f"kmir: error: [Errno 20] Not a directory: '{out}/.staging'\n"
    code, _, err = run("folder", "--root", tiny_folder, "--out", out, *TINY, "--overwrite")
    assert code == 1
    assert err.startswith("kmir: error: [Errno 20] Not a directory: ")
    assert out.read_text() == "a file"


def test_the_command_needs_no_tensorflow_to_say_what_is_wrong() -> None:
    program = (
        "import sys; from kmir import command, extract\n"
        "code = command.run(extract.main, ['foldr', '--out', 'x'])\n"
        "print(code, 'tensorflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout == "2 False\n"


def test_tracks_of_the_tiny_folder_are_what_the_fixtures_say(tiny_folder: Path) -> None:
    tracks = list(folder_tracks(tiny_folder))
    assert len(tracks) == 12
    assert len({track.group for track in tracks}) == 9
    assert [track.split for track in tracks].count("train") == 6
