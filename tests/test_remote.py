"""Folders on a disc and in an object store behave alike."""

from pathlib import Path

import pytest

pytest.importorskip("apache_beam")

from kmir.errors import UsageError
from kmir.remote import Folder


@pytest.fixture(params=["disc", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, memory: dict[str, bytes]) -> Folder:
    """An empty folder whose name has what patterns are made of."""
    return Folder(str(tmp_path / "a [b]*") if request.param == "disc" else "mem://bucket/a [b]*")


def test_what_is_put_is_there_whole(folder: Folder, tmp_path: Path) -> None:
    file = tmp_path / "song.gz"
    file.write_bytes(b"no gzip, and stored as it is" * 99)
    folder.put(file, "live/[1]?.gz", drafts="live")
    folder.write(b"small", "é.txt", drafts="drafts")
    assert {name: of.size_in_bytes for name, of in folder.files().items()} == {
        "live/[1]?.gz": 28 * 99,
        "é.txt": 5,
    }
    assert list(folder.files("live")) == ["live/[1]?.gz"]
    assert folder.files("elsewhere") == {}
    assert folder.size("live/[1]?.gz") == 28 * 99
    assert folder.size("live/none") is None
    assert folder.read("é.txt") == b"small"
    assert folder.read("none") is None
    folder.fetch("live/[1]?.gz", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == file.read_bytes()
    folder.write(b"another", "é.txt", drafts="drafts")
    assert folder.read("é.txt") == b"another"


def test_only_what_is_named_is_removed(folder: Folder) -> None:
    for name in ("x1", "x*", "deep/a", "deep/b/c", "deeper"):
        folder.write(b"", name, drafts="drafts")
    folder.remove(["x*"])
    assert list(folder.files()) == ["deep/a", "deep/b/c", "deeper", "x1"]
    folder.remove_folder("deep")
    assert list(folder.files()) == ["deeper", "x1"]
    folder.remove_folder("deep")


def test_a_write_that_breaks_off_leaves_nothing_of_that_name(folder: Folder) -> None:
    def breaks_off() -> None:
        with folder._whole("shard", "drafts") as out:
            out.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        breaks_off()
    assert folder.size("shard") is None
    assert [name.partition("/")[0] for name in folder.files()] == ["drafts"]


def test_a_scheme_that_nobody_reads_is_told() -> None:
    with pytest.raises(UsageError, match=r"Received: 'foo://x/y'\. For foo:// install"):
        Folder("foo://x/y")
