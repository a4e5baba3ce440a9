"""Which mean of a group is its best, if its spread tells it apart from the others: Welch's t-test."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from rigl_nb.claims.estimate import CONFIDENCE
from rigl_nb.claims.model import Fit

LEVEL = 1 - CONFIDENCE  # two-sided
RULE = "Bold: the best mean of a group, where Welch's t-test (two-sided, 95 %) tells it apart from all others there."


def welch(one: Mapping, other: Mapping) -> float:
    """The two-sided p-value of equal means, from `mean`, `std` and `n` of both; NaN without two runs on each side."""
    n, means, stds = (np.array([one[key], other[key]], float) for key in ("n", "mean", "std"))
    if n.min() < 2 or np.isnan(stds).any():
        return math.nan
    found = Fit(means, n, stds**2, math.nan, 0, own=True).contrast(np.array([1.0, -1.0]))
    if not found.error:
        return float(found.value == 0)
    return min(1.0, 2 * replace(found, value=abs(found.value)).above(0))


def leads(rows: Sequence[Mapping | None]) -> list[bool]:
    """Whether each row of a group is its best and told apart from all others; single runs cannot be compared.

    A row is None, or has `n` = 0, where there is no run.
    """
    known = [place for place, row in enumerate(rows) if row is not None and row["n"]]
    best = max(known, key=lambda place: rows[place]["mean"], default=None)
    chances = [welch(rows[place], rows[best]) for place in known if place != best]
    clear = bool(chances) and all(chance < LEVEL for chance in chances)
    return [clear and place == best for place in range(len(rows))]
