"""Which means are the best ones: against scipy.stats, by hand, and where nothing can be said."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_ind_from_stats

from rigl_nb.report.figures.significance import leads, welch


def row(mean, std=math.nan, n=3):
    return {"mean": mean, "std": std, "n": n}


cells = st.builds(row, st.floats(50, 99), st.floats(0.01, 20), st.integers(2, 9))


@given(cells, cells)
def test_welch_as_scipy_has_it(one, other):
    args = [side[key] for side in (one, other) for key in ("mean", "std", "n")]
    assert welch(one, other) == pytest.approx(ttest_ind_from_stats(*args, equal_var=False).pvalue, abs=1e-9)


def test_without_any_spread_only_equal_means_are_equal():
    assert welch(row(90, 0.0), row(90, 0.0)) == 1 and welch(row(90, 0.0), row(91, 0.0)) == 0


def test_groups_of_table_2():
    """RigL 91.7 ± 0.18 is not told apart from SET 91.3 ± 0.47 (t = 1.4); RigL (ERK) is from SET (ERK) (t = 4.8)."""
    assert not any(leads([row(89.0, 0.35), row(89.1, 0.17), row(91.3, 0.47), row(91.7, 0.18)]))
    assert leads([row(92.2, 0.04), row(92.4, 0.06)]) == [False, True]


def test_one_that_is_not_told_apart_is_enough():
    assert not any(leads([row(83.3, 15.33), row(92.7, 0.1), row(90.0, 0.1)]))


@pytest.mark.parametrize(
    "rows",
    [
        [row(91.0, n=1), row(60.0, n=1)],
        [row(91.0, n=1), row(60.0, 0.1), row(61.0, 0.1)],  # the best is a single run
        [row(91.0, 0.1), row(60.0, n=1)],
        [row(91.0), row(60.0)],  # several runs, no spread printed
        [row(91.0, 0.1)],
        [row(91.0, 0.1), None, row(math.nan, n=0)],
        [None],
    ],
)
def test_where_nothing_can_be_said_nothing_leads(rows):
    assert not any(leads(rows))


def test_a_single_run_beside_others_could_be_as_good():
    assert not any(leads([row(91.0, 0.1), row(90.9, n=1), row(60.0, 0.1), None]))
    assert leads([row(91.0, 0.1), None, row(60.0, 0.1)]) == [True, False, False]
