"""Claims about how much runs of one method differ, and how many break: what a mean difference cannot test.

What three seeds can show: little. If none of three runs broke, the method may still lose seven of ten (exact 95 %
limit: 71 %). The interval of a standard deviation of three seeds reaches from half of it to six times it. So no answer
here rests on a single run, and the printed deviations, of three runs each, answer nothing.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, dataclass
from functools import partial

import numpy as np
import pandas as pd
from scipy import optimize, special

from rigl_nb.claims import judge
from rigl_nb.claims.claim import Claim
from rigl_nb.claims.estimate import CONFIDENCE
from rigl_nb.claims.judge import Answer
from rigl_nb.claims.model import Printed, Runs

MEASURES = {
    "spread": "standard deviations over seeds, difference > 0",
    "broken": "shares of broken runs, in percent, difference > 0",
    "most": "share of broken runs on the left, in percent, minus 50 > 0",
}
Cells = list[np.ndarray]  # test accuracies of the runs of each cell of a side


@dataclass(frozen=True)
class Instability(Claim):
    """A claim that the runs of the left cells are less stable than those of the right cells, by one measure.

    All left cells together are compared with all right cells: a pair only says what is compared with what. By "most",
    the claim is that more than half of the left runs are broken, whatever the right ones are.
    """

    measure: str = "spread"

    def __post_init__(self):
        super().__post_init__()
        if self.measure not in MEASURES:
            raise ValueError(f"unknown measure {self.measure!r}: choose one of {', '.join(MEASURES)}")

    @property
    def statement(self) -> str:
        """The tested condition in words: "standard deviations over seeds, difference > 0"."""
        return MEASURES[self.measure]


@dataclass(frozen=True)
class Limits:
    """A value with its 95 % limits."""

    value: float
    low: float
    high: float

    def __sub__(self, other: "Limits") -> "Limits":
        """Difference of two independent values, its limits from theirs (Zou and Donner's MOVER)."""
        difference = self.value - other.value
        below = math.hypot(self.value - self.low, other.high - other.value)
        above = math.hypot(self.high - self.value, other.value - other.low)
        return Limits(difference, difference - below, difference + above)

    def interval(self) -> tuple[float, float]:
        """The limits, as an `Estimate` gives them."""
        return self.low, self.high


_UNKNOWN = Limits(math.nan, math.nan, math.nan)


def spread(variances: Iterable[float], freedom: Iterable[int], confidence: float = CONFIDENCE) -> Limits:
    """Standard deviation pooled over cells, with the chi-square limits of normal noise; unknown without freedom."""
    freedom = np.asarray(list(freedom))
    total = freedom.sum()
    if total == 0:
        return Limits(0.0, 0.0, math.inf)
    value = math.sqrt(np.dot(list(variances), freedom) / total)
    tail = (1 - confidence) / 2
    low, high = (value * math.sqrt(total / special.chdtri(total, p)) for p in (tail, 1 - tail))
    return Limits(value, low, high)


def share(broken: int, n: int, confidence: float = CONFIDENCE) -> Limits:
    """Share of broken runs, in percent, with Clopper and Pearson's exact limits."""
    tail = (1 - confidence) / 2
    low = special.betaincinv(broken, n - broken + 1, tail) if broken else 0.0
    high = special.betaincinv(broken + 1, n - broken, 1 - tail) if broken < n else 1.0
    return Limits(100 * broken / n, 100 * float(low), 100 * float(high))


def by_runs(claim: Instability, runs: Runs, scale: str) -> Answer:
    """The answer of our runs; every cell needs two, at full scale all that are planned.

    A spread is pooled over the cells of a side: normal noise, the same in all of them. That does not describe a
    broken run, so its interval is the widest that remains when any one run is left out. Limits of shares are exact.
    """
    sides = [{pair[side]: runs.of(pair[side]) for pair in claim.pairs} for side in (0, 1)]
    cells = sides[0] | sides[1]
    full = scale == judge.FULL
    missing = tuple(cell for cell, rows in cells.items() if len(rows) < max(2, full * runs.planned(cell)))
    n, broken = sum(map(len, cells.values())), tuple(sum(int(r["broken"].sum()) for r in s.values()) for s in sides)
    if missing:
        return Answer(claim, scale, judge.NOT_ENOUGH, n=n, missing=missing, broken=broken)
    if claim.measure != "spread":
        of = [sum(map(len, side.values())) for side in sides]

        def limits(confidence: float) -> Limits:
            left, right = (share(count, runs, confidence) for count, runs in zip(broken, of, strict=True))
            return left - (Limits(50.0, 50.0, 50.0) if claim.measure == "most" else right)

    else:
        values = [[rows["test_accuracy"].to_numpy(float) for rows in side.values()] for side in sides]
        limits = partial(_spreads, *values)
    found = limits(CONFIDENCE)
    outcome = judge.SUPPORTED if found.low > 0 else judge.OPPOSITE if found.high < 0 else judge.UNDECIDED
    p = 1.0 if outcome == judge.UNDECIDED else _p(limits)
    return Answer(claim, scale, outcome, found, (found,), n, int(found.value > 0), broken=broken, p=p, adjusted=p)


def _p(limits: Callable[[float], Limits]) -> float:
    """The smallest level at which the interval leaves 0 out, where it does so at 5 %."""

    def away(power: float) -> float:
        one = limits(1 - 10**power)
        return max(one.low, -one.high)

    smallest, largest = -12.0, math.log10(judge.LEVEL)
    return 10 ** (smallest if away(smallest) > 0 else float(optimize.brentq(away, smallest, largest)))


def by_print(claim: Instability, printed: Printed) -> Answer:
    """No answer: three printed runs do not tell whether one alone makes a standard deviation, or how many broke."""
    return Answer(claim, judge.PRINTED, judge.NOT_PRINTED, missing=claim.cells)


def summary(claims: Iterable[Instability], runs: Runs, printed: pd.DataFrame) -> pd.DataFrame:
    """One row per cell of the claims: runs, broken ones in percent, standard deviation; both with 95 % limits.

    NaN where a cell has no run, for a standard deviation fewer than two, or where the report prints none.
    """
    rows = {}
    for cell in dict.fromkeys(cell for claim in claims for cell in claim.cells):
        found, theirs = runs.of(cell), cell.rows(printed)["accuracy_std"]
        n, lost = len(found), int(found["broken"].sum())
        part = share(lost, n) if n else _UNKNOWN
        std = spread([found["test_accuracy"].var()], [n - 1]) if n > 1 else _UNKNOWN
        rows[cell.label] = (n, *astuple(part), theirs.item() if len(theirs) else math.nan, *astuple(std))
    limits = ("ours", "at least", "at most")
    columns = [("", "n"), *(("broken (%)", name) for name in limits)]
    columns += [("standard deviation", name) for name in ("published", *limits)]
    return pd.DataFrame.from_dict(rows, orient="index", columns=pd.MultiIndex.from_tuples(columns))


def _spreads(left: Cells, right: Cells, confidence: float) -> Limits:
    """Left minus right with all runs, and the widest limits over leaving out none or one."""
    one, other = (_pooled(side, confidence) for side in (left, right))
    found = one - other
    every = [found, *(_pooled(fewer, confidence) - other for fewer in _without_one(left))]
    every += [one - _pooled(fewer, confidence) for fewer in _without_one(right)]
    return Limits(found.value, min(x.low for x in every), max(x.high for x in every))


def _pooled(cells: Cells, confidence: float) -> Limits:
    some = [values for values in cells if len(values) > 1]
    return spread([values.var(ddof=1) for values in some], [len(values) - 1 for values in some], confidence)


def _without_one(cells: Cells) -> Iterator[Cells]:
    for place, values in enumerate(cells):
        for run in range(len(values)):
            yield [*cells[:place], np.delete(values, run), *cells[place + 1 :]]
