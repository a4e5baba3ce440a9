"""Claims about spread and broken runs: intervals by hand, against exact tests, and runs with known answers."""

import itertools
import math
import statistics
from dataclasses import replace

import numpy as np
import pytest
from frames import runs
from scipy import stats

from rigl_nb.claims import instability, judge, statements
from rigl_nb.claims.claim import Cell
from rigl_nb.claims.instability import Instability, by_print, by_runs, share, spread
from rigl_nb.claims.model import Printed, Runs
from rigl_nb.claims.printed import table2
from rigl_nb.experiments import grids
from rigl_nb.report.figures import board

SET_05, SET_10 = (Cell("SET", "Random", density, 2) for density in (0.05, 0.1))
RIGL_05, RIGL_10 = (Cell("RigL", "Random", density, 2) for density in (0.05, 0.1))
SPREAD = Instability("spread", "unstable", "5.1", ((SET_05, RIGL_05), (SET_10, RIGL_10)))
ONE_PAIR = replace(SPREAD, pairs=((SET_10, RIGL_10),))
BROKEN = replace(SPREAD, name="broken", measure="broken")
STEADY = [90.0, 90.1, 90.2]
QUANTILES = {1: (0.000982069, 5.023886), 2: (0.05063562, 7.377759), 3: (0.2157953, 9.348404)}  # 2.5 %, 97.5 %: tables


def answer(claim, frame, scale="paper"):
    return by_runs(claim, Runs(frame), scale)


def by_hand(left, right):
    """Difference of two pooled standard deviations and its limits, from tables of chi-square."""
    found = []
    for cells in (left, right):
        freedom = sum(len(values) - 1 for values in cells)
        squares = sum(statistics.variance(values) * (len(values) - 1) for values in cells if len(values) > 1)
        low, high = (math.sqrt(squares / quantile) for quantile in reversed(QUANTILES[freedom]))
        found.append((math.sqrt(squares / freedom), low, high))
    (a, a_low, a_high), (b, b_low, b_high) = found
    below, above = (a - a_low) ** 2 + (b_high - b) ** 2, (a_high - a) ** 2 + (b - b_low) ** 2
    return a - b, a - b - math.sqrt(below), a - b + math.sqrt(above)


def test_interval_by_hand_leaves_out_each_run():
    left, right = [80.0, 90.0, 91.0], [90.0, 90.3, 90.4]
    fewer = [([list(two)], [right]) for two in itertools.combinations(left, 2)]
    fewer += [([left], [list(two)]) for two in itertools.combinations(right, 2)]
    tried = [by_hand(*sides) for sides in [([left], [right]), *fewer]]
    verdict = answer(ONE_PAIR, runs({SET_10: left, RIGL_10: right}))
    assert verdict.estimate.value == pytest.approx(statistics.stdev(left) - statistics.stdev(right))
    assert verdict.interval[0] == pytest.approx(min(low for _, low, _ in tried), rel=1e-5)
    assert verdict.interval[1] == pytest.approx(max(high for *_, high in tried), rel=1e-5)
    assert (verdict.n, verdict.missing) == (6, ())


def test_cells_of_a_side_are_pooled_around_their_own_means():
    found = spread([statistics.variance([70, 71, 72]), statistics.variance([90, 93])], [2, 1])
    squares = 2 * 1.0 + 1.5**2 * 2
    low, high = (math.sqrt(squares / quantile) for quantile in reversed(QUANTILES[3]))
    assert (found.value, found.low, found.high) == pytest.approx((math.sqrt(squares / 3), low, high), rel=1e-5)


@pytest.mark.parametrize(
    ("left", "right", "verdict"),
    [
        (([70.0, 80.0, 90.0], [72.0, 81.0, 89.0]), (STEADY, STEADY), "reproduced"),
        ((STEADY, STEADY), ([70.0, 80.0, 90.0], [72.0, 81.0, 89.0]), "contradicted"),
        ((STEADY, STEADY), (STEADY, STEADY), "undecided"),
        (([90.0, 90.1, 60.0], STEADY), (STEADY, STEADY), "undecided"),  # one run makes all of it
        (([90.0, 90.1, 60.0], [90.0, 90.1, 70.0]), (STEADY, STEADY), "reproduced"),  # one in each cell
        (([90.0, 90.1, 60.0], STEADY), ([90.0, 60.0, 90.1], STEADY), "undecided"),
        (([90.0] * 3, [91.0] * 3), ([90.0] * 3, [91.0] * 3), "undecided"),  # no spread at all
    ],
)
def test_known_answers(left, right, verdict):
    cells = (SET_05, SET_10, RIGL_05, RIGL_10)
    assert answer(SPREAD, runs(dict(zip(cells, left + right, strict=True)))).word == verdict


