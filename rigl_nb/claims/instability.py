"""Claims about how much runs of one method differ, and how many collapse: what a mean difference cannot test.

What three seeds can show: little. If none of three runs collapsed, the method may still lose seven of ten (exact 95 %
limit: 71 %). The interval of a standard deviation of three seeds reaches from half of it to six times it. And if all
methods lose a run now and then, one odd run among a few is a matter of luck: so no verdict here rests on a single run.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass

import numpy as np
import pandas as pd
from scipy import special

from rigl_nb.claims.judge import (
    CONFIDENCE,
    NOT_ENOUGH,
    NOT_PRINTED,
    PUBLISHED_SEEDS,
    Cell,
    Claim,
    Verdict,
    by_seed,
    word,
)

MEASURES = {"spread": "standard deviations over seeds", "collapses": "shares of collapsed runs, in percent"}
Cells = list[np.ndarray]  # test accuracies of the runs of each cell of a side


@dataclass(frozen=True)
class Instability(Claim):
    """A claim that the runs of the left cells are less stable than those of the right cells, by one measure.

    All left cells together are compared with all right cells: a pair only says what is compared with what.
    """

    measure: str = "spread"

    def __post_init__(self):
        super().__post_init__()
        if self.measure not in MEASURES:
            raise ValueError(f"unknown measure {self.measure!r}: choose one of {', '.join(MEASURES)}")

    @property
    def statement(self) -> str:
        """The tested condition in words: "standard deviations over seeds, difference > 0"."""
        return f"{MEASURES[self.measure]}, {super().statement}"


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % limits."""

    value: float
    low: float
    high: float

    def __sub__(self, other: "Estimate") -> "Estimate":
        """Difference of two independent estimates, its limits from theirs (Zou and Donner's MOVER)."""
        difference = self.value - other.value
        below = math.hypot(self.value - self.low, other.high - other.value)
        above = math.hypot(self.high - self.value, other.value - other.low)
        return Estimate(difference, difference - below, difference + above)


_UNKNOWN = Estimate(math.nan, math.nan, math.nan)


def spread(variances: Iterable[float], freedom: Iterable[int]) -> Estimate:
    """Standard deviation pooled over cells, with the chi-square limits of normal noise; unknown without freedom."""
    freedom = np.asarray(list(freedom))
    total = freedom.sum()
    if total == 0:
        return Estimate(0.0, 0.0, math.inf)
    value = math.sqrt(np.dot(list(variances), freedom) / total)
    tail = (1 - CONFIDENCE) / 2
    low, high = (value * math.sqrt(total / special.chdtri(total, p)) for p in (tail, 1 - tail))
    return Estimate(value, low, high)


def collapses(collapsed: int, n: int) -> Estimate:
    """Share of runs that collapsed, in percent, with Clopper and Pearson's exact limits."""
    tail = (1 - CONFIDENCE) / 2
    low = special.betaincinv(collapsed, n - collapsed + 1, tail) if collapsed else 0.0
    high = special.betaincinv(collapsed + 1, n - collapsed, 1 - tail) if collapsed < n else 1.0
    return Estimate(100 * collapsed / n, 100 * float(low), 100 * float(high))


def judge(claim: Instability, frame: pd.DataFrame) -> Verdict:
    """Verdict on `claim` from one row per run (`Store.frame`); a cell with fewer than two: "not enough runs".

    A spread is pooled over the cells of a side: normal noise, the same in all of them. That does not describe a
    collapse, so its interval is the widest that remains when any one run is left out. The limits of a share of
    collapsed runs are exact. `n` of the verdict counts runs.
    """
    sides = [{pair[side]: by_seed(frame, pair[side]) for pair in claim.pairs} for side in (0, 1)]
    cells = sides[0] | sides[1]
    collapsed = int(sum(rows["collapsed"].astype(bool).sum() for rows in cells.values()))
    missing = tuple(cell for cell, rows in cells.items() if len(rows) < 2)
    if missing:
        return Verdict(claim, NOT_ENOUGH, collapsed=collapsed, missing=missing)
    found = (_shares if claim.measure == "collapses" else _spreads)(*sides)
    return _verdict(claim, found, sum(map(len, cells.values())), collapsed=collapsed)


