"""What a scale of evidence says about a claim: an estimate with its interval, an outcome, and the word for it.

The outcome follows from intervals of contrasts of means (`claims.model`), tested at 5 %:

- supported: the 95 % interval lies on the claimed side; a claim about each pair needs all of them (intersection-union,
  which needs no correction). "Matches" needs the 90 % interval inside its margin (two one-sided tests);
- opposite: it lies on the other side; in any pair of a claim about each, corrected for their number;
- no difference: a claim of a difference, whose 90 % interval lies within ±0.3 points;
- undecided: anything else.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import nan

from rigl_nb.claims import several
from rigl_nb.claims.claim import MATCH_MARGIN, PUBLISHED_SEEDS, Cell, Claim, Pair
from rigl_nb.claims.estimate import Estimate
from rigl_nb.claims.model import Printed, Runs

SUPPORTED, OPPOSITE, NO_DIFFERENCE, UNDECIDED = "supported", "opposite", "no difference", "undecided"
NOT_ENOUGH, NOT_PRINTED = "not enough runs", "not printed"
LEVEL, ONE_SIDED = 0.05, 0.90  # of the tests; the interval of two one-sided tests at this level
FULL, PRINTED, SMALL = "paper", "printed", ("quick", "short")  # the scales, but for arithmetic
SCALES = (PRINTED, *SMALL, FULL)
_SMALL = {SUPPORTED: "same direction", OPPOSITE: "opposite", NO_DIFFERENCE: "cannot tell", UNDECIDED: "cannot tell"}
WORDS = {  # a printed number cannot reproduce itself, and a small training cannot reproduce a long one
    PRINTED: {SUPPORTED: SUPPORTED, OPPOSITE: "not supported", NO_DIFFERENCE: "not supported", UNDECIDED: UNDECIDED},
    **dict.fromkeys(SMALL, _SMALL),
    FULL: {
        SUPPORTED: "reproduced",
        OPPOSITE: "contradicted",
        NO_DIFFERENCE: "no practical difference",
        UNDECIDED: UNDECIDED,
    },
}


NOTHING = Estimate(nan, nan, nan)


@dataclass(frozen=True)
class Answer:
    """What a scale says about a claim. `estimate` is the mean difference over the pairs that have numbers, in points.

    `missing` names the cells without numbers, `agree` counts pairs whose difference makes the sentence true. Broken
    runs are in no estimate but `whole`. `p` belongs to the outcome: how likely chance alone leads to it.
    """

    claim: Claim
    scale: str
    outcome: str
    estimate: Estimate = NOTHING
    pairs: tuple[Estimate, ...] = ()
    n: int = 0  # runs, or printed ones
    agree: int = 0
    missing: tuple[Cell, ...] = ()
    broken: tuple[int, int] = (0, 0)  # left and right
    whole: Estimate | None = None  # with the broken runs, where there are any
    p: float = 1.0
    adjusted: float = 1.0  # `p`, for all claims that are tested beside this one

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the mean difference."""
        return self.estimate.interval()

    @property
    def weakest(self) -> Estimate:
        """The pair that shows the claimed relation least."""
        return max(self.pairs, key=lambda pair: _p_holds(self.claim, pair))

    @property
    def clear(self) -> int:
        """How many pairs show the claimed relation alone."""
        return sum(_p_holds(self.claim, pair) <= LEVEL for pair in self.pairs)

    @property
    def word(self) -> str:
        """The outcome in the scale's own word."""
        found = WORDS[self.scale].get(self.outcome, self.outcome)
        partly = self.scale == PRINTED and self.missing and self.outcome == SUPPORTED
        return f"{found} where printed" if partly else found

    @property
    def on_average(self) -> bool:
        """Whether a mean supports the claim although at most half of its pairs agree."""
        return self.outcome == SUPPORTED and not self.claim.every and 2 * self.agree <= len(self.pairs)


def by_runs(claim: Claim, runs: Runs, scale: str) -> Answer:
    """The answer of our runs. At full scale every cell needs all that are planned, else only one."""
    whole = scale == FULL
    cells = [cell for cell in claim.cells if cell not in runs.known]
    seeds = {cell: len(runs.of(cell)) for cell in cells}
    missing = tuple(c for c in cells if seeds[c] < (runs.planned(c) if whole else 1) or not runs.has(c))
    pairs = _complete(claim, missing)
    broken = tuple(sum(int(runs.of(cell)["broken"].sum()) for cell in _side(claim, runs, side)) for side in (0, 1))
    if not pairs or (whole and missing) or (runs.known and not whole):
        return Answer(claim, scale, NOT_ENOUGH, missing=missing, broken=broken, n=sum(seeds.values()))
    n = sum(seeds[cell] for cell in dict.fromkeys(cell for pair in pairs for cell in pair) if cell in seeds)
    every = runs.estimate(pairs, broken=True).times(claim.times) if any(broken) else None
    mean, estimates = runs.estimate(pairs).times(claim.times), tuple(runs.estimate((pair,)) for pair in pairs)
    return _answer(claim, scale, mean, estimates, n=n, missing=missing, broken=broken, whole=every)


