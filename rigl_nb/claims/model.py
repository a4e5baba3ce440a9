"""Means and their errors: one linear model for all runs of a network and a data set, in one profile.

Each configuration has a mean of its own, and all have one variance over seeds. A comparison is a contrast: a weighted
sum of these means. Cells that a claim names twice get the sum of their weights, so no run counts as two.

- Where variances differ (Levene's test with medians; Bartlett's for printed ones), each mean has its own (Welch). With
  three seeds Levene's test finds nothing. So a contrast also has them where its runs spread more than the others.
- Runs of one seed share initial weights and batches. Seeds become blocks of the model only where that makes the
  residuals smaller (an F test). Else it would cost degrees of freedom and give nothing.
- A broken run lies more than 5 of the pooled deviations below its cell's median. It is counted apart.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import inf, sqrt

import numpy as np
import pandas as pd
from scipy import special

from rigl_nb.claims.claim import PUBLISHED_SEEDS, Cell, Pair, places
from rigl_nb.claims.estimate import CONFIDENCE, Estimate
from rigl_nb.claims.spread import ENOUGH, Blocks, bartlett, broken, levene, odd

LEVEL = 1 - CONFIDENCE  # of the tests that decide about the model
DOUBT = 0.2  # of the test for one contrast: with three seeds a variance that is too small costs more than a wide error


@dataclass(frozen=True)
class Fit:
    """Configurations with mean, number of runs and own variance (NaN with one run), and what all have in common."""

    means: np.ndarray
    n: np.ndarray
    variances: np.ndarray
    pooled: float  # variance of a run
    freedom: float  # of `pooled`; 0: nothing is known about the variance
    own: bool  # variances differ: each mean has its own
    rounding: float = 0.0  # variance that printing a mean adds
    doubt: float = 0.0  # level of the test whether `pooled` is too small for a contrast; 0: it is never tested

    def contrast(self, weights: np.ndarray) -> Estimate:
        """The weighted sum of the means; an error of NaN where no run tells how much runs differ."""
        value = float(weights @ self.means)
        used = weights != 0
        fixed = float((weights**2).sum() * self.rounding)
        if not (self.own or self._noisier(used)) or np.isnan(self.variances[used]).any():
            parts, freedoms = np.array([self.pooled * (weights**2 / self.n).sum()]), np.array([self.freedom])
        else:
            parts, freedoms = (weights**2 * self.variances / self.n)[used], self.n[used] - 1
        if not freedoms.all():
            return Estimate(value, np.nan, np.nan)
        variance = float(parts.sum() + fixed)
        spread = float((parts**2 / freedoms).sum())
        return Estimate(value, sqrt(variance), variance**2 / spread if spread else inf)

    def _noisier(self, used: np.ndarray) -> bool:
        """Whether the runs of these configurations spread more than those of the others (an F test)."""
        freedom = np.where(np.isnan(self.variances), 0, self.n - 1)
        squares = np.nan_to_num(self.variances) * freedom
        inside, outside = freedom[used].sum(), freedom[~used].sum()
        if not inside or not squares[~used].any():
            return False
        ratio = squares[used].sum() / inside / (squares[~used].sum() / outside)
        return bool(special.fdtrc(inside, outside, ratio) < self.doubt)


@dataclass(frozen=True)
class Runs:
    """The runs that claims are tested on: one row each (`Store.frame`), of one network and data set, in one profile.

    `known`: cells that are a fixed number, the original paper's accuracies for example. `others`: runs of other
    sections. They tell how much runs differ, and are in no mean: a mean is that of the runs its section asked for.
    """

    frame: pd.DataFrame
    known: Mapping[Cell, float] = field(default_factory=dict)
    others: pd.DataFrame | None = None

    @cached_property
    def all(self) -> pd.DataFrame:
        """The rows that have a record, with `configuration` and `broken`; a run that is in two cells is there twice."""
        frame = self.frame[self.frame["present"].astype(bool)].assign(own=True)
        if self.others is not None:
            there = self.others["present"].astype(bool) & ~self.others["run_id"].isin(frame["run_id"])
            frame = pd.concat([frame, self.others[there].assign(own=False)])
        frame = frame.assign(configuration=frame.groupby(["own", "config_id"]).ngroup())
        once = frame.drop_duplicates("run_id")
        low = broken(once["test_accuracy"].to_numpy(float), once.groupby("config_id").ngroup().to_numpy())
        low |= once["collapsed"].to_numpy(bool)
        return frame.assign(broken=frame["run_id"].isin(once["run_id"][low]))

    @cached_property
    def present(self) -> pd.DataFrame:
        """The rows of `frame` among them."""
        return self.all.iloc[: int(self.frame["present"].sum())]

    def of(self, cell: Cell) -> pd.DataFrame:
        """The runs of a cell; ValueError where one seed has several."""
        if cell not in self._found:
            rows = self._found[cell] = self.present.iloc[self._places.get(cell, [])]
            if rows["seed"].duplicated().any():
                raise ValueError(f"{cell.label} has several runs of one seed: pass the runs of one experiment only")
        return self._found[cell]

    @cached_property
    def _found(self) -> dict[Cell, pd.DataFrame]:
        return {}  # claims ask for the same cells again and again

    def planned(self, cell: Cell) -> int:
        """How many runs the cell is to have; fixed before any was trained."""
        return len(self._planned.get(cell, []))

    @cached_property
    def _planned(self) -> dict[Cell, list[int]]:
        return places(self.frame)

    @cached_property
    def _places(self) -> dict[Cell, list[int]]:
        return places(self.present)

    @cached_property
    def unbroken(self) -> Fit:
        """The model of the runs that are not broken."""
        return fit(self._once[~self._once["broken"]], self._configurations, blocks=not self.known)

    @cached_property
    def whole(self) -> Fit:
        """The model of all runs, broken ones included."""
        return fit(self._once, self._configurations, blocks=not self.known)

    @cached_property
    def _once(self) -> pd.DataFrame:
        return self.all.drop_duplicates("run_id")

    @cached_property
    def _configurations(self) -> int:
        return int(self.all["configuration"].max()) + 1 if len(self.all) else 0

    def has(self, cell: Cell) -> bool:
        """Whether the cell has a run that is not broken, or is a known number."""
        return cell in self.known or not self.of(cell)["broken"].all()

    def estimate(self, pairs: tuple[Pair, ...], broken: bool = False) -> Estimate:
        """The mean difference of the pairs, left minus right; `broken`: with the broken runs in it."""
        weights, constant = np.zeros(self._configurations), 0.0
        for cell, weight in summed(pairs).items():
            if cell in self.known:
                constant += weight * self.known[cell]
            else:
                weights[self.of(cell)["configuration"].iloc[0]] += weight
        found = (self.whole if broken else self.unbroken).contrast(weights)
        return Estimate(found.value + constant, found.error, found.freedom)


@dataclass(frozen=True)
class Printed:
    """The printed means and standard deviations of a table, of one network and data set.

    `own`: whether each mean has a variance of its own; None leaves that to Bartlett's test.
    """

    table: pd.DataFrame
    own: bool | None = None

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The rows that have a value; `broken`: a deviation as only a broken run gives it."""
        rows = self.table[self.table["accuracy_mean"].notna()].reset_index(drop=True)
        return rows.assign(broken=odd(rows["accuracy_std"].to_numpy(float) ** 2, PUBLISHED_SEEDS - 1))

    def of(self, cell: Cell) -> pd.DataFrame:
        """The row of a cell, or none; ValueError where it is printed several times."""
        return self.rows.iloc[self._place(cell)]

    def _place(self, cell: Cell) -> list[int]:
        found = self._places.get(cell, [])
        if len(found) > 1:
            raise ValueError(f"{cell.label} is printed {len(found)} times: pass one table")
        return found

    @cached_property
    def _places(self) -> dict[Cell, list[int]]:
        return places(self.rows)

    def has(self, cell: Cell) -> bool:
        """Whether the cell is printed."""
        return bool(self._place(cell))

    def estimate(self, pairs: tuple[Pair, ...]) -> Estimate:
        """The mean difference of the pairs; with a deviation that a broken run made, each mean has its own."""
        weights = np.zeros(len(self.rows))
        for cell, weight in summed(pairs).items():
            weights[self._place(cell)] += weight
        broken = bool(self.rows["broken"][weights != 0].any())
        return self._fits[self.unequal or broken].contrast(weights)

    @cached_property
    def unequal(self) -> bool:
        """Whether each mean has a variance of its own, broken runs apart."""
        steady = self.rows.loc[~self.rows["broken"], "accuracy_std"].to_numpy(float) ** 2
        return bartlett(steady, PUBLISHED_SEEDS - 1) < LEVEL if self.own is None else self.own

    @cached_property
    def _fits(self) -> tuple[Fit, Fit]:
        """The means with one variance, and with their own."""
        variances = self.rows["accuracy_std"].to_numpy(float) ** 2
        steady = variances[~self.rows["broken"].to_numpy(bool)]
        n, freedom = np.full(len(variances), PUBLISHED_SEEDS), PUBLISHED_SEEDS - 1
        means = self.rows["accuracy_mean"].to_numpy(float)
        tenths = np.isclose(means * 10, np.round(means * 10), rtol=0, atol=1e-6)
        decimals = 1 if tenths.mean() > 0.5 else 2  # Table 2 has one mean, 89.15, with two
        pooled = float(steady.mean()) if len(steady) else 0.0
        one = Fit(means, n, variances, pooled, freedom * len(steady), False, 0.1 ** (2 * decimals) / 12)
        return one, replace(one, own=True)


