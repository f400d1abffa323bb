"""What models share: outputs, losses, layers, callbacks; `keras` and `keras.ops` only."""

from kmir.nn.outputs import Output

__all__ = ["Output"]
