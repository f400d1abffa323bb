"""Several devices and hosts: the curve of one device, and a clear line where it can't be.

Devices are set when a backend begins, so runs are made in processes of their own.
"""

from __future__ import annotations

import csv
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from kmir import command, train
from kmir.distribution import Distribution, distribute
from kmir.errors import UsageError
from kmir.run import prepare

# Batch norm, a mask, uneven validation (6 clips in batches of 4), and gradients that are clipped.
FLAGS = {
    "train.epochs": "3",
    "train.batch_size": "4",
    "train.clip_norm": "0.05",
    "train.weight_decay": "0.001",
    "pipeline.clip_seconds": "0.5",
    "pipeline.cache_megabytes": "0",
    "model.units": "8",
    "model.dropout": "0",
}
ALONE_AND_TOGETHER = """
import sys
from pathlib import Path
from kmir.distribution import Distribution, distribute
from kmir.train import train

data, folder, *flags = sys.argv[1:]
flags = dict(flag.split("=") for flag in flags)
both = distribute(2)
one = Distribution()
runs = (("one", one, 3), ("two", both, 3), ("changed", both, 1), ("changed", one, 3))
for name, place, epochs in runs:
    train(
        "zoo.dense_baseline", data=data, workdir=Path(folder) / name,
        flags=flags | {"train.epochs": str(epochs)}, quiet=True, distribution=place,
    )
"""


def log(run: Path) -> dict[str, list[float]]:
    with (run / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows] for name in rows[0] if name != "seconds"}


def assert_same_curve(one: Path, other: Path) -> None:
    expected, found = log(one), log(other)
    assert found.keys() == expected.keys()
    assert len(expected["loss"]) == 3
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-4, err_msg=name)
    np.testing.assert_allclose(weights(other), weights(one), rtol=1e-5, atol=1e-4)


def weights(run: Path) -> np.ndarray:
    with np.load(run / "checkpoints" / "last.npz") as file:
        return np.concatenate([value.ravel() for value in file.values()]).astype(np.float64)


def words(flags: dict[str, str], prefix: str = "") -> list[str]:
    return [f"{prefix}{name}={value}" for name, value in flags.items()]


def environment(backend: str) -> dict[str, str]:
    return os.environ | {"KERAS_BACKEND": backend}


# === The curve of one device ===


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_two_devices_have_the_curve_of_one(
    tiny_records: Path, tmp_path: Path, backend: str
) -> None:
    if backend == "jax":
        pytest.importorskip("jax")
    program = [sys.executable, "-c", ALONE_AND_TOGETHER, str(tiny_records), str(tmp_path)]
    subprocess.run([*program, *words(FLAGS)], env=environment(backend), check=True)
    assert_same_curve(tmp_path / "one", tmp_path / "two")
    assert_same_curve(tmp_path / "one", tmp_path / "changed")  # another number when resumed


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("localhost", 0))
        port: int = found.getsockname()[1]
    return port


def two_hosts(data: Path, folder: Path, flags: dict[str, str]) -> list[subprocess.Popen[str]]:
    hosts = f"localhost:{free_port()},localhost:{free_port()}"
    return [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "kmir.train", "zoo.dense_baseline", "--data", str(data)),
                *("--workdir", str(folder), "--hosts", hosts, "--host-index", str(index)),
                *words(flags, "--config."),
            ],
            env=environment("jax"),
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]


@pytest.mark.slow
def test_two_processes_have_the_curve_of_one(tiny_records: Path, tmp_path: Path) -> None:
    pytest.importorskip("jax")
    train_alone = [sys.executable, "-m", "kmir.train", "zoo.dense_baseline", "--quiet"]
    data = ["--data", str(tiny_records), "--workdir", str(tmp_path / "one")]
    subprocess.run(
        [*train_alone, *data, *words(FLAGS, "--config.")], env=environment("jax"), check=True
    )
    for epochs in ("2", "3"):  # the second time it goes on from the checkpoint of the first
        flags = FLAGS | {"train.epochs": epochs}
        for process in two_hosts(tiny_records, tmp_path / "two", flags):
            _, said = process.communicate(timeout=600)
            assert process.returncode == 0, said
    assert_same_curve(tmp_path / "one", tmp_path / "two")
    assert (tmp_path / "two" / "preset" / "config.json").exists()


