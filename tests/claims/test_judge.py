"""Verdicts on claims: synthetic runs with known answers, intervals by hand and by scipy's paired test."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from frames import printed, runs
from scipy import stats

from rigl_nb.claims import statements
from rigl_nb.claims.judge import Cell, Claim, judge, judge_published, with_reference
from rigl_nb.experiments import grids

RIGL, SET, DENSE = Cell("RigL", "ERK", 0.1), Cell("SET", "ERK", 0.1), Cell("Dense")
BETTER = Claim("RigL over SET", "better", "5.1", ((RIGL, SET),))
AS_GOOD = Claim("RigL like SET", "matches", "5.1", ((RIGL, SET),), "matches", 0.3)
NOT_WORSE = replace(AS_GOOD, relation="at least matches")


def test_interval_by_hand():
    # Differences 1, 2, 3: mean 2, std 1, t(0.975, 2) = 4.3027, half width 4.3027 / sqrt(3) = 2.4841.
    verdict = judge(BETTER, runs({RIGL: [91.0, 92.0, 93.0], SET: [90.0, 90.0, 90.0]}))
    assert verdict.n == 3
    assert verdict.difference == pytest.approx(2.0)
    assert (verdict.low, verdict.high) == pytest.approx((2 - 2.4841, 2 + 2.4841), abs=1e-4)
    assert verdict.verdict == "inconclusive"


def test_pooled_interval_equals_scipys_paired_test():
    rng = np.random.default_rng(0)
    left, right = Cell("RigL", "Random", 0.2, 2), Cell("RigL", "Random", 0.2)
    values = {cell: list(90 + rng.normal(size=3)) for cell in (RIGL, SET, left, right)}
    verdict = judge(replace(BETTER, pairs=((RIGL, SET), (left, right))), runs(values))
    oracle = stats.ttest_rel(values[RIGL] + values[left], values[SET] + values[right])
    interval = oracle.confidence_interval(0.95)
    assert verdict.n == 6
    assert (verdict.low, verdict.high) == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize(
    ("gain", "outperforms", "at_least_matches", "matches"),
    [
        (1.0, "reproduced", "reproduced", "contradicted"),
        (0.2, "reproduced", "reproduced", "reproduced"),
        (-0.2, "contradicted", "reproduced", "reproduced"),
        (-0.5, "contradicted", "contradicted", "contradicted"),
    ],
)
def test_relations(gain, outperforms, at_least_matches, matches):
    noise = np.array([-0.01, 0.0, 0.01])
    frame = runs({RIGL: list(90 + gain + noise), SET: [90.0, 90.0, 90.0]})
    found = [judge(claim, frame).verdict for claim in (BETTER, NOT_WORSE, AS_GOOD)]
    assert found == [outperforms, at_least_matches, matches]


@pytest.mark.parametrize("claim", [BETTER, NOT_WORSE, AS_GOOD])
def test_wide_interval_is_inconclusive(claim):
    frame = runs({RIGL: [88.0, 90.0, 92.0], SET: [90.0, 90.0, 90.0]})
    assert judge(claim, frame).verdict == "inconclusive"


def test_margin_moves_the_line():
    frame = runs({RIGL: [91.0, 91.01, 91.02], SET: [90.0, 90.0, 90.0]})
    assert judge(replace(BETTER, margin=0.9), frame).verdict == "reproduced"
    assert judge(replace(BETTER, margin=1.2), frame).verdict == "contradicted"


def test_seeds_are_paired():
    # Unpaired, the spread of 10 points would hide a steady gain of 1.
    frame = runs({RIGL: [81.0, 86.01, 91.0], SET: [80.0, 85.0, 90.0]})
    shuffled = frame.sample(frac=1, random_state=1)
    assert judge(BETTER, frame).verdict == "reproduced"
    assert judge(BETTER, shuffled) == judge(BETTER, frame)


def test_a_seed_that_only_one_side_has_is_left_out():
    verdict = judge(BETTER, runs({RIGL: [91.0, 91.2, 50.0], SET: [90.0, 90.0, None]}))
    assert verdict.n == 2
    assert verdict.difference == pytest.approx(1.1)


@pytest.mark.parametrize(
    ("rigl", "set_", "missing"),
    [
        ([91.0, None, None], [90.0, 90.0, 90.0], (RIGL,)),
        ([91.0, None, None], [None, None, None], (RIGL, SET)),
        ([91.0, 91.0, None, None], [None, None, 90.0, 90.0], (RIGL, SET)),  # two runs each, no common seed
    ],
)
def test_not_enough_runs_names_the_cells(rigl, set_, missing):
    verdict = judge(BETTER, runs({RIGL: rigl, SET: set_}))
    assert (verdict.verdict, verdict.missing, verdict.n) == ("not enough runs", missing, 0)
    assert math.isnan(verdict.difference)


def test_cells_that_no_row_mentions():
    verdict = judge(BETTER, runs({DENSE: [93.0, 93.0]}))
    assert verdict.missing == (RIGL, SET)


def test_other_data_is_no_evidence():
    digits = replace(RIGL, data="digits"), replace(SET, data="digits")
    assert judge(BETTER, runs({cell: [90.0, 91.0] for cell in digits})).verdict == "not enough runs"


def test_identical_values_do_not_crash():
    frame = runs({RIGL: [90.0, 90.0], SET: [90.0, 90.0]})
    better, like = judge(BETTER, frame), judge(AS_GOOD, frame)
    assert (better.verdict, better.low, better.high) == ("inconclusive", 0.0, 0.0)
    assert like.verdict == "reproduced"


def test_collapsed_runs_stay_in_the_numbers():
    frame = runs({RIGL: [91.0, 91.0, 91.0], SET: [90.0, 10.0, 90.0]}, collapsed={(SET, 1)})
    verdict = judge(BETTER, frame)
    assert (verdict.n, verdict.collapsed) == (3, 1)
    assert verdict.difference == pytest.approx((1 + 81 + 1) / 3)


def test_dense_has_no_initialization_as_none_or_nan():
    claim = Claim("like Dense", "matches", "5.1", ((RIGL, DENSE),), "matches", 0.3)
    frame = runs({RIGL: [93.0, 93.1], DENSE: [93.0, 93.1]})
    assert judge(claim, frame).n == 2
    assert judge(claim, frame.assign(init=frame["init"].astype(object).where(frame["init"].notna(), None))).n == 2
    assert DENSE.rows(frame)["method"].unique().tolist() == ["Dense"]


def test_two_runs_of_one_seed_are_refused():
    frame = runs({RIGL: [91.0, 91.0], SET: [90.0, 90.0]})
    with pytest.raises(ValueError, match=r"RigL \(ERK\) at 0.1 has several runs of one seed"):
        judge(BETTER, pd.concat([frame, frame]))


def test_published_interval_equals_scipys_welch():
    verdict = judge_published(BETTER, printed({RIGL: (92.4, 0.06), SET: (92.2, 0.04)}))
    oracle = stats.ttest_ind_from_stats(92.4, 0.06, 3, 92.2, 0.04, 3, equal_var=False)
    error = math.sqrt(0.06**2 / 3 + 0.04**2 / 3)
    half = stats.t.ppf(0.975, 1 / ((0.6923**2 + 0.3077**2) / 2)) * error  # shares of the variance: 9/13, 4/13
    assert verdict.difference == pytest.approx(0.2)
    assert (verdict.low, verdict.high) == pytest.approx((0.2 - half, 0.2 + half), rel=1e-3)
    assert verdict.difference / error == pytest.approx(oracle.statistic)
    assert (verdict.verdict == "reproduced") == (oracle.pvalue < 0.05)
    assert verdict.n == 3


def test_published_cell_in_two_pairs_counts_once():
    other = Cell("RigL", "Random", 0.5)
    claim = replace(BETTER, pairs=((RIGL, DENSE), (other, DENSE)))
    verdict = judge_published(claim, printed({RIGL: (93.0, 0.2), other: (93.2, 0.2), DENSE: (93.4, 0.1)}))
    error = math.sqrt((0.2**2 / 4 + 0.2**2 / 4 + 0.1**2) / 3)  # the dense mean enters with weight 1, not 1/2 twice
    freedom = error**4 / (2 * (0.2**2 / 12) ** 2 / 2 + (0.1**2 / 3) ** 2 / 2)
    assert verdict.difference == pytest.approx(-0.3)
    assert verdict.high - verdict.difference == pytest.approx(stats.t.ppf(0.975, freedom) * error)


def test_published_without_spread_or_without_cells():
    same = judge_published(BETTER, printed({RIGL: (92.0, 0.0), SET: (92.0, 0.0)}))
    assert (same.verdict, same.low, same.high) == ("inconclusive", 0.0, 0.0)
    absent = judge_published(BETTER, printed({RIGL: (92.0, 0.1)}))
    assert (absent.verdict, absent.missing) == ("not printed", (SET,))


def test_published_pairs_that_are_printed_are_judged():
    other = Cell("RigL", "ERK", 0.05)
    claim = replace(BETTER, pairs=((RIGL, SET), (other, SET)))
    verdict = judge_published(claim, printed({RIGL: (92.4, 0.06), SET: (92.2, 0.04)}))
    assert (verdict.n, verdict.missing) == (3, (other,))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"relation": "beats"}, "unknown relation 'beats'.*outperforms"),
        ({"relation": "matches"}, "margin 0.0"),
        ({"margin": -0.1}, "margin -0.1"),
        ({"pairs": ()}, "compares no cells"),
    ],
)
def test_bad_claims_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(BETTER, **change)


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        (Cell("Static", "Random", 0.1), "Static"),
        (Cell("SET", "ERK", 0.1), "SET (ERK)"),
        (Cell("RigL", "ERK", 0.1, 2), "RigL 2× (ERK)"),
        (Cell("RigL", "Random", 0.1, 2), "RigL 2×"),
        (Cell("Small-Dense", None, 0.1), "Small-Dense"),
        (DENSE, "Dense"),
    ],
)
def test_row_names_are_the_reports(cell, name):
    assert cell.name == name


def test_statements():
    assert [claim.statement for claim in (BETTER, NOT_WORSE, AS_GOOD)] == [
        "difference > 0",
        "difference > -0.3",
        "difference within ±0.3",
    ]


def report_values() -> pd.DataFrame:
    return with_reference(grids.published("table2_cifar10"), grids.published("table4_tuning"))


def test_reference_values_fill_density_one_half_once():
    values = report_values()
    half = Cell("RigL", "ERK", 0.5).rows(values)
    assert half[["accuracy_mean", "accuracy_std"]].to_numpy().tolist() == [[93.4, 0.14]]
    assert len(Cell("RigL", "ERK", 0.1).rows(values)) == 1
    assert len(values) == len(grids.published("table2_cifar10")) + 2


def test_what_the_printed_numbers_say_about_the_claims():
    found = {claim.name: judge_published(claim, report_values()) for claim in statements.CIFAR10}
    assert found["SET over Static"].difference == pytest.approx(((91.3 - 89.1) + (92.7 - 91.2)) / 2)
    assert found["RigL 2× (ERK) over Pruning"].difference == pytest.approx(92.7 - 92.6)
    assert found["RigL at 0.5 as good as Dense"].difference == pytest.approx((93.3 + 93.4) / 2 - 93.4)
    assert found["SNFS over RigL"].difference == pytest.approx(((92.4 - 91.7) + (92.7 - 92.6)) / 2)
    assert not any(found[name].missing for name in found if name != "RigL over SET, all densities")


def test_the_grid_trains_every_cell_of_the_claims():
    keys = ["method", "init", "density", "multiplier", "data"]
    trained = {Cell(*(getattr(spec, key) for key in keys)) for spec in grids.specs("05_1", "paper")}
    cells = {cell for claim in statements.CIFAR10 for pair in claim.pairs for cell in pair}
    assert cells - trained == set()


def test_claims_have_names_of_their_own_and_compare_different_cells():
    names = [claim.name for claim in statements.CIFAR10]
    assert len(set(names)) == len(names)
    assert all(left != right for claim in statements.CIFAR10 for left, right in claim.pairs)
