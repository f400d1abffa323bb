"""Trained models that are whole: weights, front end, labels, task, card and golden output."""

from kmir.presets.preset import Preset
from kmir.presets.store import (
    PresetInfo,
    check_golden,
    from_preset,
    list_presets,
    save_preset,
    with_companion,
)

__all__ = [
    "Preset",
    "PresetInfo",
    "check_golden",
    "from_preset",
    "list_presets",
    "save_preset",
    "with_companion",
]
