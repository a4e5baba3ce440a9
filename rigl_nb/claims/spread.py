"""How runs of one configuration spread over seeds: equally in all cells or not, and whether one of them is broken."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

BROKEN = 5.0  # pooled standard deviations below the cell's median
ENOUGH = 8  # degrees of freedom, below which nobody can tell that a run is broken


def broken(values: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Which runs lie more than 5 pooled standard deviations below their cell's median.

    The run in question has no part in the deviation, nor has one that was found before; the lowest is asked first.
    """
    found = np.zeros(len(values), bool)
    if not len(values):
        return found
    medians = np.array(
        [np.median(values[cells == place]) if (cells == place).any() else 0 for place in range(max(cells) + 1)]
    )
    below = medians[cells] - values
    for place in np.argsort(-below, kind="stable"):
        others = ~found
        others[place] = False
        variance, freedom = pooled(values[others], cells[others])
        if freedom < ENOUGH or below[place] <= BROKEN * variance**0.5:
            break
        found[place] = True
    return found


def odd(variances: np.ndarray, freedom: int) -> np.ndarray:
    """Which variances of equally many runs are so far above the others' mean that one broken run made them.

    One run that lies d below all others of its cell adds d² / n to the variance, on average.
    """
    found, limit = np.zeros(len(variances), bool), 1 + BROKEN**2 / (freedom + 1)
    for place in np.argsort(-variances, kind="stable"):
        others = ~found
        others[place] = False
        if freedom * others.sum() < ENOUGH or variances[place] <= limit * variances[others].mean():
            break
        found[place] = True
    return found


def pooled(values: np.ndarray, cells: np.ndarray) -> tuple[float, int]:
    """Variance of a run around its cell's mean, and its degrees of freedom; 0 and 0 without any."""
    if not len(values):
        return 0.0, 0
    n = np.bincount(cells)
    means = np.bincount(cells, values) / np.maximum(n, 1)
    freedom = int(np.maximum(n - 1, 0).sum())
    return (float(((values - means[cells]) ** 2).sum() / freedom), freedom) if freedom else (0.0, 0)


def levene(values: np.ndarray, cells: np.ndarray) -> float:
    """P-value of Levene's test of equal variances, with medians (Brown and Forsythe); 1 where nothing can be tested.

    Cells of two runs have no part: both runs lie equally far from their median.
    """
    kept = np.isin(cells, np.flatnonzero(np.bincount(cells) > 2)) if len(cells) else np.zeros(0, bool)
    if not kept.any():
        return 1.0
    values, (names, cells) = values[kept], np.unique(cells[kept], return_inverse=True)
    n = np.bincount(cells)
    medians = np.array([np.median(values[cells == place]) for place in range(len(names))])
    away = np.abs(values - medians[cells])
    means = np.bincount(cells, away) / n
    within, freedom = float(((away - means[cells]) ** 2).sum()), len(values) - len(n)
    if len(n) < 2 or not within:
        return 1.0
    between = float((n * (means - away.mean()) ** 2).sum() / (len(n) - 1))
    return float(special.fdtrc(len(n) - 1, freedom, between / within * freedom))


def bartlett(variances: np.ndarray, freedom: int) -> float:
    """P-value of Bartlett's test of equal variances, from variances of equally many runs; 1 with fewer than two."""
    k = len(variances)
    if k < 2 or not variances.all():
        return 1.0
    statistic = freedom * k * (np.log(variances.mean()) - np.log(variances).mean())
    correction = 1 + (k / freedom - 1 / (freedom * k)) / (3 * (k - 1))
    return float(special.chdtrc(k - 1, statistic / correction))


@dataclass(frozen=True)
class Blocks:
    """What seeds have in common: the variance that is left without it, and a test of whether there is any."""

    residual: float
    freedom: int
    correlation: float  # of two runs of one seed (intraclass), after their cells' means; negative: none
    p: float

    @classmethod
    def of(cls, runs: pd.DataFrame) -> "Blocks | None":
        """From the runs of at least two cells and two seeds, each cell with one run of each seed; else None."""
        (names, row), (numbers, column) = (
            np.unique(runs[name].to_numpy(), return_inverse=True) for name in ("configuration", "seed")
        )
        cells, seeds = len(names), len(numbers)
        if cells < 2 or seeds < 2 or (np.bincount(row * seeds + column, minlength=cells * seeds) != 1).any():
            return None
        values = np.empty((cells, seeds))
        values[row, column] = runs["test_accuracy"].to_numpy(float)
        values = values - values.mean(axis=1, keepdims=True)
        between = cells * (values.mean(axis=0) ** 2).sum() / (seeds - 1)
        freedom = (cells - 1) * (seeds - 1)
        within = ((values - values.mean(axis=0)) ** 2).sum() / freedom
        if within == 0:
            return None
        correlation = (between - within) / (between + (cells - 1) * within)
        p = float(special.fdtrc(seeds - 1, freedom, between / within))
        return cls(float(within), freedom, float(correlation), p)