def test_one_odd_run_would_be_enough_without_leaving_it_out():
    odd, steady = ([90.0, 90.1, 60.0], STEADY), (STEADY, STEADY)
    left, right = (spread([np.var(v, ddof=1) for v in side], [2, 2]) for side in (odd, steady))
    assert (left - right).low > 0


@pytest.mark.parametrize("claim", [SPREAD, BROKEN])
def test_not_enough_runs_names_the_cells(claim):
    few = {SET_05: STEADY, SET_10: [90.0, None, None], RIGL_05: STEADY}
    verdict = answer(claim, runs(few, collapsed={(SET_05, 0)}))
    assert (verdict.word, verdict.missing, verdict.broken) == ("not enough runs", (SET_10, RIGL_10), (1, 0))
    assert math.isnan(verdict.interval[0]) and verdict.pairs == ()


def test_two_runs_on_each_side_have_none_to_spare():
    frame = runs({SET_10: [10.0, 90.0], RIGL_10: [90.0, 90.1]})
    verdict = answer(ONE_PAIR, frame, "quick")
    assert (verdict.outcome, verdict.interval[0], verdict.n) == ("undecided", -math.inf, 4)
    planned = runs({SET_10: [10.0, 90.0, None], RIGL_10: [90.0, 90.1]})
    assert answer(ONE_PAIR, planned).missing == (SET_10,), "full scale: all that are planned"


def test_seeds_need_not_be_the_same_and_absent_runs_do_not_count():
    full, part = [70.0, 80.0, 90.0], [None, None, None, 70.0, 80.0, 90.0]
    verdicts = [answer(ONE_PAIR, runs({SET_10: values, RIGL_10: STEADY}), "short") for values in (full, part)]
    assert verdicts[0] == verdicts[1]


@pytest.mark.parametrize(("lost", "word"), [(6, "reproduced"), (3, "undecided"), (0, "contradicted")])
def test_most_runs_break_whatever_the_others_do(lost, word):
    claim = replace(BROKEN, measure="most")
    there = [(SET_05, 0), (SET_05, 1), (SET_05, 2), (SET_10, 0), (SET_10, 1), (SET_10, 2)]
    verdict = answer(claim, runs(dict.fromkeys(claim.cells, STEADY), collapsed=there[:lost]))
    assert verdict.word == word and verdict.estimate.value == pytest.approx(100 * lost / 6 - 50)
    low = stats.binomtest(lost, 6).proportion_ci().low * 100 - 50
    assert verdict.interval[0] == pytest.approx(low)


@pytest.mark.parametrize(
    ("left", "right", "verdict"),
    [
        (6, 0, "reproduced"),
        (5, 0, "reproduced"),
        (1, 0, "undecided"),
        (0, 0, "undecided"),
        (0, 6, "contradicted"),
    ],
)
def test_broken_runs_are_counted(left, right, verdict):
    lost = {(cell, seed) for cell, seed in itertools.product((SET_05, SET_10), range(3))}
    saved = {(cell, seed) for cell, seed in itertools.product((RIGL_05, RIGL_10), range(3))}
    frame = runs(
        dict.fromkeys((SET_05, SET_10, RIGL_05, RIGL_10), STEADY),
        collapsed=set(sorted(lost, key=str)[:left]) | set(sorted(saved, key=str)[:right]),
    )
    found = answer(BROKEN, frame)
    assert (found.word, found.broken, found.n) == (verdict, (left, right), 12)
    assert found.estimate.value == pytest.approx((left - right) / 6 * 100)


def test_a_run_far_below_its_cell_counts_as_broken():
    values = {cell: list(90 + np.roll([0, 0.1, 0.2], place)) for place, cell in enumerate((SET_05, SET_10, RIGL_05))}
    frame = runs(values | {RIGL_10: [90.0, 90.1, 60.0, 90.2]})
    assert answer(BROKEN, frame).broken == answer(SPREAD, frame).broken == (0, 1)


@pytest.mark.parametrize("claim", [SPREAD, BROKEN])
def test_p_is_the_level_at_which_the_interval_ends_at_0(claim):
    frame = runs({SET_05: [85.0, 95.0, 90.0], SET_10: [95.0, 86.0, 90.0], RIGL_05: STEADY, RIGL_10: STEADY})
    lost = {(cell, seed) for cell in (SET_05, SET_10) for seed in range(3)}
    frame["collapsed"] = [(cell, seed) in lost for cell in (SET_05, SET_10, RIGL_05, RIGL_10) for seed in range(3)]
    found = answer(claim, frame)
    assert found.outcome == judge.SUPPORTED and 0 < found.p < 0.05
    if claim is BROKEN:
        low = (share(6, 6, 1 - found.p) - share(0, 6, 1 - found.p)).low
    else:
        sides = [[np.array(frame["test_accuracy"][i : i + 3]) for i in places] for places in ((0, 3), (6, 9))]
        low = instability._spreads(*sides, 1 - found.p).low
    assert low == pytest.approx(0, abs=1e-6)
    other = judge.by_runs(replace(statements.CIFAR10[0], pairs=SPREAD.pairs, every=False), Runs(frame), "paper")
    assert judge.together([found, other], ())[0].outcome == judge.SUPPORTED, "beside one that cannot tell"


