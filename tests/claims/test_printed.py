"""The model of printed means: one variance of a run, that of rounding, and cells of which one run broke."""

import csv
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from frames import printed as rows
from scipy import stats

from rigl_nb.claims import printed
from rigl_nb.claims.claim import Cell
from rigl_nb.claims.model import Printed
from rigl_nb.experiments import grids

A, B, C = (Cell(name, "ERK", 0.1) for name in ("RigL", "SET", "Static"))
TENTH, HUNDREDTH = 0.1**2 / 12, 0.01**2 / 12  # variance of what printing a mean leaves out


def test_pooled_with_one_decimal_by_hand():
    found = Printed(rows({A: (92.4, 0.06), B: (92.2, 0.04), C: (91.0, 0.05)})).estimate(((A, B),))
    noise = (0.06**2 + 0.04**2 + 0.05**2) / 3 * 2 / 3  # three cells of equal n: the mean variance, 6 freedom
    error = math.sqrt(noise + 2 * TENTH)
    freedom = (noise + 2 * TENTH) ** 2 / (noise**2 / 6)
    half = stats.t.ppf(0.975, freedom) * error
    assert (found.value, found.error) == (pytest.approx(0.2), pytest.approx(error))
    assert found.freedom == pytest.approx(freedom)
    assert found.interval() == pytest.approx((0.2 - half, 0.2 + half))


def test_two_decimals_leave_out_less():
    found = Printed(rows({A: (92.41, 0.06), B: (92.2, 0.06), C: (90.17, 0.06)})).estimate(((A, B),))
    assert found.error == pytest.approx(math.sqrt(0.06**2 * 2 / 3 + 2 * HUNDREDTH))


def test_one_mean_with_two_decimals_does_not_make_a_table_exact():
    """As 89.15 in Table 2."""
    cells = {A: (92.4, 0.06), B: (92.2, 0.06), C: (89.15, 0.06)}
    assert Printed(rows(cells)).estimate(((A, B),)).error == pytest.approx(math.sqrt(0.06**2 * 2 / 3 + 2 * TENTH))
    left, right = Cell("RigL", "ERK", 0.1), Cell("SET", "ERK", 0.1)
    steady = printed.table2().query("accuracy_std < 1")["accuracy_std"]
    noise = 2 * (steady**2).mean() / 3
    assert Printed(printed.table2()).estimate(((left, right),)).error == pytest.approx(math.sqrt(noise + 2 * TENTH))


def test_without_rounding_it_is_the_t_test_of_the_printed_values():
    """Deviations so large that a tenth of a point is nothing beside them."""
    found = Printed(rows({A: (92.0, 60.0), B: (12.0, 60.0)})).estimate(((A, B),))
    oracle = stats.ttest_ind_from_stats(92, 60, 3, 12, 60, 3)
    assert found.value / found.error == pytest.approx(oracle.statistic, rel=1e-5)
    assert 2 * found.above(0) == pytest.approx(oracle.pvalue, rel=1e-4)


def test_a_printed_cell_in_two_pairs_counts_once():
    found = Printed(rows({A: (93.0, 0.2), B: (93.2, 0.2), C: (93.4, 0.2)})).estimate(((A, C), (B, C)))
    assert found.value == pytest.approx(-0.3)
    assert found.error == pytest.approx(math.sqrt((1 / 4 + 1 / 4 + 1) * (0.2**2 / 3 + TENTH)))


def test_a_deviation_that_a_broken_run_made_stays_with_its_own_cell():
    steady = {Cell("RigL", init, d): (90.0, 0.2) for init in ("Random", "ERK") for d in (0.1, 0.2, 0.5)}
    lost = Cell("SET", "Random", 0.1, 2)
    table = Printed(rows(steady | {lost: (83.3, 15.33)}))
    first, second = list(steady)[:2]
    assert table.of(lost)["broken"].item() and not table.of(first)["broken"].item()
    apart = table.estimate(((first, second),))
    assert apart.error == pytest.approx(math.sqrt(2 * (0.2**2 / 3 + TENTH))), "its deviation is not pooled"
    found = table.estimate(((first, lost),))
    welch = 0.2**2 / 3 + 15.33**2 / 3
    assert found.error == pytest.approx(math.sqrt(welch + 2 * TENTH))
    freedom = (welch + 2 * TENTH) ** 2 / (((0.2**2 / 3) ** 2 + (15.33**2 / 3) ** 2) / 2)
    assert found.freedom == pytest.approx(freedom) and found.freedom < 2.01


