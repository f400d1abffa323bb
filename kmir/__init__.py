"""kmir: Keras models that read music.

The names below are loaded on first use, so that ``import kmir`` is instant and does not import
TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import Any

from kmir.quiet import hush_tensorflow

hush_tensorflow()

__version__ = "0.1.0"

_HOMES = {
    "from_preset": "kmir.presets",
    "save_preset": "kmir.presets",
    "list_presets": "kmir.presets",
    "Preset": "kmir.presets",
}
_MODULES = ("decoders",)
__all__ = ["Preset", "__version__", "decoders", "from_preset", "list_presets", "save_preset"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"kmir.{name}")
    raise AttributeError(f"module 'kmir' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