def summed(pairs: tuple[Pair, ...]) -> dict[Cell, float]:
    """The weight of every cell in the mean difference of the pairs; a cell that comes twice has the sum."""
    weights: dict[Cell, float] = {}
    for left, right in pairs:
        weights[left] = weights.get(left, 0.0) + 1 / len(pairs)
        weights[right] = weights.get(right, 0.0) - 1 / len(pairs)
    return weights


def fit(runs: pd.DataFrame, configurations: int, blocks: bool = True) -> Fit:
    """The model of runs, one row each, with `configuration` (0, 1, …), `seed` and `test_accuracy`.

    `blocks`: seeds may become blocks; right for differences alone, in which what seeds share cancels.
    """
    cells, values = runs["configuration"].to_numpy(), runs["test_accuracy"].to_numpy(float)
    n = np.bincount(cells, minlength=configurations)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.bincount(cells, values, configurations) / n
        squares = np.bincount(cells, (values - means[cells]) ** 2, configurations)
        variances = np.where(n > 1, squares / (n - 1), np.nan)
    freedom = int((n[n > 0] - 1).sum())
    pooled = float(squares.sum() / freedom) if freedom else np.nan
    own = levene(values, cells) < LEVEL
    seeds, doubt = Blocks.of(runs) if blocks and not own else None, DOUBT
    if seeds and seeds.p < LEVEL and seeds.freedom >= ENOUGH:  # fewer choose blocks by chance, where the error is small
        pooled, freedom = seeds.residual, seeds.freedom  # all cells have the same seeds: the means stay
        doubt = 0.0  # the variances have in them what seeds share
    return Fit(np.nan_to_num(means), np.maximum(n, 1), variances, pooled, freedom, own, doubt=doubt)
