"""What a number of seeds can show: the width of a claim's interval, and the difference that it would find."""

from math import sqrt

import numpy as np
import pandas as pd
from scipy import integrate, optimize, special

from rigl_nb.claims.judge import PUBLISHED_SEEDS, student

POWER = 0.8  # the chance to find a difference of the size that is called detectable


def pooled_std(stds: pd.Series) -> float:
    """One standard deviation over seeds, in points, from those of several cells with equally many seeds.

    A difference of two independent runs spreads by √2 times that. Runs of equal seed share their initial weights, which
    can only make it smaller.
    """
    values = np.asarray(stds, float)
    if not len(values) or not np.isfinite(values).all():
        raise ValueError(f"standard deviations {list(stds)} are not all numbers: leave out what has none")
    return float(sqrt((values**2).mean()))


def half_width(std: float, n: int) -> float:
    """Half of the 95 % interval of a mean of `n` differences with this standard deviation, in points."""
    return student(n - 1) * std / sqrt(n)


def chance(difference: float, std: float, n: int) -> float:
    """How likely an interval of `n` differences lies on the true side of 0, for a true difference in points."""
    return float(1 - special.nctdtr(n - 1, difference / (std / sqrt(n)), student(n - 1)))


def detectable(std: float, n: int, power: float = POWER) -> float:
    """The difference, in points, that `n` differences find with this chance."""
    return float(optimize.brentq(lambda size: chance(size, std, n) - power, 0, 100 * std)) if std > 0 else std


def seeds_needed(difference: float, std: float, cells: int = 1, power: float = POWER) -> int:
    """Seeds per cell with which `cells` pooled pairs find a difference, in points, with this chance."""
    if difference <= 0:
        raise ValueError(f"difference {difference} is not allowed: it must be above 0")
    seeds = 2
    while chance(difference, std, seeds * cells) < power:
        seeds += 1
    return seeds


def expected_maximum(n: int) -> float:
    """Mean of the largest of n independent standard normal values: what chance alone gives the best of n trials."""

    def weighted(x: float) -> float:
        return x * n * np.exp(-x * x / 2) / sqrt(2 * np.pi) * special.ndtr(x) ** (n - 1)

    return integrate.quad(weighted, -np.inf, np.inf)[0]


def table(std: float, cells=(1, 2, 4, 8), seeds: int = PUBLISHED_SEEDS) -> pd.DataFrame:
    """By pooled pairs of cells: n, half width and detectable difference, in points; `std` of one difference."""
    rows = [(k, k * seeds, half_width(std, k * seeds), detectable(std, k * seeds)) for k in cells]
    return pd.DataFrame(rows, columns=["pairs of cells", "n", "half width", "detectable difference"])
