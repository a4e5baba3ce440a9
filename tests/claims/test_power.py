"""What seeds can show, against simulated experiments and textbook values."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from rigl_nb.claims import power
from rigl_nb.claims.judge import Cell, Claim, judge

LEFT, RIGHT = Cell("RigL", "ERK", 0.1), Cell("SET", "ERK", 0.1)


def experiments(difference, std, n, repeats=4000):
    """Return the chance of an interval above 0, over simulated experiments."""
    gaps = np.random.default_rng(0).normal(difference, std, (repeats, n))
    half = stats.t.ppf(0.975, n - 1) * gaps.std(1, ddof=1) / np.sqrt(n)
    return (gaps.mean(1) - half > 0).mean()


@pytest.mark.parametrize(("difference", "std", "n"), [(0.5, 0.2, 3), (0.3, 0.2, 6), (0.1, 0.3, 12), (1.0, 0.2, 3)])
def test_the_chance_is_that_of_simulated_experiments(difference, std, n):
    assert power.chance(difference, std, n) == pytest.approx(experiments(difference, std, n), abs=0.03)


def test_the_half_width_is_what_judging_gives():
    """Three differences that spread by exactly s around their mean."""
    s = 0.3
    rows = [
        {"method": c.method, "init": "ERK", "density": 0.1, "multiplier": 1, "data": "cifar10", "seed": seed}
        | {"test_accuracy": 90 + value, "present": True, "collapsed": False}
        for c, values in ((LEFT, (-s, 0, s)), (RIGHT, (0, 0, 0)))
        for seed, value in enumerate(values)
    ]
    verdict = judge(Claim("x", "x", "5", ((LEFT, RIGHT),)), pd.DataFrame(rows))
    assert (verdict.high - verdict.low) / 2 == pytest.approx(power.half_width(0.3, 3))
    assert power.half_width(0.3, 3) == pytest.approx(4.3027 * s / 3**0.5, rel=1e-4)


def test_what_is_detectable_is_found_with_that_chance_and_grows_with_noise():
    for n in (3, 6, 24):
        size = power.detectable(0.2, n)
        assert power.chance(size, 0.2, n) == pytest.approx(0.8, abs=1e-6)
        assert power.detectable(0.4, n) == pytest.approx(2 * size)
    assert power.detectable(0.2, 6) < power.detectable(0.2, 3)


def test_seeds_needed_is_the_smallest_number_that_suffices():
    for difference, cells in ((0.5, 1), (0.3, 2), (0.2, 8)):
        seeds = power.seeds_needed(difference, 0.2, cells)
        assert power.chance(difference, 0.2, seeds * cells) >= 0.8
        assert seeds == 2 or power.chance(difference, 0.2, (seeds - 1) * cells) < 0.8
    with pytest.raises(ValueError, match="difference 0"):
        power.seeds_needed(0, 0.2)


def test_pooling_is_the_root_of_the_mean_variance():
    assert power.pooled_std([0.3, 0.4]) == pytest.approx(0.125**0.5)
    for bad in ([], [0.1, float("nan")]):
        with pytest.raises(ValueError, match="standard deviations"):
            power.pooled_std(bad)


def test_the_table_pools_seeds_and_cells():
    found = power.table(0.2)
    assert found["n"].tolist() == [3, 6, 12, 24]
    assert found["half width"].is_monotonic_decreasing and found["detectable difference"].is_monotonic_decreasing
    assert (found["detectable difference"] > found["half width"]).all()


def test_the_expected_maximum_in_closed_form():
    assert power.expected_maximum(1) == pytest.approx(0, abs=1e-9)
    assert power.expected_maximum(2) == pytest.approx(1 / np.sqrt(np.pi))
    assert power.expected_maximum(3) == pytest.approx(3 / (2 * np.sqrt(np.pi)))
