"""Presets on disk: a folder with the model as code and weights, its front end, labels and a card.

``config.json`` names the model, task and feature and rebuilds them in code; ``model.weights.h5``
or a published file fills it; ``learned.npz`` is what the task learned beside it, if anything;
``labels.txt`` has a label a line; ``golden.npz`` an input with the output that it must give;
``README.md`` is the card. Every file's hash stands in the config.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kmir import __version__
from kmir.config import from_dict, to_dict
from kmir.errors import PresetError, nearest
from kmir.features.base import feature_from_config
from kmir.features.beat_synchronous import BeatSynchronous
from kmir.integrity import sha256, write_json
from kmir.lookup import find
from kmir.presets.card import card_text
from kmir.presets.fetch import fetch
from kmir.presets.inference import clip_outputs
from kmir.presets.preset import Preset

WEIGHTS = "model.weights.h5"
LEARNED = "learned.npz"


@dataclass(frozen=True)
class PresetInfo:
    """One line of `list_presets`."""

    name: str
    task: str
    data: str
    licence: str
    score: str


def list_presets() -> list[PresetInfo]:
    """All presets that come with kmir: name, task, data, licence and score."""
    infos = []
    for folder in sorted(_library().glob("*/config.json")):
        config = json.loads(folder.read_text(encoding="utf-8"))
        card = config["card"]
        task = config["task"]["name"]
        name = folder.parent.name
        infos.append(PresetInfo(name, task, card["data"], card["licence"], card["score"]))
    return infos


def from_preset(name: str | Path, *, companion: bool = True) -> Preset:
    """Load a preset by name, from its folder, or from the run folder that trained it.

    Args:
        name: Such as ``"crnn_tagger_msd"``, ``"runs/mine"`` or ``"runs/mine/preset"``.
        companion: Whether to load the companion that its task asks for, too.

    Returns:
        The preset, ready to `predict`.

    Raises:
        PresetError: If there is no such preset or companion, or its files are not as they were
            saved.
    """
    folder = _folder(name)
    config = _config(folder)
    for file, expected in config["sha256"].items():
        _check_hash(folder / file, expected)
    # Not splitlines(): it knows ten more characters that end a line.
    labels = (folder / "labels.txt").read_text(encoding="utf-8").removesuffix("\n").split("\n")
    try:
        tasks = importlib.import_module("pipelines.base")
        task = tasks.task_from_config(config["task"]["name"], config["task"]["config"], labels)
        if LEARNED in config["sha256"]:
            with np.load(folder / LEARNED) as learned:
                task.learned = dict(learned)
        module = find("model", config["model"]["name"])
        model_config = from_dict(module.Config, config["model"]["config"])
        inputs = tuple(config["model"]["inputs"])
        model = module.build_model(model_config, inputs, task.outputs())
        feature = feature_from_config(config["feature"])
        if published := config.get("published"):
            loader, function = published["loader"].split(":")
            path = fetch(
                folder.name, published["file"], url=published["url"], sha256=published["sha256"]
            )
            getattr(importlib.import_module(loader), function)(model, path)
        else:
            model.load_weights(folder / WEIGHTS)
    except KeyError as error:
        raise PresetError(
            f"Expected {error} in {folder / 'config.json'}. Received: none."
        ) from None
    except (ValueError, TypeError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise PresetError(
            f"Expected weights that fit the model of {folder}. Received: {first_line}"
        ) from None
    preset = Preset(str(name), model, feature, task, config["card"])
    return with_companion(preset) if companion else preset


def with_companion(preset: Preset) -> Preset:
    """A preset with the companion that its task asks for, if any.

    Raises:
        PresetError: If there is no such companion, or its feature has nothing to do with beats.
    """
    name = preset.task.companion
    # A companion has none of its own: two that name each other would load for ever.
    companion = from_preset(name, companion=False) if name else None
    if companion and not isinstance(companion.feature, BeatSynchronous):
        raise PresetError(
            f"Expected a preset that reads {BeatSynchronous.name}, to go on from the beats of "
            f"{preset.name}. Received: {companion.name}, which reads {companion.feature.name}."
        )
    return replace(preset, companion=companion)


def save_preset(
    folder: Path,
    preset: Preset,
    *,
    model_name: str,
    model_config: Any,
    golden: np.ndarray,
) -> None:
    """Write a preset's folder.

    Args:
        folder: Where to; files of the same names are replaced.
        preset: What to write; ``preset.card`` has ``data``, ``licence``, ``score``, ``command``.
        model_name: Module that builds the model, such as ``"zoo.crnn_tagger"``.
        model_config: The config that the model was built with.
        golden: ``(frames, *shape)`` features to keep with the model's outputs for them.

    Raises:
        PresetError: If a label has a line break.
    """
    for label in preset.labels:
        if "\n" in label or "\r" in label:
            raise PresetError(
                f"Expected labels without line breaks. Received: {label!r}. Rename it in the data."
            )
    folder.mkdir(parents=True, exist_ok=True)
    preset.model.save_weights(folder / WEIGHTS)
    (folder / "labels.txt").write_text("\n".join(preset.labels) + "\n", encoding="utf-8")
    config: dict[str, Any] = {
        "kmir": __version__,
        "model": {
            "name": model_name,
            "config": to_dict(model_config),
            "inputs": preset.model.inputs[0].shape[1:],
        },
        "task": {"name": preset.task.name, "config": to_dict(preset.task.config)},
        "feature": preset.feature.config,
        "card": preset.card,
    }
    features = golden.astype(np.float16)
    arrays: dict[str, Any] = {"features": features} | outputs_of(preset, features)
    np.savez_compressed(folder / "golden.npz", **arrays)
    files = [WEIGHTS, "labels.txt", "golden.npz"]
    if preset.task.learned:
        np.savez_compressed(folder / LEARNED, **preset.task.learned)
        files.append(LEARNED)
    config["sha256"] = {file: sha256(folder / file) for file in files}
    (folder / "README.md").write_text(card_text(preset.name, config, preset.labels), "utf-8")
    write_json(folder / "config.json", config)


def outputs_of(preset: Preset, features: np.ndarray) -> dict[str, np.ndarray]:
    """Outputs of the model, by name, for the features of one recording."""
    (_, outputs), *_ = clip_outputs(preset.model, [(0, features)], silence=preset.feature.silence)
    return outputs


def check_golden(name: str | Path, tolerance: float = 1e-3) -> None:
    """Check that a preset still gives the outputs that it was saved with.

    Raises:
        PresetError: If an output has another shape or differs by more than the tolerance.
    """
    preset = from_preset(name, companion=False)
    with np.load(_folder(name) / "golden.npz") as golden:
        for key, output in outputs_of(preset, golden["features"]).items():
            if output.shape != golden[key].shape:
                raise PresetError(
                    f"Expected output '{key}' of {name} of shape {golden[key].shape}. "
                    f"Received: {output.shape}."
                )
            difference = float(np.abs(output - golden[key]).max())
            if not difference <= tolerance:  # NaN is no small difference
                raise PresetError(
                    f"Expected output '{key}' of {name} as it was saved, to {tolerance}. "
                    f"Received: one that differs by {difference:.4f}."
                )


def _library() -> Path:
    return Path(importlib.import_module("zoo").__path__[0]) / "presets"


def _folder(name: str | Path) -> Path:
    for folder in (Path(name), Path(name) / "preset", _library() / str(name)):
        if (folder / "config.json").is_file() and (folder / "labels.txt").is_file():
            return folder
    known = [info.name for info in list_presets()]
    remedy = nearest(str(name), known)
    if Path(name).is_dir():
        remedy = (
            "The folder holds no finished preset, which has config.json and labels.txt: is the "
            "training still to be finished?"
        )
    raise PresetError(f"Expected a preset's name or folder. Received: '{name}'. {remedy}")


def _config(folder: Path) -> Mapping[str, Any]:
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise PresetError(f"Expected JSON in {path}. Received: {error}.") from None
    if not isinstance(config, dict):
        raise PresetError(f"Expected an object in {path}. Received: {type(config).__name__}.")
    missing = {"model", "task", "feature", "card", "sha256"} - config.keys()
    if missing:
        raise PresetError(f"Expected {sorted(missing)} in {path}. Received: {sorted(config)}.")
    return config


def _check_hash(path: Path, expected: str) -> None:
    if not path.is_file():
        raise PresetError(
            f"Expected {path}. Received: no such file. Save or copy the preset again."
        )
    found = sha256(path)
    if found != expected:
        raise PresetError(
            f"Expected {path} with sha256 {expected}. Received: {found}. "
            "Save or copy the preset again."
        )
