"""Things reached by name, in this repository and outside it."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmir.errors import UsageError, nearest
from kmir.lookup import ROOMS, find, known


@pytest.fixture
def own_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package beside where the command is run: one module that works and one that does not."""
    package = tmp_path / "my_models"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "tagger.py").write_text("TASK = 'tagging'\n")
    (package / "needy.py").write_text("import not_installed_anywhere\n")
    broken = tmp_path / "my_broken"
    broken.mkdir()
    (broken / "__init__.py").write_text("import not_installed_anywhere\n")
    (broken / "tagger.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if name.startswith(("my_models", "my_broken"))]:
        del sys.modules[name]


def test_rooms_offer_what_is_in_them_without_their_furniture() -> None:
    assert "log_mel" in known("feature")
    assert not {"base", "audio", "decoding"} & set(known("feature"))
    assert {"folder", "synthetic", "magnatagatune", "mtg_jamendo"} <= set(known("data set"))
    assert "track" not in known("data set")
    assert "tagging" in known("task")
    assert not {"base", "stream", "augment"} & set(known("task"))
    assert {"crnn_tagger", "dense_baseline"} <= set(known("model"))
    assert known("model") == sorted(known("model"))
    assert "studies" not in known("model")
    assert "gct634_chords" in known("study")


@pytest.mark.parametrize("kind", ROOMS)
def test_whatever_is_offered_is_found_by_either_name(kind: str) -> None:
    for name in known(kind):
        module = find(kind, name)
        assert module.__name__ == f"{ROOMS[kind]}.{name}"
        assert find(kind, f"{ROOMS[kind]}.{name}") is module


def test_modules_of_ones_own_are_found_by_their_dotted_name(own_modules: None) -> None:
    assert find("model", "my_models.tagger").TASK == "tagging"


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("data set", "foldr", "Expected the name of a data set. Received: 'foldr'. Did you mean"),
        ("feature", "logmel", "Received: 'logmel'. Did you mean 'log_mel'?"),
        ("model", "zoo.crnn_taggr", "Received: 'zoo.crnn_taggr'. Did you mean 'crnn_tagger'?"),
        ("feature", "wavelets", "Received: 'wavelets'. Known: "),
        ("feature", "", "Received: ''. Known: "),
        ("feature", "base", "Received: 'base'. Known: "),
        ("feature", "kmir.features.audio", "Received: 'kmir.features.audio'. Known: "),
        ("model", "my_models.taggr", "Expected the name of a model. Received: 'my_models.taggr'."),
        ("model", "no_such.tagger", "Expected the name of a model. Received: 'no_such.tagger'."),
        ("model", "sys.tagger", "Expected the name of a model. Received: 'sys.tagger'."),
    ],
)
def test_an_unknown_name_is_an_error_with_the_nearest(
    own_modules: None, kind: str, name: str, message: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        find(kind, name)


@pytest.mark.parametrize(
    "path",
    [
        "./music",
        "../music",
        "/home/me/music.d",
        "music/",
        "song.mp3",
        "a..b",
        ".",
        "..",
        "a.",
        ".a",
    ],
)
def test_a_path_in_the_place_of_a_name_is_an_error(path: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"Received: '{path}'.")):
        find("data set", path)


@pytest.mark.parametrize("name", ["my_models.needy", "my_broken.tagger"])
def test_a_module_that_lacks_something_says_what(own_modules: None, name: str) -> None:
    with pytest.raises(ModuleNotFoundError, match="No module named 'not_installed_anywhere'"):
        find("model", name)


def test_nearest_offers_one_or_lists_all() -> None:
    assert nearest("lerning_rate", ["epochs", "learning_rate"]) == "Did you mean 'learning_rate'?"
    assert nearest("zzz", ["b", "a"]) == "Known: a, b."
    assert nearest("zzz", []) == "Known: none."
