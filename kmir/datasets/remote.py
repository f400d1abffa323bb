"""A data set whose folder lies in an object store: labels are fetched, audio stays where it is.

The folder is rebuilt here as a skeleton: labels and tables in full, audio as empty files of the
same names. The data set reads that as it reads any folder; then each of its empty files is
replaced by one that is fetched where its features are extracted, and removed again. That works for
data sets which open no audio to tell their tracks: those that say ``AUDIO_UNOPENED = True``.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from kmir.datasets.track import Track
from kmir.errors import DatasetError, KmirError
from kmir.features.audio import AUDIO_SUFFIXES
from kmir.remote import Folder

LARGEST = 64 * 2**20  # bytes; labels and tables are smaller, archives of audio larger
AT_ONCE = 16


@dataclass(frozen=True)
class Fetched:
    """Audio in an object store, as something that is made when it is needed.

    Args:
        folder: Where it lies.
        name: Its path from there.
        size: Bytes.
        updated: When it was last changed, seconds since 1970.
    """

    folder: Folder
    name: str
    size: int
    updated: float

    def __call__(self, out: Path) -> None:
        """Fetch the file, whatever it is called there: libsndfile goes by the content."""
        self.folder.fetch(self.name, out)

    @property
    def fingerprint(self) -> str:
        """Hash of the name, the size and the time of change: no byte of the audio is read."""
        text = f"{self.folder.url}/{self.name} {self.size} {self.updated}"
        return hashlib.sha256(text.encode()).hexdigest()


def remote_tracks(
    root: str, tracks: Callable[[Path], Iterable[Track]], *, quiet: bool = False
) -> list[Track]:
    """Tracks of a data set whose folder lies in an object store.

    Args:
        root: URL of the folder.
        tracks: Reads the data set from a folder on this machine.
        quiet: No progress bar.

    Raises:
        DatasetError: If there is nothing at the URL, or the data set is not laid out as expected.
    """
    folder = Folder(root)
    listing = {name: of for name, of in folder.files().items() if ".." not in name.split("/")}
    if not listing:
        raise DatasetError(f"Expected a folder with files at '{root}'. Received: nothing there.")
    with tempfile.TemporaryDirectory(prefix="kmir-") as temporary:
        skeleton = Path(temporary).resolve()
        labels = []
        for name, metadata in listing.items():
            (skeleton / name).parent.mkdir(parents=True, exist_ok=True)
            (skeleton / name).touch()
            audio = PurePosixPath(name).suffix.lower() in AUDIO_SUFFIXES
            if not audio and metadata.size_in_bytes <= LARGEST:
                labels.append(name)
        silent = True if quiet else None
        with ThreadPoolExecutor(AT_ONCE) as pool:
            work = pool.map(lambda name: folder.fetch(name, skeleton / name), labels)
            list(tqdm(work, total=len(labels), desc="labels", unit="file", disable=silent))
        try:
            found = list(tracks(skeleton))
        except KmirError as error:
            raise type(error)(str(error).replace(str(skeleton), folder.url)) from None
        remote = []
        for track in found:
            if track.audio is None:
                raise DatasetError(
                    f"Expected tracks with audio files in '{root}'. Received: '{track.id}', which "
                    "is made from other files. Copy the folder to a disc that all workers see."
                )
            name = track.audio.relative_to(skeleton).as_posix()
            of = listing[name]
            fetched = Fetched(folder, name, of.size_in_bytes, of.last_updated_in_seconds)
            remote.append(replace(track, audio=None, render=fetched))
    return remote
