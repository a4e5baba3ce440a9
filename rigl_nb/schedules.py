"""What changes over a training, as pure functions of the iteration, which counts from 0."""

import math


def drop_fraction(step: int, alpha: float, t_end: int) -> float:
    """Share of active weights that an update replaces (equation 1).

    α/2 · (1 + cos(π·t/T_end)) at iteration t, and 0 from T_end on.
    """
    if step >= t_end:
        return 0.0
    return alpha / 2 * (1 + math.cos(math.pi * step / t_end))


def pruning_sparsity(step: int, start: int, end: int, final: float) -> float:
    """Sparsity that Pruning has reached at iteration t: s_f · (1 − (1 − (t − t0)/(t1 − t0))³) (Zhu & Gupta 2018).

    0 up to `start`, `final` from `end` on.
    """
    if step >= end:
        return final
    done = (step - start) / (end - start) if step > start else 0.0
    return final * (1 - (1 - done) ** 3)


def learning_rate(step: int, base: float, decay_every: int, decay_factor: float, warmup: int = 0) -> float:
    """Base rate, linear warm-up over the first `warmup` steps, times `decay_factor` at every `decay_every` steps.

    The decay boundaries are absolute iterations, warm-up included; the first step is base/warmup, never 0.
    """
    rate = base * decay_factor ** (step // decay_every)
    return rate * (step + 1) / warmup if step < warmup else rate
