"""The linear model of runs: against scipy's t-tests, least squares with design matrices, and variances by hand."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from frames import runs
from scipy import stats

from rigl_nb.claims.claim import Cell
from rigl_nb.claims.estimate import Estimate, student
from rigl_nb.claims.model import Fit, Runs, fit, summed

A, B, C, D, E = (Cell(name, "ERK", 0.1) for name in ("RigL", "SET", "Static", "SNFS", "RigL-SG"))


def estimates(values, *pairs, **rest):
    return Runs(runs(values), **rest).estimate(pairs)


def check(found: Estimate, oracle):
    """The estimate gives the same test and the same interval as scipy's t-test."""
    interval = oracle.confidence_interval(0.95)
    assert found.interval() == pytest.approx((interval.low, interval.high))
    assert min(1, 2 * min(found.above(0), 1 - found.above(0))) == pytest.approx(oracle.pvalue)
    assert found.freedom == pytest.approx(oracle.df)


@pytest.mark.parametrize(("left", "right"), [(3, 3), (3, 5), (2, 7)])
def test_one_pair_alone_is_students_t_test(left, right):
    rng = np.random.default_rng(left * right)
    values = {A: list(rng.normal(91, 0.2, left)), B: list(rng.normal(90.8, 0.2, right))}
    check(estimates(values, (A, B)), stats.ttest_ind(values[A], values[B], equal_var=True))


def test_interval_by_hand():
    """Both cells have variance 1, so one run has it too: error √(2/3), t(0.975, 4) = 2.7764."""
    found = estimates({A: [91.0, 92.0, 93.0], B: [90.0, 89.0, 91.0]}, (A, B))
    assert found.interval() == pytest.approx((2 - 2.7764 * math.sqrt(2 / 3), 2 + 2.7764 * math.sqrt(2 / 3)), abs=1e-4)


def test_cells_of_unequal_variance_are_welchs_t_test():
    rng = np.random.default_rng(4)
    values = {A: list(rng.normal(91, 4.0, 10)), B: list(rng.normal(90.8, 0.1, 6))}
    assert Runs(runs(values)).whole.own
    found = Runs(runs(values)).estimate(((A, B),), broken=True)
    check(found, stats.ttest_ind(values[A], values[B], equal_var=False))


def test_one_run_in_a_cell_takes_the_variance_of_all_even_where_variances_differ():
    rng = np.random.default_rng(4)
    values = {A: list(rng.normal(91, 1.0, 10)), B: list(rng.normal(90.8, 0.05, 10)), C: [89.0]}
    found = Runs(runs(values))
    assert found.unbroken.own
    squares = sum(float(np.var(values[cell])) * 10 for cell in (A, B))
    one = found.estimate(((B, C),))
    assert (one.error, one.freedom) == (pytest.approx(math.sqrt(squares / 18 * (1 / 10 + 1))), 18)


def test_a_contrast_is_least_squares():
    sizes = {A: 3, B: 4, C: 2, D: 1}
    values = {A: [90.0, 90.6, 90.2], B: [91.1, 91.0, 91.6, 91.4], C: [89.5, 90.0], D: [88.0]}
    y = np.concatenate(list(values.values()))
    x = np.repeat(np.eye(4), list(sizes.values()), axis=0)
    inverse = np.linalg.inv(x.T @ x)
    means = inverse @ x.T @ y
    variance = ((y - x @ means) ** 2).sum() / (len(y) - 4)
    for pairs in (((A, B),), ((A, B), (A, C)), ((A, B), (C, D), (D, A)), ((A, B), (B, C), (C, D))):
        weights = np.array([summed(pairs).get(cell, 0.0) for cell in sizes])
        found = estimates(values, *pairs)
        assert found.value == pytest.approx(weights @ means)
        assert found.error == pytest.approx(math.sqrt(variance * weights @ inverse @ weights))
        assert found.freedom == len(y) - 4


def test_weights_of_a_cell_are_summed():
    assert summed(((A, B), (A, C))) == {A: 1.0, B: -0.5, C: -0.5}
    assert summed(((A, B), (B, C))) == {A: 0.5, B: 0.0, C: -0.5}
    assert summed(((A, B), (B, A))) == {A: 0.0, B: 0.0}


def test_a_cell_in_two_pairs_counts_its_runs_once():
    """Variances 0.01, three runs a cell: 0.01/3 · (1² + ½² + ½²). Two pairs of own runs would have ⅔ of it."""
    shake = np.array([-0.1, 0.0, 0.1])
    frame = {A: list(91 + shake), B: list(90 + np.roll(shake, 1)), C: list(89.5 + np.roll(shake, 2))}
    found = estimates(frame, (A, B), (A, C))
    assert found.value == pytest.approx(1.25)
    assert (found.error, found.freedom) == (pytest.approx(math.sqrt(0.01 / 3 * 1.5)), 6)


