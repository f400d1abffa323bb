"""The loops of `kmir.nn.fused`: LSTM and GRU with their gradients, compiled by TensorFlow's XLA.

The products with the inputs are taken out of the loop, and the gradients of the weights are worked
out over all frames at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf


def lstm_loop(layer: Any, sequences: tf.Tensor, initial_state: Any) -> tuple[Any, Any, list[Any]]:
    """Takes an LSTM through ``(batch, frames, values)``.

    Args:
        layer: Whose weights and settings count.
        sequences: A known number of frames.
        initial_state: Hidden and carry, each ``(batch, units)``.

    Returns:
        The last output ``(batch, units)``, all ``(batch, frames, units)``, and the last states.
    """
    hidden, carry = (tf.cast(state, tf.float32) for state in initial_state)
    inputs = _projected(layer, sequences, layer.cell.bias)
    outputs, carry = _lstm(inputs, _float32(layer.cell.recurrent_kernel), hidden, carry)
    return outputs[-1], _batch_major(layer, outputs), [outputs[-1], carry]


def gru_loop(layer: Any, sequences: tf.Tensor, initial_state: Any) -> tuple[Any, Any, list[Any]]:
    """Takes a GRU through ``(batch, frames, values)``; as `lstm_loop`, with one state."""
    (hidden,) = (tf.cast(state, tf.float32) for state in initial_state)
    input_bias, recurrent_bias = tf.unstack(_float32(layer.cell.bias))
    inputs = _projected(layer, sequences, input_bias)
    recurrent = _float32(layer.cell.recurrent_kernel)
    outputs = _gru(inputs, recurrent, recurrent_bias, hidden)
    return outputs[-1], _batch_major(layer, outputs), [outputs[-1]]


# === Around the loop ===


def _float32(weight: Any) -> tf.Tensor:
    """The loop is in float32 in mixed precision too: small products gain nothing from less."""
    return tf.cast(keras.ops.convert_to_tensor(weight), tf.float32)


def _projected(layer: Any, sequences: tf.Tensor, bias: Any) -> tf.Tensor:
    """What the inputs add to the gates, in the order of reading: ``(frames, batch, gates)``."""
    x = tf.reverse(sequences, [1]) if layer.go_backwards else sequences
    x = tf.transpose(x, (1, 0, 2))
    kernel = keras.ops.convert_to_tensor(layer.cell.kernel)
    gates = tf.matmul(tf.reshape(x, (-1, x.shape[2])), kernel)
    gates = tf.cast(gates, tf.float32) + _float32(bias)
    return tf.reshape(gates, (x.shape[0], -1, kernel.shape[1]))


def _batch_major(layer: Any, outputs: tf.Tensor) -> tf.Tensor:
    """``(frames, batch, units)`` → ``(batch, frames, units)``, or the last frame alone."""
    return tf.transpose(outputs if layer.return_sequences else outputs[-1:], (1, 0, 2))


def _scan(
    step: Callable[[list[Any], list[Any]], tuple[list[Any], list[Any]]],
    state: list[tf.Tensor],
    sequences: list[tf.Tensor],
    *,
    count: int,
    reverse: bool = False,
) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """Takes a step a frame.

    Args:
        step: From the frame of each sequence and the state to the next state and `count` results.
        state: To begin with.
        sequences: Each ``(frames, batch, …)``.
        count: Of the results.
        reverse: Begin at the last frame; results stay where their frames are.

    Returns:
        The last state, and the results ``(frames, batch, …)``.
    """
    frames = sequences[0].shape[0]
    read = [tf.TensorArray(s.dtype, frames).unstack(s) for s in sequences]
    written = [tf.TensorArray(tf.float32, frames) for _ in range(count)]

    def body(i: tf.Tensor, state: list[Any], written: list[Any]) -> tuple[Any, ...]:
        frame = frames - 1 - i if reverse else i
        state, results = step([array.read(frame) for array in read], state)
        return i + 1, state, [a.write(frame, r) for a, r in zip(written, results, strict=True)]

    start = (tf.constant(0), state, written)
    _, state, written = tf.while_loop(lambda i, *_: i < frames, body, start)
    return state, [array.stack() for array in written]


def _before(first: tf.Tensor, states: tf.Tensor) -> tf.Tensor:
    """The state that each frame found."""
    return tf.concat([first[None], states[:-1]], axis=0)


def _products(states: tf.Tensor, gates: tf.Tensor) -> tf.Tensor:
    """Gradient of the recurrent kernel, over all frames at once."""
    flat = [tf.reshape(x, (-1, x.shape[2])) for x in (states, gates)]
    return tf.matmul(*flat, transpose_a=True)


# === LSTM: gates i, f, g, o ===


@tf.custom_gradient
def _lstm(
    inputs: tf.Tensor, recurrent: tf.Tensor, hidden: tf.Tensor, carry: tf.Tensor
) -> tuple[Any, Any]:
    """Outputs of all frames and the last carry; and their gradient."""
    outputs, carries, *gates = _lstm_forward(inputs, recurrent, hidden, carry)

    def gradient(d_outputs: tf.Tensor, d_carry: tf.Tensor) -> Any:
        saved = (outputs, carries, *gates)
        return _lstm_backward(d_outputs, d_carry, recurrent, hidden, carry, *saved)

    return (outputs, carries[-1]), gradient


@tf.function(jit_compile=True, autograph=False)
def _lstm_forward(inputs: Any, recurrent: Any, hidden: Any, carry: Any) -> Any:
    def step(frame: list[Any], state: list[Any]) -> tuple[list[Any], list[Any]]:
        h, c = state
        i, f, g, o = tf.split(frame[0] + tf.matmul(h, recurrent), 4, axis=1)
        i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
        c = f * c + i * g
        h = o * tf.tanh(c)
        return [h, c], [h, c, i, f, g, o]

    return _scan(step, [hidden, carry], [inputs], count=6)[1]


@tf.function(jit_compile=True, autograph=False)
def _lstm_backward(
    d_outputs: Any, d_carry: Any, recurrent: Any, hidden: Any, carry: Any, *saved: Any
) -> Any:
    outputs, carries, *gates = saved

    def step(frame: list[Any], state: list[Any]) -> tuple[list[Any], list[Any]]:
        d_output, c, before, i, f, g, o = frame
        squashed = tf.tanh(c)
        dh = state[0] + d_output
        dc = state[1] + dh * o * (1 - squashed**2)
        d_gates = [
            dc * g * i * (1 - i),
            dc * before * f * (1 - f),
            dc * i * (1 - g**2),
            dh * squashed * o * (1 - o),
        ]
        joined = tf.concat(d_gates, axis=1)
        return [tf.matmul(joined, recurrent, transpose_b=True), dc * f], [joined]

    read = [d_outputs, carries, _before(carry, carries), *gates]
    start = [tf.zeros_like(hidden), d_carry]
    (dh, dc), (d_inputs,) = _scan(step, start, read, count=1, reverse=True)
    return d_inputs, _products(_before(hidden, outputs), d_inputs), dh, dc


# === GRU: gates z, r, g, the reset gate after the recurrent product ===


@tf.custom_gradient
def _gru(
    inputs: tf.Tensor, recurrent: tf.Tensor, bias: tf.Tensor, hidden: tf.Tensor
) -> tuple[Any, Any]:
    """Outputs of all frames; and their gradient."""
    outputs, *gates = _gru_forward(inputs, recurrent, bias, hidden)

    def gradient(d_outputs: tf.Tensor) -> Any:
        return _gru_backward(d_outputs, recurrent, hidden, outputs, *gates)

    return outputs, gradient


@tf.function(jit_compile=True, autograph=False)
def _gru_forward(inputs: Any, recurrent: Any, bias: Any, hidden: Any) -> Any:
    def step(frame: list[Any], state: list[Any]) -> tuple[list[Any], list[Any]]:
        (h,) = state
        z, r, g = tf.split(frame[0], 3, axis=1)
        from_z, from_r, past = tf.split(tf.matmul(h, recurrent) + bias, 3, axis=1)
        z, r = tf.sigmoid(z + from_z), tf.sigmoid(r + from_r)
        g = tf.tanh(g + r * past)
        h = z * h + (1 - z) * g
        return [h], [h, z, r, g, past]

    return _scan(step, [hidden], [inputs], count=5)[1]


@tf.function(jit_compile=True, autograph=False)
def _gru_backward(d_outputs: Any, recurrent: Any, hidden: Any, outputs: Any, *gates: Any) -> Any:
    def step(frame: list[Any], state: list[Any]) -> tuple[list[Any], list[Any]]:
        d_output, h, z, r, g, past = frame
        dh = state[0] + d_output
        dz = dh * (h - g) * z * (1 - z)
        dg = dh * (1 - z) * (1 - g**2)
        dr = dg * past * r * (1 - r)
        joined = tf.concat([dz, dr, dg * r], axis=1)
        before = tf.matmul(joined, recurrent, transpose_b=True) + dh * z
        return [before], [tf.concat([dz, dr, dg], axis=1), joined]

    states = _before(hidden, outputs)
    read = [d_outputs, states, *gates]
    start = [tf.zeros_like(hidden)]
    (dh,), (d_inputs, joined) = _scan(step, start, read, count=2, reverse=True)
    return d_inputs, _products(states, joined), tf.reduce_sum(joined, axis=(0, 1)), dh
