"""The claims of section 5.1: their cells, and what the printed numbers say, as a reader computes it."""

import pytest

from rigl_nb.claims import judge, statements
from rigl_nb.claims.claim import Cell
from rigl_nb.claims.model import Printed
from rigl_nb.claims.printed import table2
from rigl_nb.experiments import grids

CLAIMS = (*statements.CIFAR10, *statements.HIGHEST)


def answers():
    values = Printed(table2())
    return {claim.name: judge.by_print(claim, values) for claim in CLAIMS}


def test_what_the_printed_numbers_say_about_the_claims():
    found = answers()
    value = {name: answer.estimate.value for name, answer in found.items()}
    assert value["SET over Static"] == pytest.approx(((91.3 - 89.1) + (92.7 - 91.2)) / 2)
    assert value["RigL 2× (ERK) over Pruning"] == pytest.approx(92.7 - 92.6)
    assert value["RigL at 0.5 as good as Dense"] == pytest.approx((93.3 + 93.4) / 2 - 93.4)
    assert value["SNFS over RigL"] == pytest.approx(((92.4 - 91.7) + (92.7 - 92.6)) / 2)
    assert value["Figure 1: RigL 2× (ERK) over SET 2×"] == pytest.approx(((92.7 - 83.3) + (93.3 - 93.0)) / 2)
    central = found["RigL over SET, each density"]
    assert (central.agree, len(central.pairs), central.word) == (3, 4, "undecided"), "SET is better at 0.2"
    assert found["SET over Static"].word == found["SET over Small-Dense"].word == "supported"
    assert found["RigL 2× (ERK) over Pruning"].word == "undecided"


def test_the_broken_run_of_set_makes_its_comparison_wide_and_no_other():
    found = answers()
    low, high = found["Figure 1: RigL 2× (ERK) over SET 2×"].interval
    assert high - low > 30 and found["Figure 1: RigL 2× (ERK) over SET 2×"].word == "undecided"
    low, high = found["Figure 1: RigL 2× (ERK) over Static 2×"].interval
    assert high - low < 1


def test_only_what_table_2_does_not_print_is_missing():
    found = answers()
    missing = {cell for answer in found.values() for cell in answer.missing}
    assert {cell.name for cell in missing if cell.density in (0.1, 0.2)} == {"Static (ERK)"}
    assert [claim.name for claim in statements.CIFAR10[2:] if found[claim.name].missing] == ["ERK over Random"]
    assert [name for name, answer in found.items() if not answer.pairs] == ["Figure 1: RigL 2× (ERK) over Static (ERK)"]


def test_the_grid_trains_every_cell_of_the_claims():
    keys = ["method", "init", "density", "multiplier", "data"]
    trained = {Cell(*(getattr(spec, key) for key in keys)) for spec in grids.specs("05_1", "paper")}
    assert {cell for claim in CLAIMS for cell in claim.cells} - trained == set()


def test_claims_have_names_of_their_own_and_compare_different_cells():
    names = [claim.name for claim in CLAIMS]
    assert len(set(names)) == len(names)
    assert all(left != right for claim in CLAIMS for left, right in claim.pairs)


def test_the_highest_is_compared_with_all_others_of_figure_1():
    best = {left for claim in statements.HIGHEST for left, _ in claim.pairs}
    assert {(cell.method, cell.init, cell.multiplier) for cell in best} == {("RigL", "ERK", 2)}
    drawn = {(s.method, s.init, s.multiplier) for s in grids.specs("05_1", "paper", density=0.05)}
    others = {(right.method, right.init, right.multiplier) for c in statements.HIGHEST for _, right in c.pairs}
    assert others | {("RigL", "ERK", 2)} <= drawn and len(others) == 6
