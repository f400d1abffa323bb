"""What models share: outputs, losses, layers, callbacks; `keras.ops` only, but for `fused`."""

from kmir.nn.outputs import Output

__all__ = ["Output"]
