"""What changes over a training, as pure functions of the iteration, which counts from 0."""

import math


def drop_fraction(step: int, alpha: float, t_end: int) -> float:
    """Share of active weights that an update replaces (equation 1).

    α/2 · (1 + cos(π·t/T_end)) at iteration t, and 0 from T_end on.
    """
    if step >= t_end:
        return 0.0
    return alpha / 2 * (1 + math.cos(math.pi * step / t_end))


def learning_rate(step: int, base: float, decay_every: int, decay_factor: float, warmup: int = 0) -> float:
    """Base rate, linear warm-up over the first `warmup` steps, times `decay_factor` at every `decay_every` steps.

    The decay boundaries are absolute iterations, warm-up included; the first step is base/warmup, never 0.
    """
    rate = base * decay_factor ** (step // decay_every)
    return rate * (step + 1) / warmup if step < warmup else rate
