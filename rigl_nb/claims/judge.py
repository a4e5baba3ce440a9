"""The report's claims as statements about runs, each judged with an interval."""

from collections import Counter
from dataclasses import dataclass
from math import sqrt

import numpy as np
import pandas as pd
from scipy import special  # not `scipy.stats`: every notebook would wait most of a second for its import

CONFIDENCE = 0.95
MATCH_MARGIN = 0.3  # points of test accuracy: how far apart two methods may be and still "match"
PUBLISHED_SEEDS = 3

REPRODUCED, CONTRADICTED, INCONCLUSIVE = "reproduced", "contradicted", "inconclusive"
NOT_ENOUGH, NOT_PRINTED = "not enough runs", "not printed"


@dataclass(frozen=True)
class Cell:
    """One cell of a results table: all seeds of one configuration. `init` is None where a method has none."""

    method: str
    init: str | None = None
    density: float = 1.0
    multiplier: int = 1  # how many times longer the training is
    data: str = "cifar10"

    @property
    def name(self) -> str:
        """The row's name in the report's tables: "Static", "SET (ERK)", "RigL 2× (ERK)"."""
        longer = f" {self.multiplier}×" if self.multiplier != 1 else ""
        return self.method + longer + (f" ({self.init})" if self.init not in (None, "Random") else "")

    @property
    def label(self) -> str:
        """Name and density: "SET (ERK) at 0.1"."""
        return f"{self.name} at {self.density:g}"

    def rows(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Rows of `frame` (records or printed values) that belong to this cell."""
        chosen = np.isclose(frame["density"].to_numpy(float), self.density)
        for name in ("method", "init", "multiplier", "data"):
            if name in frame and chosen.any():  # where nothing is left there is nothing to compare
                value = getattr(self, name)
                chosen &= (frame[name].isna() if value is None else frame[name] == value).to_numpy(bool)
        return frame[chosen]


def _outperforms(low: float, high: float, margin: float) -> tuple[bool, bool]:
    return low > margin, high < margin


def _at_least_matches(low: float, high: float, margin: float) -> tuple[bool, bool]:
    return low > -margin, high < -margin


def _matches(low: float, high: float, margin: float) -> tuple[bool, bool]:
    return -margin < low and high < margin, high < -margin or low > margin


# Each relation looks at the interval of left - right and answers (holds, fails); neither: inconclusive.
RELATIONS = {"outperforms": _outperforms, "at least matches": _at_least_matches, "matches": _matches}


@dataclass(frozen=True)
class Claim:
    """A sentence of the report and the accuracies it compares: `left` minus `right` of every pair, in points.

    The relation follows the words of the quote:

    - "outperforms": better by more than `margin` (0 unless the text gives one);
    - "at least matches" (the text: "matches or outperforms"): not worse by `margin` or more;
    - "matches": neither worse nor better by `margin` or more.
    """

    name: str
    quote: str  # the report's words
    section: str  # where it says so
    pairs: tuple[tuple[Cell, Cell], ...]
    relation: str = "outperforms"
    margin: float = 0.0

    def __post_init__(self):
        if self.relation not in RELATIONS:
            raise ValueError(f"unknown relation {self.relation!r}: choose one of {', '.join(RELATIONS)}")
        if self.margin < 0 or (self.margin == 0 and self.relation != "outperforms"):
            raise ValueError(f"margin {self.margin} of {self.relation!r}: must be above 0 (0 for 'outperforms')")
        if not self.pairs:
            raise ValueError(f"claim {self.name!r} compares no cells: give at least one pair")

    @property
    def statement(self) -> str:
        """The tested condition in words: "difference > 0"."""
        if self.relation == "matches":
            return f"difference within ±{self.margin:g}"
        return f"difference > {self.margin if self.relation == 'outperforms' else -self.margin:g}"


@dataclass(frozen=True)
class Verdict:
    """What the runs say about a claim: mean difference and 95 % interval in points, over `n` differences.

    `collapsed` counts runs that collapsed: they are part of the numbers. `missing` names the cells that lack
    runs, or that the report does not print.
    """

    claim: Claim
    verdict: str  # reproduced, contradicted, inconclusive, not enough runs, not printed
    difference: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    n: int = 0
    collapsed: int = 0
    missing: tuple[Cell, ...] = ()


def judge(claim: Claim, frame: pd.DataFrame) -> Verdict:
    """Verdict on `claim` from one row per run (`Store.frame`).

    Differences are paired by seed and pooled over the cells, with Student's interval over all pairs. It is
    somewhat too narrow where one run is in two pairs (the dense baseline), as these are not independent.
    Fewer than two shared seeds in a pair: "not enough runs".
    """
    frame = frame[frame["present"].astype(bool)]
    runs = {cell: by_seed(frame, cell) for pair in claim.pairs for cell in pair}
    collapsed = int(sum(rows["collapsed"].astype(bool).sum() for rows in runs.values()))
    lacking = (cell for left, right in claim.pairs for cell in _lacking(left, right, runs))
    missing = tuple(dict.fromkeys(lacking))
    if missing:
        return Verdict(claim, NOT_ENOUGH, collapsed=collapsed, missing=missing)
    differences = np.concatenate([_paired(runs[left], runs[right]) for left, right in claim.pairs])
    n = len(differences)
    error = float(differences.std(ddof=1)) / sqrt(n)
    return _verdict(claim, float(differences.mean()), error, n - 1, n, collapsed=collapsed)


def judge_published(claim: Claim, published: pd.DataFrame) -> Verdict:
    """Verdict on `claim` from printed means and standard deviations of three seeds, taken as independent.

    Standard error and degrees of freedom are Welch's, for the mean over the pairs; a cell used twice counts
    as one measurement. Pairs that are not printed are left out, their cells named in `missing`.
    """
    values = {cell: _printed(published, cell) for pair in claim.pairs for cell in pair}
    missing = tuple(cell for cell, value in values.items() if value is None)
    pairs = [pair for pair in claim.pairs if not set(pair) & set(missing)]
    if not pairs:
        return Verdict(claim, NOT_PRINTED, missing=missing)
    weights: Counter[Cell] = Counter()
    for left, right in pairs:
        weights[left] += 1
        weights[right] -= 1
    difference = sum(weight * values[cell][0] for cell, weight in weights.items()) / len(pairs)
    variances = [(w / len(pairs) * values[cell][1]) ** 2 / PUBLISHED_SEEDS for cell, w in weights.items()]
    variance = sum(variances)
    freedom = variance**2 / sum(v**2 / (PUBLISHED_SEEDS - 1) for v in variances) if variance else 1
    return _verdict(claim, difference, sqrt(variance), freedom, PUBLISHED_SEEDS * len(pairs), missing=missing)


def student(freedom: float) -> float:
    """Half of the 95 % interval of a mean, in standard errors: Student's t with these degrees of freedom."""
    return float(special.stdtrit(freedom, (1 + CONFIDENCE) / 2))


def word(claim: Claim, low: float, high: float) -> str:
    """What an interval of the claim's difference says: reproduced, contradicted or inconclusive."""
    holds, fails = RELATIONS[claim.relation](low, high, claim.margin)
    return REPRODUCED if holds else CONTRADICTED if fails else INCONCLUSIVE


def with_reference(table2: pd.DataFrame, tuning: pd.DataFrame) -> pd.DataFrame:
    """Table 2 and the reference column of Table 4, whose RigL at density 0.5 Table 2 does not print."""
    reference = tuning[["init", "density"]].assign(
        method="RigL",
        multiplier=1,
        accuracy_mean=tuning["reference_mean"],
        accuracy_std=tuning["reference_std"],
    )
    key = ["method", "init", "multiplier", "density"]
    return pd.concat([table2, reference], ignore_index=True).drop_duplicates(key, ignore_index=True)


def by_seed(frame: pd.DataFrame, cell: Cell) -> pd.DataFrame:
    """The runs of a cell that are present, by seed; ValueError where one seed has several."""
    rows = cell.rows(frame)
    rows = rows[rows["present"].astype(bool)].set_index("seed")
    if rows.index.has_duplicates:
        raise ValueError(f"{cell.label} has several runs of one seed: pass the runs of one experiment only")
    return rows


def _paired(left: pd.DataFrame, right: pd.DataFrame) -> np.ndarray:
    seeds = left.index.intersection(right.index)
    return (left["test_accuracy"].loc[seeds] - right["test_accuracy"].loc[seeds]).to_numpy(float)


def _lacking(left: Cell, right: Cell, runs: dict[Cell, pd.DataFrame]) -> list[Cell]:
    """Cells of a pair with fewer than two runs; both, where they share fewer than two seeds."""
    if len(runs[left].index.intersection(runs[right].index)) >= 2:
        return []
    return [cell for cell in (left, right) if len(runs[cell]) < 2] or [left, right]


def _printed(published: pd.DataFrame, cell: Cell) -> tuple[float, float] | None:
    rows = cell.rows(published)
    if len(rows) > 1:
        raise ValueError(f"{cell.label} is printed {len(rows)} times: pass one table")
    return None if rows.empty else (float(rows["accuracy_mean"].iloc[0]), float(rows["accuracy_std"].iloc[0]))


def _verdict(claim: Claim, difference: float, error: float, freedom: float, n: int, **rest) -> Verdict:
    half = student(freedom) * error if error else 0.0
    low, high = difference - half, difference + half
    return Verdict(claim, word(claim, low, high), difference, float(low), float(high), n, **rest)
