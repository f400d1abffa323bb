"""One run on several devices, and on several hosts: every device takes its share of each batch.

On the TensorFlow backend the devices of one host are replicas of a ``MirroredStrategy``; on the JAX
backend they are those of a ``keras.distribution.DataParallel``, of one host or of several. Where
there is no GPU the processor is cut into as many devices as are asked for, so that it can be tried
anywhere. The batch size is that of all devices together, and the losses are those of one device.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kmir.errors import RunError, UsageError, check_values

REMEDY = "Set KERAS_BACKEND=jax; pip install 'kmir[jax]' installs it."


@dataclass(frozen=True)
class Distribution:
    """The devices of a run; made by `distribute`, and by itself one device.

    Args:
        devices: Of each host.
        hosts: How many.
        host: Number of this one, from 0; the first writes the run folder.
        backend: ``tf.distribute.MirroredStrategy``, ``keras.distribution.DataParallel``, or none.
    """

    devices: int = 1
    hosts: int = 1
    host: int = 0
    backend: Any = None

    @property
    def replicas(self) -> int:
        """Devices of all hosts."""
        return self.devices * self.hosts

    @property
    def first(self) -> bool:
        """Whether this is the host that writes."""
        return self.host == 0

    @property
    def mirrored(self) -> bool:
        """Whether the devices are replicas of TensorFlow's."""
        return isinstance(self.backend, tf.distribute.Strategy)

    @contextmanager
    def scope(self) -> Iterator[None]:
        """In which a model is built, compiled and trained."""
        if self.backend is None:
            yield
        else:
            with self.backend.scope():
                yield

    def check_batch_size(self, batch_size: int) -> None:
        """Refuse a batch that can't be shared out evenly.

        Raises:
            UsageError: With the sizes next to it.
        """
        if batch_size % self.replicas:
            lower = batch_size // self.replicas * self.replicas
            sizes = [size for size in (lower, lower + self.replicas) if size]
            raise UsageError(
                f"Expected a batch size that {self.replicas} devices can share evenly. "
                f"Received: {batch_size}. Take --config.train.batch_size="
                f"{' or '.join(map(str, sizes))}, which is that of all devices together."
            )

    def prepare(self, model: keras.Model) -> None:
        """Let the batch norms of a model see the whole batch, as they do on one device.

        JAX computes them so by itself; replicas of TensorFlow would each see their share.
        """
        if self.mirrored:
            for layer in model._flatten_layers():
                if isinstance(layer, keras.layers.BatchNormalization):
                    layer.synchronized = True

    def gathered(self, value: int) -> list[int]:
        """A number of each host; waits until all have told theirs."""
        if self.hosts == 1:
            return [value]
        from jax.experimental import multihost_utils

        return [int(v) for v in multihost_utils.process_allgather(np.int32(value)).ravel()]

    def check_equal(self, what: str, value: int) -> None:
        """Refuse to go on where hosts differ in something that they must have in common.

        Args:
            what: For the message.
            value: What they must have in common, or a hash of it, within 31 bits.

        Raises:
            RunError: On every host.
        """
        values = self.gathered(value)
        if len(set(values)) > 1:
            told = ", ".join(f"{v} on host {i}" for i, v in enumerate(values))
            raise RunError(f"Expected all hosts to have {what}. Received: {told}.")

    def end(self) -> None:
        """Part from the other hosts, once all are here; each can go on by itself."""
        if self.hosts > 1:
            import jax

            self.gathered(0)
            jax.distributed.shutdown()


ALONE = Distribution()


