"""Claims about spread and collapse: intervals by hand, against exact tests, and runs with known answers."""

import csv
import itertools
import math
import statistics
from dataclasses import replace

import numpy as np
import pytest
from frames import printed, runs
from scipy import stats

from rigl_nb.claims import instability, statements
from rigl_nb.claims.instability import Instability, collapses, judge, judge_published, spread
from rigl_nb.claims.judge import Cell, with_reference
from rigl_nb.claims.judge import judge as judge_means
from rigl_nb.experiments import grids
from rigl_nb.report.figures import tables

SET_05, SET_10 = (Cell("SET", "Random", density, 2) for density in (0.05, 0.1))
RIGL_05, RIGL_10 = (Cell("RigL", "Random", density, 2) for density in (0.05, 0.1))
SPREAD = Instability("spread", "unstable", "5.1", ((SET_05, RIGL_05), (SET_10, RIGL_10)))
ONE_PAIR = replace(SPREAD, pairs=((SET_10, RIGL_10),))
COLLAPSES = replace(SPREAD, name="collapses", measure="collapses")
STEADY = [90.0, 90.1, 90.2]
QUANTILES = {1: (0.000982069, 5.023886), 2: (0.05063562, 7.377759), 3: (0.2157953, 9.348404)}  # 2.5 %, 97.5 %: tables


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
    verdict = judge(ONE_PAIR, runs({SET_10: left, RIGL_10: right}))
    assert verdict.difference == pytest.approx(statistics.stdev(left) - statistics.stdev(right))
    assert verdict.low == pytest.approx(min(low for _, low, _ in tried), rel=1e-5)
    assert verdict.high == pytest.approx(max(high for *_, high in tried), rel=1e-5)
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
        ((STEADY, STEADY), (STEADY, STEADY), "inconclusive"),
        (([90.0, 90.1, 60.0], STEADY), (STEADY, STEADY), "inconclusive"),  # one run makes all of it
        (([90.0, 90.1, 60.0], [90.0, 90.1, 70.0]), (STEADY, STEADY), "reproduced"),  # one in each cell
        (([90.0, 90.1, 60.0], STEADY), ([90.0, 60.0, 90.1], STEADY), "inconclusive"),
        (([90.0] * 3, [91.0] * 3), ([90.0] * 3, [91.0] * 3), "inconclusive"),  # no spread at all
    ],
)
def test_known_answers(left, right, verdict):
    cells = (SET_05, SET_10, RIGL_05, RIGL_10)
    assert judge(SPREAD, runs(dict(zip(cells, left + right, strict=True)))).verdict == verdict


def test_one_odd_run_would_be_enough_without_leaving_it_out():
    odd, steady = ([90.0, 90.1, 60.0], STEADY), (STEADY, STEADY)
    left, right = (spread([np.var(v, ddof=1) for v in side], [2, 2]) for side in (odd, steady))
    assert (left - right).low > 0


@pytest.mark.parametrize("claim", [SPREAD, COLLAPSES])
def test_not_enough_runs_names_the_cells(claim):
    few = {SET_05: STEADY, SET_10: [90.0, None, None], RIGL_05: STEADY}
    verdict = judge(claim, runs(few, collapsed={(SET_05, 0)}))
    assert (verdict.verdict, verdict.missing, verdict.collapsed) == ("not enough runs", (SET_10, RIGL_10), 1)
    assert math.isnan(verdict.difference)


def test_two_runs_on_each_side_have_none_to_spare():
    verdict = judge(ONE_PAIR, runs({SET_10: [10.0, 90.0], RIGL_10: [90.0, 90.1]}))
    assert (verdict.verdict, verdict.low, verdict.n) == ("inconclusive", -math.inf, 4)


def test_seeds_need_not_be_the_same_and_absent_runs_do_not_count():
    full, part = [70.0, 80.0, 90.0], [None, None, None, 70.0, 80.0, 90.0]
    verdicts = [judge(ONE_PAIR, runs({SET_10: values, RIGL_10: STEADY})) for values in (full, part)]
    assert verdicts[0] == verdicts[1]


@pytest.mark.parametrize(
    ("left", "right", "verdict"),
    [
        (6, 0, "reproduced"),
        (5, 0, "reproduced"),
        (1, 0, "inconclusive"),
        (0, 0, "inconclusive"),
        (0, 6, "contradicted"),
    ],
)
def test_collapsed_runs_are_counted(left, right, verdict):
    lost = {(cell, seed) for cell, seed in itertools.product((SET_05, SET_10), range(3))}
    saved = {(cell, seed) for cell, seed in itertools.product((RIGL_05, RIGL_10), range(3))}
    frame = runs(
        dict.fromkeys((SET_05, SET_10, RIGL_05, RIGL_10), STEADY),
        collapsed=set(sorted(lost, key=str)[:left]) | set(sorted(saved, key=str)[:right]),
    )
    found = judge(COLLAPSES, frame)
    assert (found.verdict, found.collapsed, found.n) == (verdict, left + right, 12)
    assert found.difference == pytest.approx((left - right) / 6 * 100)


def test_share_of_collapsed_runs_has_exact_limits():
    none, all_ = collapses(0, 3), collapses(3, 3)
    assert none.low == 0 and none.high == pytest.approx(100 * (1 - 0.025 ** (1 / 3)))  # (1 - p)³ = 2.5 %
    assert all_.high == 100 and all_.low == pytest.approx(100 * 0.025 ** (1 / 3))


