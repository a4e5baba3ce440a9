"""How many seeds the closest comparison of the report gets: enough to find what is printed, in the printed noise."""

from rigl_nb.claims import judge, power, printed, statements
from rigl_nb.claims.claim import Cell
from rigl_nb.claims.model import Printed
from rigl_nb.experiments import grids


def test_rigl_over_set_has_the_seeds_that_its_printed_difference_needs():
    (claim,) = [claim for claim in statements.CIFAR10 if claim.name == "RigL over SET"]
    table = Printed(printed.table2())
    noise = power.pooled_std(table.rows.loc[~table.rows["broken"], "accuracy_std"])
    gap = judge.by_print(claim, table).estimate.value
    seeds = {cell: set() for cell in claim.cells}
    for spec in grids.specs("05_1", "paper"):
        cell = Cell(spec.method, spec.init, spec.density, spec.multiplier)
        seeds.get(cell, set()).add(spec.seed)
    assert {len(found) for found in seeds.values()} == {power.seeds_needed(gap, noise, len(claim.pairs))} == {7}