def test_other_runs_tell_how_much_runs_differ():
    rng = np.random.default_rng(1)
    values, more = {A: [91.0], B: [90.0]}, {C: list(rng.normal(80, 0.2, 6)), D: list(rng.normal(70, 0.2, 4))}
    assert math.isnan(estimates(values, (A, B)).error)
    found = estimates(values, (A, B), others=runs(more))
    variance = (np.var(more[C]) * 6 + np.var(more[D]) * 4) / 8
    assert (found.value, found.error, found.freedom) == (1.0, pytest.approx(math.sqrt(2 * variance)), 8)
    again = estimates(values, (A, B), others=pd.concat([runs(more), runs(values)]))
    assert again == found, "a run that is in both counts once"


def test_runs_of_another_section_are_in_no_mean():
    """Each has a mean of its own, of the runs that its section asked for; the variance is that of both."""
    own, later = {A: [91.0, 91.4], B: [90.0, 90.4]}, runs({A: [None, None, 80.0, 80.4, 80.2], B: [None, None, 70.0]})
    found = Runs(runs(own), others=later)
    assert len(found.of(A)) == 2 and found.of(A)["test_accuracy"].mean() == pytest.approx(91.2)
    one = found.estimate(((A, B),))
    assert one.value == pytest.approx(1.0), "the mean of all five would be 4.6 more"
    assert (one.error, one.freedom) == (pytest.approx(math.sqrt((0.08 + 0.08 + 0.08) / 4)), 4)


def test_a_run_is_broken_by_all_runs_of_its_configuration():
    steady = list(90 + np.linspace(-0.2, 0.2, 14))
    assert not Runs(runs({A: [60.0]})).of(A)["broken"].any()
    assert Runs(runs({A: [60.0]}), others=runs({A: [None, *steady]})).of(A)["broken"].all()


def test_a_run_in_two_cells_counts_once_and_does_not_differ_from_itself():
    """Both cells are one configuration: the difference is 0 and known, beside a cell of other runs it is not."""
    frame = runs({A: [91.0, 91.2, 90.9], B: [90.0, 90.3, 90.2]})
    tuned = replace(A, data="tuned")
    both = Runs(pd.concat([frame, frame[frame["method"] == "RigL"].assign(data="tuned")], ignore_index=True))
    same = both.estimate(((tuned, A),))
    assert (same.value, same.error, same.interval(), same.above(0), same.above(-0.1)) == (0.0, 0.0, (0.0, 0.0), 1, 0)
    assert both.estimate(((tuned, B),)) == Runs(frame).estimate(((A, B),))
    half = both.estimate(((tuned, B), (A, B)))
    assert half == Runs(frame).estimate(((A, B),)), "twice the same pair has the error of one"


def test_seeds_become_blocks_where_they_explain_the_residuals():
    rng = np.random.default_rng(3)
    moved = np.array([-1.0, 0.2, 0.8])  # what the runs of a seed have in common
    table = {cell: 90 + place + moved + rng.normal(0, 0.05, 3) for place, cell in enumerate((A, B, C, D, E))}
    y, cells, seeds = np.concatenate(list(table.values())), np.repeat(range(5), 3), np.tile(range(3), 5)
    x = np.hstack([np.eye(5)[cells], np.eye(3)[seeds][:, 1:]])
    found, pairs = estimates({cell: list(values) for cell, values in table.items()}, (A, B), (A, C)), ((A, B), (A, C))
    beta, *_ = np.linalg.lstsq(x, y, rcond=None)
    weights = np.array([summed(pairs).get(cell, 0) for cell in table] + [0, 0])
    variance = ((y - x @ beta) ** 2).sum() / (15 - 7)
    error = math.sqrt(variance * weights @ np.linalg.inv(x.T @ x) @ weights)
    assert (found.value, found.error, found.freedom) == (pytest.approx(weights @ beta), pytest.approx(error), 8)
    plain = fit(Runs(runs({cell: list(values) for cell, values in table.items()})).all, 5, blocks=False)
    assert plain.contrast(weights[:5]).error > 5 * found.error


def test_with_blocks_every_pair_has_the_same_error():
    """The variances of single cells have in them what seeds share: none is asked whether it is too large."""
    rng, cells = np.random.default_rng(3), [Cell("RigL", "ERK", place / 100) for place in range(1, 13)]
    values = 90 + rng.normal(0, 0.2, (12, 3)) + np.array([-0.5, 0.1, 0.4])
    found = Runs(runs({cell: list(row) for cell, row in zip(cells, values, strict=True)}))
    assert found.unbroken.freedom == 22
    pairs = [((one, other),) for one in cells[:6] for other in cells[6:]]
    assert {found.estimate(pair).freedom for pair in pairs} == {22}