def judge_published(claim: Instability, published: pd.DataFrame) -> Verdict:
    """Verdict on `claim` from printed standard deviations of three seeds: an F test's question, as an interval.

    The report prints no run, so nobody can tell whether one alone makes a standard deviation, or how many runs
    collapsed. Pairs that are not printed are left out, their cells named in `missing`.
    """
    cells = dict.fromkeys(cell for pair in claim.pairs for cell in pair)
    rows = {cell: cell.rows(published) for cell in cells}
    missing = tuple(cell for cell in cells if rows[cell].empty)
    pairs = [pair for pair in claim.pairs if not set(pair) & set(missing)]
    if claim.measure == "collapses" or not pairs:
        return Verdict(claim, NOT_PRINTED, missing=missing)
    sides = [
        [rows[cell]["accuracy_std"].item() ** 2 for cell in dict.fromkeys(side)] for side in zip(*pairs, strict=True)
    ]
    left, right = (spread(side, [PUBLISHED_SEEDS - 1] * len(side)) for side in sides)
    return _verdict(claim, left - right, PUBLISHED_SEEDS * sum(map(len, sides)), missing=missing)


def summary(claims: Iterable[Instability], frame: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """One row per cell of the claims: runs, collapsed ones in percent, standard deviation; both with 95 % limits.

    NaN where a cell has no run, for a standard deviation fewer than two, or where the report prints none.
    """
    rows = {}
    for cell in dict.fromkeys(cell for claim in claims for pair in claim.pairs for cell in pair):
        runs, printed = by_seed(frame, cell), cell.rows(published)["accuracy_std"]
        n, collapsed = len(runs), int(runs["collapsed"].astype(bool).sum())
        share = collapses(collapsed, n) if n else _UNKNOWN
        std = spread([runs["test_accuracy"].var()], [n - 1]) if n > 1 else _UNKNOWN
        rows[cell.label] = (n, *astuple(share), printed.item() if len(printed) else math.nan, *astuple(std))
    limits = ("ours", "at least", "at most")
    columns = [("", "n"), *(("collapsed (%)", name) for name in limits)]
    columns += [("standard deviation", name) for name in ("published", *limits)]
    return pd.DataFrame.from_dict(rows, orient="index", columns=pd.MultiIndex.from_tuples(columns))


def _shares(*sides: Mapping[Cell, pd.DataFrame]) -> Estimate:
    flags = [pd.concat(side.values())["collapsed"].astype(bool) for side in sides]
    left, right = (collapses(int(flag.sum()), len(flag)) for flag in flags)
    return left - right


def _spreads(*sides: Mapping[Cell, pd.DataFrame]) -> Estimate:
    """Left minus right with all runs, and the widest limits over leaving out none or one."""
    left, right = ([rows["test_accuracy"].to_numpy(float) for rows in side.values()] for side in sides)
    found = _pooled(left) - _pooled(right)
    others = [_pooled(fewer) - _pooled(right) for fewer in _without_one(left)]
    others += [_pooled(left) - _pooled(fewer) for fewer in _without_one(right)]
    every = [found, *others]
    return Estimate(found.value, min(one.low for one in every), max(one.high for one in every))


def _pooled(cells: Cells) -> Estimate:
    some = [values for values in cells if len(values) > 1]
    return spread([values.var(ddof=1) for values in some], [len(values) - 1 for values in some])


def _without_one(cells: Cells) -> Iterator[Cells]:
    for place, values in enumerate(cells):
        for run in range(len(values)):
            yield [*cells[:place], np.delete(values, run), *cells[place + 1 :]]


def _verdict(claim: Claim, found: Estimate, n: int, **rest) -> Verdict:
    return Verdict(claim, word(claim, found.low, found.high), found.value, found.low, found.high, n, **rest)
