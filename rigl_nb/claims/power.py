"""What a number of seeds can show: the width of a claim's interval, and the difference that it would find."""

from collections.abc import Mapping
from math import inf, isfinite, nan, prod, sqrt

import numpy as np
import pandas as pd
from scipy import integrate, optimize, special

from rigl_nb.claims.claim import PUBLISHED_SEEDS, Cell, Claim
from rigl_nb.claims.estimate import Estimate, student
from rigl_nb.claims.model import summed

POWER = 0.8  # the chance to find a difference of the size that is called detectable


def pooled_std(stds: pd.Series) -> float:
    """One standard deviation over seeds, in points, from those of several cells with equally many seeds."""
    values = np.asarray(stds, float)
    if not len(values) or not np.isfinite(values).all():
        raise ValueError(f"standard deviations {list(stds)} are not all numbers: leave out what has none")
    return float(sqrt((values**2).mean()))


def chance(difference: float, error: float, freedom: float) -> float:
    """How likely the 95 % interval of an estimate lies on the true side of 0, for a true difference in points."""
    return float(1 - special.nctdtr(freedom, difference / error, student(freedom)))


def detectable(error: float, freedom: float, power: float = POWER) -> float:
    """The true difference, in points, that an estimate with this error finds with this chance; NaN without one."""
    if not (error > 0 and isfinite(error) and freedom > 0):
        return nan
    return float(optimize.brentq(lambda size: chance(size, error, freedom) - power, 0, 1e4 * error))


def could_show(estimate: Estimate) -> float:
    """The difference, in points, that an experiment like the one behind an estimate finds in four of five cases."""
    return detectable(estimate.error, min(estimate.freedom, 1e6))


def design(std: float, pairs: int, seeds: int) -> tuple[float, int]:
    """Standard error, in points, and degrees of freedom of the mean difference of `pairs` pairs of distinct cells."""
    return std * sqrt(2 / (pairs * seeds)), 2 * pairs * (seeds - 1)


def prospect(claim: Claim, std: float, difference: float, seeds: Mapping[Cell, int]) -> float:
    """How likely runs with these seeds of each cell support a claim, if this difference is true in every pair.

    `std` is that of a run, taken as known; pairs as independent, so that a claim about each needs luck in all.
    """
    chances = []
    for tested in [(pair,) for pair in claim.pairs] if claim.every else [claim.pairs]:
        weights = summed(tested).items()
        error = std * claim.times * sqrt(sum(weight**2 / seeds[cell] for cell, weight in weights))
        chances.append(_supports(claim, difference, error))
    return prod(chances)


def _supports(claim: Claim, difference: float, error: float) -> float:
    """The chance that one estimate with this known error supports the claimed relation."""
    if claim.relation == "outperforms":
        return float(special.ndtr((difference - claim.margin) / error - student(inf)))
    low = (difference + claim.margin) / error - student(inf, 0.9)
    high = (claim.margin - difference) / error - student(inf, 0.9) if claim.relation == "matches" else inf
    return float(max(0.0, special.ndtr(low) + special.ndtr(high) - 1))


def seeds_needed(difference: float, std: float, pairs: int = 1, power: float = POWER) -> int:
    """Seeds per cell with which the mean of `pairs` pairs shows a difference, in points, with this chance."""
    if difference <= 0:
        raise ValueError(f"difference {difference} is not allowed: it must be above 0")
    seeds = 2
    while chance(difference, *design(std, pairs, seeds)) < power:
        seeds += 1
    return seeds


def expected_maximum(n: int) -> float:
    """Mean of the largest of n independent standard normal values: what chance alone gives the best of n trials."""

    def weighted(x: float) -> float:
        return x * n * np.exp(-x * x / 2) / sqrt(2 * np.pi) * special.ndtr(x) ** (n - 1)

    return integrate.quad(weighted, -np.inf, np.inf)[0]


def table(std: float, pairs=(1, 2, 4, 8), seeds: int = PUBLISHED_SEEDS) -> pd.DataFrame:
    """By pairs of cells: runs, half width of the interval and detectable difference in points; `std` of a run."""
    rows = []
    for k in pairs:
        error, freedom = design(std, k, seeds)
        rows.append((k, 2 * k * seeds, student(freedom) * error, detectable(error, freedom)))
    return pd.DataFrame(rows, columns=["pairs of cells", "runs", "half width", "detectable difference"])