@pytest.mark.parametrize(("collapsed", "n"), [(1, 3), (2, 3), (1, 12), (7, 12)])
def test_exact_limits_are_clopper_and_pearsons(collapsed, n):
    found, oracle = collapses(collapsed, n), stats.binomtest(collapsed, n).proportion_ci(0.95, "exact")
    assert (found.low, found.high) == pytest.approx((100 * oracle.low, 100 * oracle.high))


def test_a_verdict_on_collapses_agrees_with_fishers_exact_test():
    for left, right in itertools.product(range(7), range(13)):
        low = (collapses(left, 6) - collapses(right, 12)).low
        p = stats.fisher_exact([[left, 6 - left], [right, 12 - right]], alternative="greater").pvalue
        assert p < 0.05 or low <= 0
        assert p > 0.005 or low > 0


def test_a_verdict_on_printed_values_is_never_bolder_than_the_f_test():
    found = []
    for ratio in np.linspace(1, 12, 111):
        values = printed({SET_10: (90.0, ratio * 0.2), RIGL_10: (90.0, 0.2)})
        p = stats.f.sf(ratio**2, 2, 2)
        found.append((judge_published(ONE_PAIR, values).verdict == "reproduced", p < 0.025))
    assert all(exact for ours, exact in found if ours)
    assert sum(exact for _, exact in found) - sum(ours for ours, _ in found) in range(15)  # but hardly more careful
    assert found[-1] == (True, True) and found[0] == (False, False)


def test_the_interval_covers_the_difference_of_normal_noise():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(1000):
        left, right = rng.normal(0, [[2.0], [1.0]], (2, 3)).var(axis=1, ddof=1)
        one = spread([left], [2]) - spread([right], [2])
        inside += one.low < 1.0 < one.high
    assert 0.935 < inside / 1000 < 0.99


def values_of_the_report():
    return with_reference(grids.published("table2_cifar10"), grids.published("table4_tuning"))


def test_what_the_printed_spreads_say():
    with open(grids.PUBLISHED / "table2_cifar10.csv") as file:
        rows = {(r["method"], r["init"], r["multiplier"], r["density"]): r for r in csv.DictReader(file)}
    std = {key: float(row["accuracy_std"]) for key, row in rows.items()}
    longer = std["SET", "Random", "2", "0.1"]
    others = [("RigL", "Random", "2", "0.1"), ("SET", "Random", "1", "0.1"), ("SET", "Random", "2", "0.2")]
    found = [judge_published(claim, values_of_the_report()) for claim in statements.INSTABILITY]
    for verdict, other in zip(found, others, strict=False):
        assert verdict.difference == pytest.approx(longer - std[other])
        assert verdict.low == pytest.approx(by_printed(longer, std[other]), rel=1e-5)
        assert (verdict.verdict, verdict.n) == ("reproduced", 6)
        assert {cell.density for cell in verdict.missing} <= {0.05, 0.5}
    assert found[-1].verdict == "not printed"  # the report does not count collapsed runs


def by_printed(left, right):
    low, high = QUANTILES[2]
    below, above = left * (1 - math.sqrt(2 / high)), right * (math.sqrt(2 / low) - 1)
    return left - right - math.hypot(below, above)


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


def test_the_scoreboard_shows_them_beside_other_claims():
    frame = runs({SET_05: [85.0, 95.0, 90.0], SET_10: [95.0, 86.0, 90.0], RIGL_05: STEADY, RIGL_10: STEADY})
    ours = [judge(SPREAD, frame), judge_means(replace(statements.CIFAR10[0], pairs=SPREAD.pairs), frame)]
    shown = tables.scoreboard(ours, [judge_published(SPREAD, values_of_the_report())]).data
    assert shown["tested"][0] == "spread: standard deviations over seeds, difference > 0"
    assert shown["published"][0].startswith("+15.08") and "reproduced" in shown["verdict"][0]
    assert "inconclusive" in shown["verdict"][1]  # the mean difference cannot tell


def test_summary_has_every_cell_once():
    frame = runs({SET_10: [90.0, 10.0, 92.0], RIGL_10: [91.0]}, collapsed={(SET_10, 1)})
    table = instability.summary([SPREAD, COLLAPSES], frame, values_of_the_report())
    assert list(table.index) == [cell.label for cell in (SET_05, RIGL_05, SET_10, RIGL_10)]
    row = table.loc["SET 2× at 0.1"]
    assert row["", "n"] == 3 and row["collapsed (%)", "ours"] == pytest.approx(100 / 3)
    assert row["standard deviation", "ours"] == pytest.approx(statistics.stdev([90, 10, 92]))
    assert row["standard deviation", "published"] == 15.33
    assert table.loc["RigL 2× at 0.1"]["standard deviation"].isna().tolist() == [False, True, True, True]
    assert table.loc["SET 2× at 0.05"].isna().sum() == len(table.columns) - 1


def test_bad_claims_and_runs_are_refused():
    with pytest.raises(ValueError, match=r"unknown measure 'mean'.*spread, collapses"):
        replace(SPREAD, measure="mean")
    with pytest.raises(ValueError, match="unknown relation 'beats'"):
        replace(SPREAD, relation="beats")
    frame = runs({SET_10: STEADY, RIGL_10: STEADY})
    with pytest.raises(ValueError, match=r"SET 2× at 0.1 has several runs of one seed"):
        judge(ONE_PAIR, frame.assign(seed=0))
