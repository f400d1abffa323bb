"""The card of a preset, as it is written."""

from kmir.presets.card import card_text

CONFIG = {
    "task": {"name": "beats"},
    "model": {"name": "zoo.beat_tcn", "inputs": [None, 86, 2]},
    "feature": {"name": "log_frequency", "hop_length": 441},
    "card": {"data": "POP909", "licence": "MIT", "score": "f_measure 0.9", "command": "train it"},
}


def test_what_is_known_stands_in_a_table() -> None:
    text = card_text("beat_tcn_pop909", CONFIG, ["60.0", "120.0"])
    assert text.startswith("# beat_tcn_pop909\n")
    assert "| model | `zoo.beat_tcn`, input (None, 86, 2) |\n" in text
    assert "| front end | name=log_frequency, hop_length=441 |\n" in text
    assert "| command | `train it` |\n" in text
    assert "2 labels: 60.0, 120.0." in text
    assert "seed" not in text
    assert text.endswith("```\n")


def test_further_tables_follow() -> None:
    rows = [{"decoder": "dbn", "F": 0.91}, {"decoder": "peaks", "F": 0.88}]
    card = CONFIG["card"] | {"seed": 3, "tables": {"Decoders": rows}}
    text = card_text("beat_tcn_pop909", CONFIG | {"card": card}, [])
    assert "| seed | 3 |\n" in text
    assert text.endswith(
        "## Decoders\n\n| decoder | F |\n| --- | --- |\n| dbn | 0.91 |\n| peaks | 0.88 |\n"
    )
