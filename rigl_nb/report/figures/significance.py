"""Which mean of a group is its best, if its spread tells it apart from the others: Welch's t-test."""

import math
from collections.abc import Mapping, Sequence

from scipy import special

from rigl_nb.claims.model import CONFIDENCE

LEVEL = 1 - CONFIDENCE  # two-sided
RULE = "Bold: the best mean of a group, where Welch's t-test (two-sided, 95 %) tells it apart from all others there."


def welch(one: Mapping, other: Mapping) -> float:
    """The two-sided p-value of equal means, from `mean`, `std` and `n` of both; NaN without two runs on each side."""
    if min(one["n"], other["n"]) < 2:
        return math.nan
    difference = abs(one["mean"] - other["mean"])
    errors = [row["std"] ** 2 / row["n"] for row in (one, other)]
    if not (both := sum(errors)):
        return float(difference == 0)
    freedom = both**2 / sum(error**2 / (row["n"] - 1) for error, row in zip(errors, (one, other), strict=True))
    return float(2 * special.stdtr(freedom, -difference / math.sqrt(both)))


def leads(rows: Sequence[Mapping | None]) -> list[bool]:
    """Whether each row of a group is its best and told apart from all others; single runs cannot be compared.

    A row is None, or has `n` = 0, where there is no run.
    """
    known = [place for place, row in enumerate(rows) if row is not None and row["n"]]
    best = max(known, key=lambda place: rows[place]["mean"], default=None)
    chances = [welch(rows[place], rows[best]) for place in known if place != best]
    clear = bool(chances) and all(chance < LEVEL for chance in chances)
    return [clear and place == best for place in range(len(rows))]
