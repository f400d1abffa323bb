"""The cache of published files, against a server on this machine."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kmir.errors import PresetError
from kmir.presets.fetch import fetch

CONTENT = b"weights " * 400_000  # 3.2 MB: more than one chunk
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Counts what was asked of it."""

    requests = 0


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.requests += 1  # type: ignore[attr-defined]
        if self.path == "/missing.h5":
            self.send_error(404)
            return
        self.send_response(200)
        # "/cut.h5" promises more than it sends, like a connection that breaks.
        promised = len(CONTENT) + (1000 if self.path == "/cut.h5" else 0)
        self.send_header("Content-Length", str(promised))
        self.end_headers()
        self.wfile.write(CONTENT)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KMIR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache"


def address(server: Server, name: str) -> str:
    return f"http://127.0.0.1:{server.server_port}/{name}"


def test_downloads_once(server: Server, cache: Path) -> None:
    url = address(server, "tagger.h5")
    path = fetch("choi_msd", "tagger.h5", url=url, sha256=SHA256)
    assert path == cache / "choi_msd" / "tagger.h5"
    assert path.read_bytes() == CONTENT
    assert fetch("choi_msd", "tagger.h5", url=url, sha256=SHA256) == path
    assert server.requests == 1
    assert list(path.parent.iterdir()) == [path]


def test_a_file_put_there_by_hand_needs_no_network(cache: Path) -> None:
    (cache / "choi_msd").mkdir(parents=True)
    (cache / "choi_msd" / "tagger.h5").write_bytes(CONTENT)
    path = fetch("choi_msd", "tagger.h5", url="http://127.0.0.1:1/tagger.h5", sha256=SHA256)
    assert path.read_bytes() == CONTENT


def test_a_damaged_file_is_named_with_both_hashes_and_kept(server: Server, cache: Path) -> None:
    (cache / "choi_msd").mkdir(parents=True)
    path = cache / "choi_msd" / "tagger.h5"
    path.write_bytes(b"half")
    with pytest.raises(PresetError) as caught:
        fetch("choi_msd", "tagger.h5", url=address(server, "tagger.h5"), sha256=SHA256)
    message = str(caught.value)
    assert str(path) in message
    assert SHA256 in message
    assert hashlib.sha256(b"half").hexdigest() in message
    assert "Delete the file" in message
    assert path.read_bytes() == b"half"
    assert server.requests == 0


def test_a_download_with_another_hash_leaves_nothing(server: Server, cache: Path) -> None:
    with pytest.raises(PresetError, match=f"to have sha256 {'0' * 64}. Received: {SHA256}"):
        fetch("choi_msd", "tagger.h5", url=address(server, "tagger.h5"), sha256="0" * 64)
    assert list((cache / "choi_msd").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "reason"), [("missing.h5", "HTTP Error 404"), ("cut.h5", "IncompleteRead|sha256")]
)
def test_a_failed_download_leaves_nothing(
    server: Server, cache: Path, name: str, reason: str
) -> None:
    with pytest.raises(PresetError, match=reason):
        fetch("choi_msd", "tagger.h5", url=address(server, name), sha256="0" * 64)
    assert list((cache / "choi_msd").iterdir()) == []


def test_without_network_or_file_the_message_says_what_to_put_where(cache: Path) -> None:
    url = "http://127.0.0.1:1/tagger.h5"  # nothing listens on port 1
    with pytest.raises(PresetError) as caught:
        fetch("choi_msd", "tagger.h5", url=url, sha256=SHA256)
    message = str(caught.value)
    assert "refused" in message
    for part in (url, str(cache / "choi_msd" / "tagger.h5"), SHA256):
        assert part in message
    assert list((cache / "choi_msd").iterdir()) == []
