"""When to slow down and when to stop, as a pure function of the log.

The rules of `Schedule` are those of Keras' ``ReduceLROnPlateau`` and ``EarlyStopping``, and a floor
under the learning rate; `OneCycle` is planned from the first epoch to the last. They hold no state:
whatever was logged decides, so a resumed run goes on exactly where the interrupted one was.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """Rules of a training run.

    Args:
        learning_rate: To begin with.
        factor: What the rate is multiplied by on a plateau.
        patience: Epochs without improvement that make a plateau.
        floor: A plateau that would take the rate below this ends the run.
        stop_patience: Epochs without improvement that end the run.
        min_delta: What counts as an improvement on a plateau.
        larger_is_better: Whether the monitored value should rise.
    """

    learning_rate: float
    factor: float
    patience: int
    floor: float
    stop_patience: int
    min_delta: float = 1e-4
    larger_is_better: bool = False

    def after(self, values: Sequence[float]) -> Verdict:
        """What the monitored values so far, one an epoch, mean for the next epoch."""
        sign = -1.0 if self.larger_is_better else 1.0
        rate, waited, since_best = self.learning_rate, 0, 0
        plateau_best = best = float("inf")
        best_epoch = None
        stop = ""
        for epoch, value in enumerate(values):
            cost = sign * value
            if cost < best:
                best, best_epoch, since_best = cost, epoch, 0
            else:
                since_best += 1
            if cost < plateau_best - self.min_delta:
                plateau_best, waited = cost, 0
                continue
            waited += 1
            if since_best >= self.stop_patience:
                stop = f"no improvement in {since_best} epochs"
            elif waited >= self.patience:
                if rate * self.factor < self.floor:
                    stop = f"learning rate {rate:.1e} would fall below its floor {self.floor:.1e}"
                else:
                    rate, waited = rate * self.factor, 0
        return Verdict(rate, stop, best_epoch)


@dataclass(frozen=True)
class OneCycle:
    """The rate rises evenly, then falls along half a cosine, towards 0 after the last epoch.

    L. Smith, N. Topin, "Super-convergence: very fast training of neural networks using large
    learning rates", 2019; the momentum stays as it is.

    Args:
        learning_rate: The highest.
        epochs: Of the whole run.
        rise: Share of the epochs in which the rate rises.
        larger_is_better: Whether the monitored value should rise.
    """

    learning_rate: float
    epochs: int
    rise: float = 0.2
    larger_is_better: bool = False

    def after(self, values: Sequence[float]) -> Verdict:
        """What the monitored values so far, one an epoch, mean for the next epoch."""
        sign = -1.0 if self.larger_is_better else 1.0
        finite = [epoch for epoch, value in enumerate(values) if math.isfinite(value)]
        best_epoch = min(finite, key=lambda epoch: sign * values[epoch], default=None)
        middle = (min(len(values), self.epochs - 1) + 0.5) / self.epochs  # of the next epoch
        if middle < self.rise:
            share = middle / self.rise
        else:
            share = (1 + math.cos(math.pi * (middle - self.rise) / (1 - self.rise))) / 2
        stop = "" if len(finite) == len(values) else f"epoch {len(values)} is not a number"
        return Verdict(self.learning_rate * share, stop, best_epoch)


@dataclass(frozen=True)
class Verdict:
    """What a schedule says of the next epoch.

    Args:
        learning_rate: To train it with.
        stop: Why there should be none; empty if there should.
        best_epoch: Number of the best epoch so far; None before the first.
    """

    learning_rate: float
    stop: str
    best_epoch: int | None
