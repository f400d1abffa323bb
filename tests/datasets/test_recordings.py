"""Audio found by name, in the ways that people name their copies of a CD."""

from pathlib import Path

import pytest

from kmir.datasets.recordings import Wanted, find_recordings, plain, without_number


def _files(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def _found(root: Path, **wanted: Wanted) -> tuple[dict[str, str], list[str]]:
    problems: list[str] = []
    found = find_recordings(wanted, root, problems)
    return {key: path.relative_to(root).as_posix() for key, path in found.items()}, problems


@pytest.mark.parametrize(
    "name",
    [
        "Ob-La-Di, Ob-La-Da.mp3",
        "04 Ob-La-Di, Ob-La-Da.FLAC",
        "1-04 Ob-La-Di Ob-La-Da.aiff",
        "04_-_Ob_la_di_Ob_la_da.wav",
        "CD1_-_04_-_Ob-La-Di,_Ob-La-Da.wav",
        "04. ob la di, ob la da.ogg",
        "The Beatles - Ob-La-Di, Ob-La-Da.mp3",
        "04 - The Beatles - Ob-La-Di, Ob-La-Da (Remastered 2009).mp3",
        "Ob-La-Di, Ob-La-Da - 2009 Remaster.mp3",
        "White Album/cd 1/04 - Ób-La-Di, Ob-La-Da.mp3",
    ],
)
def test_names_of_one_song(tmp_path: Path, name: str) -> None:
    _files(tmp_path, name, "05 Wild Honey Pie.mp3", "notes.txt")
    wanted = Wanted(without_number("CD1_-_04_-_Ob-La-Di,_Ob-La-Da"), "10CD1_-_The_Beatles")
    assert _found(tmp_path, song=wanted) == ({"song": name}, [])


def test_numbers_that_belong_to_the_title() -> None:
    assert without_number("09_-_One_After_909") == "One After 909"
    assert without_number("05 '39") == "'39"
    assert without_number("'39") == "'39"
    assert without_number("01_-_99_Red") == "99 Red"
    assert without_number("10CD2_-_The_Beatles") == "The Beatles"
    assert plain("Kansas City- Hey, Hey & Höh!") == "kansascityheyheyandhoh"


def test_folder_of_the_album_decides_then_that_of_the_artist(tmp_path: Path) -> None:
    _files(tmp_path, "1/Help.mp3", "The Beatles/Help! (Remastered)/01 Help!.mp3", "Band/Home.mp3")
    _files(tmp_path, "Carole King/best of/Home.mp3")
    found, problems = _found(
        tmp_path, help=Wanted("Help!", "05_-_Help!", "The Beatles"),
        home=Wanted("Home", "Tapestry", "Carole King"),
    )  # fmt: skip
    assert problems == []
    assert found == {
        "help": "The Beatles/Help! (Remastered)/01 Help!.mp3",
        "home": "Carole King/best of/Home.mp3",
    }


def test_two_formats_side_by_side_are_one_recording(tmp_path: Path) -> None:
    _files(tmp_path, "a/01 Help!.mp3", "a/01 Help!.flac")
    assert _found(tmp_path, help=Wanted("Help!"))[0] == {"help": "a/01 Help!.flac"}


def test_several_recordings_or_songs_are_told(tmp_path: Path) -> None:
    _files(tmp_path, "1/Help.mp3", "Live/Help.mp3", "Revolver/01 Taxman.mp3")
    found, problems = _found(
        tmp_path,
        help=Wanted("Help!", "05_-_Help!"),
        taxman=Wanted("Taxman"),
        again=Wanted("taxman"),
    )
    assert found == {"taxman": "Revolver/01 Taxman.mp3"}
    assert problems == [
        "help: Expected one recording. Received: 1/Help.mp3, Live/Help.mp3. Keep one, or put the "
        "right one into a folder 'Help!'.",
        "again: Expected a recording of its own. Received: Revolver/01 Taxman.mp3, which is that "
        "of taxman. Remove one of the two annotations, or add the other recording.",
    ]