def by_print(claim: Claim, printed: Printed) -> Answer:
    """The answer of the printed means; pairs that are not printed are left out, their cells named in `missing`."""
    missing = tuple(cell for cell in claim.cells if not printed.has(cell))
    pairs = _complete(claim, missing)
    if not pairs:
        return Answer(claim, PRINTED, NOT_PRINTED, missing=missing)
    estimates = tuple(printed.estimate((pair,)) for pair in pairs)
    n = PUBLISHED_SEEDS * len({cell for pair in pairs for cell in pair})
    mean = printed.estimate(pairs).times(claim.times)
    return _answer(claim, PRINTED, mean, estimates, n=n, missing=missing)


def _complete(claim: Claim, missing: Iterable[Cell]) -> tuple[Pair, ...]:
    return tuple(pair for pair in claim.pairs if not set(pair) & set(missing))


def _side(claim: Claim, runs: Runs, side: int) -> list[Cell]:
    return [cell for cell in dict.fromkeys(pair[side] for pair in claim.pairs) if cell not in runs.known]


def _answer(claim: Claim, scale: str, estimate: Estimate, pairs: tuple[Estimate, ...], **rest) -> Answer:
    outcome, p = decide(claim, estimate, pairs)
    agree = sum(claim.holds(pair.value) for pair in pairs)
    return Answer(claim, scale, outcome, estimate, pairs, agree=agree, p=p, adjusted=p, **rest)


def decide(claim: Claim, estimate: Estimate, pairs: Sequence[Estimate]) -> tuple[str, float]:
    """Outcome and p-value, from the mean difference and the differences of the pairs."""
    tested = pairs if claim.every else (estimate,)
    if any(one.error != one.error for one in tested):
        return UNDECIDED, 1.0  # nothing tells how much runs differ
    holds = max(_p_holds(claim, one) for one in tested)
    fails = min(1.0, len(tested) * min(_p_fails(claim, one) for one in tested))
    if holds <= LEVEL:
        return SUPPORTED, holds
    if fails <= LEVEL:
        return OPPOSITE, fails
    if claim.relation == "outperforms" and not claim.margin and all(map(_small, tested)):
        return NO_DIFFERENCE, max(max(one.above(-MATCH_MARGIN), _below(one, MATCH_MARGIN)) for one in tested)
    return UNDECIDED, 1.0


def _p_holds(claim: Claim, one: Estimate) -> float:
    """P-value of the claimed relation: two-sided for a difference, one-sided for what stays within a margin."""
    if claim.relation == "outperforms":
        return min(1.0, 2 * one.above(claim.margin))
    if claim.relation == "at least matches":
        return one.above(-claim.margin)
    if claim.relation == "not better":
        return _below(one, MATCH_MARGIN) if one.value <= MATCH_MARGIN and not _clear(one) else 1.0
    return max(one.above(-claim.margin), _below(one, claim.margin))


def _p_fails(claim: Claim, one: Estimate) -> float:
    if claim.relation == "not better":
        return min(1.0, 2 * one.above(0))
    if claim.relation == "matches":
        return min(1.0, 2 * min(one.above(claim.margin), _below(one, -claim.margin)))
    return min(1.0, 2 * _below(one, claim.margin if claim.relation == "outperforms" else -claim.margin))


def _below(one: Estimate, bound: float) -> float:
    return replace(one, value=-one.value).above(-bound)


def _clear(one: Estimate) -> bool:
    return one.interval()[0] > 0


def _small(one: Estimate) -> bool:
    low, high = one.interval(ONE_SIDED)
    return low > -MATCH_MARGIN and high < MATCH_MARGIN


def together(answers: Iterable[Answer], primary: Iterable[str]) -> list[Answer]:
    """The answers of one scale, with p-values for all of them; an outcome that does not survive is undecided.

    The primary claims, by name, are adjusted by Holm's method, the others by Benjamini and Hochberg's.
    """
    answers, first = list(answers), set(primary)
    for group, adjust in ((True, several.holm), (False, several.benjamini_hochberg)):
        places = [place for place, one in enumerate(answers) if (one.claim.name in first) == group and one.pairs]
        for place, p in zip(places, adjust([answers[place].p for place in places]), strict=True):
            one = answers[place]
            answers[place] = replace(one, adjusted=p, outcome=one.outcome if p <= LEVEL else UNDECIDED)
    return answers