def test_few_cells_have_no_blocks():
    """Four cells of three seeds leave six degrees of freedom: blocks that chance chose would look far too sure."""
    moved = np.array([-1.0, 0.2, 0.8])
    found = Runs(runs({cell: list(90 + moved + 0.01 * place * moved**2) for place, cell in enumerate((A, B, C, D))}))
    assert found.unbroken.freedom == 8 and found.unbroken.pooled > 0.5


def test_noisier_cells_have_variances_of_their_own():
    """Three seeds: Levene's test finds no difference, the F test of a contrast does."""
    steady = {Cell("RigL", "ERK", d / 10): list(90 + 0.2 * np.roll([0, 1, -1], d)) for d in range(2, 8)}
    noisy = {A: [92.0, 93.0, 91.0], B: [91.0, 89.5, 90.0]}
    found = Runs(runs(steady | noisy))
    assert not found.unbroken.own and not found.all["broken"].any()
    check(found.estimate(((A, B),)), stats.ttest_ind(noisy[A], noisy[B], equal_var=False))
    one, other = list(steady)[:2]
    variance = (6 * 0.04 + 1.0 + np.var(noisy[B], ddof=1)) / 8
    pooled = found.estimate(((one, other),))
    assert (pooled.error, pooled.freedom) == (pytest.approx(math.sqrt(2 * variance / 3)), 16)


def test_known_cells_are_numbers_without_an_error_and_blocks_would_not_cancel():
    fixed = Cell("RigL", "ERK", 0.1, data="original")
    values = [91.0, 91.4, 91.1]
    found = estimates({A: values}, (A, fixed), known={fixed: 90.5})
    oracle = stats.ttest_1samp(values, 90.5).confidence_interval(0.95)
    assert (found.interval()[0], found.interval()[1]) == pytest.approx((oracle.low - 90.5, oracle.high - 90.5))
    moved = np.array([-1.0, 0.2, 0.8])
    shared = {cell: list(90 + moved + 0.01 * place * moved**2) for place, cell in enumerate((A, B, C, D, E))}
    blocked, apart = (Runs(runs(shared), known).unbroken for known in ({}, {fixed: 90.0}))
    assert blocked.freedom == 8 and apart.freedom == 10 and apart.pooled > 100 * blocked.pooled


def test_broken_and_collapsed_runs_are_apart():
    rng = np.random.default_rng(0)
    values = {cell: list(90 + rng.normal(0, 0.1, 4)) for cell in (A, B, C, D)}
    values[A][2] = 60.0
    found = Runs(runs(values, collapsed={(B, 1)}))
    assert found.of(A)["broken"].tolist() == [False, False, True, False]
    assert found.of(B)["broken"].tolist() == [False, True, False, False]
    left, right = ([v for place, v in enumerate(values[cell]) if place != lost] for cell, lost in ((A, 2), (B, 1)))
    assert found.estimate(((A, B),)).value == pytest.approx(np.mean(left) - np.mean(right))
    assert found.estimate(((A, B),)).freedom == 10
    assert found.estimate(((A, B),), broken=True).value == pytest.approx(np.mean(values[A]) - np.mean(values[B]))
    assert found.has(A) and not Runs(runs({A: [1.0]}, collapsed={(A, 0)})).has(A) and not found.has(Cell("Dense"))


def test_two_runs_of_one_seed_are_refused():
    frame = runs({A: [91.0, 91.0], B: [90.0, 90.0]})
    again = frame.assign(run_id=frame["run_id"] + "again")
    with pytest.raises(ValueError, match=r"RigL \(ERK\) at 0.1 has several runs of one seed"):
        Runs(pd.concat([frame, again])).of(A)


def test_absent_runs_do_not_count():
    full, part = {A: [91.0, 91.3], B: [90.0, 90.1]}, {A: [None, 91.0, 91.3], B: [90.0, None, 90.1]}
    assert estimates(full, (A, B)) == estimates(part, (A, B))
    nothing = Runs(runs({A: [None, None]}))
    assert nothing.of(A).empty and not nothing.has(A)


def test_a_pooled_model_with_rounding_has_satterthwaites_freedom():
    both = Fit(np.array([91.0, 90.0]), np.array([3, 3]), np.array([0.04, 0.04]), 0.04, 4, False, 0.01 / 12)
    found = both.contrast(np.array([1.0, -1.0]))
    noise, printing = 0.04 * 2 / 3, 2 * 0.01 / 12
    assert found.error == pytest.approx(math.sqrt(noise + printing))
    assert found.freedom == pytest.approx((noise + printing) ** 2 / (noise**2 / 4))


def test_students_interval_of_an_infinite_freedom_is_normal():
    assert student(math.inf) == pytest.approx(1.959964) and student(4) == pytest.approx(2.776445)
    known = Estimate(1.0, 0.5, math.inf)
    assert known.above(0) == pytest.approx(stats.norm.sf(2))
    assert known.interval(0.9) == pytest.approx((1 - 1.644854 / 2, 1 + 1.644854 / 2), rel=1e-5)
