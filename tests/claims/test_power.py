"""What seeds can show, against simulated experiments and textbook values."""

import math

import numpy as np
import pytest
from frames import runs
from scipy import stats

from rigl_nb.claims import power
from rigl_nb.claims.claim import Cell, Claim
from rigl_nb.claims.estimate import Estimate
from rigl_nb.claims.model import Runs

LEFT, RIGHT = Cell("RigL", "ERK", 0.1), Cell("SET", "ERK", 0.1)


def experiments(difference, std, pairs, seeds, repeats=4000):
    """Return the chance of an interval above 0, over simulated experiments of pairs of cells with one variance."""
    values = np.random.default_rng(0).normal(0, std, (repeats, 2, pairs, seeds))
    gaps = difference + values[:, 0].mean((1, 2)) - values[:, 1].mean((1, 2))
    error = np.sqrt(values.var(3, ddof=1).mean((1, 2)) * 2 / (pairs * seeds))
    return (gaps - stats.t.ppf(0.975, 2 * pairs * (seeds - 1)) * error > 0).mean()


@pytest.mark.parametrize(
    ("difference", "std", "pairs", "seeds"), [(0.5, 0.2, 1, 3), (0.2, 0.2, 2, 3), (0.1, 0.3, 8, 4), (1.0, 0.2, 1, 2)]
)
def test_the_chance_is_that_of_simulated_experiments(difference, std, pairs, seeds):
    found = power.chance(difference, *power.design(std, pairs, seeds))
    assert found == pytest.approx(experiments(difference, std, pairs, seeds), abs=0.03)


def test_the_half_width_is_what_the_model_gives():
    """Three runs a cell that spread by exactly s: error s √(2/3), four degrees of freedom."""
    s = 0.3
    found = Runs(runs({LEFT: [90 - s, 90, 90 + s], RIGHT: [80, 80 - s, 80 + s]})).estimate(((LEFT, RIGHT),))
    low, high = found.interval()
    (half,) = power.table(s, pairs=(1,))["half width"]
    assert (high - low) / 2 == pytest.approx(half) == pytest.approx(2.7764 * s * (2 / 3) ** 0.5, rel=1e-4)
    assert power.could_show(found) == pytest.approx(power.table(s, pairs=(1,))["detectable difference"].item())


def test_what_is_detectable_is_found_with_that_chance_and_grows_with_noise():
    for freedom in (2, 4, 23):
        size = power.detectable(0.2, freedom)
        assert power.chance(size, 0.2, freedom) == pytest.approx(0.8, abs=1e-6)
        assert power.detectable(0.4, freedom) == pytest.approx(2 * size)
    assert power.detectable(0.2, 23) < power.detectable(0.2, 4)


def test_a_known_error_is_the_normal_case_and_none_is_no_number():
    assert power.could_show(Estimate(0.0, 0.1, math.inf)) == pytest.approx((1.959964 + 0.841621) * 0.1, rel=1e-4)
    for nothing in (Estimate(1.0, math.nan, math.nan), Estimate(0.0, 0.0, math.inf)):
        assert math.isnan(power.could_show(nothing))


def test_seeds_needed_is_the_smallest_number_that_suffices():
    for difference, pairs in ((0.5, 1), (0.3, 2), (0.2, 8)):
        seeds = power.seeds_needed(difference, 0.2, pairs)
        assert power.chance(difference, *power.design(0.2, pairs, seeds)) >= 0.8
        assert seeds == 2 or power.chance(difference, *power.design(0.2, pairs, seeds - 1)) < 0.8
    with pytest.raises(ValueError, match="difference 0"):
        power.seeds_needed(0, 0.2)


def test_pooling_is_the_root_of_the_mean_variance():
    assert power.pooled_std([0.3, 0.4]) == pytest.approx(0.125**0.5)
    for bad in ([], [0.1, float("nan")]):
        with pytest.raises(ValueError, match="standard deviations"):
            power.pooled_std(bad)


def test_the_table_pools_seeds_and_cells():
    found = power.table(0.2)
    assert found["pairs of cells"].tolist() == [1, 2, 4, 8] and found["runs"].tolist() == [6, 12, 24, 48]
    assert found["half width"].is_monotonic_decreasing and found["detectable difference"].is_monotonic_decreasing
    assert (found["detectable difference"] > found["half width"]).all()


def test_the_expected_maximum_in_closed_form():
    assert power.expected_maximum(1) == pytest.approx(0, abs=1e-9)
    assert power.expected_maximum(2) == pytest.approx(1 / np.sqrt(np.pi))
    assert power.expected_maximum(3) == pytest.approx(3 / (2 * np.sqrt(np.pi)))


def test_the_prospect_of_a_claim_by_simulation():
    """Known noise, independent pairs: the share of simulated experiments whose intervals support the claim."""
    rng, std, draws = np.random.default_rng(0), 0.2, 20_000
    pairs = tuple((Cell("RigL", "ERK", d), Cell("SET", "ERK", d)) for d in (0.1, 0.2, 0.5))
    for relation, margin, every, difference in (
        ("outperforms", 0.0, True, 0.4),
        ("outperforms", 0.0, False, 0.2),
        ("matches", 0.3, True, 0.0),
        ("matches", 0.3, True, 0.2),
        ("at least matches", 0.3, True, 0.0),
        ("at least matches", 0.3, False, -0.1),
    ):
        claim = Claim("c", "q", "5", pairs, relation, margin, every=every)
        count = 1 if every else 3
        error = std * math.sqrt(2 / (12 * count))
        found = rng.normal(difference, error, (draws, len(pairs) if every else 1))
        low, high = (found + side * (1.96 if relation == "outperforms" else 1.6449) * error for side in (-1, 1))
        holds = low > (margin if relation == "outperforms" else -margin)
        holds &= (high < margin) | (relation != "matches")
        seeds = dict.fromkeys(claim.cells, 12)
        assert power.prospect(claim, std, difference, seeds) == pytest.approx(holds.all(axis=1).mean(), abs=0.012)
