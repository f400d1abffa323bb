"""Tags as CSV, as JSON and as a table."""

# Lists are taken where arrays are declared, and that is what is tested here.
# mypy: disable-error-code="arg-type,union-attr"

import csv
import io
import json
from typing import Any

import pytest

from kmir.annotations import Annotations, Tags
from kmir.annotations.files import to_csv, to_json, to_table
from kmir.errors import AnnotationError

FILES = {
    "a.mp3": Annotations(tags=Tags(("slow, sad", "röck"), [0.25, 0.87654])),
    'b "live".mp3': Annotations(tags=Tags(("x", "y", "z"), [0.0, 1.0, 0.5])),
}


def test_csv_has_a_row_for_each_tag_best_first() -> None:
    assert to_csv(FILES).splitlines() == [
        "file,tag,score",
        "a.mp3,röck,0.8765",
        'a.mp3,"slow, sad",0.2500',
        '"b ""live"".mp3",y,1.0000',
        '"b ""live"".mp3",z,0.5000',
        '"b ""live"".mp3",x,0.0000',
    ]
    rows = list(csv.DictReader(io.StringIO(to_csv(FILES))))
    assert rows[1] == {"file": "a.mp3", "tag": "slow, sad", "score": "0.2500"}


def test_json_keeps_the_order_and_the_letters() -> None:
    text = to_json(FILES)
    assert "röck" in text
    assert text.endswith("]\n")
    first, second = json.loads(text)
    assert first == {"file": "a.mp3", "tags": {"röck": 0.8765, "slow, sad": 0.25}}
    assert list(second["tags"]) == ["y", "z", "x"]


def test_table_aligns_names_and_draws_bars() -> None:
    assert to_table(FILES) == (
        "a.mp3\n"
        "  röck       0.877  ██████████████████\n"
        "  slow, sad  0.250  █████\n"
        'b "live".mp3\n'
        "  y  1.000  ████████████████████\n"
        "  z  0.500  ██████████\n"
        "  x  0.000\n"
    )


def test_top_leaves_out_the_rest() -> None:
    assert to_csv(FILES, top=1).splitlines()[1:] == [
        "a.mp3,röck,0.8765",
        '"b ""live"".mp3",y,1.0000',
    ]
    assert [len(entry["tags"]) for entry in json.loads(to_json(FILES, top=2))] == [2, 2]
    many = {"m": Annotations(tags=Tags(tuple("abcdefg"), [i / 10 for i in range(7)]))}
    assert [line.split()[0] for line in to_table(many).splitlines()] == ["m", *"gfedc"]
    assert len(to_table(many, top=None).splitlines()) == 8


def test_no_files_and_no_tags() -> None:
    assert to_csv({}) == "file,tag,score\n"
    assert json.loads(to_json({})) == []
    assert to_table({"a": Annotations(tags=Tags(()))}) == "a\n"


@pytest.mark.parametrize("write", [to_csv, to_json, to_table])
def test_tags_must_be_known(write: Any) -> None:
    with pytest.raises(AnnotationError, match=r"^Expected tags to write. Received: nothing.$"):
        write({"a": Annotations()})
    with pytest.raises(AnnotationError, match=r"^Expected tags to write. Received: tempo.$"):
        write({"a": Annotations(tempo=120)})