def test_variances_that_differ_are_not_pooled():
    """Bartlett's test: ten cells of a tenth and ten of one point, none of them alone far above the others."""
    cells = [Cell("RigL", "ERK", d / 100) for d in range(1, 21)]
    table = Printed(rows({cell: (90.0, 0.1 if place < 10 else 1.0) for place, cell in enumerate(cells)}))
    assert not table.rows["broken"].any()
    assert table.estimate(((cells[0], cells[1]),)).error == pytest.approx(math.sqrt(2 * (0.1**2 / 3 + TENTH)))
    assert table.estimate(((cells[10], cells[11]),)).error == pytest.approx(math.sqrt(2 * (1.0**2 / 3 + TENTH)))


def test_what_is_not_printed_or_printed_twice():
    table = rows({A: (92.4, 0.06), B: (math.nan, math.nan)})
    assert Printed(table).has(A) and not Printed(table).has(B) and not Printed(table).has(C)
    with pytest.raises(ValueError, match=r"RigL \(ERK\) at 0.1 is printed 2 times"):
        Printed(pd.concat([table, table])).of(A)


def test_table_2_has_one_value_for_density_one_half():
    half = Cell("RigL", "ERK", 0.5).rows(printed.table2())
    assert half[["accuracy_mean", "accuracy_std"]].to_numpy().tolist() == [[93.4, 0.14]]
    assert len(Cell("RigL", "ERK", 0.1).rows(printed.table2())) == 1
    assert len(printed.table2()) == len(grids.published("table2_cifar10")) + 2
    assert set(printed.table3()["data"]) == {"cifar100"}


def test_a_pair_of_table_3_as_a_reader_computes_it():
    with open(grids.PUBLISHED / "table3_cifar100.csv") as file:
        lines = [row for row in csv.DictReader(file) if row["accuracy_mean"]]
    std = np.array([float(row["accuracy_std"]) for row in lines])
    (pruning,) = [r for r in lines if (r["method"], r["density"]) == ("Pruning", "0.1")]
    (rigl,) = [r for r in lines if (r["method"], r["multiplier"], r["density"]) == ("RigL", "3", "0.1")]
    left, right = Cell("RigL", "Random", 0.1, 3, "cifar100"), Cell("Pruning", None, 0.1, data="cifar100")
    found = Printed(printed.table3()).estimate(((left, right),))
    assert found.value == pytest.approx(float(rigl["accuracy_mean"]) - float(pruning["accuracy_mean"]))
    assert stats.bartlett(*(s * np.array([-1, 0, 1]) for s in std)).pvalue > 0.05
    assert found.error == pytest.approx(math.sqrt(2 * ((std**2).mean() / 3 + TENTH)))
    assert replace(left, multiplier=2).rows(printed.table3()).shape[0] == 1


def test_a_value_that_is_printed_again_otherwise_can_take_its_place():
    """RigL at 0.2: 92.6 in Tables 2 and 4 and Figure 3, 92.9 in Table 5."""
    cell, table = Cell("RigL", "Random", 0.2), printed.table2()
    ((words, changed),) = printed.again(cell, table)
    assert words == "92.9 for RigL at 0.2 (Table 5)"
    moved = (changed["accuracy_mean"] - table["accuracy_mean"]).fillna(0)
    assert moved.round(6).tolist() == [0.3 * (place in cell.rows(table).index) for place in table.index]
    assert list(printed.again(Cell("SET", "Random", 0.2), table)) == []
    assert list(printed.again(Cell("RigL", "Random", 0.1), table)) == [], "91.717 in Figure 3 is 91.7"


def test_the_variance_can_be_chosen():
    cells = {A: (92.4, 0.01), B: (92.2, 0.6), C: (91.0, 0.01)}
    free, one, own = (Printed(rows(cells), choice) for choice in (None, False, True))
    assert (free.unequal, one.unequal, own.unequal) == (True, False, True)
    errors = [table.estimate(((A, C),)).error for table in (free, one, own)]
    assert errors[0] == errors[2] < errors[1]