@pytest.mark.slow
def test_hosts_with_different_settings_all_say_so(tiny_records: Path, tmp_path: Path) -> None:
    pytest.importorskip("jax")
    hosts = f"localhost:{free_port()},localhost:{free_port()}"
    processes = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "kmir.train", "zoo.dense_baseline"),
                *("--data", str(tiny_records), "--workdir", str(tmp_path / f"{index}")),
                *("--hosts", hosts, "--host-index", str(index)),
                *words(FLAGS | {"train.seed": str(index)}, "--config."),
            ],
            env=environment("jax"),
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    for process in processes:
        _, said = process.communicate(timeout=600)
        assert process.returncode == 1
        assert "Expected all hosts to have the same settings and records" in said


def test_batch_norms_of_replicas_see_the_whole_batch() -> None:
    model = keras.Sequential(
        [keras.Input((3,)), keras.Sequential([keras.layers.BatchNormalization()])]
    )
    Distribution(devices=2).prepare(model)
    norm = model.layers[0].layers[0]
    assert not norm.synchronized
    Distribution(devices=2, backend=tf.distribute.get_strategy()).prepare(model)
    assert norm.synchronized


def test_validation_that_is_filled_up_has_the_same_measures(tiny_records: Path) -> None:
    measures = []
    for place in (Distribution(), Distribution(devices=2)):
        run = prepare(
            "zoo.dense_baseline",
            data=str(tiny_records),
            root=None,
            flags=FLAGS,
            quiet=True,
            distribution=place,
        )
        batches = run.validation_batches()
        assert [len(x["mask"]) for x, *_ in batches] == [4, 2 * place.devices]
        measures.append(run.model.evaluate(batches, verbose=0, return_dict=True))
    for name, value in measures[0].items():
        assert measures[1][name] == pytest.approx(value, abs=1e-5), name


# === What can't be ===


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), r"Expected devices of 1 or more\. Received: 0\."),
        ((1, ("a:1", "b:1"), 0), r"the JAX backend for --hosts\. Received: tensorflow\. Set KERAS"),
        ((1, ("a:1", "b:1"), None), r"--host-index from 0 to 1, which .* Received: None\."),
        ((1, ("a:1", "b:1"), 2), r"--host-index from 0 to 1, which .* Received: 2\."),
        ((1, ("a:1", "b"), 0), r"address:port of each, separated by commas\. Received: a:1,b\."),
        ((1, ("a:1", "a:1"), 0), r"address:port of each, .* Received: a:1,a:1\."),
        ((1, (), 0), r"Expected --hosts a:port,b:port with --host-index\. Received: none\."),
    ],
)
def test_wrong_arguments(arguments: Sequence[Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        distribute(*arguments)


def test_more_devices_than_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["a GPU", "another"])
    with pytest.raises(UsageError, match=r"of 2 at most, the GPUs of this host\. Received: 3\."):
        distribute(3)


def test_torch_trains_on_one_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(UsageError, match=r"or the JAX backend for --devices\. Received: torch"):
        distribute(2)
    assert distribute() == Distribution()


@pytest.mark.parametrize(("size", "offer"), [(7, "6 or 8"), (1, "2"), (9, "8 or 10")])
def test_a_batch_that_devices_cannot_share(size: int, offer: str) -> None:
    two = Distribution(devices=2)
    two.check_batch_size(8)
    with pytest.raises(UsageError, match=rf"Received: {size}\. Take --config\S+={offer}, which"):
        two.check_batch_size(size)


def test_whole_tracks_need_one_host(tiny_records: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Expected a clip length where there are several hosts"):
        train.train(
            "zoo.dense_baseline",
            data=str(tiny_records),
            workdir=tmp_path / "run",
            flags={"pipeline.clip_seconds": "none"},
            distribution=Distribution(hosts=2),
        )


def test_replicas_of_tensorflow_take_steps_one_by_one(tiny_records: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"steps_per_execution of 1 where .* Received: 2\."):
        train.train(
            "zoo.dense_baseline",
            data=str(tiny_records),
            workdir=tmp_path / "run",
            flags={"train.steps_per_execution": "2"},
            distribution=Distribution(devices=2, backend=tf.distribute.get_strategy()),
        )


def test_several_hosts_want_records() -> None:
    with pytest.raises(UsageError, match=r"a records folder .* several hosts.*'synthetic'"):
        train.train("zoo.gru", workdir=Path("runs/none"), distribution=Distribution(hosts=2))


def test_the_command_tells_it_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    hosts = ["--hosts", "a:1,b:1", "--host-index", "0"]
    assert command.run(train.main, ["zoo.gru", *hosts]) == 2
    line = capsys.readouterr().err
    assert line.startswith("kmir: error: Expected the JAX backend for --hosts.")
    assert "KERAS_BACKEND=jax; pip install 'kmir[jax]'" in line
    assert line.count("\n") == 1