def test_share_of_broken_runs_has_exact_limits():
    none, all_ = share(0, 3), share(3, 3)
    assert none.low == 0 and none.high == pytest.approx(100 * (1 - 0.025 ** (1 / 3)))  # (1 - p)³ = 2.5 %
    assert all_.high == 100 and all_.low == pytest.approx(100 * 0.025 ** (1 / 3))


@pytest.mark.parametrize(("lost", "n"), [(1, 3), (2, 3), (1, 12), (7, 12)])
def test_exact_limits_are_clopper_and_pearsons(lost, n):
    found, oracle = share(lost, n), stats.binomtest(lost, n).proportion_ci(0.95, "exact")
    assert (found.low, found.high) == pytest.approx((100 * oracle.low, 100 * oracle.high))


def test_an_answer_on_broken_runs_agrees_with_fishers_exact_test():
    for left, right in itertools.product(range(7), range(13)):
        low = (share(left, 6) - share(right, 12)).low
        p = stats.fisher_exact([[left, 6 - left], [right, 12 - right]], alternative="greater").pvalue
        assert p < 0.05 or low <= 0
        assert p > 0.005 or low > 0


def test_the_interval_covers_the_difference_of_normal_noise():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(1000):
        left, right = rng.normal(0, [[2.0], [1.0]], (2, 3)).var(axis=1, ddof=1)
        one = spread([left], [2]) - spread([right], [2])
        inside += one.low < 1.0 < one.high
    assert 0.935 < inside / 1000 < 0.99


def test_printed_deviations_answer_nothing():
    """Of three runs each; one run makes all of the only large one."""
    for claim in statements.INSTABILITY:
        found = by_print(claim, Printed(table2()))
        assert (found.word, found.missing, found.pairs) == ("not printed", claim.cells, ())


def test_the_grid_trains_every_cell_of_the_claims():
    keys = ("method", "init", "density", "multiplier", "data")
    trained = {Cell(*(getattr(spec, key) for key in keys)) for spec in grids.specs("05_1", "paper")}
    assert {cell for claim in statements.INSTABILITY for pair in claim.pairs for cell in pair} <= trained


def test_each_claim_leaves_out_one_reason():
    growth, longer, sparser, _ = statements.INSTABILITY
    assert all(replace(left, method="RigL") == right for left, right in growth.pairs)
    assert all(replace(left, multiplier=1) == right for left, right in longer.pairs)
    assert all(
        left.density < 0.2 <= right.density and replace(left, density=right.density) == right
        for left, right in sparser.pairs
    )


def test_the_board_shows_them_beside_other_claims():
    frame = runs({SET_05: [85.0, 95.0, 90.0], SET_10: [95.0, 86.0, 90.0], RIGL_05: STEADY, RIGL_10: STEADY})
    assert SPREAD.statement == "standard deviations over seeds, difference > 0"
    assert BROKEN.statement == "shares of broken runs, in percent, difference > 0"
    shown = board.cell(answer(SPREAD, frame, "quick"))
    assert "✓\xa0same direction" in shown and "+4.66 [" in shown and "n\xa0=\xa012" in shown


def test_summary_has_every_cell_once():
    frame = runs({SET_10: [90.0, 10.0, 92.0], RIGL_10: [91.0]}, collapsed={(SET_10, 1)})
    table = instability.summary([SPREAD, BROKEN], Runs(frame), table2())
    assert list(table.index) == [cell.label for cell in (SET_05, RIGL_05, SET_10, RIGL_10)]
    row = table.loc["SET 2× at 0.1"]
    assert row["", "n"] == 3 and row["broken (%)", "ours"] == pytest.approx(100 / 3)
    assert row["standard deviation", "ours"] == pytest.approx(statistics.stdev([90, 10, 92]))
    assert row["standard deviation", "published"] == 15.33
    assert table.loc["RigL 2× at 0.1"]["standard deviation"].isna().tolist() == [False, True, True, True]
    assert table.loc["SET 2× at 0.05"].isna().sum() == len(table.columns) - 1


def test_bad_claims_and_runs_are_refused():
    with pytest.raises(ValueError, match=r"unknown measure 'mean'.*spread, broken"):
        replace(SPREAD, measure="mean")
    with pytest.raises(ValueError, match="unknown relation 'beats'"):
        replace(SPREAD, relation="beats")
    frame = runs({SET_10: STEADY, RIGL_10: STEADY})
    with pytest.raises(ValueError, match=r"SET 2× at 0.1 has several runs of one seed"):
        answer(ONE_PAIR, frame.assign(seed=0))