def distribute(
    devices: int = 1, hosts: Sequence[str] = (), host_index: int | None = None
) -> Distribution:
    """Take the devices of a run; call it before anything is computed.

    Args:
        devices: Of this host, and of every other.
        hosts: ``"address:port"`` of each, the same list on all; none for this one alone. The
            first's is where all of them meet.
        host_index: Number of this host in the list, from 0.

    Returns:
        The devices; on several hosts once all of them are there.

    Raises:
        UsageError: If there are fewer devices, the backend can't, or hosts are named wrongly.
        RunError: If the hosts can't meet.
    """
    check_values(locals(), [("devices", devices >= 1, "of 1 or more")])
    index = _checked_index(hosts, host_index)
    name = keras.backend.backend()
    if name != "tensorflow":  # it only feeds then, and would take the memory of a GPU all the same
        with suppress(RuntimeError):  # it has begun
            tf.config.set_visible_devices([], "GPU")
    if len(hosts) > 1 and name != "jax":
        raise UsageError(f"Expected the JAX backend for --hosts. Received: {name}. {REMEDY}")
    if devices * max(1, len(hosts)) == 1:
        return ALONE
    if name == "tensorflow":
        return Distribution(devices, backend=_mirrored(devices))
    if name == "jax":
        return _data_parallel(devices, hosts, index)
    raise UsageError(
        f"Expected the TensorFlow or the JAX backend for --devices. Received: {name}. {REMEDY}"
    )


def _checked_index(hosts: Sequence[str], host_index: int | None) -> int:
    """Number of this host; 0 where there is no list."""
    if not hosts:
        if host_index is not None:
            raise UsageError("Expected --hosts a:port,b:port with --host-index. Received: none.")
        return 0
    for address in hosts:
        if not re.fullmatch(r"\S+:\d+", address) or hosts.count(address) > 1:
            raise UsageError(
                "Expected --hosts as address:port of each, separated by commas. "
                f"Received: {','.join(hosts)}."
            )
    if host_index is None or not 0 <= host_index < len(hosts):
        raise UsageError(
            f"Expected --host-index from 0 to {len(hosts) - 1}, which of the --hosts this is. "
            f"Received: {host_index}."
        )
    return host_index


def _check_enough(asked: int, kind: str, found: int) -> None:
    if asked > found:
        raise UsageError(f"Expected --devices of {found} at most, the {kind}. Received: {asked}.")


def _mirrored(devices: int) -> tf.distribute.Strategy:
    """Replicas on GPUs, or on a processor that is cut into so many."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        _check_enough(devices, "GPUs of this host", len(gpus))
        return tf.distribute.MirroredStrategy([f"GPU:{i}" for i in range(devices)])
    processor = tf.config.list_physical_devices("CPU")[0]
    parts = [tf.config.LogicalDeviceConfiguration()] * devices
    try:
        tf.config.set_logical_device_configuration(processor, parts)
    except RuntimeError:  # something was computed in this process: it stays as it is cut
        found = len(tf.config.list_logical_devices("CPU"))
        _check_enough(devices, "devices that TensorFlow began with in this process", found)
    tf.get_logger().setLevel("ERROR")  # it warns that a processor has no NCCL
    return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(devices)])


def _data_parallel(devices: int, hosts: Sequence[str], index: int) -> Distribution:
    """Devices of JAX, of this host or of all."""
    import jax

    with suppress(RuntimeError):  # something was computed in this process: it stays as it is cut
        jax.config.update("jax_num_cpu_devices", devices)
    if len(hosts) > 1:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        keras.utils.set_random_seed(0)  # or Keras has the hosts agree on one; a run has its own
        try:
            keras.distribution.initialize(",".join(hosts), len(hosts), index)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            raise RunError(
                f"Expected to meet {len(hosts)} hosts at {hosts[0]}. Received: {reason}. Start "
                "the same command on all of them, each with its --host-index."
            ) from None
    mine: dict[int, list[str]] = {}
    for device in jax.devices():
        mine.setdefault(device.process_index, []).append(f"{device.platform}:{device.id}")
    kind = "GPUs" if jax.default_backend() == "gpu" else "devices that JAX has"
    _check_enough(devices, f"{kind} on each host", min(map(len, mine.values())))
    names = [name for process in sorted(mine) for name in mine[process][:devices]]
    parallel = keras.distribution.DataParallel(devices=names, auto_shard_dataset=False)
    return Distribution(devices, max(1, len(hosts)), index, parallel)
