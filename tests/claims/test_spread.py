"""Broken runs, equal variances and what seeds share: against scipy, by hand, and in simulated noise."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from rigl_nb.claims import printed
from rigl_nb.claims.spread import BROKEN, Blocks, bartlett, broken, levene, odd, pooled
from rigl_nb.experiments import grids


def noise(rng, cells=10, seeds=3, std=0.2):
    """Runs around cell means that are far apart, and the cell of each."""
    places = np.repeat(np.arange(cells), seeds)
    return rng.uniform(60, 95, cells)[places] + rng.normal(0, std, cells * seeds), places


@pytest.mark.parametrize(("cells", "seeds"), [(8, 3), (30, 3), (2, 10)])
def test_normal_noise_has_hardly_a_broken_run(cells, seeds):
    rng = np.random.default_rng(0)
    found = sum(broken(*noise(rng, cells, seeds)).any() for _ in range(500))
    assert found / 500 < 0.02


def test_a_planted_broken_run_is_found_and_no_other():
    rng = np.random.default_rng(1)
    for place in range(30):
        values, cells = noise(rng)
        values[place] -= 3.0
        assert np.flatnonzero(broken(values, cells)).tolist() == [place]


@pytest.mark.parametrize("lost", [(4, 10), (4, 5), (0, 3, 29)])
def test_broken_runs_do_not_hide_each_other(lost):
    """With any of them in it, the deviation would be so large that the next one is no outlier: 40 points on 10."""
    rng = np.random.default_rng(2)
    values, cells = noise(rng)
    values = np.concatenate([values, values[:2] * 0 + 90])  # a cell of its own steady pair
    cells = np.concatenate([cells, [10, 10]])
    for place, size in zip(lost, (40.0, 10.0, 3.0), strict=False):
        values[place] -= size
    whole = pooled(values, cells)[0] ** 0.5
    assert BROKEN * whole > 10.0, "the second is hidden in the deviation of all"
    if lost == (4, 5):  # two of three runs of one cell: its median is one of them, and the steady run is far above
        assert np.flatnonzero(broken(values, cells)).tolist() == [4]
    else:
        assert np.flatnonzero(broken(values, cells)).tolist() == list(lost)


def test_a_run_far_above_is_not_broken():
    values, cells = noise(np.random.default_rng(3))
    values[7] += 20
    assert not broken(values, cells).any()


def test_too_few_runs_cannot_tell():
    """Without the run in question 8 degrees of freedom are needed: of two cells of five there are seven."""
    values = np.array([90.0, 90.1, 89.9, 90.05, 10.0, 80.0, 80.1, 79.9, 80.05, 80.1])
    cells = np.repeat([0, 1], 5)
    assert not broken(values, cells).any()
    more = np.append(values, 80.0), np.append(cells, 1)
    assert np.flatnonzero(broken(*more)).tolist() == [4]
    assert broken(np.array([]), np.array([], int)).size == 0
    assert not broken(np.array([90.0, 1.0]), np.array([0, 5])).any(), "cells of one run, and empty ones between"


@pytest.mark.parametrize(("name", "deviations"), [("table2", [15.33]), ("table3", []), ("table5", [])])
def test_the_only_printed_deviation_of_a_broken_run_is_that_of_set_2x(name, deviations):
    tables = {"table2": printed.table2, "table3": printed.table3}
    rows = tables.get(name, lambda: grids.published("table5_redistribution"))()
    for _, part in rows.groupby("dataset") if "dataset" in rows else [("", rows)]:
        std = part["accuracy_std"].dropna().to_numpy(float)
        assert std[odd(std**2, 2)].tolist() == deviations


def test_odd_by_hand():
    """One of three runs lies 5 deviations below: the variance, 1 as that of the others, gets 25/3 more."""
    steady = np.full(4, 0.04)
    assert not odd(np.append(steady, 0.04 * 9.3), 2).any()
    assert odd(np.append(steady, 0.04 * 9.4), 2).tolist() == [False] * 4 + [True]
    assert odd(np.append(steady, [0.04 * 9.4, 40.0]), 2).tolist() == [False] * 4 + [True] * 2, "one hides no other"
    assert not odd(np.append(steady[:3], 40.0), 2).any(), "six degrees of freedom"
    assert odd(np.array([]), 2).size == 0


def test_normal_noise_has_hardly_an_odd_variance():
    variances = np.random.default_rng(0).normal(size=(1000, 10, 3)).var(axis=2, ddof=1)
    assert sum(odd(one, 2).any() for one in variances) / 1000 < 0.02


def test_pooled_is_the_residual_variance():
    assert pooled(np.array([1.0, 2.0, 3.0, 10.0, 14.0, 7.0]), np.array([0, 0, 0, 1, 1, 3])) == ((2 + 8) / 3, 3)
    assert pooled(np.array([5.0]), np.array([0])) == pooled(np.array([]), np.array([], int)) == (0.0, 0)


@pytest.mark.parametrize("sizes", [(3, 3), (3, 4, 6), (5, 5, 5, 5, 3)])
def test_levene_is_scipys_with_medians(sizes):
    rng = np.random.default_rng(sum(sizes))
    parts = [rng.normal(place, 1 + place, n) for place, n in enumerate(sizes)]
    values, cells = np.concatenate(parts), np.repeat(np.arange(len(sizes)), sizes)
    expected = stats.levene(*parts, center="median").pvalue
    assert levene(values, cells) == pytest.approx(expected)
    more = np.append(values, [1e6, 3.0, 5.0]), np.append(cells, len(sizes) + np.array([2, 3, 3]))
    assert levene(*more) == pytest.approx(expected), "one run has no spread, and two lie equally far from their median"


def test_levene_finds_equal_variances_equal():
    """With cells of two runs in the test it would find them unequal in 18 of 100 cases."""
    rng, cells = np.random.default_rng(0), np.repeat(range(7), (2, 2, 2, 2, 2, 5, 5))
    assert np.mean([levene(rng.normal(size=len(cells)), cells) < 0.05 for _ in range(500)]) < 0.08


def test_levene_where_nothing_can_be_tested():
    assert levene(np.array([]), np.array([], int)) == levene(np.array([1.0, 2.0]), np.array([0, 1])) == 1.0
    assert levene(np.array([1.0, 2.0, 3.0]), np.array([0, 0, 0])) == 1.0, "one cell"
    assert levene(np.array([1.0, 1, 1, 2, 2, 2]), np.repeat([0, 1], 3)) == 1.0, "no spread at all"


@pytest.mark.parametrize(("cells", "n"), [(2, 3), (7, 3), (4, 8)])
def test_bartlett_is_scipys(cells, n):
    parts = np.random.default_rng(n).normal(0, np.arange(1, cells + 1)[:, None], (cells, n))
    assert bartlett(parts.var(axis=1, ddof=1), n - 1) == pytest.approx(stats.bartlett(*parts).pvalue)
    assert bartlett(np.array([0.3]), 2) == bartlett(np.array([]), 2) == bartlett(np.array([0.3, 0.0]), 2) == 1.0


def frame(values):
    """Runs of a table, cells by seeds; a NaN is no run."""
    rows = [
        {"configuration": cell, "seed": seed, "test_accuracy": value}
        for (cell, seed), value in np.ndenumerate(values)
        if not np.isnan(value)
    ]
    return pd.DataFrame(rows)


def test_blocks_are_a_two_way_analysis_of_variance():
    rng = np.random.default_rng(5)
    values = rng.normal(90, 0.3, (6, 3)) + rng.normal(0, 0.5, 3)
    found = Blocks.of(frame(values))
    cells, seeds = (axis.ravel() for axis in np.indices(values.shape))
    small = np.eye(6)[cells]
    design = np.hstack([small, np.eye(3)[seeds][:, 1:]])
    rest = [values.ravel() - x @ np.linalg.lstsq(x, values.ravel(), rcond=None)[0] for x in (small, design)]
    without, within = (float(r @ r) for r in rest)
    assert (found.residual, found.freedom) == (pytest.approx(within / 10), 10)
    assert found.p == pytest.approx(stats.f.sf((without - within) / 2 / (within / 10), 2, 10))
    between = (without - within) / 2
    assert found.correlation == pytest.approx((between - within / 10) / (between + 5 * within / 10))


def test_no_blocks_of_one_cell_one_seed_or_a_hole():
    values = np.random.default_rng(0).normal(size=(3, 3))
    hole = values.copy()
    hole[1, 2] = np.nan
    for lacking in (values[:1], values[:, :1], hole):
        assert Blocks.of(frame(lacking)) is None
    assert Blocks.of(frame(values)) is not None and Blocks.of(frame(np.ones((2, 2)))) is None
